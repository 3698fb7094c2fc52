//! The example `swarm`, run as a program against a scripted engine.

use buslane_docker::testing::{ScriptedEngine, ScriptedEvent};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn swarm_refreshes_what_events_concern() {
    let engine = ScriptedEngine::start().unwrap();
    // Cargo builds examples next to the tests.
    let this = std::env::current_exe().unwrap();
    let program = this.parent().and_then(Path::parent).unwrap().join("examples/swarm");
    let mut child = Command::new(&program)
        .env("DOCKER_HOST", engine.host())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo test` without --test", program.display()));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "refresh everything: connected");
    engine.emit_all([
        ScriptedEvent::new("container", "start", "c1"),
        ScriptedEvent::new("container", "exec_start: sh", "c1"),
        ScriptedEvent::new("volume", "create", "data"),
        ScriptedEvent::new("container", "destroy", "c1"),
    ]);
    let seen: Vec<_> = lines.by_ref().take(3).collect();
    assert_eq!(seen, ["refresh container c1", "refresh volumes", "forget container c1"]);
    engine.restart().unwrap();
    assert!(lines.next().unwrap().starts_with("refresh everything: events may be missing"));
    drop(child.stdin.take());
    assert!(lines.last().unwrap().starts_with("done"));
    assert!(child.wait().unwrap().success());
}
