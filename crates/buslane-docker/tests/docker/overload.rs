//! A consumer that is slower than the engine.

use crate::{engine, monitor, source, volume, volumes};
use buslane::source::Update;
use buslane::testing::Gate;
use buslane::{Overflow, Queue};
use buslane_docker::testing::{ScriptedEngine, ScriptedEvent};
use buslane_docker::{Filter, Kind};
use test_support::{GUARD, wait_for};

/// Returns the number of events, and that of the missing ones in gaps.
fn counts(seen: &crate::Seen) -> (u64, u64) {
    seen.events().into_iter().fold((0, 0), |(events, missed), update| match update {
        Update::Event(_) => (events + 1, missed),
        Update::Gap(gap) => (events, missed + gap.missed.unwrap_or(0)),
        _ => (events, missed),
    })
}

#[test]
fn engine_is_not_slowed_by_a_blocked_sink() {
    // As Docker does, it drops events of a client that does not read.
    let engine = crate::prepared(ScriptedEngine::builder().client_buffer(1024).start().unwrap());
    let (gate, seen) = (Gate::closed(), crate::Seen::new());
    let queue = Queue::builder()
        .capacity(16)
        .overflow(Overflow::Block)
        .spawn_sink(gate.before(seen.clone()))
        .unwrap();
    let slow = monitor(source(&engine).buffer(1000)).spawn(queue).unwrap();
    engine.wait_streams(1);
    for _ in 0..20 {
        engine.emit_all(volumes(0..500));
        engine.wait_written();
    }
    assert_eq!(engine.lost(), 0);
    gate.open();
    engine.emit(volume("last"));
    let is_last = |update: Option<&Update<_>>| matches!(update, Some(Update::Event(event)) if buslane_docker::DockerEvent::id(event) == "last");
    wait_for(|| is_last(seen.events().last()));
    let (events, missed) = counts(&seen);
    assert_eq!(events + missed, 10_001);
    assert!(missed > 0, "the buffer holds 1000 events");
    assert!(slow.stop_timeout(GUARD).is_done());
    let snapshot = slow.snapshot();
    assert_eq!((snapshot.connects, snapshot.events), (1, events));
}

#[test]
fn unwanted_events_evict_none() {
    let engine = engine();
    let (gate, seen) = (Gate::closed(), crate::Seen::new());
    let queue =
        Queue::builder().capacity(1).overflow(Overflow::Block).spawn_sink(gate.before(seen.clone())).unwrap();
    let filter = Filter::new().kind(Kind::Network);
    let slow = monitor(source(&engine).filter(filter).filter_here().buffer(10)).spawn(queue).unwrap();
    engine.wait_streams(1);
    for number in 0..8 {
        engine.emit(ScriptedEvent::new("network", "create", number.to_string()));
        engine.emit_all(volumes(0..500));
        engine.wait_written();
    }
    gate.open();
    let names: Vec<String> = (0..8).map(|number| number.to_string()).collect();
    let before = ["connected".to_owned()];
    crate::expect(&seen, &[&before[..], &names].concat());
    assert!(slow.stop_timeout(GUARD).is_done());
    assert_eq!(slow.snapshot().gaps, 0);
}

#[test]
fn evicted_events_do_not_come_again() {
    let engine = engine();
    let (gate, seen) = (Gate::closed(), crate::Seen::new());
    let queue =
        Queue::builder().capacity(1).overflow(Overflow::Block).spawn_sink(gate.before(seen.clone())).unwrap();
    let slow = monitor(source(&engine).buffer(10)).spawn(queue).unwrap();
    engine.wait_streams(1);
    for number in 0..200 {
        engine.emit(volume(&number.to_string()));
        engine.wait_written();
    }
    engine.cut();
    engine.wait_streams(0);
    gate.open();
    // The replay has all of them.
    engine.wait_streams(1);
    engine.emit(volume("200"));
    let last = || seen.events().into_iter().filter_map(Update::into_event).last();
    wait_for(|| last().is_some_and(|event| event.id() == "200"));
    let (events, missed) = counts(&seen);
    assert!(missed > 0 && events + missed == 201, "{events} and {missed}");
    let numbers: Vec<u32> = seen
        .events()
        .into_iter()
        .filter_map(Update::into_event)
        .map(|event| event.id().parse().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(slow.stop_timeout(GUARD).is_done());
}
