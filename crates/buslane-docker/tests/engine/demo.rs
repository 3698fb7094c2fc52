//! The demo `docker_events`, as a program that follows a real engine across a restart.

use super::api;
use super::daemon::{Daemon, Shared, signal};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The demo, and what it prints: a JSON value in each line.
struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Demo {
    #[track_caller]
    fn start(daemon: &Daemon, token: &Path) -> Self {
        let mut demo = Command::new(program());
        // The limit is for a test that fails. One that passes ends the demo itself.
        demo.args(["--json", "--seconds", "120", "--host", &daemon.host(), "--token"]).arg(token);
        let mut child = demo.stdout(Stdio::piped()).spawn().expect("the demo, which `.ci/docker` builds");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads until a line has this text.
    #[track_caller]
    fn read_until(&mut self, text: &str) {
        let line = self.lines.find(|line| {
            let line: Value = serde_json::from_str(line.as_ref().unwrap()).unwrap();
            line["text"].as_str().is_some_and(|shown| shown.contains(text))
        });
        assert!(line.is_some(), "the demo has ended without {text:?}");
    }

    /// Ends the demo as Ctrl-C does, and returns its report, which is the last line.
    #[track_caller]
    fn report(mut self) -> Value {
        signal(self.child.id(), "INT");
        let last = self.lines.last().expect("a report").unwrap();
        assert!(self.child.wait().unwrap().success(), "{last}");
        let report: Value = serde_json::from_str(&last).unwrap();
        assert_eq!((&report["type"], &report["balanced"]), (&"report".into(), &true.into()), "{report}");
        report
    }
}

/// Returns the path of the demo, which cargo builds next to the folder of the tests.
fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    this.parent().and_then(Path::parent).unwrap().join("docker_events")
}

#[test]
fn demo_follows_an_engine_across_a_restart() {
    let Some(shared) = Shared::get() else { return };
    let mut daemon = shared.lock();
    let token = daemon.socket().with_file_name("demo.token");
    let mut demo = Demo::start(&daemon, &token);
    demo.read_until("connected");
    api::create_volume(daemon.socket(), "shown-one");
    demo.read_until("create shown-one");
    daemon.terminate();
    daemon.start_again();
    // What happens before the demo is connected again is in the new history.
    api::create_volume(daemon.socket(), "shown-two");
    demo.read_until("create shown-two");
    let report = demo.report();
    assert_eq!((&report["shown"], &report["gaps"], &report["connects"]), (&2.into(), &1.into(), &2.into()));

    // The next run continues at the position in the file.
    api::remove_volume(daemon.socket(), "shown-one");
    let mut demo = Demo::start(&daemon, &token);
    demo.read_until("connected, and nothing is missing");
    api::remove_volume(daemon.socket(), "shown-two");
    demo.read_until("destroy shown-two");
    let report = demo.report();
    assert_eq!((&report["shown"], &report["gaps"], &report["resumed"]), (&2.into(), &0.into(), &1.into()));
}
