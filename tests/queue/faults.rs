//! Handlers that panic or fail, or whose parts panic: the worker continues, and the ledger records
//! the reason.

use crate::{HOUR, held_queue};
use buslane::stats::{DropReason, SinkStatus};
use buslane::testing::Gate;
use buslane::{BoxError, Overflow, Queue, Sink, WriteError};
use std::fmt;
use std::panic::panic_any;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{Entry, GUARD, Log, Outcome, WAYS, assert_balanced, flush, outcome, wait_for};

#[test]
fn panic_drops_only_the_event_in_hand() {
    for way in WAYS {
        let (log, errors) = (Log::new(), Log::new());
        let (handled, hook) = (log.clone(), errors.clone());
        let queue = Queue::builder()
            .on_error(move |error: &BoxError| hook.push(error.to_string()))
            .spawn(move |event: u64| match event {
                1 => panic!("one"),
                2 => panic!("{}", String::from("two")),
                3 => panic_any(3),
                _ => handled.push(event),
            })
            .unwrap();
        let mut entry = Entry::into(&queue, way);
        (0..5).for_each(|event| entry.write(event).unwrap());
        flush(&queue);
        assert_eq!(log.entries(), [0, 4], "{way:?}");
        let texts = errors.entries();
        assert!(texts[0].contains("one") && texts[1].contains("two") && texts.len() == 3, "{texts:?}");
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.dropped.panicked), (2, 3));
        assert_eq!(queue.state().last_error.as_ref(), texts.last());
        assert!(queue.close().is_done());
    }
}

#[test]
fn consecutive_panics_close_and_drain_the_queue() {
    for (limit, most) in [(0, 1), (1, 1), (3, 3)] {
        let (gate, log) = (Gate::closed(), Log::new());
        let (at, handled) = (gate.clone(), log.clone());
        let queue = Queue::builder()
            .close_after_panics(limit)
            .spawn(move |event: u64| {
                at.pass();
                assert!(event >= 100, "a number too small");
                handled.push(event);
            })
            .unwrap();
        // One panic fewer than the limit, and a success that resets the count.
        (1..most).for_each(|event| queue.write(event).unwrap());
        queue.write(100).unwrap();
        gate.permit(most as usize);
        wait_for(|| log.entries() == [100]);
        assert_eq!(queue.state().status, SinkStatus::Open);
        (0..most).for_each(|event| queue.write(event).unwrap());
        queue.write(101).unwrap();
        gate.open();
        wait_for(|| queue.state().status == SinkStatus::Drained);
        assert_eq!(log.entries(), [100, 101]);
        assert_eq!(outcome(queue.write(102)), Outcome::Closed(102));
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.dropped.panicked), (2, 2 * most - 1));
        assert!(queue.close().is_done());
    }
}

#[test]
fn handler_error_is_counted_kept_and_reported() {
    let errors = Log::new();
    let hook = errors.clone();
    let queue = Queue::builder()
        .close_after_panics(1)
        .on_drop(|_, _| panic!("the handler keeps its event"))
        .on_error(move |error: &BoxError| hook.push(error.to_string()))
        .spawn(|event: u64| if event == 1 { Err("no") } else { Ok(()) })
        .unwrap();
    (0..3).for_each(|event| queue.write(event).unwrap());
    flush(&queue);
    let state = queue.state();
    assert_eq!((state.last_error.as_deref(), errors.entries()), (Some("no"), vec![String::from("no")]));
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.delivered, ledger.dropped.failed), (2, 1));
    assert_eq!(state.status, SinkStatus::Open);
}

#[test]
fn panicking_hooks_affect_no_caller() {
    let queue = Queue::builder()
        .capacity(1)
        .overflow(Overflow::DropOldest)
        .on_drop(|_, _| panic!("a hook"))
        .on_error(|_| panic!("another hook"))
        .spawn(|event: u64| if event == 0 { Err("no") } else { Ok(()) })
        .unwrap();
    for event in [0, 1, 0, 2] {
        queue.write(event).unwrap();
        flush(&queue);
    }
    assert_eq!(assert_balanced(&queue.state()).dropped.failed, 2);
    let (gate, at) = (Gate::closed(), Gate::closed());
    let queue = {
        let (gate, at) = (gate.clone(), at.clone());
        Queue::builder()
            .capacity(1)
            .on_drop(|_, reason| panic!("{reason}"))
            .spawn(move |_: u64| {
                at.open();
                gate.pass();
            })
            .unwrap()
    };
    queue.write(0).unwrap();
    at.pass();
    queue.write(1).unwrap();
    assert_eq!(outcome(queue.write(2)), Outcome::Accepted);
    gate.open();
    assert!(queue.close().is_done());
    assert_eq!(assert_balanced(&queue.state()).dropped.full, 1);
}

#[test]
fn refused_event_is_dropped_with_a_reason() {
    /// A sink that refuses odd numbers, one of them with a failure.
    struct Even;
    impl Sink<u64> for Even {
        fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
            match event {
                1 => Err(WriteError::Full(event)),
                3 => Err(WriteError::Failed { event, source: "three".into() }),
                _ => Ok(()),
            }
        }
    }
    let dropped = Log::new();
    let hook = dropped.clone();
    let queue =
        Queue::builder().on_drop(move |event, reason| hook.push((event, reason))).spawn_sink(Even).unwrap();
    (0..5).for_each(|event| queue.write(event).unwrap());
    flush(&queue);
    assert_eq!(dropped.entries(), [(1, DropReason::Failed), (3, DropReason::Failed)]);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.failed), (3, 2));
    assert_eq!(queue.state().last_error.as_deref(), Some("three"));
}

#[test]
fn queue_closes_when_its_inner_sink_closes() {
    /// A sink that accepts two events, and is closed from then on.
    #[derive(Default)]
    struct TwoOnly(AtomicU64);
    impl Sink<u64> for TwoOnly {
        fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
            if self.0.fetch_add(1, Ordering::Relaxed) < 2 { Ok(()) } else { Err(WriteError::Closed(event)) }
        }
    }
    let dropped = Log::new();
    let hook = dropped.clone();
    let queue = Queue::builder()
        .on_drop(move |event, reason| hook.push((event, reason)))
        .spawn_sink(TwoOnly::default())
        .unwrap();
    (0..3).for_each(|event| queue.write(event).unwrap());
    wait_for(|| queue.state().status == SinkStatus::Drained);
    assert_eq!(dropped.entries(), [(2, DropReason::Failed)]);
    assert_eq!(outcome(queue.write(3)), Outcome::Closed(3));
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.failed, ledger.refused.closed), (2, 1, 1));
}

#[test]
fn panicking_error_text_costs_only_its_event() {
    #[derive(Debug)]
    struct Unspeakable;
    impl fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no words")
        }
    }
    impl std::error::Error for Unspeakable {}
    let queue =
        Queue::builder().spawn(|event: u64| if event == 0 { Err(Unspeakable) } else { Ok(()) }).unwrap();
    (0..2).for_each(|event| queue.write(event).unwrap());
    assert!(queue.close().is_done());
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.failed), (1, 1));
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a drop that panics");
    }
}

#[test]
fn a_panic_whose_payload_panics_costs_only_its_event() {
    let queue = Queue::builder()
        .spawn(|event: u64| {
            if event == 0 {
                panic_any(Bomb);
            }
        })
        .unwrap();
    (0..2).for_each(|event| queue.write(event).unwrap());
    assert!(queue.close().is_done());
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.panicked), (1, 1));
}

#[test]
fn panicking_event_drop_costs_only_its_event() {
    /// A sink that refuses its first event, which the worker then drops.
    struct RefuseOne(Mutex<bool>);
    impl Sink<Option<Bomb>> for RefuseOne {
        fn write(&self, event: Option<Bomb>) -> Result<(), WriteError<Option<Bomb>>> {
            if std::mem::take(&mut *self.0.lock().unwrap()) { Err(WriteError::Full(event)) } else { Ok(()) }
        }
    }
    let queue = Queue::builder().spawn_sink(RefuseOne(Mutex::new(true))).unwrap();
    assert!(queue.write(Some(Bomb)).is_ok() && queue.write(None).is_ok());
    assert!(queue.close().is_done());
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.failed), (1, 1));
}

#[test]
fn worker_ends_despite_panicking_aborted_drops() {
    let gate = Gate::closed();
    let at = gate.clone();
    let queue = Queue::builder().spawn(move |_: Option<Bomb>| at.pass()).unwrap();
    assert!(queue.write(None).is_ok());
    gate.wait_reached(1);
    (0..2).for_each(|_| assert!(queue.write(Some(Bomb)).is_ok()));
    assert_eq!(queue.close_timeout(Duration::ZERO).undelivered, 3);
    gate.open();
    wait_for(|| queue.state().status == SinkStatus::Drained);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (1, 2));
}

#[test]
fn slow_handler_frees_room_of_handled_events() {
    for way in WAYS {
        let (queue, gate, log) = held_queue(64, Overflow::Refuse);
        let mut entry = Entry::into(&queue, way);
        (1..=64).for_each(|event| entry.write(event).unwrap());
        // Ten more events are handled, and the worker is handling the eleventh.
        gate.permit(11);
        gate.wait_reached(12);
        assert_eq!(log.entries().len(), 11);
        let accepted = (65..75).filter(|event| entry.write(*event).is_ok()).count();
        assert_eq!(accepted, 10, "{way:?}");
        gate.open();
        assert!(queue.close().is_done());
        assert_balanced(&queue.state());
    }
}

#[test]
fn stuck_queue_does_not_affect_another_queue() {
    let (stuck, gate, _) = held_queue(1, Overflow::BlockFor(HOUR));
    let log = Log::new();
    let handled = log.clone();
    let queue = Queue::builder().spawn(move |event: u64| handled.push(event)).unwrap();
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let sink = stuck.clone();
            thread::spawn(move || sink.write(1).is_ok())
        })
        .collect();
    queue.write(1).unwrap();
    assert!(queue.close_timeout(GUARD).is_done());
    assert_eq!(log.entries(), [1]);
    gate.open();
    assert!(writers.into_iter().all(|writer| writer.join().unwrap()));
}
