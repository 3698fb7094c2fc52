//! The docker_events demo, run as a program: what it shows, what it proves, and how it ends.
#![cfg(unix)]

use buslane_docker::testing::{Answer, Endpoint, ScriptedEngine, ScriptedEvent};
use demo_support::Folder;
use demo_support::output::{self, assert_balanced, json_lines, plain};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_docker_events");

fn start(arguments: &[&str]) -> Child {
    output::start(PROGRAM, arguments)
}

fn run(arguments: &[&str]) -> Output {
    start(arguments).wait_with_output().expect("an end")
}

/// The story and the report of a run with `--json`, when everything was proven.
#[track_caller]
fn proven(output: &Output) -> (Vec<Value>, Value) {
    assert!(output.status.success(), "{}{}", text(&output.stderr), text(&output.stdout));
    let mut lines = json_lines(&output.stdout);
    let report = lines.pop().expect("a report");
    assert_eq!(report["type"], "report");
    assert_balanced(&report);
    (lines, report)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A demo that follows a scripted engine of the test, and what it prints.
struct Following {
    child: Child,
    output: BufReader<ChildStdout>,
    text: String,
}

impl Following {
    fn start(engine: &ScriptedEngine, arguments: &[&str]) -> Self {
        let mut child = start(&[&["--host", &engine.host()], arguments].concat());
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output, text: String::new() }
    }

    /// Reads until it has printed this.
    fn read_until(&mut self, text: &str) {
        while !self.text.contains(text) {
            let read = self.output.read_line(&mut self.text).expect("a line");
            assert!(read > 0, "no {text:?} in {}", self.text);
        }
    }

    /// Ends it by Ctrl-C, and returns everything that it printed.
    fn interrupt(self) -> String {
        let Self { mut child, mut output, mut text } = self;
        let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(interrupted.expect("kill").success());
        output.read_to_string(&mut text).expect("the rest");
        assert!(child.wait().expect("an end").success(), "{text}");
        assert!(text.contains("  ledger  balances: all "), "{text}");
        text
    }
}

fn container(action: &str) -> ScriptedEvent {
    ScriptedEvent::new("container", action, "c0ffee").attribute("name", "web").attribute("image", "nginx")
}

#[test]
fn colors_are_optional() {
    output::assert_colors_are_optional(PROGRAM, &["--fake"]);
}

#[test]
fn fake_engine_is_followed_through_all_its_trouble() {
    let (story, report) = proven(&run(&["--fake", "--json"]));
    let sent = &report["sent"];
    let count = |value: &Value| value.as_u64().expect("a count");
    assert_eq!(count(&sent["total"]), count(&sent["shown"]) + count(&sent["at_gaps"]), "{sent}");
    assert_eq!((count(&sent["left"]), &sent["shown"]), (0, &report["shown"]), "{sent}");
    // At least what the history of 256 cannot hold of 300 (44), what a restart forgets (4), and one value.
    assert!(count(&sent["at_gaps"]) >= 49, "{sent}");
    assert_eq!(report["gaps"], 3, "{report}");
    assert_eq!(report["monitors"].as_array().map(Vec::len), Some(2));
    assert!(count(&report["resumed"]) >= 5, "{report}");
    assert_eq!(report["monitors"][1]["monitor"]["gaps"], 0, "the second one continues: {report}");
    let told = |part: &str| story.iter().filter(|line| line["part"] == part).count();
    assert_eq!((told("gap"), told("demo")), (3, 1));
}

#[test]
fn fake_engine_sends_the_same_in_every_run() {
    let shown = || {
        let (story, report) = proven(&run(&["--fake", "--json"]));
        let lines = story.into_iter().filter(|line| line["part"] == "container");
        (lines.map(|line| line["text"].clone()).collect::<Vec<_>>(), report["sent"].clone())
    };
    assert_eq!(shown(), shown());
}

#[test]
fn containers_are_in_the_table() {
    let report = plain(&run(&["--fake"]).stdout);
    let rows = |name: &str| report.lines().filter(|line| line.starts_with(&format!("  {name} "))).count();
    assert_eq!([rows("web"), rows("db"), rows("cache")], [1, 1, 1], "{report}");
    assert!(report.contains("removed") && report.contains("exec_start: nginx -s reload web"), "{report}");
}

#[test]
fn help_fits_a_screen() {
    output::assert_help_fits_a_screen(PROGRAM);
}

#[test]
fn next_run_continues_from_the_file() {
    let (engine, folder) = (ScriptedEngine::start().expect("an engine"), Folder::new());
    let token = folder.file("token");
    let mut first = Following::start(&engine, &["--token", &token]);
    first.read_until("connected");
    engine.emit_all([container("create"), container("start")]);
    first.read_until("start web");
    assert!(first.interrupt().contains("report: 2 events over 1 connection, ended early"));

    engine.emit(container("pause"));
    let mut second = Following::start(&engine, &["--token", &token]);
    second.read_until("connected, and nothing is missing");
    second.read_until("pause web");
    engine.emit(container("unpause"));
    second.read_until("unpause web");
    let text = second.interrupt();
    assert!(text.contains("report: 2 events over 1 connection") && text.contains("0 gaps"), "{text}");

    // Another engine has another history.
    engine.set_id("another");
    let mut third = Following::start(&engine, &["--token", &token]);
    third.read_until("events may be missing");
    third.read_until("monitor   connected");
    engine.emit(container("die"));
    third.read_until("die web");
    third.interrupt();

    // One that ends before it is connected anew has no position.
    let mut fourth = Following::start(&engine, &["--token", &token]);
    fourth.read_until("connected, and nothing is missing");
    engine.hold(Endpoint::Events);
    engine.set_id("a third one");
    engine.cut();
    fourth.read_until("the source refused the token");
    fourth.interrupt();
}

#[test]
fn restart_is_survived_with_a_gap() {
    let engine = ScriptedEngine::start().expect("an engine");
    let mut following = Following::start(&engine, &["--kind", "container"]);
    following.read_until("connected");
    engine.emit(container("create"));
    engine.emit(ScriptedEvent::new("volume", "create", "data"));
    following.read_until("create web");
    engine.restart().expect("a restart");
    engine.emit(container("die").attribute("exitCode", "9"));
    following.read_until("die web, exit code 9");
    let text = following.interrupt();
    assert!(text.contains("exited 9") && text.contains("1 gap;") && !text.contains("data"), "{text}");
}

#[test]
fn missing_engine_is_a_setup_error() {
    let engine = ScriptedEngine::start().expect("an engine");
    engine.answer_always(Endpoint::Ping, Answer::Status(503, "starting".into()));
    for host in ["unix:///nowhere/docker.sock", &engine.host()] {
        let output = run(&["--host", host, "--seconds", "1"]);
        let message = plain(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("no engine was reached") && message.lines().count() == 1, "{message}");
        assert!(plain(&output.stdout).contains("no connection"), "{host}");
    }
}

#[test]
fn invalid_arguments_are_one_line_with_valid_ones() {
    let folder = Folder::new();
    folder.write("token", 3);
    let token = folder.file("token");
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--host", "ssh://host"], &["ssh"]),
        (&["--host", "unix://engine.sock"], &["address is invalid"]),
        (&["--token", &token, "--host", "unix:///nowhere"], &["cannot read the token", &token]),
        (&["--seconds", "0"], &["--seconds", "at least 1"]),
        (&["--fake", "--seconds", "3"], &["--fake", "cannot be used with"]),
        (&["--second", "3"], &["'--seconds'"]),
    ];
    for (arguments, texts) in cases {
        output::assert_refused(PROGRAM, arguments, texts);
    }
}

#[test]
fn full_output_exits_1_with_one_message() {
    output::assert_full_is_reported(PROGRAM, &["--fake"]);
}

#[test]
fn closed_output_is_no_error() {
    output::assert_closed_is_no_error(PROGRAM, &["--fake"]);
}
