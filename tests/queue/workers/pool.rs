//! Several workers on one ring: each event once, and every promise of a single-worker queue except
//! the order.

use super::held_queue;
use buslane::error::ConfigErrorKind;
use buslane::queue::Handler;
use buslane::stats::{DropReason, Finish, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{BoxError, Bus, Channel, Overflow, Queue, Sink, WaitStrategy, WriteError, sink_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use test_support::{
    Drops, Entry, GUARD, Log, Outcome, WAYS, Way, assert_balanced, ends, flush, invalid, limit, outcome,
    sorted, wait_for, waits,
};

#[test]
fn invalid_settings_are_typed_errors() {
    let builder = |workers| Queue::<u64>::builder().workers(workers);
    let error = builder(0).spawn_each(|_| |_: u64| {}).unwrap_err();
    assert!(error.to_string().contains("workers 0 is invalid: it must be at least 1"), "{error}");
    assert_eq!(invalid(Err::<(), _>(error)), ConfigErrorKind::Workers);
    let error = builder(1025).spawn_sink(buslane::noop()).unwrap_err();
    assert!(error.to_string().contains("workers 1025 is invalid: it must be at most 1024"), "{error}");
    assert_eq!(invalid(Err::<(), _>(error)), ConfigErrorKind::Workers);
    let error = builder(2).spawn(|_: u64| {}).unwrap_err();
    assert!(error.to_string().contains("spawn_each"), "{error}");
    assert_eq!(invalid(Err::<(), _>(error)), ConfigErrorKind::Handlers);
    assert_eq!(invalid(builder(2).capacity(0).spawn_each(|_| |_: u64| {})), ConfigErrorKind::Capacity);
    // One worker behaves the same, whichever method configures it.
    assert!(builder(1).spawn_each(|_| |_: u64| {}).unwrap().close().is_done());
}

#[test]
fn four_workers_deliver_each_event_once() {
    const EVENTS: u64 = 5_000;
    for (wait, unbounded) in [
        (WaitStrategy::nap(), false),
        (WaitStrategy::Park, false),
        (WaitStrategy::SpinPark, false),
        (WaitStrategy::poll(), true),
    ] {
        let log = Log::new();
        let builder = Queue::builder()
            .workers(4)
            .capacity(64)
            .overflow(Overflow::Block)
            .wait_strategy(wait)
            .name("many");
        let builder = if unbounded { builder.unbounded() } else { builder };
        let queue = builder
            .spawn_each(|_| {
                let log = log.clone();
                move |event: u64| log.push(event)
            })
            .unwrap();
        let bus = Bus::new();
        bus.add(queue.clone()).unwrap();
        thread::scope(|scope| {
            for thread in 0..4 {
                let (mut publisher, bus) = (bus.publisher(), &bus);
                scope.spawn(move || {
                    for n in 0..EVENTS {
                        let event = thread * EVENTS + n;
                        let _ =
                            if n % 3 == 0 { bus.publish(event) } else { publisher.publish(event) }.unwrap();
                    }
                });
            }
        });
        let report = bus.close();
        assert!(report.is_done(), "{report}");
        assert_eq!(sorted(log.entries()), (0..4 * EVENTS).collect::<Vec<_>>(), "{wait:?}");
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.accepted, ledger.delivered, ledger.pending), (4 * EVENTS, 4 * EVENTS, 0));
    }
}

#[test]
fn slow_event_stalls_only_its_worker() {
    let (queue, gate, log) = held_queue(3, 8, Overflow::Refuse);
    gate.permit(1);
    (10..14).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(4);
    gate.permit(4);
    // An event is in the log before its worker has counted it.
    wait_for(|| log.entries().len() == 5 && queue.state().ledger.pending == 2);
    assert_eq!(assert_balanced(&queue.state()).pending, 2, "workers still handle two events");
    gate.open();
    assert!(queue.close().is_done());
    assert_eq!(sorted(log.entries()), [0, 1, 2, 10, 11, 12, 13]);
}

/// A handler that counts its calls by worker.
struct Counting {
    calls: Arc<Mutex<Vec<String>>>,
    number: usize,
    gate: Option<Gate>,
}

impl Handler<u64> for Counting {
    fn handle(&mut self, _: u64) -> Result<(), BoxError> {
        self.gate.as_ref().inspect(|gate| gate.pass());
        Ok(())
    }

    fn flush(&mut self, _: Deadline) -> Result<(), BoxError> {
        self.calls.lock().unwrap().push(format!("flush {}", self.number));
        if self.number == 1 { Err("no".into()) } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.calls.lock().unwrap().push(format!("close {}", self.number));
        if self.number == 1 { Err("never".into()) } else { Ok(()) }
    }
}

fn counting(workers: usize, gate: Option<&Gate>) -> (Queue<u64>, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::<Mutex<Vec<String>>>::default();
    let make = |number| Counting { calls: calls.clone(), number, gate: gate.cloned() };
    (Queue::builder().workers(workers).spawn_each_handler(make).unwrap(), calls)
}

fn sorted_calls(calls: &Mutex<Vec<String>>) -> Vec<String> {
    let mut calls = calls.lock().unwrap().clone();
    calls.sort();
    calls
}

#[test]
fn each_worker_flushes_and_closes_its_handler_once() {
    let (queue, calls) = counting(3, None);
    let report = queue.flush_timeout(GUARD);
    assert_eq!((report.finish, &report.errors[..]), (Finish::Done, &["worker 1: no".to_owned()][..]));
    assert_eq!(sorted_calls(&calls), ["flush 0", "flush 1", "flush 2"]);
    let report = queue.close();
    assert_eq!((report.finish, &report.errors[..]), (Finish::Done, &["worker 1: never".to_owned()][..]));
    assert_eq!(queue.close(), report);
    assert_eq!(sorted_calls(&calls)[..3], ["close 0", "close 1", "close 2"]);
    assert_eq!(calls.lock().unwrap().len(), 6);
    // A flush after the close has nothing to wait for.
    assert_eq!(queue.flush_timeout(GUARD).finish, Finish::Done);
}

#[test]
fn flush_waits_for_the_last_worker() {
    let gate = Gate::closed();
    let (queue, calls) = counting(2, Some(&gate));
    (0..2).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(2);
    let flusher = queue.clone();
    let flushing = waits(move || flusher.flush_timeout(GUARD).finish);
    // One event is handled and the other is not; their order does not matter.
    gate.permit(1);
    wait_for(|| queue.state().ledger.delivered == 1);
    assert_eq!(queue.flush_timeout(Duration::from_millis(1)).finish, Finish::TimedOut);
    assert_eq!(sorted_calls(&calls), Vec::<String>::new());
    gate.permit(1);
    assert_eq!(flushing.join().unwrap(), Finish::Done);
    gate.open();
}

#[test]
fn expired_close_names_the_stuck_workers() {
    let (gate, dropped) = (Gate::closed(), Log::new());
    let hook = dropped.clone();
    let queue = Queue::builder()
        .workers(2)
        .on_drop(move |event, reason| hook.push((event, reason)))
        .spawn_each(|_| {
            let gate = gate.clone();
            move |event: u64| {
                if event == 0 {
                    gate.pass()
                }
            }
        })
        .unwrap();
    queue.write(0).unwrap();
    gate.wait_reached(1);
    queue.write(1).unwrap();
    wait_for(|| queue.state().ledger.delivered == 1);
    let report = queue.close_timeout(limit::scaled(Duration::from_millis(200)));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 1));
    assert!(matches!(&report.unfinished[..], [one] if one.starts_with("worker ")), "{report}");
    assert_eq!(queue.close(), report);
    assert_eq!(queue.state().status, SinkStatus::Closed);
    assert_eq!(assert_balanced(&queue.state()).pending, 1);
    gate.open();
    wait_for(|| queue.state().status == SinkStatus::Drained);
    assert_eq!((dropped.entries().len(), assert_balanced(&queue.state()).delivered), (0, 2));
}

#[test]
fn expired_close_aborts_the_backlog() {
    let (gate, dropped) = (Gate::closed(), Log::new());
    let hook = dropped.clone();
    let queue = Queue::builder()
        .workers(2)
        .on_drop(move |event, reason| hook.push((event, reason)))
        .spawn_each(|_| {
            let gate = gate.clone();
            move |_: u64| gate.pass()
        })
        .unwrap();
    (0..2).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(2);
    (2..6).for_each(|event| queue.write(event).unwrap());
    let report = queue.close_timeout(Duration::ZERO);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 6));
    assert_eq!(report.unfinished, ["worker 0", "worker 1"]);
    gate.open();
    wait_for(|| queue.state().status == SinkStatus::Drained);
    let mut entries = dropped.entries();
    entries.sort_unstable_by_key(|(event, _)| *event);
    assert_eq!(entries, [2, 3, 4, 5].map(|event| (event, DropReason::Aborted)));
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (2, 4));
}

#[test]
fn pool_applies_every_overflow_policy() {
    for way in WAYS {
        for overflow in [
            Overflow::DropNewest,
            Overflow::DropOldest,
            Overflow::Refuse,
            Overflow::Block,
            Overflow::BlockFor(Duration::from_millis(1)),
            Overflow::Close,
        ] {
            let (queue, gate, log) = held_queue(2, 3, overflow);
            let mut entry = Entry::into(&queue, way);
            (10..13).for_each(|event| entry.write(event).unwrap());
            let what = format!("{overflow:?} {way:?}");
            let mut blocked = None;
            let expected = match overflow {
                Overflow::DropNewest => {
                    assert_eq!(outcome(entry.write(13)), Outcome::Accepted);
                    vec![0, 1, 10, 11, 12]
                }
                Overflow::DropOldest => {
                    assert_eq!(outcome(entry.write(13)), Outcome::Accepted);
                    vec![0, 1, 11, 12, 13]
                }
                Overflow::Refuse => {
                    assert_eq!(outcome(entry.write(13)), Outcome::Full(13));
                    vec![0, 1, 10, 11, 12]
                }
                Overflow::BlockFor(_) => {
                    assert_eq!(outcome(entry.write(13)), Outcome::Timeout(13));
                    vec![0, 1, 10, 11, 12]
                }
                Overflow::Block => {
                    blocked = Some(waits(move || outcome(entry.write(13))));
                    vec![0, 1, 10, 11, 12, 13]
                }
                _ => {
                    assert_eq!(outcome(entry.write(13)), Outcome::Closed(13));
                    vec![0, 1, 10, 11, 12]
                }
            };
            let held = assert_balanced(&queue.state());
            assert_eq!(held.pending, 5, "{what}");
            gate.open();
            if let Some(blocked) = blocked {
                assert_eq!(blocked.join().unwrap(), Outcome::Accepted);
            }
            assert!(queue.close().is_done(), "{what}");
            assert_eq!(sorted(log.entries()), expected, "{what}");
            let ledger = assert_balanced(&queue.state());
            assert_eq!(ledger.delivered, expected.len() as u64, "{what}");
            assert_eq!(ledger.dropped.full, u64::from(overflow == Overflow::DropNewest), "{what}");
            assert_eq!(ledger.dropped.evicted, u64::from(overflow == Overflow::DropOldest), "{what}");
            let refused = ledger.refused.total();
            let refuses = matches!(overflow, Overflow::Refuse | Overflow::BlockFor(_) | Overflow::Close);
            assert_eq!(refused, u64::from(refuses), "{what}");
        }
    }
}

#[test]
fn close_returns_the_event_of_a_blocked_publisher() {
    for way in WAYS {
        let (queue, gate, _) = held_queue(2, 1, Overflow::Block);
        let mut entry = Entry::into(&queue, way);
        entry.write(2).unwrap();
        let blocked = waits(move || outcome(entry.write(3)));
        let closer = queue.clone();
        let closing = waits(move || closer.close_timeout(GUARD));
        assert_eq!(blocked.join().unwrap(), Outcome::Closed(3));
        gate.open();
        assert!(closing.join().unwrap().is_done());
    }
}

#[test]
fn handler_does_not_wait_for_its_own_full_queue() {
    let (gate, seen) = (Gate::closed(), Log::new());
    let itself = Arc::new(Mutex::new(None::<Queue<u64>>));
    let queue = Queue::builder()
        .workers(2)
        .capacity(1)
        .overflow(Overflow::Block)
        .spawn_each(|_| {
            let (gate, seen, itself) = (gate.clone(), seen.clone(), itself.clone());
            move |_: u64| {
                gate.pass();
                let queue = itself.lock().unwrap().clone();
                if let Some(queue) = queue {
                    seen.push((outcome(queue.write(9)) == Outcome::Full(9), queue.close().finish));
                }
            }
        })
        .unwrap();
    (0..2).for_each(|event| {
        queue.write(event).unwrap();
        gate.wait_reached(event as usize + 1);
    });
    queue.write(2).unwrap();
    *itself.lock().unwrap() = Some(queue.clone());
    gate.permit(1);
    wait_for(|| seen.entries().len() == 1);
    assert_eq!(seen.entries()[0], (true, Finish::Pending));
    gate.open();
    itself.lock().unwrap().take();
    ends(move || assert!(queue.close().is_done()));
}

#[test]
fn panic_drops_only_the_event_of_its_worker() {
    let errors = Log::new();
    let hook = errors.clone();
    let queue = Queue::builder()
        .workers(3)
        .capacity(128)
        .on_error(move |error| hook.push(error.to_string()))
        .spawn_each(|_| |event: u64| assert!(!event.is_multiple_of(10), "a tenth"))
        .unwrap();
    (0..100).for_each(|event| queue.write(event).unwrap());
    flush(&queue);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.panicked), (90, 10));
    assert_eq!(errors.entries().len(), 10);
    assert_eq!(queue.state().status, SinkStatus::Open);
    assert!(queue.close().is_done());
}

#[test]
fn repeated_panics_of_a_worker_close_the_queue() {
    let panicked = Arc::new(AtomicUsize::new(0));
    let queue = Queue::builder()
        .workers(2)
        .close_after_panics(3)
        .spawn_each(|_| {
            let panicked = panicked.clone();
            move |_: u64| -> () {
                panicked.fetch_add(1, Ordering::Relaxed);
                panic!("always")
            }
        })
        .unwrap();
    // Five panics of two workers include three of one worker.
    let accepted = (0..5).filter(|event| queue.write(*event).is_ok()).count() as u64;
    wait_for(|| queue.state().status != SinkStatus::Open);
    assert!(queue.close().is_done());
    assert!(panicked.load(Ordering::Relaxed) >= 3);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.dropped.panicked, ledger.delivered), (accepted, 0));
}

#[test]
fn shared_inner_sink_is_flushed_and_closed_once() {
    struct Slow(Gate, Mutex<Vec<&'static str>>);
    impl Sink<u64> for Slow {
        fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
            if event == 0 {
                self.0.pass();
            }
            self.1.lock().unwrap().push("write");
            Ok(())
        }

        fn close_by(&self, _: Deadline) -> buslane::stats::CloseReport {
            self.1.lock().unwrap().push("close");
            buslane::stats::CloseReport::failed("once")
        }

        fn flush_by(&self, _: Deadline, _: &mut buslane::stats::FlushReport) {
            self.1.lock().unwrap().push("flush");
        }
    }
    let gate = Gate::closed();
    let sink = Arc::new(Slow(gate.clone(), Mutex::default()));
    let queue = Queue::builder().workers(3).spawn_sink(sink.clone()).unwrap();
    queue.write(1).unwrap();
    flush(&queue);
    queue.write(0).unwrap();
    gate.wait_reached(1);
    let closer = queue.clone();
    let closing = waits(move || closer.close_timeout(GUARD));
    gate.open();
    assert_eq!(closing.join().unwrap().errors.len(), 1);
    assert_eq!(*sink.1.lock().unwrap(), ["write", "flush", "write", "close"]);
    drop(queue);
    assert_eq!(Arc::strong_count(&sink), 1, "the workers have dropped the sink");
}

#[test]
fn closed_sink_closes_the_queue() {
    let (channel, receiver) = Channel::<u64>::lossy(4).unwrap();
    let queue = Queue::builder().workers(2).spawn_sink(channel).unwrap();
    drop(receiver);
    wait_for(|| queue.write(1).is_err());
    assert!(queue.close().is_done());
    assert_balanced(&queue.state());
}

#[test]
fn last_handle_drop_lets_the_workers_drain() {
    let (drops, handled) = (Drops::default(), Arc::new(AtomicUsize::new(0)));
    let queue = Queue::builder()
        .workers(2)
        .spawn_each(|_| {
            let handled = handled.clone();
            move |_| {
                handled.fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap();
    (0..50).for_each(|id| assert!(queue.write(drops.track(id)).is_ok()));
    drop(queue.clone());
    drop(queue);
    // The drop waits for half a second at most, and an event is dropped after it was handled.
    wait_for(|| handled.load(Ordering::Relaxed) == 50 && drops.ids().len() == 50);
    assert_eq!(drops.ids(), (0..50).collect::<Vec<_>>());
}

#[test]
fn removed_queue_receives_no_more_bus_events() {
    let (gate, bus) = (Gate::closed(), Bus::new());
    let at = gate.clone();
    let queue = Queue::builder().workers(2).spawn_sink(sink_fn(move |_: &u64| at.pass())).unwrap();
    let id = bus.add(queue.clone()).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    bus.remove(id).unwrap();
    let _ = publisher.publish(2).unwrap();
    let _ = bus.publish(3).unwrap();
    assert_eq!(assert_balanced(&queue.state()).accepted, 1);
    gate.open();
    let mut entry = Entry::into(&queue, Way::Shared);
    entry.write(4).unwrap();
    assert!(queue.close().is_done());
    assert_eq!(assert_balanced(&queue.state()).delivered, 2);
}
