//! The snapshot of a bus: every sink with its position, state and ledger.

use buslane::stats::{SinkKind, SinkStatus};
use buslane::testing::Gate;
use buslane::{Bus, Channel, Overflow, Queue, SinkExt, noop, sink_fn};
use std::time::Duration;
use test_support::bus::{assert_books, ledger, recorder, sink};
use test_support::{GUARD, assert_balanced};

#[test]
fn snapshot_lists_sinks_in_order_with_their_state() {
    let bus: Bus<u32> = Bus::new();
    let (channel, receiver) = Channel::lossy(8).unwrap();
    let queue = Queue::builder().capacity(16).spawn(|_: u32| {}).unwrap();
    let ids = [
        bus.add_named("queue", queue.clone()).unwrap(),
        bus.add_named("channel", channel).unwrap(),
        bus.add_named("filtered", queue.filter(|_: &u32| true)).unwrap(),
        bus.add_named("direct", noop()).unwrap(),
        bus.add_named("bus", Bus::new()).unwrap(),
    ];
    let publishers = [bus.publisher(), bus.publisher()];
    let snapshot = bus.snapshot();
    assert_eq!((snapshot.publishers, snapshot.closed), (2, false));
    let line: Vec<_> =
        snapshot.sinks.iter().map(|it| (it.name.as_str(), it.state.kind, it.state.capacity)).collect();
    let expected = [
        ("queue", SinkKind::Queue, 16),
        ("channel", SinkKind::Channel, 8),
        ("filtered", SinkKind::Queue, 16),
        ("direct", SinkKind::Direct, 0),
        ("bus", SinkKind::Bus, 0),
    ];
    assert_eq!(line, expected);
    assert_eq!(snapshot.sinks.iter().map(|it| it.id).collect::<Vec<_>>(), ids);
    assert!(snapshot.sinks.iter().all(|it| it.state.status == SinkStatus::Open));
    assert_eq!((snapshot.sinks[0].state.lanes, snapshot.sinks[1].state.lanes), (4, 2));
    let text = snapshot.to_string();
    assert!(text.starts_with("bus open, 2 publishers, 5 sinks\nqueue (queue, open"), "{text}");
    drop((publishers, receiver));
    assert!(bus.close().is_done());
    let snapshot = bus.snapshot();
    assert!(snapshot.closed && snapshot.sinks.len() == 5);
    assert!(snapshot.sinks.iter().all(|it| it.state.status == SinkStatus::Drained), "{snapshot}");
}

#[test]
fn the_backlog_shows_as_depth_high_water_and_age() {
    let gate = Gate::closed();
    let at = gate.clone();
    let bus: Bus<u32> = Bus::new();
    bus.add_named("slow", Queue::builder().capacity(8).spawn(move |_: u32| at.pass()).unwrap()).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish_batch([0, 1, 2, 3, 4, 5, 6, 7]).unwrap().accepted, 8);
    gate.wait_reached(1);
    let state = sink(&bus, "slow").state;
    assert_eq!((state.depth, state.ledger.pending, state.ledger.delivered), (8, 8, 0));
    assert_eq!(state.backlog_for, Some(Duration::ZERO), "the first snapshot starts the backlog's clock");
    assert_balanced(&state);
    let later = sink(&bus, "slow").state;
    assert!(later.backlog_for.is_some_and(|age| age > Duration::ZERO));
    gate.open();
    assert!(bus.flush_timeout(GUARD).is_done());
    let state = sink(&bus, "slow").state;
    assert_eq!((state.depth, state.backlog_for, state.ledger.delivered), (0, None, 8));
    assert!((1..=8).contains(&state.high_water), "{}", state.high_water);
}

#[test]
fn filter_counts_each_event_once() {
    let bus: Bus<u32> = Bus::new();
    let odd = |event: &u32| event % 2 == 1;
    let (called, direct) = recorder();
    bus.add_named("direct", direct.filter(odd)).unwrap();
    bus.add_named("queue", Queue::builder().spawn(|_: u32| {}).unwrap().filter(odd)).unwrap();
    bus.add_named("mapped", noop::<u32>().map(|event: &u32| *event).filter(odd)).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..4 {
        let _ = publisher.publish(event).unwrap();
        let _ = bus.publish(event).unwrap();
    }
    assert!(bus.flush_timeout(GUARD).is_done());
    assert_eq!(called.entries(), [1, 1, 3, 3]);
    for name in ["direct", "queue", "mapped"] {
        let ledger = ledger(&bus, name);
        assert_eq!((ledger.offered, ledger.delivered, ledger.filtered), (8, 4, 4), "{name}: {ledger}");
    }
}

#[test]
fn panicking_predicate_counts_a_dropped_event() {
    let bus: Bus<u32> = Bus::new();
    let picky = |event: &u32| if *event == 1 { panic!("one") } else { true };
    bus.add_named("direct", noop().filter(picky)).unwrap();
    bus.add_named("queue", Queue::builder().spawn(|_: u32| {}).unwrap().filter(picky)).unwrap();
    for event in 0..3 {
        let _ = bus.publish(event).unwrap();
    }
    assert!(bus.flush_timeout(GUARD).is_done());
    for name in ["direct", "queue"] {
        let ledger = ledger(&bus, name);
        assert_eq!(
            (ledger.offered, ledger.delivered, ledger.dropped.panicked),
            (3, 2, 1),
            "{name}: {ledger}"
        );
    }
}

#[test]
fn counts_of_dropped_publishers_are_kept() {
    let bus: Bus<u32> = Bus::new();
    bus.add_named("direct", noop()).unwrap();
    bus.add_named("inner", Bus::new()).unwrap();
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build().unwrap();
    bus.add_named("channel", channel).unwrap();
    for _ in 0..10 {
        let mut publisher = bus.publisher();
        let _ = publisher.publish(1).unwrap();
        let _ = publisher.publish(2).unwrap();
        drop(publisher);
        assert_eq!(receiver.drain().count(), 1);
        assert_books(&bus);
    }
    assert_eq!(ledger(&bus, "direct").delivered, 20);
    assert_eq!(ledger(&bus, "inner").delivered, 20);
    let ledger = ledger(&bus, "channel");
    assert_eq!((ledger.offered, ledger.delivered, ledger.refused.full), (20, 10, 10));
}

#[test]
fn a_snapshot_can_be_taken_from_inside_a_sink() {
    let bus: Bus<u32> = Bus::new();
    let weak = bus.downgrade();
    let seen = test_support::Log::new();
    let log = seen.clone();
    let look = move |_: &u32| log.push(weak.upgrade().map(|bus| bus.snapshot().sinks.len()));
    bus.add(sink_fn(look)).unwrap();
    let _ = bus.publish(1).unwrap();
    let _ = bus.publisher().publish(1).unwrap();
    assert_eq!(seen.entries(), [Some(1), Some(1)]);
}
