//! Queues with a limit, as swarmkit's users had to build them.

use buslane::stats::SinkStatus;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, sink_fn};
use test_support::bus::{ledger, took};
use test_support::{Entry, GUARD, Log, Outcome, WAYS, Way, assert_balanced, flush, lane, outcome, wait_for};

/// Returns a queue that applies `overflow` when `capacity` events wait.
fn limited(sink: impl Sink<u64> + 'static, capacity: usize, overflow: Overflow) -> Queue<u64> {
    Queue::builder().capacity(capacity).overflow(overflow).spawn_sink(sink).unwrap()
}

/// Returns a sink that waits at the gate, and the log of the events that it handled.
fn held() -> (impl Sink<u64> + 'static, Gate, Log<u64>) {
    let (gate, log) = (Gate::closed(), Log::new());
    let (at, handled) = (gate.clone(), log.clone());
    let sink = sink_fn(move |event: &u64| {
        at.pass();
        handled.push(*event);
    });
    (sink, gate, log)
}

/// swarmkit's `TestLimitQueueNoLimit`: one event is in the sink and 9999 wait. The sink handles all
/// of them once it continues.
#[test]
fn a_queue_without_a_limit_holds_everything() {
    let (sink, gate, log) = held();
    let queue = Queue::builder().unbounded().spawn_sink(sink).unwrap();
    queue.write(0).unwrap();
    gate.wait_reached(1);
    (1..10_000).for_each(|event| queue.write(event).unwrap());
    let state = queue.state();
    assert_eq!((state.depth, state.capacity, log.entries().len()), (10_000, 0, 0));
    assert_balanced(&state);
    gate.open();
    flush(&queue);
    assert!(log.entries().into_iter().eq(0..10_000));
}

/// swarmkit's `TestLimitQueueWithLimit`: one event is in the sink and ten wait. The queue refuses
/// the eleventh until one is handled.
#[test]
fn e42_limit_of_ten_refuses_the_eleventh_event() {
    for way in WAYS {
        let (sink, gate, log) = held();
        let queue = limited(sink, 10, Overflow::Refuse);
        // Written to the other lane, so that it takes no room in this one: a slot of a private lane
        // is free only when its event is handled.
        let mut other = Entry::into(&queue, if way == Way::Private { Way::Shared } else { Way::Private });
        other.write(0).unwrap();
        gate.wait_reached(1);
        let mut entry = Entry::into(&queue, way);
        (1..=10).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "{way:?}"));
        (11..=12).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Full(event), "{way:?}"));
        // The queue is full and nothing else: it stays open and records no error.
        let state = queue.state();
        assert_eq!((state.status, state.depth, state.last_error.as_deref()), (SinkStatus::Open, 11, None));
        assert_eq!(assert_balanced(&state).refused.full, 2);
        gate.permit(10);
        gate.wait_reached(11);
        assert_eq!(outcome(entry.write(13)), Outcome::Accepted, "{way:?}");
        gate.open();
        flush(&queue);
        assert_eq!(log.entries(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13]);
        assert_balanced(&queue.state());
    }
}

#[test]
fn event_in_hand_uses_room_on_a_private_lane_only() {
    for (way, most) in [(Way::Private, 10), (Way::Shared, 11)] {
        let (sink, gate, _) = held();
        let queue = limited(sink, 10, Overflow::Refuse);
        let mut entry = Entry::into(&queue, way);
        entry.write(0).unwrap();
        gate.wait_reached(1);
        (1..most).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "{way:?}"));
        assert_eq!(outcome(entry.write(most)), Outcome::Full(most), "{way:?}");
        gate.permit(1);
        gate.wait_reached(2);
        assert_eq!(outcome(entry.write(20)), Outcome::Accepted, "{way:?}");
        assert_eq!(outcome(entry.write(21)), Outcome::Full(21), "{way:?}");
        gate.open();
        flush(&queue);
        assert_eq!(assert_balanced(&queue.state()).refused.full, 2);
    }
}

#[test]
fn e42_closing_limit_closes_and_drains_the_queue() {
    for way in WAYS {
        let (sink, gate, log) = held();
        let queue = limited(sink, 10, Overflow::Close);
        lane(&queue).push(0, Deadline::NOW).unwrap();
        gate.wait_reached(1);
        let mut entry = Entry::into(&queue, way);
        (1..=10).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted));
        (11..=12)
            .for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Closed(event), "{way:?}"));
        gate.open();
        wait_for(|| queue.state().status == SinkStatus::Drained);
        assert_eq!(log.entries(), (0..=10).collect::<Vec<_>>());
        assert_eq!(outcome(queue.write(13)), Outcome::Closed(13));
        assert_balanced(&queue.state());
    }
}

#[test]
fn e42_bus_counts_refusals_and_removes_a_closed_queue() {
    let [(refusing, gate, _), (leaving, other_gate, _)] = [held(), held()];
    let bus = Bus::new();
    bus.add_named("refusing", limited(refusing, 4, Overflow::Refuse)).unwrap();
    bus.add_named("leaving", limited(leaving, 4, Overflow::Close)).unwrap();
    let _ = bus.publish(0).unwrap();
    [&gate, &other_gate].into_iter().for_each(|gate| gate.wait_reached(1));
    let mut publisher = bus.publisher();
    (1..=4).for_each(|event| assert_eq!(publisher.publish(event), Ok(took(2, 0))));
    assert_eq!(publisher.publish(5), Ok(took(0, 2)));
    assert_eq!(publisher.publish(6), Ok(took(0, 1)), "the queue that overflowed is removed from the bus");
    assert_eq!(bus.sink_count(), 1);
    let refused = ledger(&bus, "refusing").refused;
    assert_eq!((refused.full, refused.total()), (2, 2));
    [gate, other_gate].iter().for_each(Gate::open);
    assert!(bus.close_timeout(GUARD).is_done());
}

#[test]
fn limit_is_a_preset_of_the_queue() {
    let queue = limited(sink_fn(|_: &u64| ()), 7, Overflow::Refuse);
    let built =
        Queue::builder().capacity(7).overflow(Overflow::Refuse).spawn_sink(sink_fn(|_: &u64| ())).unwrap();
    assert_eq!((queue.state().kind, queue.state().capacity), (built.state().kind, built.state().capacity));
}
