//! Batches and several threads: one batch for each worker of a queue, and one batch that several
//! threads write to.

use super::script::{Answer, Script};
use super::{SECOND, batch, tick, write_all};
use buslane::bus::Removed;
use buslane::queue::QueueBuilder;
use buslane::sink::Batch;
use buslane::stats::{CloseReport, Finish, FlushReport, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, SinkExt, WriteError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, Log, Outcome, assert_balanced, ends, flush, outcome, wait_for, waits};

fn workers(count: usize) -> QueueBuilder<u64> {
    Queue::builder().workers(count).capacity(64).overflow(Overflow::Block)
}

fn sorted(script: &Script) -> Vec<u64> {
    let mut events = script.batches().concat();
    events.sort_unstable();
    events
}

/// Returns a queue with one batch for each of `count` workers, all of which write to one script.
fn each(
    builder: QueueBuilder<u64>,
    script: &Arc<Script>,
    make: impl Fn(Arc<Script>) -> Batch<u64, Arc<Script>>,
) -> Queue<u64> {
    builder.spawn_each_sink(|_| make(script.clone())).unwrap()
}

#[test]
fn batch_per_worker_loses_nothing_at_any_size() {
    const EVENTS: u64 = 2_000;
    for (count, bytes) in [(1, None), (3, None), (10, None), (10, Some(16))] {
        let (_, script) = batch(count);
        let queue = each(workers(4), &script, |script| {
            let batch = script.batch(count);
            match bytes {
                Some(max) => batch.bytes(max, |event: &u64| (event % 7) as usize),
                None => batch,
            }
        });
        thread::scope(|scope| {
            for thread in 0..4 {
                let queue = &queue;
                scope.spawn(move || write_all(queue, (thread..EVENTS).step_by(4)));
            }
        });
        assert!(queue.close().is_done());
        assert_eq!(sorted(&script), (0..EVENTS).collect::<Vec<_>>(), "{count} {bytes:?}");
        assert!(script.batches().iter().all(|batch| batch.len() <= count));
        if let Some(max) = bytes {
            let size = |batch: &Vec<u64>| batch.iter().map(|event| event % 7).sum::<u64>();
            assert!(script.batches().iter().all(|batch| size(batch) <= max as u64));
        }
        let ledger = assert_balanced(&queue.state());
        assert_eq!((ledger.delivered, ledger.dropped.total()), (EVENTS, 0));
    }
}

#[test]
fn batch_per_worker_keeps_the_order_of_each_key() {
    const KEYS: u64 = 5;
    let (_, script) = batch(3);
    let ordered = workers(3).ordered_by(|event: &u64| event % KEYS);
    let queue = each(ordered, &script, |script| script.batch(3));
    write_all(&queue, 0..600);
    assert!(queue.close().is_done());
    let events = script.batches().concat();
    assert_eq!(events.len(), 600);
    for key in 0..KEYS {
        let of_key = events.iter().copied().filter(|event| event % KEYS == key);
        assert!(of_key.eq((key..600).step_by(KEYS as usize)));
    }
}

#[test]
fn batches_of_several_workers_are_sent_in_parallel() {
    let (_, script) = batch(2);
    let gate = Gate::closed();
    script.stop_at(gate.clone());
    let queue = each(workers(3), &script, |script| script.batch(1));
    write_all(&queue, 0..3);
    gate.wait_reached(3); // all three concurrently
    gate.open();
    assert!(queue.close().is_done());
    assert_eq!(sorted(&script), [0, 1, 2]);
}

#[test]
fn close_reports_the_failure_of_one_of_several_sinks() {
    struct FailsAtClose(usize);
    impl Sink<u64> for FailsAtClose {
        fn write(&self, _event: u64) -> Result<(), WriteError<u64>> {
            Ok(())
        }
        fn close_by(&self, _deadline: Deadline) -> CloseReport {
            if self.0 == 1 { CloseReport::failed("disk full") } else { CloseReport::done() }
        }
    }
    let queue = workers(3).spawn_each_sink(FailsAtClose).unwrap();
    write_all(&queue, 0..9);
    let report = queue.close();
    assert!(report.errors.len() == 1 && report.errors[0].contains("disk full"), "{report}");
    assert_eq!(assert_balanced(&queue.state()).delivered, 9);
}

#[test]
fn closed_sink_of_one_worker_closes_the_queue() {
    let (_, script) = batch(1);
    let queue = each(workers(3), &script, |script| script.batch(1));
    script.answer([Answer::Close]);
    // The worker notices the closed sink when it writes the next event to it.
    wait_for(|| {
        let _ = queue.write(0);
        queue.state().status == SinkStatus::Drained
    });
    assert!(matches!(queue.write(1), Err(WriteError::Closed(1))));
}

#[test]
fn flush_reaches_the_batch_of_each_worker() {
    let (_, script) = batch(2);
    let queue = each(workers(4), &script, |script| script.batch(100));
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let (queue, stop, next) = (queue.clone(), stop.clone(), next.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    write_all(&queue, [next.fetch_add(1, Ordering::SeqCst)]);
                }
            })
        })
        .collect();
    for flushed in 0..20 {
        let mark = u64::MAX - flushed;
        write_all(&queue, [mark]);
        flush(&queue);
        assert!(script.batches().concat().contains(&mark));
    }
    stop.store(true, Ordering::SeqCst);
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    assert!(queue.close().is_done());
}

#[test]
fn age_holds_for_the_batch_of_each_worker() {
    let (_, script) = batch(100);
    let queue = each(workers(4), &script, |script| script.batch(100).age(Duration::from_millis(1)));
    for event in 0..20 {
        write_all(&queue, [event]);
        wait_for(|| script.batches().len() as u64 == event + 1);
    }
    assert!(queue.close().is_done());
    assert_eq!(queue.state().ledger.delivered, 20);
}

#[test]
fn batch_without_room_is_offered_again_by_its_worker() {
    let (_, script) = batch(1);
    let queue = each(workers(4), &script, |script| script.batch(1));
    for event in 0..8 {
        script.answer([Answer::Full]);
        write_all(&queue, [event]);
        wait_for(|| script.batches().len() as u64 == event + 1);
    }
    assert!(queue.close().is_done());
}

/// An inner sink that writes further events to the upstream batch from inside its own write.
struct Echo {
    front: OnceLock<Weak<dyn Sink<u64>>>,
    answers: Log<Outcome<u64>>,
}

impl Sink<Vec<u64>> for Echo {
    fn write(&self, batch: Vec<u64>) -> Result<(), WriteError<Vec<u64>>> {
        let front = self.front.get().and_then(Weak::upgrade).unwrap();
        if batch.contains(&1) {
            (10..13).for_each(|event| self.answers.push(outcome(front.write(event))));
        }
        Ok(())
    }
}

#[test]
fn batch_sender_does_not_wait_for_itself() {
    let echo = Arc::new(Echo { front: OnceLock::new(), answers: Log::new() });
    let batch = Arc::new(echo.clone().batch(2));
    let front: Arc<dyn Sink<u64>> = batch.clone();
    echo.front.set(Arc::downgrade(&front)).unwrap_or_else(|_| panic!("set once"));
    let queue = workers(2).spawn_sink(batch.clone()).unwrap();
    write_all(&queue, [0, 1]);
    wait_for(|| queue.state().ledger.delivered == 2);
    assert_eq!(echo.answers.entries(), [Outcome::Accepted, Outcome::Accepted, Outcome::Full(12)]);
    // The same holds in a flush, which is not a delivery.
    write_all(&queue, [1]);
    flush(&queue);
    assert_eq!(echo.answers.entries().len(), 6);
    assert!(queue.close().is_done());
    assert_eq!(assert_balanced(&batch.state()).refused.full, 2);
}

/// A thread that forwards a batch may wait for room downstream, so the thread that makes that room
/// must not wait for the batch in turn.
#[test]
fn writer_does_not_wait_for_a_blocked_batch() {
    let (gate, answers) = (Gate::closed(), Log::new());
    let front = Arc::new(OnceLock::<Weak<dyn Sink<u64>>>::new());
    let behind = Queue::builder().capacity(1).overflow(Overflow::Block).spawn({
        let (gate, answers, front) = (gate.clone(), answers.clone(), front.clone());
        move |batch: Vec<u64>| {
            gate.pass();
            let front = front.get().and_then(Weak::upgrade).unwrap();
            if batch == [1] {
                (10..12).for_each(|event| answers.push(outcome(front.write(event))));
            }
        }
    });
    let batch = Arc::new(behind.unwrap().batch(1));
    let sink: Arc<dyn Sink<u64>> = batch.clone();
    front.set(Arc::downgrade(&sink)).unwrap_or_else(|_| panic!("set once"));
    // One batch is in the handler, one is in the ring, and one waits for room.
    write_all(&batch, [1]);
    gate.wait_reached(1);
    write_all(&batch, [2]);
    let blocked = waits({
        let batch = batch.clone();
        move || write_all(&batch, [3])
    });
    wait_for(|| batch.state().depth == 1);
    gate.open();
    ends(move || blocked.join().unwrap());
    assert_eq!(answers.entries(), [Outcome::Accepted, Outcome::Full(11)]);
    assert!(ends(move || batch.close_by(Deadline::after(GUARD))).is_done());
}

/// No call made by a bus waits, even downstream of a queue, because a removal waits for calls in
/// progress.
#[test]
fn batch_called_by_a_bus_refuses_instead_of_waiting() {
    let (batch, script) = batch(2);
    let (batch, gate, bus) = (Arc::new(batch), Gate::closed(), Bus::new());
    script.stop_at(gate.clone());
    let id = bus.add(batch.clone()).unwrap();
    let queue = workers(2).spawn_sink(bus.clone()).unwrap();
    write_all(&queue, [0, 1]);
    gate.wait_reached(1);
    write_all(&queue, [2, 3, 4]);
    wait_for(|| batch.state().ledger.refused.full == 1);
    assert_eq!(bus.remove_timeout(id, Duration::ZERO), Ok(Removed::StillInside));
    gate.open();
    assert!(queue.close().is_done());
    assert_eq!(batch.close_by(Deadline::NEVER), CloseReport::done());
    assert_eq!(sorted(&script), [0, 1, 2, 3]);
}

#[test]
fn flush_waits_only_for_events_written_before_it() {
    let (batch, script) = batch(2);
    let (batch, gate) = (Arc::new(batch), Gate::closed());
    script.stop_at(gate.clone());
    let write = |events: [u64; 1]| {
        let batch = batch.clone();
        move || write_all(&batch, events)
    };
    write_all(&batch, [1]);
    let first = thread::spawn(write([2]));
    gate.wait_reached(1);
    write_all(&batch, [3]);
    let flushing = waits({
        let batch = batch.clone();
        move || {
            let mut report = FlushReport::default();
            batch.flush_by(Deadline::after(GUARD), &mut report);
            report.finish
        }
    });
    gate.permit(1);
    first.join().unwrap();
    // The flush forwards [3], and a later event arrives that the flush must not wait for.
    gate.wait_reached(2);
    write_all(&batch, [4]);
    gate.permit(1);
    assert_eq!(flushing.join().unwrap(), Finish::Done);
    assert_eq!((script.batches(), batch.state().depth), (vec![vec![1, 2], vec![3]], 1));
}

/// A batch that is due at a tick, or at the queue's end of batch, is forwarded as soon as the batch
/// being sent is done.
#[test]
fn due_batch_follows_the_one_being_sent() {
    for end_of_batch in [false, true] {
        let (batch, script) = batch(2);
        let (batch, gate) = (batch.age(SECOND).at_end_of_batch(), Gate::closed());
        let batch = Arc::new(batch);
        script.stop_at(gate.clone());
        write_all(&batch, [1]);
        let first = thread::spawn({
            let batch = batch.clone();
            move || write_all(&batch, [2])
        });
        gate.wait_reached(1);
        write_all(&batch, [3]);
        if end_of_batch {
            batch.end_of_batch();
        } else {
            let start = Instant::now();
            assert_eq!(tick(&batch, start), Some(start + SECOND));
            let old = start + SECOND;
            assert_eq!(
                tick(&batch, old),
                Some(old + Duration::from_millis(100)),
                "the batch being sent delays the next one"
            );
        }
        gate.open();
        first.join().unwrap();
        assert_eq!(script.batches(), [vec![1, 2], vec![3]]);
        write_all(&batch, [4]);
        assert_eq!(script.batches().len(), 2, "the following batch has its own age");
    }
}
