//! Tee: every event goes to two sinks, and each side counts separately.

use crate::{channel, describe, entry};
use buslane::sink::lane::Lanes;
use buslane::stats::{SinkKind, SinkStatus};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt, WriteError, noop, sink_fn};
use std::sync::Arc;
use std::thread;
use test_support::bus::{Closable, assert_books, ledger, lost, recorder, sink, took};
use test_support::{GUARD, Log, Outcome, WAYS, assert_balanced, ends, lane, outcome, waits};

#[test]
fn both_sides_get_every_event_in_order() {
    for way in WAYS {
        let ((left, mut one), (right, mut other)) =
            (channel(100, Overflow::Refuse), channel(100, Overflow::Refuse));
        let sink = Arc::new(left.tee(right));
        let mut entry = entry(&sink, way);
        (0..100).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "{way:?}"));
        assert!(one.drain().eq(0..100) && other.drain().eq(0..100));
        let state = describe(&sink);
        assert_eq!((state.kind, state.capacity, state.status), (SinkKind::Tee, 100, SinkStatus::Open));
        let ledger = assert_balanced(&state);
        assert_eq!((ledger.offered, ledger.delivered), (200, 200));
    }
}

#[test]
fn write_succeeds_when_either_side_accepts() {
    for way in WAYS {
        let ((left, mut one), (right, mut other)) =
            (channel(1, Overflow::Refuse), channel(2, Overflow::Refuse));
        let sink = Arc::new(left.tee(right));
        let mut entry = entry(&sink, way);
        assert_eq!(outcome(entry.write(1)), Outcome::Accepted);
        assert_eq!(outcome(entry.write(2)), Outcome::Accepted, "{way:?}: one side has room");
        assert_eq!(outcome(entry.write(3)), Outcome::Full(3), "{way:?}: neither side has room");
        assert_eq!(one.recv(), Ok(1));
        assert_eq!(outcome(entry.write(4)), Outcome::Accepted, "{way:?}: the other side has room");
        assert_eq!((one.recv(), other.drain().collect::<Vec<_>>()), (Ok(4), vec![1, 2]));
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.delivered, ledger.refused.full), (8, 4, 4), "{way:?}");
    }
}

#[test]
fn closed_side_is_skipped_until_both_are_closed() {
    for (way, first_goes) in WAYS.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let ((going, mut one), (staying, mut other)) =
            (channel(8, Overflow::Refuse), channel(8, Overflow::Refuse));
        let sink = Arc::new(if first_goes { going.tee(staying) } else { staying.tee(going) });
        let mut entry = entry(&sink, way);
        entry.write(1).unwrap();
        one.close();
        (2..5).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted, "{way:?}"));
        let state = describe(&sink);
        let ledger = assert_balanced(&state);
        assert_eq!(
            (ledger.refused.closed, state.status),
            (1, SinkStatus::Open),
            "a closed side is tried once, {way:?}"
        );
        other.close();
        assert_eq!(outcome(entry.write(5)), Outcome::Closed(5), "{way:?}");
        assert_eq!(outcome(entry.write(6)), Outcome::Closed(6), "{way:?}");
        let closed = sink.reports_closed();
        assert!(closed);
        assert_balanced(&describe(&sink));
    }
}

#[test]
fn error_worth_a_retry_takes_precedence() {
    let (left, _one) = channel(1, Overflow::Refuse);
    let (right, mut other) = channel(1, Overflow::Refuse);
    let (failing, sink) = (sink_fn(|_: &u64| Err("no")), left.tee(right));
    sink.write(1).unwrap();
    other.close();
    assert_eq!(outcome(sink.write(2)), Outcome::Full(2), "`Full` takes precedence over `Closed`");
    assert_eq!(outcome(sink.write(3)), Outcome::Full(3));
    let sink = failing.tee(sink);
    assert_eq!(outcome(sink.write(4)), Outcome::Failed(4), "the failure of the first side comes back");
    let state = describe(&sink);
    assert!(state.last_error.as_deref().is_some_and(|text| text.contains("no")));
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.refused.failed, ledger.refused.full, ledger.refused.closed), (1, 3, 1));
}

fn panicking(text: &'static str) -> impl Sink<u64> + 'static {
    sink_fn(move |event: &u64| assert!(*event == u64::MAX, "{text}"))
}

#[test]
fn a_panic_of_one_side_costs_the_other_one_nothing() {
    let ((log, one), (other_log, other)) = (recorder(), recorder());
    let clumsy = one.map(|event: &u64| *event).tee(panicking("a sink"));
    let sink = panicking("another sink").tee(other).tee(clumsy);
    (0..3).for_each(|event| assert_eq!(outcome(sink.write(event)), Outcome::Accepted));
    assert_eq!((log.entries(), other_log.entries()), (vec![0, 1, 2], vec![0, 1, 2]));
    let state = describe(&sink);
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.panicked), (12, 6, 6));
    assert!(state.last_error.is_some_and(|text| text.contains("another sink")));
}

#[test]
fn tee_counts_for_sides_without_a_ledger() {
    let sink = noop().filter(|event: &u64| event.is_multiple_of(2)).tee(noop().filter(|event: &u64| {
        assert!(*event < 8, "too much");
        true
    }));
    let bus = Bus::new();
    bus.add_named("tee", sink).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..10 {
        // One side filters the last event out, and the other side panics on it.
        let told = if event == 9 { lost(0, 1, 0) } else { took(1, 0) };
        assert_eq!(publisher.publish(event), Ok(told));
    }
    let ledger = ledger(&bus, "tee");
    assert_eq!((ledger.offered, ledger.delivered), (20, 13), "{ledger}");
    assert_eq!((ledger.filtered, ledger.dropped.panicked), (5, 2));
}

#[test]
fn a_close_reaches_both_sides_also_when_one_panics() {
    struct Clumsy;
    impl Sink<u64> for Clumsy {
        fn write(&self, _: u64) -> Result<(), WriteError<u64>> {
            Ok(())
        }
        fn close_by(&self, _: Deadline) -> buslane::stats::CloseReport {
            panic!("a close")
        }
    }
    let log = Log::new();
    let closes = log.clone();
    let other = Closable::new(|_: &u64| (), move || closes.push(()));
    let report = Clumsy.tee(other).close_by(Deadline::NOW);
    assert_eq!(report.errors, ["first: its close panicked: a close"]);
    assert_eq!(log.entries(), [()]);
}

#[test]
fn blocked_side_delays_only_its_publisher() {
    for first_waits in [true, false] {
        let ((waiting, mut slow), (quick, mut other)) =
            (channel(1, Overflow::Block), channel(8, Overflow::Refuse));
        let bus = Bus::new();
        if first_waits {
            bus.add_named("tee", waiting.tee(quick)).unwrap();
        } else {
            bus.add_named("tee", quick.tee(waiting)).unwrap();
        }
        let (log, direct) = recorder();
        bus.add(direct).unwrap();
        let mut publisher = bus.publisher();
        let _ = publisher.publish(1).unwrap();
        assert_eq!(publisher.try_publish(2).unwrap(), took(2, 0), "the side with room accepts the event");
        let waiter = waits(move || publisher.publish(3));
        let (_slow, _log) = ends(move || {
            // All other sinks get the event while one side has no room for it.
            (0..2).for_each(|_| assert!(other.recv().is_ok()));
            assert_eq!(other.recv(), Ok(3));
            while log.entries().len() < 3 {
                thread::yield_now();
            }
            assert_eq!(slow.recv(), Ok(1));
            assert_eq!(slow.recv(), Ok(3));
            (slow, log)
        });
        assert_eq!(waiter.join().unwrap(), Ok(took(2, 0)));
        assert_books(&bus);
    }
}

#[test]
fn removal_ends_both_lanes_and_keeps_the_sinks_open() {
    let ((left, mut one), (right, mut other)) = (channel(1, Overflow::Block), channel(1, Overflow::Block));
    let tee = Arc::new(left.tee(right));
    let bus = Bus::new();
    let id = bus.add(tee.clone()).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    // Neither side has room: the publish waits, and the removal ends the wait.
    let waiter = waits(move || publisher.publish(2));
    let removing = bus.clone();
    assert!(ends(move || removing.remove(id)).is_ok());
    assert!(waiter.join().unwrap().is_ok_and(|published| published.accepted == 0));
    assert_eq!((one.drain().collect::<Vec<_>>(), other.drain().collect::<Vec<_>>()), (vec![1], vec![1]));
    // The tee itself still works, also on another bus.
    tee.write(3).unwrap();
    let bus = Bus::new();
    bus.add_named("again", tee).unwrap();
    assert_eq!(bus.publisher().publish(4), Ok(took(1, 0)));
    assert!([&mut one, &mut other].into_iter().all(|side| side.drain().count() == 2));
    assert_eq!(sink(&bus, "again").state.status, SinkStatus::Open);
    assert!(bus.close_timeout(GUARD).is_done());
}

#[test]
fn removal_ends_the_wait_beside_an_unsealable_lane() {
    let (waiting, _receiver) = channel(1, Overflow::Block);
    let unbounded = Queue::builder().unbounded().spawn(|_: u64| ()).unwrap();
    let bus = Bus::new();
    let id = bus.add(unbounded.clone().tee(waiting)).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    let waiter = waits(move || (publisher.publish(2), publisher.publish(3)));
    let removing = bus.clone();
    assert!(ends(move || removing.remove(id)).is_ok());
    // The first publish may already have reached one side. The next publish finds no sink.
    let (_, after) = waiter.join().unwrap();
    assert_eq!(after, Ok(took(0, 0)));
    assert!(unbounded.close().is_done());
}

#[test]
fn panicking_clone_costs_both_sides_one_event() {
    struct Brittle(u64);
    impl Clone for Brittle {
        fn clone(&self) -> Self {
            assert!(self.0 != 1, "a clone");
            Self(self.0)
        }
    }
    let pair = || Channel::lossy(8).unwrap();
    let ((left, mut one), (right, mut other)) = (pair(), pair());
    let bus = Bus::new();
    bus.add_named("tee", left.tee(right)).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..3 {
        assert!(
            publisher
                .publish(Brittle(event))
                .is_ok_and(|published| published == if event == 1 { lost(0, 1, 0) } else { took(1, 0) })
        );
    }
    for side in [&mut one, &mut other] {
        assert_eq!(side.drain().map(|event| event.0).collect::<Vec<_>>(), [0, 2]);
    }
    let ledger = ledger(&bus, "tee");
    assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.panicked), (5, 4, 1));
}

#[test]
fn concurrent_publish_and_close_balance_the_ledger() {
    for _ in 0..50 {
        let ((left, mut one), (right, mut other)) =
            (channel(4, Overflow::DropNewest), channel(4, Overflow::Refuse));
        let bus = Bus::new();
        let tee = Arc::new(left.tee(right));
        bus.add(tee.clone()).unwrap();
        let publishers = [bus.publisher(), bus.publisher()].map(|mut publisher| {
            thread::spawn(move || (0..200).take_while(|event| publisher.publish(*event).is_ok()).count())
        });
        one.recv().unwrap();
        other.close();
        assert!(bus.close_timeout(GUARD).is_done());
        for publisher in publishers {
            publisher.join().unwrap();
        }
        one.drain().count();
        assert_balanced(&describe(&tee));
    }
}

#[test]
fn tee_with_a_laneless_side_is_called_directly() {
    let (channel, mut receiver) = channel(1, Overflow::Block);
    let sink = channel.clone().tee(noop());
    assert!(!sink.has_lanes() && lane(&channel).may_wait());
    let bus = Bus::new();
    bus.add(sink).unwrap();
    let mut publisher = bus.publisher();
    // A call into a direct sink never waits, so the full side refuses.
    assert_eq!(publisher.publish(1), Ok(took(1, 0)));
    assert_eq!(publisher.publish(2), Ok(took(1, 0)));
    assert_books(&bus);
    assert_eq!(receiver.recv(), Ok(1));
    // A direct write to the tee may wait.
    let sink = channel.tee(noop());
    sink.write(3).unwrap();
    let waiter = waits(move || outcome(sink.write(4)));
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(3), Ok(4)));
    assert_eq!(waiter.join().unwrap(), Outcome::Accepted);
}
