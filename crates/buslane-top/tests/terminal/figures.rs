//! The figures on the screen are those of the service.

use crate::folder::Folder;
use crate::program::show;
use crate::service::Service;

/// Returns the words of the row of a sink, or nothing if it has no row.
pub(crate) fn row(screen: &str, sink: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let row = screen.lines().map(words).find(|words| words.get(1).is_some_and(|word| word == sink));
    row.unwrap_or_default()
}

/// Returns the names of the sinks in the order of their rows.
pub(crate) fn order(screen: &str) -> Vec<&str> {
    let rows = screen.lines().filter(|line| line.starts_with("orders "));
    rows.filter_map(|line| line.split_whitespace().nth(1)).collect()
}

#[test]
fn figures_at_rest_equal_the_snapshot() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let Some(terminal) = show(160, 30, &["--every", "100ms", &service.target()]) else { return };
    let frame = service.frame();
    let sinks = &frame.buses[0].sinks;
    let head = "in 0/s  out 0/s  dropped 0/s  refused 0/s  1 bus  3 sinks  0 publishers";
    // With the second frame the rates are known, and zero.
    let screen = terminal.wait("the table", |screen| {
        screen.starts_with("shop  pid ")
            && screen.contains(head)
            && sinks.iter().all(|sink| {
                row(screen, &sink.name)
                    .starts_with(&["orders", &sink.name, &sink.kind, "open", "0", "0"].map(str::to_owned))
            })
    });
    for sink in sinks {
        let row = row(&screen, &sink.name);
        assert!(row.contains(&format!("{}/{}", sink.depth, sink.room())), "{row:?}");
        let dropped = sink.ledger.dropped.full;
        assert!(row.windows(2).any(|pair| pair == ["0", &dropped.to_string()]), "{row:?}");
    }
    assert_eq!(row(&screen, "full").iter().filter(|word| *word == "992").count(), 1, "{screen}");

    // The details have every figure of the ledger.
    terminal.press(&["Enter"]);
    terminal.wait_for_all(&[
        "orders / full",
        "1,000 = accepted 1,000 + refused 0",
        "1,000 = delivered 0 + filtered 0 + dropped 992 (full 992) + pending 8",
        "8 of 8 in the shared lane, high water",
    ]);
}

#[test]
fn rates_are_those_of_what_is_published() {
    let folder = Folder::new();
    let service = Service::start(&folder, 0);
    let Some(terminal) = show(120, 30, &["--every", "1s", &service.target()]) else { return };
    terminal.wait_for("in 0/s");
    service.publish(600);
    // How long the interval was is up to the machine.
    terminal.wait("a rate", |screen| {
        let rate = screen.split("in ").nth(1).and_then(|rest| rest.split("/s").next());
        rate.and_then(|rate| rate.parse::<f64>().ok()).is_some_and(|rate| rate > 0.0)
    });
    // Nothing of it remains.
    terminal.wait_for("in 0/s");
}

#[test]
fn subscribers_have_their_lag() {
    let folder = Folder::new();
    let service = Service::start(&folder, 17);
    let Some(terminal) = show(100, 24, &["--every", "100ms", &service.target()]) else { return };
    terminal.wait_for("feed");
    terminal.press(&["End", "Enter"]);
    terminal.wait("the subscriber", |screen| {
        let words = |line: &str| line.split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>();
        screen.contains("subscribers (1)")
            && screen.lines().map(words).any(|words| words == ["replica", "17", "0"])
    });
}

#[test]
fn loopback_ports_work_as_sockets_do() {
    let service = Service::start_at(buslane_inspect::At::Loopback(0), 5);
    let Some(terminal) = show(80, 24, &[&service.target()]) else { return };
    terminal.wait("the table", |screen| order(screen) == ["full", "all", "feed"]);
}
