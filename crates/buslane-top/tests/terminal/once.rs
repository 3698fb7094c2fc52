//! One frame on standard output.

use crate::example::Example;
use crate::folder::Folder;
use crate::program::{command, failure, output, printed};
use crate::service::Service;
use buslane_inspect::Frame;
use buslane_inspect::client::{State, list};

/// Returns a frame without what differs between two frames at rest.
fn at_rest(text: &str) -> Frame {
    let mut frame: Frame = serde_json::from_str(text).unwrap();
    assert_ne!(frame.at_ms, 0);
    frame.at_ms = 0;
    for sink in frame.buses.iter_mut().flat_map(|bus| &mut bus.sinks) {
        (sink.backlog_ms, sink.oldest_ms) = (None, None);
    }
    frame.warnings.clear();
    frame
}

#[test]
fn json_is_the_frame_of_the_service() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let text = printed(&["--once", "--json", &service.target()]);
    assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true));
    let snapshot = service.client().snapshot_text().unwrap();
    assert_eq!(at_rest(&text), at_rest(&snapshot));
    assert_eq!(at_rest(&text).buses[0].sinks[0].ledger.dropped.full, 992);
    // As it came: also the fields that this program does not know.
    let names = |text: &str| match serde_json::from_str(text).unwrap() {
        serde_json::Value::Object(fields) => fields.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
        other => panic!("{other}"),
    };
    assert_eq!(names(&text), names(&snapshot));
}

#[test]
fn table_has_the_figures_and_rates() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1000);
    let text = printed(&["--once", "--every", "100ms", "--sort", "dropped", &service.target()]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..2], ["shop", "pid"], "{text}");
    let titles = lines.iter().position(|line| line.starts_with(&["bus", "sink"])).unwrap();
    assert_eq!(lines[titles + 1][..7], ["orders", "full", "channel", "open", "0", "0", "8/8"], "{text}");
    assert!(lines[titles + 1].contains(&"992"), "{text}");
    assert_eq!(lines.len(), titles + 4, "{text}");
    let text = printed(&["--once", "--every", "100ms", "--bus", "orders", &service.target()]);
    assert_eq!(text.lines().filter(|line| line.starts_with("orders ")).count(), 3, "{text}");
}

#[test]
fn only_service_needs_no_argument() {
    let folder = Folder::new();
    let Some(example) = Example::start(&folder, "unix", &["--rate", "0"]) else { return };
    // The other default directory may have services of other tests.
    if list().iter().any(|found| found.state == State::Alive) {
        return;
    }
    let mut only = command(&["--once", "--json"]);
    only.env("XDG_RUNTIME_DIR", folder.path());
    let output = output(only);
    let frame: Frame = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(frame.pid, example.pid());
}

#[test]
fn process_id_finds_its_service() {
    let folder = Folder::new();
    let Some(example) = Example::start(&folder, "unix", &["--rate", "0", "--sinks", "2"]) else { return };
    let mut by_process = command(&["--once", "--json", &example.pid().to_string()]);
    by_process.env("XDG_RUNTIME_DIR", folder.path());
    let output = output(by_process);
    assert_eq!(
        at_rest(&String::from_utf8(output.stdout).unwrap()).buses,
        at_rest(&serde_json::to_string(&example.frame()).unwrap()).buses
    );
}

#[test]
fn several_services_need_an_argument() {
    let folder = Folder::new();
    let Some(first) = Example::start(&folder, "unix", &["--rate", "0"]) else { return };
    let second = Example::start(&folder, "unix", &["--rate", "0"]).unwrap();
    let mut any = command(&["--once"]);
    any.env("XDG_RUNTIME_DIR", folder.path());
    let text = failure(any);
    assert!(text.contains("services run: name one by its process id ("), "{text}");
    for example in [&first, &second] {
        assert!(text.contains(&format!("{} example", example.pid())), "{text}");
    }
}

#[test]
fn reader_of_a_pipe_may_leave() {
    let folder = Folder::new();
    let service = Service::start(&folder, 1);
    let mut program = command(&["--once", "--every", "100ms", &service.target()]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    program.stdout(writer);
    let output = output(program);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
