//! Batches that the inner sink refuses.

use super::script::Answer::{Close, Fail, FailFirst, Full, Panic, Reentrant, Take, Timeout};
use super::{HOUR, SECOND, batch, tick, write_all};
use buslane::stats::{Finish, FlushReport, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Overflow, Queue, Sink, SinkExt, sink_fn};
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_support::{Drops, GUARD, Outcome, assert_balanced, outcome, wait_for};

#[test]
fn refused_batch_is_kept_and_overflow_is_refused() {
    for answer in [Full, Timeout, Reentrant] {
        let (batch, script) = batch(2);
        script.answer([answer; 3]);
        write_all(&batch, [1, 2, 3, 4]);
        assert_eq!(outcome(batch.write(5)), Outcome::Full(5));
        let ledger = assert_balanced(&batch.state());
        assert_eq!((ledger.pending, ledger.refused.full, ledger.delivered), (4, 1, 0));
        // There is room again, and the order is kept.
        write_all(&batch, [6]);
        assert_eq!(script.batches(), [[1, 2], [3, 4]], "{answer:?}");
        assert_eq!(assert_balanced(&batch.state()).pending, 1);
    }
}

#[test]
fn refused_batch_is_offered_again_at_a_tick() {
    let (batch, script) = batch(2);
    script.answer([Full, Full]);
    write_all(&batch, [1, 2]);
    let now = Instant::now();
    assert_eq!(tick(&batch, now), Some(now + Duration::from_millis(100)), "the batch is refused again");
    assert_eq!(tick(&batch, now), None);
    assert_eq!(script.batches(), [[1, 2]]);

    // A shorter age brings the next offer forward, and an event younger than that age stays.
    let batch = batch.age(Duration::from_millis(30));
    script.answer([Full, Full]);
    write_all(&batch, [3, 4, 5]);
    assert_eq!(tick(&batch, now), Some(now + Duration::from_millis(30)));
    assert_eq!(
        tick(&batch, now),
        Some(now + Duration::from_millis(30)),
        "the batch that is being filled has its own age"
    );
    assert_eq!(script.batches(), [[1, 2], [3, 4]]);
}

#[test]
fn worker_offers_a_batch_again_after_a_failed_flush() {
    let (batch, script) = batch(10);
    let queue = batch.queue(16).unwrap();
    // The batch is refused in the flush, at the next tick, and when the worker is asked again.
    script.answer([Full; 3]);
    write_all(&queue, [1]);
    let report = queue.flush_timeout(GUARD);
    assert_eq!(report.finish, Finish::TimedOut, "the inner sink refused the batch");
    wait_for(|| script.batches() == [[1]]);
    assert!(queue.close().is_done());
}

#[test]
fn flush_retries_while_progressing_then_times_out() {
    let (batch, script) = batch(2);
    let flush = || {
        let mut report = FlushReport::default();
        batch.flush_by(Deadline::after(HOUR), &mut report);
        report.finish
    };
    script.answer([Full; 3]);
    write_all(&batch, [1, 2, 3]);
    assert_eq!(flush(), Finish::TimedOut, "refused, then the inner sink flushed, then refused again");
    assert_eq!(script.signals(), ["flush", "flush"]);
    script.answer([Full, Take, Full, Take]);
    assert_eq!(flush(), Finish::Done);
    assert_eq!(script.batches(), [vec![1, 2], vec![3]]);
    assert_eq!(flush(), Finish::Done);
}

#[test]
fn close_counts_a_refused_rest_as_aborted() {
    let (batch, script) = batch(2);
    script.answer([Full; 10]);
    write_all(&batch, [1, 2, 3]);
    let report = batch.close_by(Deadline::after(HOUR));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 3));
    assert_eq!(batch.close_by(Deadline::NEVER), report);
    assert_eq!(script.signals().last().map(String::as_str), Some("close"));
    let state = batch.state();
    let ledger = assert_balanced(&state);
    assert_eq!((state.status, ledger.dropped.aborted, ledger.pending), (SinkStatus::Drained, 3, 0));
}

#[test]
fn failed_batch_is_counted_and_the_next_one_is_sent() {
    let (batch, script) = batch(2);
    script.answer([Fail]);
    write_all(&batch, [1, 2, 3, 4]);
    assert_eq!(script.batches(), [[3, 4]]);
    let state = batch.state();
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.dropped.failed, ledger.delivered), (2, 2));
    assert_eq!(state.last_error.as_deref(), Some("scripted"));
}

#[test]
fn only_returned_events_count_as_failed() {
    let (batch, script) = batch(4);
    script.answer([FailFirst(1)]);
    write_all(&batch, [1, 2, 3, 4]);
    assert_eq!(script.batches(), [[2, 3, 4]]);
    let ledger = assert_balanced(&batch.state());
    assert_eq!((ledger.dropped.failed, ledger.delivered), (1, 3));
}

#[test]
fn downstream_panic_costs_only_its_batch() {
    let (batch, script) = batch(2);
    script.answer([Panic]);
    write_all(&batch, [1, 2, 3, 4]);
    assert_eq!(script.batches(), [[3, 4]]);
    let state = batch.state();
    assert_eq!(assert_balanced(&state).dropped.panicked, 2);
    assert_eq!(state.last_error.as_deref(), Some("the sink panicked: scripted"));
}

#[test]
fn closed_downstream_sink_closes_the_batch() {
    let (batch, script) = batch(2);
    script.answer([Full, Close, Close]);
    write_all(&batch, [1, 2, 3, 4]);
    assert_eq!(outcome(batch.write(5)), Outcome::Closed(5));
    assert_eq!(script.signals(), ["close"]);
    let state = batch.state();
    let ledger = assert_balanced(&state);
    assert_eq!((state.status, ledger.dropped.failed, ledger.pending), (SinkStatus::Drained, 4, 0));
    assert!(batch.close_by(Deadline::NOW).is_done());
}

#[test]
fn events_that_are_given_up_are_dropped_once() {
    let drops = Drops::default();
    let failing = sink_fn(|_: &Vec<test_support::Tracked>| Err("no"));
    let batch = failing.batch(2);
    (0..4).for_each(|id| batch.write(drops.track(id)).unwrap());
    assert_eq!(drops.ids(), [0, 1, 2, 3]);
}

/// A batch whose downstream queue is full for a while. All events arrive, in order.
#[test]
fn full_downstream_queue_loses_no_event() {
    let gate = Gate::closed();
    let (worker_gate, (sender, results)) = (gate.clone(), std::sync::mpsc::channel());
    let slow = Queue::builder().capacity(1).overflow(Overflow::Refuse);
    let slow = slow
        .spawn(move |batch: Vec<u64>| {
            worker_gate.pass();
            sender.send(batch)
        })
        .unwrap();
    let batch = Arc::new(slow.batch(2).age(SECOND));
    // One batch is in the handler, one is in the ring, one is refused, and one is being filled.
    write_all(&batch, [1, 2]);
    gate.wait_reached(1);
    write_all(&batch, [3, 4, 5, 6, 7]);
    assert_eq!(assert_balanced(&batch.state()).pending, 7, "the queue has handled none");
    assert_eq!(batch.state().depth, 3);
    gate.open();
    let mut now = Instant::now();
    wait_for(|| {
        now += SECOND;
        tick(&batch, now);
        batch.state().depth == 0
    });
    let received: Vec<_> = results.iter().take(4).flatten().collect();
    assert_eq!(received, [1, 2, 3, 4, 5, 6, 7]);
    wait_for(|| batch.state().ledger.pending == 0);
    assert_eq!(assert_balanced(&batch.state()).delivered, 7);
}
