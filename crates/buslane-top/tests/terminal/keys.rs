//! Keys, and the size of the terminal.

use crate::figures::{order, row};
use crate::folder::Folder;
use crate::program::show;
use crate::service::Service;
use crate::tmux::Terminal;

/// Waits until the screen shows a text, and sinks in an order.
#[track_caller]
fn wait_for_order(terminal: &Terminal, text: &str, sinks: &[&str]) {
    terminal.wait(&format!("{text:?} with {sinks:?}"), |screen| {
        screen.contains(text) && order(screen).starts_with(sinks)
    });
}

#[test]
fn sort_keys_order_the_rows() {
    let folder = Folder::new();
    let service = Service::start(&folder, 100);
    let Some(terminal) = show(120, 30, &["--every", "100ms", &service.target()]) else { return };
    wait_for_order(&terminal, "in 0/s", &["full", "all", "feed"]);
    terminal.press(&["s", "s"]);
    wait_for_order(&terminal, "by sink", &["all", "feed", "full"]);
    terminal.press(&["r"]);
    wait_for_order(&terminal, "by sink, reversed", &["full", "feed", "all"]);
    terminal.press(&["S", "S"]);
    terminal.wait("the first order", |screen| {
        order(screen) == ["full", "all", "feed"] && !screen.contains("by ")
    });
    // The greatest number first.
    terminal.press(&["S", "S", "S", "S", "S"]);
    wait_for_order(&terminal, "by dropped", &["full"]);
}

#[test]
fn order_of_the_command_line_is_kept() {
    let folder = Folder::new();
    let service = Service::start(&folder, 100);
    let arguments = ["--sort", "depth", "--reverse", "--bus", "orders", &service.target()];
    let Some(terminal) = show(120, 30, &arguments) else { return };
    wait_for_order(&terminal, "by depth, reversed", &["full"]);
}

#[test]
fn filter_leaves_what_has_the_text() {
    let folder = Folder::new();
    let service = Service::start(&folder, 100);
    let Some(terminal) = show(120, 30, &["--every", "100ms", &service.target()]) else { return };
    terminal.wait_for("feed");
    terminal.press(&["/", "j", "o", "u", "r"]);
    terminal
        .wait("the filtered table", |screen| screen.contains("filter: jour_") && order(screen) == ["feed"]);
    terminal.press(&["Enter"]);
    terminal.wait_for("filter \"jour\": 1 sink");
    terminal.press(&["Escape"]);
    terminal.wait("all sinks", |screen| order(screen).len() == 3);
}

#[test]
fn pause_keeps_the_screen_and_resume_shows_all() {
    let folder = Folder::new();
    let mut service = Service::start(&folder, 100);
    let Some(terminal) = show(120, 30, &["--every", "100ms", &service.target()]) else { return };
    terminal.wait("the depth", |screen| row(screen, "full").contains(&"8/8".into()));
    terminal.press(&["p"]);
    terminal.wait_for("PAUSED");
    service.take();
    // A frame with the change has been sent, and the screen still has the old one.
    assert_eq!(service.frame().buses[0].sinks[0].depth, 7);
    terminal.press(&["Down"]);
    assert!(row(&terminal.wait_for("PAUSED"), "full").contains(&"8/8".into()));
    terminal.press(&["p"]);
    terminal.wait("the new depth", |screen| {
        !screen.contains("PAUSED") && row(screen, "full").contains(&"7/8".into())
    });
}

#[test]
fn details_follow_the_arrows() {
    let folder = Folder::new();
    let service = Service::start(&folder, 100);
    let Some(terminal) = show(100, 24, &["--every", "100ms", &service.target()]) else { return };
    terminal.wait_for("feed");
    terminal.press(&["Enter"]);
    terminal.wait_for("orders / full");
    terminal.press(&["j"]);
    terminal.wait_for("orders / all");
    terminal.press(&["Down"]);
    terminal.wait_for("orders / feed");
    terminal.press(&["k", "Escape"]);
    terminal.wait("the table", |screen| order(screen).len() == 3);
}

#[test]
fn help_lists_the_keys() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1);
    let Some(terminal) = show(80, 40, &[&service.target()]) else { return };
    terminal.wait_for("feed");
    terminal.press(&["?"]);
    terminal.wait_for_all(&["choose a sink", "q, ctrl-c", "figures"]);
    terminal.press(&["?"]);
    terminal.wait("the table", |screen| order(screen).len() == 3);
}

#[test]
fn resize_fits_the_screen() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let Some(terminal) = show(160, 40, &["--every", "100ms", &service.target()]) else { return };
    terminal.wait_for("handler");
    terminal.resize(80, 24);
    // Until the program draws again, the terminal shows a part of the wide screen, without a foot.
    let screen = terminal.wait("the narrow table", |screen| {
        screen.trim_end().ends_with("q quit")
            && !screen.contains("handler")
            && row(screen, "full").contains(&"992".into())
    });
    assert!(
        screen.lines().count() <= 24 && screen.lines().all(|line| line.chars().count() <= 80),
        "{screen}"
    );
    terminal.resize(30, 5);
    terminal.wait("the smallest table", |screen| screen.contains("full") && !screen.contains("sort"));
    terminal.resize(160, 40);
    terminal.wait_for("handler");
}

#[test]
fn no_color_draws_without_colors() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let program = ["env", "NO_COLOR=1", crate::program::PATH, "--every", "100ms", &service.target()];
    let Some(terminal) = Terminal::start(120, 30, &program) else { return };
    terminal.wait_for("in 0/s");
    // Red, yellow and cyan, as tmux writes them; 39 is the color of the terminal.
    let codes = ["38;5;", "[31m", "[33m", "[36m"];
    let colors = |text: &str| codes.iter().any(|code| text.contains(code));
    assert!(!colors(&terminal.styled()), "{:?}", terminal.styled());
    let Some(terminal) = show(120, 30, &["--every", "100ms", &service.target()]) else { return };
    terminal.wait_for("in 0/s");
    assert!(colors(&terminal.styled()), "{:?}", terminal.styled());
}
