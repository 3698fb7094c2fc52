//! Closes that end at their deadline: every event still has one end, and each event that a retry
//! held becomes a dead letter.

use super::probe::{Letters, retries};
use buslane::retry::Backoff;
use buslane::stats::{Disposition, DropReason, Finish};
use buslane::testing::{Collect, Gate};
use buslane::time::Deadline;
use buslane::{Channel, Queue, Sink, SinkExt, WriteError, sink_fn};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use test_support::limit;

const HOUR: Duration = Duration::from_secs(3600);
const GUARD: Duration = limit::scaled(Duration::from_secs(30));

/// Waits an hour after each failure, and never gives up.
fn patient() -> Backoff {
    Backoff::new(HOUR, HOUR)
}

#[track_caller]
fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < GUARD, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Returns a sink that always fails, and a receiver that reports each attempt.
fn failing() -> (impl Sink<u64>, mpsc::Receiver<u64>) {
    let (sender, attempts) = mpsc::channel();
    let sink = sink_fn(move |event: &u64| {
        let _ = sender.send(*event);
        Err("no route")
    });
    (sink, attempts)
}

#[test]
fn expired_close_dead_letters_events_in_back_off() {
    for workers in [1, 3] {
        let context = format!("{workers} workers");
        let (letters, (sink, attempts)) = (Letters::new(), failing());
        let retry = sink.retry(patient()).dead_letters(letters.clone());
        let queue = Queue::builder().capacity(64).workers(workers).spawn_sink(retry).unwrap();
        (0..10).for_each(|event| queue.write(event).unwrap());
        (0..workers).for_each(|_| assert!(attempts.recv_timeout(GUARD).is_ok()));
        assert_eq!(queue.close_timeout(Duration::ZERO).finish, Finish::TimedOut, "{context}");
        wait_for("the workers' end", || queue.state().ledger.pending == 0);
        let state = queue.state();
        assert_eq!(state.ledger.check(), Ok(()), "{context}");
        let (ledger, sent) = (state.ledger, letters.len() as u64);
        assert!(sent >= workers as u64, "{context}: {sent} letters");
        assert_eq!((ledger.delivered, ledger.dropped.failed), (0, sent), "{context}: {ledger}");
        assert_eq!(ledger.dropped.aborted, 10 - sent, "{context}: {ledger}");
        assert_eq!(retries(&state).letters_sent, sent, "{context}");
        assert!(letters.events().iter().all(|letter| letter.error.is_closed()), "{context}");
    }
}

#[test]
fn expired_close_dead_letters_a_batch_in_back_off() {
    let (letters, (sender, attempts)) = (Collect::new(), mpsc::channel());
    let sink = sink_fn(move |batch: &Vec<u64>| {
        let _ = sender.send(batch.clone());
        Err("no route")
    });
    let queue = sink.retry(patient()).dead_letters(letters.clone()).batch(3).queue(64).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    attempts.recv_timeout(GUARD).unwrap();
    assert_eq!(queue.close_timeout(Duration::ZERO).finish, Finish::TimedOut);
    wait_for("the worker's end", || queue.state().ledger.pending == 0);
    let ledger = queue.state().ledger;
    assert_eq!(ledger.check(), Ok(()));
    let lettered: u64 = letters.events().iter().map(|letter| letter.event.len() as u64).sum();
    assert!(lettered >= 3, "{lettered}");
    assert_eq!((ledger.delivered, ledger.dropped.failed), (0, lettered), "{ledger}");
}

#[test]
fn expired_close_dead_letters_parked_events() {
    let (letters, (sink, attempts)) = (Letters::new(), failing());
    let queue =
        sink.retry_by_key(|event| event % 3, patient()).dead_letters(letters.clone()).queue(64).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    (0..3).for_each(|_| assert!(attempts.recv_timeout(GUARD).is_ok()));
    wait_for("the worker", || queue.state().depth == 0);
    assert_eq!(queue.state().ledger.pending, 10, "set aside");
    let _ = queue.close_timeout(Duration::ZERO);
    wait_for("the worker's end", || queue.state().ledger.pending == 0);
    let state = queue.state();
    assert_eq!(state.ledger.check(), Ok(()));
    assert_eq!((state.ledger.delivered, state.ledger.dropped.failed), (0, 10), "{}", state.ledger);
    assert_eq!((letters.len(), retries(&state).letters_sent), (10, 10));
}

#[test]
fn interrupted_retry_dead_letters_until_its_close() {
    let (letters, (sink, attempts)) = (Letters::new(), failing());
    let retry = sink.retry(patient()).dead_letters(letters.clone());
    retry.abort_now();
    assert_eq!(retry.offer(1).unwrap(), Disposition::Dropped(DropReason::Failed));
    assert_eq!((letters.len(), attempts.try_recv().is_err()), (1, true), "no further attempt is made");
    assert!(retry.close_by(Deadline::NOW).is_done());
    assert!(matches!(retry.offer(2), Err(WriteError::Closed(2))), "a write after the close");
}

#[test]
fn lost_dead_letters_are_counted() {
    let (channel, _dead) = Channel::lossy(1).unwrap(); // drops the newest
    let (sink, _attempts) = failing();
    let policy = Backoff::default().max_attempts(1);
    let queue = sink.retry(policy).dead_letters(channel).queue(64).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    assert!(queue.close().is_done());
    let state = queue.state();
    let retry = &state.retries[0];
    assert_eq!((retry.given_up, retry.letters_sent, retry.letters_lost), (10, 1, 9));
    assert_eq!((state.ledger.delivered, state.ledger.dropped.failed), (0, 10));
}

#[test]
fn event_in_a_stuck_sink_stays_pending() {
    let (gate, seen) = (Gate::closed(), Collect::new());
    let (passing, into) = (gate.clone(), seen.clone());
    let stuck = sink_fn(move |event: &u64| {
        passing.pass();
        let _ = Sink::write(&into, *event);
    });
    let queue = stuck.queue(64).unwrap().queue(64).unwrap();
    (0..10).for_each(|event| queue.write(event).unwrap());
    gate.wait_reached(1);
    let _ = queue.close_timeout(Duration::ZERO);
    gate.open();
    wait_for("the worker's end", || queue.state().ledger.pending == 0);
    let ledger = queue.state().ledger;
    assert_eq!(ledger.check(), Ok(()));
    assert_eq!((ledger.delivered, ledger.offered), (seen.len() as u64, 10), "{ledger}");
    assert_eq!(ledger.dropped.total(), 10 - seen.len() as u64, "{ledger}");
}
