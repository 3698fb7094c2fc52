//! Backoff by key: order within a key, progress of other keys, ticks, flush, close, bounds, and the
//! ledger.

use super::{By, MILLI, SECOND, describe, flaky};
use buslane::error::ConfigErrorKind;
use buslane::retry::{Backoff, Next};
use buslane::stats::{Disposition, Finish, FlushReport, Ledger, SinkStatus};
use buslane::testing::{Gate, ManualClock};
use buslane::time::Clock;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Overflow, Queue, Sink, SinkExt, sink_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use test_support::{GUARD, Log, Outcome, assert_balanced, ends, invalid, outcome, wait_for};

/// Returns the key of an event: its hundreds.
fn key(event: &u64) -> u64 {
    event / 100
}

fn tick(sink: &impl Sink<u64>, clock: &ManualClock) -> Option<Instant> {
    sink.tick(clock.now())
}

fn write_all(sink: &impl Sink<u64>, events: impl IntoIterator<Item = u64>) {
    events.into_iter().for_each(|event| assert_eq!(outcome(sink.write(event)), Outcome::Accepted));
}

fn books(sink: &impl Sink<u64>) -> Ledger {
    assert_balanced(&describe(sink))
}

#[test]
fn failed_key_keeps_its_order_while_others_continue() {
    let clock = ManualClock::new();
    let down = Arc::new(AtomicBool::new(true));
    let is_down = down.clone();
    let sink = flaky(move |_, event| key(&event) == 1 && is_down.load(Ordering::SeqCst));
    let retry = sink.clone().retry_by_key(key, By(|_| Next::After(SECOND))).clock(clock.clone());
    write_all(&retry, [100, 200, 101, 201, 102]);
    assert_eq!(sink.taken.entries(), [200, 201]);
    assert_eq!(sink.attempts(), 3, "the failed key is not tried before its backoff ends");
    let ledger = books(&retry);
    assert_eq!((ledger.offered, ledger.delivered, ledger.pending), (5, 2, 3));
    assert_eq!(describe(&retry).depth, 3);
    assert_eq!(tick(&retry, &clock), Some(clock.now() + SECOND));
    clock.advance(SECOND);
    assert_eq!(tick(&retry, &clock), Some(clock.now() + SECOND));
    assert_eq!(sink.attempts(), 4, "one attempt, and the other events of the key wait");
    down.store(false, Ordering::SeqCst);
    write_all(&retry, [103]);
    clock.advance(SECOND);
    assert_eq!(tick(&retry, &clock), None);
    assert_eq!(sink.taken.entries(), [200, 201, 100, 101, 102, 103]);
    let ledger = books(&retry);
    assert_eq!((ledger.delivered, ledger.pending), (6, 0));
    write_all(&retry, [104]);
    assert_eq!(sink.taken.entries().last(), Some(&104), "the key has no deferred events left");
}

#[test]
fn tick_does_bounded_work_and_requests_another() {
    let clock = ManualClock::new();
    let sink = flaky(|attempt, _| attempt == 0);
    let retry = sink.clone().retry_by_key(key, By(|_| Next::After(SECOND))).clock(clock.clone());
    write_all(&retry, 0..100);
    assert_eq!(tick(&retry, &clock), Some(clock.now() + SECOND));
    clock.advance(SECOND);
    assert_eq!(tick(&retry, &clock), Some(clock.now()), "there is more to do");
    assert!(sink.taken.entries().len() < 100);
    while tick(&retry, &clock).is_some() {}
    assert_eq!(sink.taken.entries(), (0..100).collect::<Vec<_>>());
}

#[test]
fn events_over_capacity_are_refused_or_dead_letters() {
    let fails = || flaky(|_, _| true).retry_by_key(key, By(|_| Next::After(SECOND))).capacity(2);
    let retry = fails();
    write_all(&retry, [100, 101]);
    assert_eq!(outcome(retry.write(102)), Outcome::Full(102));
    assert_eq!(outcome(retry.write(200)), Outcome::Full(200));
    let ledger = books(&retry);
    assert_eq!((ledger.offered, ledger.refused.full, ledger.pending), (4, 2, 2));

    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let retry = fails().dead_letters(letters);
    write_all(&retry, [100, 101, 102]);
    assert_eq!(dead.recv().unwrap().event, 102);
    let ledger = books(&retry);
    assert_eq!((ledger.offered, ledger.dropped.failed, ledger.pending), (3, 1, 2));
    let refused = flaky(|_, _| true).retry_by_key(key, Backoff::default()).capacity(0).queue(1);
    assert_eq!(invalid(refused), ConfigErrorKind::Capacity);
}

#[test]
fn abandoned_event_is_a_dead_letter_or_failed() {
    let policy = || By(|attempt| if attempt < 2 { Next::After(SECOND) } else { Next::GiveUp });
    let (letters, mut dead) = Channel::lossy(8).unwrap();
    let clock = ManualClock::new();
    let with = flaky(|_, _| true).retry_by_key(key, policy()).clock(clock.clone()).dead_letters(letters);
    let without = flaky(|_, _| true).retry_by_key(key, policy()).clock(clock.clone());
    write_all(&with, [1]);
    write_all(&without, [1]);
    clock.advance(SECOND);
    assert_eq!((tick(&with, &clock), tick(&without, &clock)), (None, None));
    let letter = dead.recv().unwrap();
    assert_eq!((letter.event, letter.attempts), (1, 2));
    for ledger in [books(&with), books(&without)] {
        assert_eq!((ledger.offered, ledger.dropped.failed, ledger.pending), (1, 1, 0));
    }
}

#[test]
fn panics_in_sink_and_key_function_are_counted() {
    let clock = ManualClock::new();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let sink = sink_fn(move |_: &u64| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err("down"),
        1 => panic!("the second attempt"),
        _ => Ok(()),
    });
    let asks = |event: &u64| {
        assert_ne!(*event, 999);
        key(event)
    };
    let retry = sink.retry_by_key(asks, By(|_| Next::After(SECOND))).clock(clock.clone());
    write_all(&retry, [1, 2]);
    assert_eq!(outcome(retry.write(999)), Outcome::Failed(999));
    clock.advance(SECOND);
    assert_eq!(tick(&retry, &clock), None);
    let ledger = books(&retry);
    assert_eq!((ledger.dropped.panicked, ledger.delivered, ledger.refused.failed), (1, 1, 1));
}

#[test]
fn flush_and_close_wait_for_deferred_events() {
    for close in [false, true] {
        let clock = ManualClock::hurrying();
        let sink = flaky(|attempt, _| attempt < 10);
        let retry = sink.clone().retry_by_key(key, By(|_| Next::After(SECOND))).clock(clock.clone());
        write_all(&retry, [100, 101, 200]);
        if close {
            assert!(retry.close_by(Deadline::NEVER).is_done());
            assert!(sink.is_closed());
            assert_eq!(outcome(retry.write(1)), Outcome::Closed(1));
        } else {
            let mut report = FlushReport::default();
            retry.flush_by(Deadline::NEVER, &mut report);
            assert!(report.is_done());
        }
        let mut taken = sink.taken.entries();
        taken.sort_unstable();
        assert_eq!(taken, [100, 101, 200]);
        assert!(clock.passed() > SECOND);
        assert_eq!(books(&retry).pending, 0);
    }
}

#[test]
fn close_deadline_aborts_or_dead_letters_the_rest() {
    for keep in [false, true] {
        let clock = ManualClock::hurrying();
        let sink = flaky(|_, event| event < 200);
        let (letters, mut dead) = Channel::lossy(8).unwrap();
        let mut retry = sink.clone().retry_by_key(key, By(|_| Next::After(SECOND))).clock(clock.clone());
        if keep {
            retry = retry.dead_letters(letters);
        }
        write_all(&retry, [100, 101, 200]);
        let mut report = FlushReport::default();
        retry.flush_by(Deadline::at(clock.now() + 5 * SECOND), &mut report);
        assert_eq!(report.finish, Finish::TimedOut);
        let report = retry.close_by(Deadline::at(clock.now() + 5 * SECOND));
        assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 2));
        assert_eq!(retry.close_by(Deadline::NEVER), report);
        let ledger = books(&retry);
        assert_eq!((ledger.offered, ledger.delivered, ledger.pending), (3, 1, 0));
        if keep {
            assert_eq!(ledger.dropped.failed, 2);
            assert_eq!(dead.drain().map(|letter| letter.event).collect::<Vec<_>>(), [100, 101]);
        } else {
            assert_eq!(ledger.dropped.aborted, 2);
        }
        assert_eq!(tick(&retry, &clock), None);
    }
}

#[test]
fn abort_ends_the_wait_of_a_close() {
    let clock = ManualClock::new();
    let retry = flaky(|_, _| true).retry_by_key(key, By(|_| Next::After(SECOND))).clock(clock.clone());
    let retry = Arc::new(retry);
    write_all(&*retry, [1, 2]);
    let closing = retry.clone();
    let closer = std::thread::spawn(move || closing.close_by(Deadline::NEVER));
    clock.await_sleepers(1);
    assert_eq!(describe(&*retry).status, SinkStatus::Closed, "two events are left");
    retry.abort_now();
    let report = ends(move || closer.join().unwrap());
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 2));
    assert_eq!(books(&*retry).dropped.aborted, 2);
    assert_eq!(describe(&*retry).status, SinkStatus::Drained);
}

#[test]
fn queue_ticks_drive_the_keyed_retry() {
    let log = Log::new();
    let handled = log.clone();
    let failed = std::sync::Mutex::new(std::collections::HashSet::new());
    let sink = sink_fn(move |event: &u64| {
        // Each event fails once, but those of key 3 never fail.
        if key(event) != 3 && test_support::lock(&failed).insert(*event) {
            return Err("once");
        }
        handled.push(*event);
        Ok(())
    });
    let backoff = Backoff::new(MILLI, 2 * MILLI);
    let retry = Arc::new(sink.retry_by_key(key, backoff));
    let queue = Queue::builder().capacity(64).overflow(Overflow::Block).spawn_sink(retry.clone()).unwrap();
    let bus = Bus::new();
    bus.add(queue.clone()).unwrap();
    for event in 0..40 {
        let _ = bus.publish((event % 4) * 100 + event / 4);
    }
    // There are no further writes: only ticks drive the retry.
    wait_for(|| log.entries().len() == 40);
    for wanted in 0..4 {
        let of_key: Vec<_> = log.entries().into_iter().filter(|event| key(event) == wanted).collect();
        assert_eq!(of_key, (0..10).map(|n| wanted * 100 + n).collect::<Vec<_>>());
    }
    wait_for(|| books(&*retry).pending == 0);
    assert!(queue.close_timeout(GUARD).is_done());
    assert_balanced(&queue.state());
    assert_eq!(books(&*retry).delivered, 40);
}

#[test]
fn ticks_of_the_owning_worker_drive_the_retry() {
    let (log, failed) = (Log::new(), std::sync::Mutex::new(std::collections::HashSet::new()));
    let handled = log.clone();
    let sink = sink_fn(move |event: &u64| {
        if test_support::lock(&failed).insert(*event) {
            return Err("once");
        }
        handled.push(*event);
        Ok(())
    });
    let retry = sink.retry_by_key(key, Backoff::new(MILLI, 2 * MILLI));
    let queue = Queue::builder().workers(4).spawn_sink(retry).unwrap();
    for event in 0..12 {
        queue.write(event).unwrap();
        // There are no other writes, and every other worker is parked.
        wait_for(|| log.entries().len() as u64 == event + 1);
    }
    assert!(queue.close().is_done());
}

#[test]
fn deferred_event_counts_once_in_the_ledger() {
    let clock = ManualClock::new();
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Refuse).build().unwrap();
    let retry = channel.retry_by_key(key, By(|_| Next::After(SECOND))).clock(clock.clone());
    write_all(&retry, [1, 2, 300]);
    let ledger = books(&retry);
    assert_eq!((ledger.pending, ledger.refused.full), (3, 0), "one event in the channel, two deferred");
    assert_eq!(receiver.recv(), Ok(1));
    clock.advance(SECOND);
    tick(&retry, &clock);
    assert_eq!(receiver.recv(), Ok(2));
    clock.advance(SECOND);
    tick(&retry, &clock);
    assert_eq!(receiver.recv(), Ok(300));
    let ledger = books(&retry);
    assert_eq!((ledger.delivered, ledger.pending), (3, 0));
}

/// An event whose destructor waits at a gate.
struct Held(Gate);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.pass();
    }
}

#[test]
fn event_in_hand_counts_before_the_retry_is_drained() {
    let (attempts, drops) = (Gate::closed(), Gate::closed());
    let (at, has_failed) = (attempts.clone(), AtomicBool::new(false));
    // The second attempt is in hand when the close runs out of time.
    let sink = sink_fn(move |_: &Held| {
        if has_failed.swap(true, Ordering::SeqCst) {
            at.pass();
        }
        Err("down")
    });
    let clock = ManualClock::new();
    let retry = sink.retry_by_key(|_: &Held| 0, By(|_| Next::After(SECOND))).clock(clock.clone());
    let retry = Arc::new(retry);
    assert_eq!(retry.offer(Held(drops.clone())).ok(), Some(Disposition::Pending));
    clock.advance(SECOND);
    let (ticked, now) = (retry.clone(), clock.now());
    let ticking = std::thread::spawn(move || ticked.tick(now));
    attempts.wait_reached(1);
    let report = retry.close_by(Deadline::NOW);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 1));
    attempts.open();
    // The event is given up, and does not count yet.
    drops.wait_reached(1);
    let state = describe(&*retry);
    assert_eq!((state.status, state.ledger.pending), (SinkStatus::Closed, 1));
    drops.open();
    ends(move || ticking.join().unwrap());
    let state = describe(&*retry);
    assert_eq!((state.status, assert_balanced(&state).dropped.aborted), (SinkStatus::Drained, 1));
}
