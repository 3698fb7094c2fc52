//! One test for each defect of go-events in delivery, overflow and reports to the user. The defects
//! in closing are in `lifecycle`, and those in retries are in the retry tests.

use buslane::bus::Removed;
use buslane::stats::{DropReason, Finish};
use buslane::testing::{Collect, Gate, Panicking};
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt, WriteError, noop, sink_fn};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use test_support::{GUARD, Log, assert_balanced, ends, wait_for};

/// In go-events, the sink after a closed one misses the event, and the last sink gets it twice.
/// `bus/faults` tests every way to publish and every kind of sink.
#[test]
fn e1_closed_sink_costs_the_others_nothing() {
    let bus = Bus::new();
    let sinks: Vec<Collect<u32>> = (0..5).map(|_| Collect::new()).collect();
    for sink in &sinks {
        bus.add(sink.clone()).unwrap();
    }
    let _ = sinks[1].close_by(buslane::time::Deadline::NOW);
    let mut publisher = bus.publisher();
    for n in 0..3 {
        let _ = if n == 1 { bus.publish(n).unwrap() } else { publisher.publish(n).unwrap() };
    }
    for (place, sink) in sinks.iter().enumerate() {
        let expected: &[u32] = if place == 1 { &[] } else { &[0, 1, 2] };
        assert_eq!(sink.events(), expected, "sink {place}");
    }
    assert_eq!(bus.sink_count(), 4);
}

/// In go-events, one sink that blocks stops all other sinks, all writers, Add, Remove and Close.
#[test]
fn e2_a_sink_that_blocks_concerns_only_itself() {
    let (bus, gate, seen) = (Bus::new(), Gate::closed(), Collect::new());
    // One sink blocks a queue's worker, and one a publishing thread.
    let queue = Queue::builder().spawn_sink(gate.before(Collect::new())).unwrap();
    let stuck = bus.add_named("stuck", queue).unwrap();
    let at = gate.clone();
    let direct = bus
        .add_named(
            "direct",
            sink_fn(move |n: &u32| {
                if *n == 0 {
                    at.pass()
                }
            }),
        )
        .unwrap();
    bus.add(seen.clone().queue(64).unwrap()).unwrap();
    let blocked = thread::spawn({
        let mut publisher = bus.publisher();
        move || publisher.publish(0)
    });
    gate.wait_reached(2);
    ends({
        let (bus, seen) = (bus.clone(), seen.clone());
        move || {
            let mut publisher = bus.publisher();
            (1..=10).for_each(|n| assert_eq!(publisher.publish(n).unwrap().accepted, 3));
            seen.wait_for(11);
            let late = bus.add(noop()).unwrap();
            assert_eq!(bus.remove(late), Ok(Removed::Quiet));
            assert_eq!(bus.remove(stuck), Ok(Removed::Quiet));
            assert_eq!(bus.remove_timeout(direct, Duration::ZERO), Ok(Removed::StillInside));
            assert!(bus.close_timeout(GUARD).is_done());
        }
    });
    gate.open();
    assert!(blocked.join().unwrap().is_ok());
}

/// In go-events, a queue upstream of a stalled sink grows until memory is exhausted.
#[test]
fn e3_a_queue_holds_no_more_than_its_capacity() {
    const CAPACITY: usize = 16;
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse, Overflow::Close] {
        let gate = Gate::closed();
        let at = gate.clone();
        let queue = Queue::builder().capacity(CAPACITY).overflow(overflow).spawn(move |_| at.pass()).unwrap();
        let event = Arc::new(());
        queue.write(event.clone()).unwrap();
        gate.wait_reached(1);
        for _ in 0..100_000 {
            let _ = queue.write(event.clone());
        }
        // One clone in the test, one in the worker, and the waiting events.
        assert!(Arc::strong_count(&event) <= 2 + CAPACITY, "{overflow:?}");
        let ledger = assert_balanced(&queue.state());
        assert_eq!(
            (ledger.offered, ledger.pending),
            (100_001, 1 + CAPACITY as u64),
            "{overflow:?}: {ledger}"
        );
        let accounted = ledger.dropped.total() + ledger.refused.total();
        assert_eq!(accounted, 100_000 - CAPACITY as u64, "{overflow:?}: {ledger}");
        gate.open();
    }
}

/// In go-events, a nil event marks the closed queue internally, and ends the process.
#[test]
fn e7_an_event_that_is_nothing_is_an_event() {
    let seen = Collect::new();
    let queue = seen.clone().queue(8).unwrap();
    for event in [None, Some(1), None] {
        queue.write(event).unwrap();
    }
    assert!(queue.close().is_done());
    assert_eq!(seen.events(), [None, Some(1), None]);
    let units = Collect::new();
    let queue = units.clone().queue(8).unwrap();
    (0..3).for_each(|_| queue.write(()).unwrap());
    assert!(queue.close().is_done());
    assert_eq!(units.len(), 3);
}

/// In go-events, a queue ignores that its sink is closed: the broadcaster never removes it, and it
/// accepts further events.
#[test]
fn e10_queue_closes_with_its_sink_and_leaves_the_bus() {
    let (bus, behind) = (Bus::new(), Collect::new());
    let queue = behind.clone().queue(8).unwrap();
    bus.add(queue.clone()).unwrap();
    let _ = behind.close_by(buslane::time::Deadline::NOW);
    assert_eq!(bus.publish(1).unwrap().accepted, 1, "the queue does not know yet that its sink is closed");
    wait_for(|| matches!(queue.write(2), Err(WriteError::Closed(2))));
    assert_eq!(bus.publish(3).unwrap().accepted, 0, "the bus learns that the queue is closed");
    assert_eq!((bus.publish(4).unwrap().refused, bus.sink_count()), (0, 0));
    assert!(queue.close().is_done());
    let ledger = assert_balanced(&queue.state());
    assert!(ledger.dropped.failed >= 1 && ledger.accepted == ledger.dropped.total(), "{ledger}");
}

/// In go-events, a drop is a log line that contains the event.
#[test]
fn e11_drops_are_counted_and_reported_without_events() {
    let (gate, drops, errors) = (Gate::closed(), Log::new(), Log::new());
    let (at, dropped, failed) = (gate.clone(), drops.clone(), errors.clone());
    let queue = Queue::builder()
        .capacity(1)
        .on_drop(move |event: &str, reason| dropped.push((event, reason)))
        .on_error(move |error| failed.push(error.to_string()))
        .spawn_sink(sink_fn(move |_: &&str| {
            at.pass();
            Err::<(), _>("no space left")
        }))
        .unwrap();
    let bus = Bus::builder().on_error({
        let errors = errors.clone();
        move |failure| errors.push(failure.to_string())
    });
    let bus = bus.build();
    bus.add_named("queue", queue.clone()).unwrap();
    bus.add_named("direct", sink_fn(|_: &&str| Err::<(), _>("no route"))).unwrap();
    let _ = bus.publish("secret 1").unwrap();
    gate.wait_reached(1);
    for event in ["secret 2", "secret 3"] {
        let _ = bus.publish(event).unwrap();
    }
    gate.open();
    assert!(bus.flush_timeout(GUARD).is_done());
    let expected =
        [("secret 3", DropReason::Full), ("secret 1", DropReason::Failed), ("secret 2", DropReason::Failed)];
    assert_eq!(drops.entries(), expected);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.dropped.full, ledger.dropped.failed), (1, 2));
    let direct = &bus.snapshot().sinks[1].state;
    assert_eq!((direct.ledger.refused.failed, direct.last_error.as_deref()), (3, Some("no route")));
    let mut texts = errors.entries();
    assert_eq!(texts.len(), 5);
    texts.push(format!(
        "{bus:?} {queue:?} {} {:?}",
        bus.snapshot(),
        Err::<(), _>(WriteError::Full("secret 4"))
    ));
    assert!(texts.iter().all(|text| !text.contains("secret")), "{texts:?}");
}

/// In go-events, the constructor does not compare its sinks, and a sink that is not comparable
/// panics. A panic of any sink ends the process. Printing a broadcaster is a data race.
#[test]
fn e14_sinks_are_told_apart_printed_and_may_panic() {
    /// A sink without a key.
    struct Loose(Collect<u32>);
    impl Sink<u32> for Loose {
        fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
            self.0.write(event)
        }
    }
    let (bus, twice, loose) = (Bus::new(), Collect::new(), Collect::new());
    assert_eq!(bus.add(twice.clone()), bus.add(twice.clone()));
    assert_ne!(bus.add(Loose(loose.clone())), bus.add(Loose(loose.clone())));
    bus.add(Panicking::new().on_every_event()).unwrap();
    let printing = thread::spawn({
        let bus = bus.clone();
        move || (0..100).map(|_| format!("{bus:?} {}", bus.snapshot()).len()).sum::<usize>()
    });
    for n in 0..100 {
        let published = bus.publish(n).unwrap();
        assert_eq!((published.accepted, published.dropped), (3, 1));
    }
    assert!(printing.join().unwrap() > 0);
    assert_eq!((twice.len(), loose.len()), (100, 200));
    assert_eq!(bus.snapshot().sinks[3].state.ledger.dropped.panicked, 100);
}

/// In go-events, a sink that calls its broadcaster waits for itself.
#[test]
fn e14_a_sink_may_call_the_bus_that_calls_it() {
    let (bus, seen) = (Bus::new(), Collect::new());
    let inner = bus.downgrade();
    let busy = bus.add_named("busy", sink_fn(|_: &u32| ())).unwrap();
    bus.add(sink_fn(move |n: &u32| {
        let bus = inner.upgrade().unwrap();
        match n {
            0 => assert_eq!(bus.publish(1).unwrap().refused, 0),
            1 => assert!(bus.add(seen.clone()).is_ok()),
            2 => assert_eq!(bus.remove(busy), Ok(Removed::FromInside)),
            _ => assert_eq!(bus.close().finish, Finish::Pending),
        }
    }))
    .unwrap();
    let bus = ends(move || {
        let mut publisher = bus.publisher();
        for n in [0, 2, 3] {
            let _ = publisher.publish(n).unwrap();
        }
        bus
    });
    assert!(bus.is_closed() && bus.close().is_done());
}

/// In go-events, each event costs two goroutine handoffs, a list node, and a wake-up for each
/// queue.
#[test]
fn e16_what_waits_is_handled_in_one_batch() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let queue = Queue::builder().capacity(1024).spawn_sink(gate.before(seen.clone())).unwrap();
    (0..1000).for_each(|n| queue.write(n).unwrap());
    gate.open();
    assert!(queue.close_timeout(GUARD).is_done());
    // The worker may take the first event before the others are written.
    assert!((1..=2).contains(&seen.ends_of_batch()), "{} ends", seen.ends_of_batch());
    assert!(seen.taken().into_iter().eq(0..1000));
    let (channel, mut receiver) = Channel::lossy(1024).unwrap();
    (0..1000).for_each(|n| channel.write(n).unwrap());
    let mut batch = Vec::new();
    assert_eq!(receiver.recv_batch(&mut batch, 1000), Ok(1000));
    assert!(batch.into_iter().eq(0..1000));
}

/// In go-events, the matcher runs in the broadcaster's only goroutine: if it waits for a lock that
/// a publisher holds, everything stops.
#[test]
fn e41_waiting_filter_stops_only_its_own_thread() {
    let (bus, gate) = (Bus::new(), Gate::closed());
    let seen = [Collect::new(), Collect::new(), Collect::new()];
    let at = gate.clone();
    let wait_for_zero = move |n: &u32| {
        if *n == 0 {
            at.pass();
        }
        true
    };
    // One filter is upstream of its queue, and one downstream.
    bus.add(seen[0].clone().queue(64).unwrap().filter(wait_for_zero.clone())).unwrap();
    bus.add(seen[1].clone().filter(wait_for_zero).queue(64).unwrap()).unwrap();
    bus.add(seen[2].clone()).unwrap();
    let blocked = thread::spawn({
        let mut publisher = bus.publisher();
        move || publisher.publish(0)
    });
    gate.wait_reached(1);
    ends({
        let bus = bus.clone();
        let seen = seen.clone();
        move || {
            let mut publisher = bus.publisher();
            (1..=10).for_each(|n| assert_eq!(publisher.publish(n).unwrap().accepted, 3));
            // No other thread waits for the publisher in the predicate.
            seen[0].wait_for(10);
            seen[2].wait_for(10);
            let late = bus.add(noop()).unwrap();
            assert_eq!(bus.remove(late), Ok(Removed::Quiet));
        }
    });
    gate.open();
    assert_eq!(blocked.join().unwrap().unwrap().accepted, 3);
    assert!(bus.close().is_done());
    assert_eq!(seen.map(|seen| seen.len()), [11, 11, 11]);
}

/// The same with a predicate that publishes to its own bus.
#[test]
fn e41_a_filter_may_call_the_bus_that_asks_it() {
    let (bus, seen) = (Bus::new(), Collect::new());
    let inner = bus.downgrade();
    let twice = move |n: &u32| {
        if *n == 1 {
            let _ = inner.upgrade().unwrap().publish(2).unwrap();
        }
        true
    };
    bus.add(seen.clone().queue(64).unwrap().filter(twice)).unwrap();
    let _ = ends({
        let bus = bus.clone();
        move || bus.publish(1).unwrap()
    });
    assert!(bus.close().is_done());
    let mut events = seen.taken();
    events.sort_unstable();
    assert_eq!(events, [1, 2]);
}
