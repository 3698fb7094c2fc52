//! A close or an abort ends a wait at once, and an upstream queue drops nothing before its
//! deadline.

use super::{By, HOUR, MILLI, SECOND, describe, flaky};
use buslane::error::TryRecvError;
use buslane::retry::{Breaker, Next};
use buslane::stats::{DropReason, Finish};
use buslane::testing::{Gate, ManualClock, Panicking};
use buslane::time::Deadline;
use buslane::{Bus, Channel, Queue, Sink, SinkExt, sink_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use test_support::{GUARD, Log, Outcome, assert_balanced, ends, outcome, wait_for};

#[test]
fn a_close_or_an_abort_ends_a_wait_of_an_hour_at_once() {
    for abort in [false, true] {
        let gate = Gate::closed();
        let at = gate.clone();
        let down = sink_fn(move |_: &u64| {
            at.pass();
            Err("down")
        });
        let retry = Arc::new(down.retry(By(|_| Next::After(HOUR))));
        let writing = retry.clone();
        gate.open();
        let writer = thread::spawn(move || writing.write(1));
        gate.wait_reached(1);
        if abort {
            retry.abort_now();
        } else {
            assert!(retry.close_by(Deadline::NEVER).is_done());
        }
        assert_eq!(ends(move || outcome(writer.join().unwrap())), Outcome::Closed(1));
        assert_eq!(outcome(retry.write(2)), Outcome::Closed(2), "later writes fail at once");
        let closed = retry.reports_closed();
        assert!(closed);
        let ledger = assert_balanced(&describe(&*retry));
        assert_eq!(ledger.refused.closed, 2);
    }
}

#[test]
fn abort_ends_a_policy_that_never_waits() {
    let sink = flaky(|_, _| true);
    let retry = Arc::new(sink.clone().retry(By(|_| Next::Again)));
    let writing = retry.clone();
    let writer = thread::spawn(move || writing.write(1));
    wait_for(|| sink.attempts() > 10);
    retry.abort_now();
    assert_eq!(ends(move || outcome(writer.join().unwrap())), Outcome::Closed(1));
}

#[test]
fn closed_queue_retries_until_the_sink_recovers() {
    let clock = ManualClock::hurrying();
    let sink = flaky(|attempt, _| attempt < 20);
    let retry = sink.clone().retry(Breaker::new(5, SECOND).clock(clock.clone())).clock(clock);
    let queue = retry.queue(16).unwrap();
    for event in 0..10 {
        queue.write(event).unwrap();
    }
    assert!(queue.close_timeout(GUARD).is_done());
    assert_eq!(sink.taken.entries(), (0..10).collect::<Vec<_>>());
    assert!(sink.is_closed());
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.pending), (10, 0));
}

#[test]
fn close_of_a_failing_queue_counts_each_event_once() {
    let gate = Gate::closed();
    let (at, dropped) = (gate.clone(), Log::new());
    let hook = dropped.clone();
    let down = sink_fn(move |_: &u64| {
        at.pass();
        Err("down")
    });
    let retry = Arc::new(down.retry(By(|_| Next::After(HOUR))));
    let queue = Queue::builder().capacity(16).on_drop(move |event: u64, reason| hook.push((event, reason)));
    let queue = queue.spawn_sink(retry.clone()).unwrap();
    for event in 0..10 {
        queue.write(event).unwrap();
    }
    gate.open();
    gate.wait_reached(1);
    let closing = queue.clone();
    let report = ends(move || closing.close_timeout(MILLI));
    assert_eq!(report.finish, Finish::TimedOut);
    assert!(report.undelivered >= 9, "{report}");
    // The worker's wait ends at once, and the worker ends.
    wait_for(|| queue.state().ledger.pending == 0);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.dropped.failed, ledger.dropped.aborted), (1, 9));
    wait_for(|| dropped.entries().len() == 10);
    assert_eq!(dropped.entries()[0], (0, DropReason::Failed));
    assert!(dropped.entries()[1..].iter().all(|(_, reason)| *reason == DropReason::Aborted));
}

#[test]
fn a_bus_over_a_direct_retry_closes_at_its_deadline() {
    let gate = Gate::closed();
    let at = gate.clone();
    let down = sink_fn(move |_: &u64| {
        at.pass();
        Err("down")
    });
    gate.open();
    let bus = Bus::new();
    bus.add(down.retry(By(|_| Next::After(HOUR)))).unwrap();
    let publishing = bus.clone();
    let publisher = thread::spawn(move || publishing.publish(1).is_ok());
    gate.wait_reached(1);
    let closing = bus.clone();
    // The close times out, or is done if the publish ended before the close checked again.
    let _ = ends(move || closing.close_timeout(MILLI));
    ends(move || publisher.join().unwrap());
    let ledger = assert_balanced(&bus.snapshot().sinks[0].state);
    assert_eq!((ledger.offered, ledger.refused.closed), (1, 1));
}

#[test]
fn controls_reach_the_inner_sink_and_the_dead_letters() {
    struct Probe<E>(Log<&'static str>, std::marker::PhantomData<fn(E)>);
    impl<E> Sink<E> for Probe<E> {
        fn write(&self, _: E) -> Result<(), buslane::WriteError<E>> {
            Ok(())
        }
        fn close_by(&self, _: Deadline) -> buslane::stats::CloseReport {
            self.0.push("close");
            buslane::stats::CloseReport::failed("no")
        }
        fn flush_by(&self, _: Deadline, _: &mut buslane::stats::FlushReport) {
            self.0.push("flush");
        }
        fn abort_now(&self) {
            self.0.push("abort");
        }
        fn end_of_batch(&self) {
            self.0.push("end of batch");
        }
        fn tick(&self, _: std::time::Instant) -> Option<std::time::Instant> {
            self.0.push("tick");
            None
        }
        fn reports_closed(&self) -> bool {
            self.0.push("is closed");
            false
        }
        fn describe(&self, _: &mut buslane::stats::SinkState) {
            self.0.push("describe");
        }
    }
    let (inner, dead) = (Log::new(), Log::new());
    let probe = Probe::<u64>(inner.clone(), std::marker::PhantomData);
    let letters = Probe(dead.clone(), std::marker::PhantomData);
    let retry = probe.retry(By(|_| Next::GiveUp)).dead_letters(letters);
    let mut report = buslane::stats::FlushReport::default();
    retry.end_of_batch();
    retry.flush_by(Deadline::NOW, &mut report);
    assert_eq!((retry.tick(std::time::Instant::now()), retry.reports_closed()), (None, false));
    let _ = describe(&retry);
    retry.abort_now();
    let report = retry.close_by(Deadline::NOW);
    assert_eq!(report.errors, ["no", "dead letters: no"]);
    // The dead letters accept letters until the retry is closed, and are aborted last.
    assert_eq!(dead.entries(), ["end of batch", "flush", "tick", "close", "abort"]);
    assert_eq!(inner.entries(), ["end of batch", "flush", "tick", "is closed", "describe", "abort", "close"]);
}

#[test]
fn close_during_an_attempt_keeps_its_acceptance() {
    // The close happens between an attempt and its answer: the answer counts.
    let gate = Gate::closed();
    let (at, answered) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let seen = answered.clone();
    let sink = sink_fn(move |_: &u64| {
        at.pass();
        seen.store(true, Ordering::SeqCst);
    });
    let retry = Arc::new(sink.retry(By(|_| Next::Again)));
    let writing = retry.clone();
    let writer = thread::spawn(move || writing.write(1));
    gate.wait_reached(1);
    assert!(retry.close_by(Deadline::NOW).is_done());
    gate.open();
    assert_eq!(outcome(writer.join().unwrap()), Outcome::Accepted);
    assert!(answered.load(Ordering::SeqCst));
}

#[test]
fn e4_close_ends_a_retry_wait_downstream_of_a_batch() {
    let gate = Gate::closed();
    let at = gate.clone();
    let down = sink_fn(move |_: &Vec<u64>| {
        at.pass();
        Err("down")
    });
    gate.open();
    let bus = Bus::new();
    bus.add(down.retry(By(|_| Next::After(HOUR))).batch(1).filter(|_: &u64| true)).unwrap();
    let publishing = bus.clone();
    let publisher = thread::spawn(move || publishing.publish(1).is_ok());
    gate.wait_reached(1);
    let report = ends(move || bus.close_timeout(MILLI));
    assert_ne!(report.finish, Finish::Pending);
    ends(move || publisher.join().unwrap());
}

#[test]
fn panic_in_close_still_closes_the_dead_letters() {
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let sink = Panicking::<u64>::new().on_close().retry(By(|_| Next::GiveUp)).dead_letters(letters);
    let report = sink.close_by(Deadline::NEVER);
    assert_eq!(report.errors.len(), 1, "{report}");
    assert_eq!(dead.try_recv().map(|letter| letter.event), Err(TryRecvError::Closed));
}

#[test]
fn real_timeout_ignores_the_manual_clock() {
    let clock = ManualClock::new();
    clock.advance(HOUR * 24);
    let taken = flaky(|attempt, _| attempt == 0);
    let sink = taken.clone().retry(By(|_| Next::Again)).clock(clock).timeout(GUARD);
    assert_eq!(outcome(sink.write(1)), Outcome::Accepted, "the timeout uses real time");
}
