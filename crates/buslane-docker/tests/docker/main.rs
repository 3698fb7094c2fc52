//! Tests of the Docker source against a scripted engine: what an engine may send and do, and what a
//! monitor makes of it.

#![cfg(unix)]

mod addresses;
mod engines;
mod faults;
mod overload;
mod resuming;
mod stopping;
mod stories;

use buslane::retry::Backoff;
use buslane::source::{Monitor, MonitorBuilder, Update};
use buslane::testing::Collect;
use buslane_docker::testing::{ScriptedEngine, ScriptedEvent};
use buslane_docker::{DockerEvent, DockerSource, DockerSourceBuilder, DockerToken};
use std::time::Duration;
use test_support::GUARD;

type Seen = Collect<Update<DockerEvent>>;

/// A wait that a test which passes never waits for.
const NEVER: Duration = GUARD;

/// Starts an engine in which something happened before.
fn engine() -> ScriptedEngine {
    prepared(ScriptedEngine::start().unwrap())
}

fn prepared(engine: ScriptedEngine) -> ScriptedEngine {
    engine.emit(volume("before"));
    engine.advance(Duration::from_millis(1));
    engine
}

fn volume(name: &str) -> ScriptedEvent {
    ScriptedEvent::new("volume", "create", name)
}

fn volumes(numbers: std::ops::Range<u32>) -> impl Iterator<Item = ScriptedEvent> {
    numbers.map(|number| volume(&number.to_string()))
}

/// Returns a source that waits for a proof for as long as it takes.
fn source(engine: &ScriptedEngine) -> DockerSourceBuilder {
    DockerSource::builder().socket(engine.socket()).timeout(GUARD).proof_wait(NEVER)
}

/// Returns a monitor that hardly waits before it connects again.
fn monitor(source: DockerSourceBuilder) -> MonitorBuilder<DockerSource> {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(10));
    Monitor::builder(source.build().unwrap()).backoff(backoff)
}

fn start(source: DockerSourceBuilder) -> (Monitor<DockerToken>, Seen) {
    let seen = Seen::new();
    (monitor(source).spawn(seen.clone()).unwrap(), seen)
}

/// Starts a source of an engine, and waits until it follows the events.
fn follow(engine: &ScriptedEngine) -> (Monitor<DockerToken>, Seen) {
    let (monitor, seen) = start(source(engine));
    engine.wait_streams(1);
    (monitor, seen)
}

fn text(update: Update<DockerEvent>) -> String {
    match update {
        Update::Event(event) => event.id().to_owned(),
        Update::Connected { resumed } => if resumed { "resumed" } else { "connected" }.to_owned(),
        Update::Gap(gap) => match gap.missed {
            None => format!("{:?}", gap.reason),
            Some(missed) => format!("{:?} {missed}", gap.reason),
        },
        Update::Disconnected(end) => if end.error.is_some() { "fault" } else { "end" }.to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Waits for as many updates as are expected, and compares them.
#[track_caller]
fn expect<S: AsRef<str>>(seen: &Seen, expected: &[S]) {
    seen.wait_for(expected.len());
    let texts: Vec<String> = seen.events().into_iter().map(text).collect();
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    assert_eq!(texts, expected);
}

/// Stops a monitor, and compares all that it has forwarded without the last update.
#[track_caller]
fn stop_and_expect<S: AsRef<str>>(monitor: &Monitor<DockerToken>, seen: &Seen, expected: &[S]) {
    seen.wait_for(expected.len());
    assert!(monitor.stop_timeout(GUARD).is_done());
    let texts: Vec<String> = seen.events().into_iter().map(text).collect();
    let mut all: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    all.push("end");
    assert_eq!(texts, all, "{}", monitor.snapshot());
}
