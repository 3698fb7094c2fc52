//! Services that end and come back, and the end of the program.

use crate::example::Example;
use crate::figures::row;
use crate::folder::Folder;
use crate::program::{PATH, show};
use crate::service::Service;
use crate::tmux::Terminal;
use std::process::Command;

/// Checks that no figure is negative.
#[track_caller]
fn assert_no_negative_figure(screen: &str) {
    let mut words = screen.split(|c: char| c.is_whitespace() || c == '/');
    let negative =
        words.find(|word| word.starts_with('-') && word[1..].starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(negative, None, "{screen}");
}

/// Sends a signal to the program in a terminal.
fn signal(terminal: &Terminal, name: &str) {
    let children = Command::new("pgrep").args(["-P", &terminal.shell().to_string()]).output().unwrap();
    let pid = String::from_utf8(children.stdout).unwrap();
    let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap();
    assert!(sent.success(), "{pid}");
}

/// Checks that the program has ended with an exit code, and left the terminal as it was.
#[track_caller]
fn assert_ended(terminal: &Terminal, code: u8) {
    let screen = terminal.wait_for(&format!("exit code {code}"));
    assert!(screen.contains("restored"), "{screen}");
    assert_eq!((terminal.is_alternate(), terminal.has_cursor()), (false, true), "{screen}");
}

#[test]
fn restart_at_the_same_socket_is_picked_up() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let target = service.target();
    let Some(terminal) = show(120, 30, &["--every", "100ms", &target]) else { return };
    terminal.wait_for("in 0/s");
    service.stop();
    // The last figures stay, with the reason in the head line.
    terminal.wait("the loss", |screen| {
        screen.contains("lost for") && row(screen, "full").contains(&"992".into())
    });
    let service = Service::start(&folder, 100);
    let screen = terminal.wait("the new figures", |screen| {
        screen.contains("restarted once") && row(screen, "full").contains(&"92".to_owned())
    });
    assert_no_negative_figure(&screen);
    service.stop();
    terminal.wait_for("lost for");
    let _service = Service::start(&folder, 9);
    assert_no_negative_figure(&terminal.wait_for("restarted 2 times"));
}

#[test]
fn killed_process_is_picked_up_under_its_new_id() {
    let folder = Folder::new();
    let arguments = ["--events", "3000", "--rate", "0"];
    let Some(first) = Example::start(&folder, "unix", &arguments) else { return };
    let runtime = format!("XDG_RUNTIME_DIR={}", folder.path().display());
    let pid = first.pid().to_string();
    let program = ["env", &runtime, PATH, "--every", "100ms", &pid];
    let Some(terminal) = Terminal::start(120, 30, &program) else { return };
    terminal.wait_for(&format!("pid {pid} "));
    first.kill();
    terminal.wait_for("lost for");
    let second = Example::start(&folder, "unix", &["--events", "10", "--rate", "0"]).unwrap();
    let screen = terminal.wait_for_all(&[&format!("pid {} ", second.pid()), "restarted once"]);
    assert_no_negative_figure(&screen);
}

#[test]
fn load_of_another_process_is_shown() {
    let folder = Folder::new();
    let Some(example) = Example::start(&folder, "unix", &["--rate", "2000", "--faults"]) else { return };
    let Some(terminal) = show(160, 40, &["--every", "200ms", example.target()]) else { return };
    // The faults of the example, in words.
    terminal
        .wait("a warning", |screen| screen.contains("! orders/stuck: ") || screen.contains("w shows them"));
    terminal.press(&["w"]);
    let screen = terminal.wait("all warnings", |screen| {
        screen.contains("! orders/stuck: ") && screen.contains("! orders/forgotten: ")
    });
    assert_no_negative_figure(&screen);
}

#[test]
fn hostile_names_do_no_harm() {
    let folder = Folder::new();
    let arguments = ["--sinks", "40", "--hostile", "--rate", "0", "--events", "5"];
    let Some(example) = Example::start(&folder, "unix", &arguments) else { return };
    let Some(terminal) = show(120, 30, &["--every", "100ms", example.target()]) else { return };
    terminal.wait("the names", |screen| screen.starts_with("example ") && screen.contains("<script>"));
    // More sinks than rows: the last one is reached.
    terminal.press(&["End"]);
    terminal.wait_for("history");
    terminal.press(&["q"]);
    assert_ended(&terminal, 0);
}

#[test]
fn quit_restores_the_terminal() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1);
    for keys in ["q", "C-c"] {
        let Some(terminal) = show(80, 24, &[&service.target()]) else { return };
        terminal.wait_for("feed");
        assert_eq!((terminal.is_alternate(), terminal.has_cursor()), (true, false));
        terminal.press(&[keys]);
        assert_ended(&terminal, 0);
    }
}

#[test]
fn signals_restore_the_terminal() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1);
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let Some(terminal) = show(80, 24, &[&service.target()]) else { return };
        terminal.wait_for("feed");
        signal(&terminal, name);
        assert_ended(&terminal, code);
    }
}

#[test]
fn several_services_are_a_list_to_choose_from() {
    let folder = Folder::new();
    let Some(first) = Example::start(&folder, "unix", &["--rate", "0"]) else { return };
    let second = Example::start(&folder, "unix", &["--rate", "0"]).unwrap();
    let runtime = format!("XDG_RUNTIME_DIR={}", folder.path().display());
    let Some(terminal) = Terminal::start(80, 24, &["env", &runtime, PATH]) else { return };
    let place = |screen: &str, pid: u32| {
        let is_its = |line: &str| line.split_whitespace().next() == Some(pid.to_string().as_str());
        screen.lines().skip(2).position(is_its)
    };
    let screen = terminal.wait("both services", |screen| {
        screen.contains("services of this user")
            && [&first, &second].into_iter().all(|example| place(screen, example.pid()).is_some())
    });
    // Sockets of other tests may be in the list.
    assert_ne!(place(&screen, first.pid()), place(&screen, second.pid()));
    for _ in 0..place(&screen, second.pid()).unwrap() {
        terminal.press(&["Down"]);
    }
    terminal.press(&["Enter"]);
    terminal.wait_for(&format!("example  pid {} ", second.pid()));
    terminal.press(&["q"]);
    assert_ended(&terminal, 0);
}
