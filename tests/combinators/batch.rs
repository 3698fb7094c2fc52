//! Batches: when a batch is complete, what happens to one that the inner sink refuses, and the
//! ledger.

mod refused;
mod script;
mod workers;

use buslane::error::ConfigErrorKind;
use buslane::sink::Batch;
use buslane::sink::lane::Lanes;
use buslane::stats::{Finish, SinkKind, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Channel, Queue, Sink, SinkExt, noop};
use script::{Answer, Script};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use test_support::{Outcome, assert_balanced, ends, flush, invalid, outcome, wait_for};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Ticks the sink, and returns the time at which the sink wants its next tick.
fn tick<E>(sink: &impl Sink<E>, now: Instant) -> Option<Instant> {
    sink.tick(now)
}

/// Returns a batch of at most `count` events, and the script that is its inner sink.
fn batch(count: usize) -> (Batch<u64, Arc<Script>>, Arc<Script>) {
    let script = Script::new();
    (script.clone().batch(count), script)
}

fn write_all(sink: &impl Sink<u64>, events: impl IntoIterator<Item = u64>) {
    events.into_iter().for_each(|event| assert_eq!(outcome(sink.write(event)), Outcome::Accepted));
}

#[test]
fn batch_is_forwarded_at_its_size_limit() {
    let (batch, script) = batch(3);
    write_all(&batch, 0..7);
    assert_eq!(script.batches(), [vec![0, 1, 2], vec![3, 4, 5]]);
    let state = batch.state();
    assert_eq!(
        (state.kind, state.status, state.capacity, state.depth),
        (SinkKind::Batch, SinkStatus::Open, 3, 1)
    );
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.offered, ledger.delivered, ledger.pending), (7, 6, 1));
}

#[test]
fn batch_of_one_forwards_each_event_at_once() {
    let (batch, script) = batch(1);
    write_all(&batch, 0..3);
    assert_eq!(script.batches(), [[0], [1], [2]]);
}

#[test]
fn batch_is_forwarded_before_its_byte_limit() {
    let script = Script::new();
    let batch = script.clone().batch(100).bytes(10, |event: &u64| *event as usize);
    write_all(&batch, [4, 4, 3, 7, 20, 1, usize::MAX as u64, 2]);
    // With 3 the first batch would have 11 bytes. With 7 the second has exactly 10. An event of 20
    // exceeds the limit and is a batch by itself.
    assert_eq!(script.batches(), [vec![4, 4], vec![3, 7], vec![20], vec![1], vec![usize::MAX as u64]]);
    assert_eq!(assert_balanced(&batch.state()).pending, 1);
}

#[test]
fn batch_is_forwarded_at_the_age_of_its_first_event() {
    let (batch, script) = batch(100);
    let batch = batch.age(SECOND);
    let start = Instant::now();
    assert_eq!(tick(&batch, start), None, "an empty batch is never due");

    write_all(&batch, [1]);
    assert_eq!(tick(&batch, start), Some(start + SECOND));
    write_all(&batch, [2]);
    let half = start + SECOND / 2;
    assert_eq!(tick(&batch, half), Some(start + SECOND), "the age is that of the first event");
    assert_eq!(tick(&batch, start + SECOND), None);
    assert_eq!(script.batches(), [[1, 2]]);

    // The next batch has its own age.
    write_all(&batch, [3]);
    assert_eq!(tick(&batch, start + 5 * SECOND), Some(start + 6 * SECOND));
    assert_eq!(script.batches().len(), 1);
    assert_eq!(tick(&batch, start + 9 * SECOND), None, "a late tick forwards the batch");
    assert_eq!(script.batches(), [vec![1, 2], vec![3]]);
}

#[test]
fn next_batch_starts_with_an_age_of_its_own() {
    let (batch, script) = batch(2);
    let batch = batch.age(SECOND);
    let start = Instant::now();
    write_all(&batch, [1]);
    tick(&batch, start);
    write_all(&batch, [2, 3]);
    assert_eq!(tick(&batch, start + SECOND), Some(start + 2 * SECOND));
    assert_eq!(script.batches(), [[1, 2]]);
}

#[test]
fn tick_returns_the_earliest_due_time_or_none() {
    let now = Instant::now();
    // The inner batch is also ticked, and the earlier due time wins.
    for (outer, inner) in [(HOUR, SECOND), (SECOND, HOUR)] {
        let downstream = Arc::new(noop::<Vec<Vec<u64>>>().batch(2).age(inner));
        let batch = downstream.clone().batch(2).age(outer);
        downstream.write(vec![1]).unwrap();
        write_all(&batch, [1]);
        assert_eq!(tick(&batch, now), Some(now + SECOND));
    }

    let endless = noop().batch(2).age(Duration::MAX);
    write_all(&endless, [1]);
    assert_eq!(tick(&endless, now), None);
}

#[test]
fn end_of_batch_forwards_only_when_configured() {
    let (batch, script) = batch(10);
    write_all(&batch, [1]);
    batch.end_of_batch();
    assert_eq!(script.batches(), [[0; 0]; 0]);
    let batch = batch.at_end_of_batch();
    batch.end_of_batch();
    assert_eq!(script.batches(), [[1]]);
    assert_eq!(
        script.signals(),
        ["end of batch", "end of batch"],
        "the signal is forwarded to the inner sink"
    );
}

#[test]
fn flush_forwards_the_batch_then_flushes_downstream() {
    let (batch, script) = batch(10);
    let queue = Arc::new(batch).queue(64).unwrap();
    write_all(&queue, 0..4);
    flush(&queue);
    assert_eq!(script.batches(), [[0, 1, 2, 3]]);
    assert!(script.signals().contains(&"flush".into()));
    flush(&queue);
    assert_eq!(script.batches().len(), 1, "no event is forwarded twice, and no batch is empty");
}

#[test]
fn close_forwards_the_rest_then_closes_downstream() {
    let (batch, script) = batch(10);
    write_all(&batch, 0..4);
    assert!(batch.close_by(Deadline::NEVER).is_done());
    assert_eq!((script.batches(), script.signals()), (vec![vec![0, 1, 2, 3]], vec![String::from("close")]));
    assert_eq!(outcome(batch.write(9)), Outcome::Closed(9));
    assert!(batch.close_by(Deadline::NOW).is_done());
    assert_eq!(script.signals().len(), 1);
    let closed = batch.reports_closed();
    assert!(closed);
    let state = batch.state();
    let ledger = assert_balanced(&state);
    assert_eq!((state.status, ledger.delivered, ledger.refused.closed), (SinkStatus::Drained, 4, 1));
}

#[test]
fn invalid_settings_are_errors() {
    let sink = || noop::<Vec<u64>>();
    assert_eq!(invalid(sink().batch(0).queue(1)), ConfigErrorKind::BatchSize);
    assert_eq!(invalid(sink().batch(1).bytes(0, |_| 1).queue(1)), ConfigErrorKind::BatchBytes);
    assert_eq!(invalid(sink().batch(1).age(Duration::ZERO).queue(1)), ConfigErrorKind::BatchAge);
    assert!(sink().batch(usize::MAX).queue(1).is_ok(), "no memory is allocated in advance");
}

#[test]
fn a_size_function_that_panics_costs_its_event() {
    let script = Script::new();
    let size = |event: &u64| if *event == 1 { panic!("odd") } else { 1 };
    let batch = script.clone().batch(2).bytes(100, size);
    write_all(&batch, 0..3);
    assert_eq!(script.batches(), [[0, 2]]);
    let ledger = assert_balanced(&batch.state());
    assert_eq!((ledger.offered, ledger.delivered, ledger.dropped.panicked), (3, 2, 1));
}

#[test]
fn filter_upstream_of_a_batch_shares_its_ledger() {
    let (batch, _script) = batch(2);
    let bus = Bus::new();
    bus.add_named("even", batch.filter(|event: &u64| event.is_multiple_of(2))).unwrap();
    let mut publisher = bus.publisher();
    (0..7).for_each(|event| assert_eq!(publisher.publish(event).unwrap().accepted, 1));
    let state = bus.snapshot().sinks[0].state.clone();
    let ledger = assert_balanced(&state);
    assert_eq!((state.kind, ledger.offered, ledger.filtered), (SinkKind::Batch, 7, 3));
    assert_eq!((ledger.delivered, ledger.pending), (4, 0));
    drop(publisher);
    assert!(bus.close().is_done());
}

#[test]
fn queue_ticks_and_close_empty_its_batch() {
    let (batch, script) = batch(7);
    let batch = Arc::new(batch.age(Duration::from_nanos(1)));
    let queue = Queue::builder().capacity(1000).spawn_sink(batch.clone()).unwrap();
    write_all(&queue, 0..100);
    assert!(queue.close().is_done());
    let batches = script.batches();
    assert!(batches.iter().all(|batch| (1..=7).contains(&batch.len())), "{batches:?}");
    assert_eq!(batches.concat(), (0..100).collect::<Vec<_>>());
    assert_eq!(assert_balanced(&queue.state()).delivered, 100);
    let ledger = assert_balanced(&batch.state());
    assert_eq!((ledger.delivered, ledger.pending), (100, 0));
}

/// Regression test for distribution#3047, where one request per event could not keep up.
#[test]
fn a_thousand_concurrent_writes_are_a_hundred_batches() {
    let (batch, script) = batch(10);
    let queue = Queue::builder().capacity(1024).spawn_sink(batch).unwrap();
    thread::scope(|scope| {
        for thread in 0..10 {
            let queue = &queue;
            scope.spawn(move || write_all(queue, thread * 100..(thread + 1) * 100));
        }
    });
    assert!(queue.close().is_done());
    assert_eq!(script.batches().len(), 100);
    let mut events = script.batches().concat();
    events.sort_unstable();
    assert_eq!(events, (0..1000).collect::<Vec<_>>());
}

#[test]
fn writers_fill_the_next_batch_while_one_is_sent() {
    let (batch, script) = batch(2);
    let (batch, gate) = (Arc::new(batch), Gate::closed());
    script.stop_at(gate.clone());
    write_all(&batch, [1]);
    let first = thread::spawn({
        let batch = batch.clone();
        move || write_all(&batch, [2])
    });
    gate.wait_reached(1);
    // The inner sink has the first batch. The second batch fills up, and then there is no more
    // room.
    write_all(&batch, [3, 4]);
    assert_eq!(outcome(batch.write(5)), Outcome::Full(5));
    assert_eq!(assert_balanced(&batch.state()).pending, 4);
    gate.open();
    first.join().unwrap();
    assert_eq!(script.batches(), [[1, 2], [3, 4]], "the sending thread also sends the next batch");
    assert_balanced(&batch.state());
}

#[test]
fn close_waits_for_a_batch_being_sent_or_defers() {
    for deadline in [Deadline::NEVER, Deadline::NOW] {
        let (batch, script) = batch(2);
        let (batch, gate) = (Arc::new(batch), Gate::closed());
        script.stop_at(gate.clone());
        write_all(&batch, [1]);
        let first = thread::spawn({
            let batch = batch.clone();
            move || write_all(&batch, [2])
        });
        gate.wait_reached(1);
        write_all(&batch, [3]);
        if deadline == Deadline::NOW {
            let report = batch.close_by(deadline);
            assert_eq!(report.undelivered, 3, "{report}");
            gate.open();
        } else {
            let closer = test_support::waits({
                let batch = batch.clone();
                move || batch.close_by(deadline)
            });
            gate.open();
            assert!(ends(move || closer.join().unwrap()).is_done());
        }
        first.join().unwrap();
        assert_eq!(script.batches(), [vec![1, 2], vec![3]]);
        // Without time to wait, the close aborts the sink that is still sending a batch.
        let expected = if deadline == Deadline::NOW { &["abort", "close"][..] } else { &["close"] };
        assert_eq!(script.signals(), expected);
        let state = batch.state();
        assert_eq!((state.status, assert_balanced(&state).delivered), (SinkStatus::Drained, 3));
    }
}

#[test]
fn report_of_a_queue_counts_what_its_batch_holds() {
    let (batch, script) = batch(10);
    let gate = Gate::closed();
    script.stop_at(gate.clone());
    let queue = batch.queue(16).unwrap();
    (0..5).for_each(|event| queue.write(event).unwrap());
    wait_for(|| queue.state().depth == 0);
    let report = queue.close_timeout(Duration::from_millis(50));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 5), "{report}");
    gate.open();
    wait_for(|| queue.state().ledger.pending == 0);
    assert_eq!(assert_balanced(&queue.state()).delivered, 5);
}

#[test]
fn a_channel_of_batches_needs_no_annotations() {
    let (channel, mut receiver) = Channel::lossy(4).unwrap();
    let bus = Bus::new();
    bus.add(channel.batch(2).map(|n: &u8| u64::from(*n)).queue(8).unwrap()).unwrap();
    for n in [1_u8, 2, 3] {
        let _ = bus.publish(n).unwrap();
    }
    assert!(bus.close().is_done());
    assert_eq!(receiver.recv().unwrap(), [1_u64, 2]);
    assert_eq!(receiver.recv().unwrap(), [3]);
}

#[test]
fn abort_reaches_the_downstream_sink() {
    let (batch, script) = batch(2);
    batch.abort_now();
    assert_eq!(script.signals(), ["abort"]);
    script.answer([Answer::Take]);
    assert!(batch.key().is_some() && batch.lane().unwrap().is_none() && !batch.has_lanes());
}
