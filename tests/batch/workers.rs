//! A batch behind several workers: they wait while one of them has handed a batch on, and lose nothing by it.

use crate::script::{Answer, Script};
use crate::support::{GUARD, Log, Outcome, assert_balanced, ends, flush, outcome, wait_for, waits};
use crate::{HOUR, SECOND, batch, tick, write_all};
use buslane::bus::Removed;
use buslane::sink::Batch;
use buslane::stats::{CloseReport, DropReason, Finish, FlushReport, SinkStatus};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, SinkExt, WriteError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

type Batched = Batch<u64, Arc<Script>>;

fn workers(count: usize) -> buslane::queue::QueueBuilder<u64> {
    Queue::builder().workers(count).capacity(64).overflow(Overflow::Block)
}

/// Three workers, of whom one stands at the gate with [0, 1], the next batch being complete with [2, 3]. The other two are in the
/// midst of writing 4 and 5, for which there is no room.
fn stuck(
    wrap: impl FnOnce(Arc<dyn Sink<u64>>) -> Queue<u64>,
) -> (Queue<u64>, Arc<Batched>, Arc<Script>, Gate) {
    let (batch, script) = batch(2);
    let (batch, gate, written) = (Arc::new(batch), Gate::closed(), Arc::new(AtomicU64::new(0)));
    script.stop_at(gate.clone());
    let count = written.clone();
    let counted = batch.clone().filter(move |_: &u64| count.fetch_add(1, Ordering::SeqCst) < u64::MAX);
    let queue = wrap(Arc::new(counted));
    write_all(&queue, [0, 1]);
    gate.wait_reached(1);
    write_all(&queue, [2, 3]);
    wait_for(|| batch.state().depth == 4);
    write_all(&queue, [4, 5]);
    wait_for(|| written.load(Ordering::SeqCst) == 6);
    (queue, batch, script, gate)
}

fn sorted(script: &Script) -> Vec<u64> {
    let mut events = script.batches().concat();
    events.sort_unstable();
    events
}

#[test]
fn workers_wait_while_the_batch_of_another_one_is_on_its_way() {
    let (queue, batch, script, gate) = stuck(|batch| workers(3).spawn_sink(batch).unwrap());
    assert_eq!(assert_balanced(&batch.state()).pending, 4, "never more than two batches");
    gate.open();
    assert!(queue.close().is_done());
    assert_eq!(sorted(&script), [0, 1, 2, 3, 4, 5]);
    assert!(script.batches().iter().all(|batch| batch.len() == 2), "{:?}", script.batches());
    let (books, behind) = (assert_balanced(&queue.state()), assert_balanced(&batch.state()));
    assert_eq!((books.delivered, books.dropped.total()), (6, 0));
    assert_eq!((behind.delivered, behind.refused.total()), (6, 0));
}

#[test]
fn four_workers_lose_nothing_at_any_size() {
    const EVENTS: u64 = 2_000;
    for (count, bytes) in [(1, None), (3, None), (10, None), (10, Some(16))] {
        let (batch, script) = batch(count);
        let batch = match bytes {
            Some(max) => batch.bytes(max, |event: &u64| (event % 7) as usize).unwrap(),
            None => batch,
        };
        let batch = Arc::new(batch);
        let queue = workers(4).spawn_sink(batch.clone()).unwrap();
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
        assert_eq!(assert_balanced(&queue.state()).dropped.total(), 0);
        assert_eq!(assert_balanced(&batch.state()).refused.total(), 0);
    }
}

#[test]
fn closures_that_write_to_a_batch_wait_as_well() {
    let (queue, batch, script, gate) = stuck(|batch| {
        let write = move |event| batch.write(event).map_err(|error| error.to_string());
        workers(3).spawn_each(|_| write.clone()).unwrap()
    });
    gate.open();
    assert!(queue.close().is_done());
    assert!(batch.close_by(Deadline::NEVER).is_done());
    assert_eq!((sorted(&script), queue.state().ledger.dropped.total()), ((0..6).collect(), 0));
}

#[test]
fn the_order_of_each_key_stands_through_batches() {
    const KEYS: u64 = 5;
    let (batch, script) = batch(3);
    let queue = workers(3).ordered_by(|event: &u64| event % KEYS).spawn_sink(batch).unwrap();
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
fn a_close_at_its_deadline_ends_the_waits_of_workers_at_once() {
    let dropped = Log::new();
    let hook = dropped.clone();
    let (queue, batch, script, gate) = stuck(|batch| {
        workers(3).on_drop(move |event, reason| hook.push((event, reason))).spawn_sink(batch).unwrap()
    });
    write_all(&queue, [6]);
    let closing = queue.clone();
    let report = ends(move || closing.close_timeout(Duration::ZERO));
    assert_eq!(report.finish, Finish::TimedOut);
    // The gate is still closed, and one worker stands there.
    wait_for(|| dropped.entries().len() == 3);
    let mut entries = dropped.entries();
    entries.sort_unstable_by_key(|(event, _)| *event);
    let reasons = [DropReason::Failed, DropReason::Failed, DropReason::Aborted];
    assert_eq!(entries, [4, 5, 6].into_iter().zip(reasons).collect::<Vec<_>>());
    assert_eq!(assert_balanced(&batch.state()).refused.timeout, 2);
    gate.open();
    wait_for(|| queue.state().status == SinkStatus::Closed);
    assert_eq!(sorted(&script), [0, 1, 2, 3], "and what the batch had accepted is handed on");
    let books = assert_balanced(&queue.state());
    assert_eq!((books.delivered, books.dropped.failed, books.dropped.aborted), (4, 2, 1));
    assert_eq!(assert_balanced(&batch.state()).pending, 0);
}

#[test]
fn an_abort_ends_the_waits_and_a_close_of_the_batch_refuses_as_closed() {
    for close in [false, true] {
        let (queue, batch, _script, gate) = stuck(|batch| workers(3).spawn_sink(batch).unwrap());
        let closing = batch.clone();
        let closer = if close {
            Some(waits(move || closing.close_by(Deadline::after(HOUR))))
        } else {
            batch.abort_now();
            None
        };
        wait_for(|| queue.state().ledger.dropped.failed == 2);
        let refused = assert_balanced(&batch.state()).refused;
        assert_eq!((refused.closed, refused.timeout), if close { (2, 0) } else { (0, 2) });
        assert_eq!(queue.state().status == SinkStatus::Open, !close, "closed is final, an abort is not");
        gate.open();
        assert!(closer.is_none_or(|closer| closer.join().unwrap().is_done()));
        assert!(queue.close().is_done());
        assert_eq!(assert_balanced(&batch.state()).delivered, 4);
    }
}

#[test]
fn a_removal_of_the_queue_does_not_wait_for_workers_that_do() {
    let (queue, batch, script, gate) = stuck(|batch| workers(3).spawn_sink(batch).unwrap());
    let bus = Bus::new();
    let id = bus.add(queue.clone()).unwrap();
    assert_eq!(ends(move || bus.remove(id)), Ok(Removed::Quiet));
    gate.open();
    // What the queue had accepted is handled, also without anybody who closes it.
    drop(queue);
    wait_for(|| batch.state().status == SinkStatus::Closed);
    assert_eq!((sorted(&script), batch.state().ledger.delivered), ((0..6).collect(), 6));
}

#[test]
fn a_timeout_in_front_bounds_the_wait() {
    let (queue, batch, script, gate) =
        stuck(|batch| workers(3).spawn_sink(batch.timeout(Duration::from_millis(1))).unwrap());
    wait_for(|| queue.state().ledger.dropped.failed == 2);
    assert_eq!(assert_balanced(&batch.state()).refused.timeout, 2);
    gate.open();
    assert!(queue.close().is_done());
    assert_eq!(sorted(&script), [0, 1, 2, 3]);
}

#[test]
fn a_sink_behind_that_is_closed_ends_the_waits_of_workers() {
    let (queue, batch, script, gate) = stuck(|batch| workers(3).spawn_sink(batch).unwrap());
    script.answer([Answer::Close]);
    gate.open();
    let closing = queue.clone();
    let _ = ends(move || closing.close());
    let (books, behind) = (assert_balanced(&queue.state()), assert_balanced(&batch.state()));
    assert_eq!((books.accepted, books.pending, behind.pending), (6, 0, 0));
    assert_eq!(books.dropped.failed, behind.refused.closed + behind.dropped.failed);
}

/// Writes more events to the batch in front of it, from inside.
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
fn whoever_hands_a_batch_on_does_not_wait_for_itself() {
    let echo = Arc::new(Echo { front: OnceLock::new(), answers: Log::new() });
    let batch = Arc::new(echo.clone().batch(2).unwrap());
    let front: Arc<dyn Sink<u64>> = batch.clone();
    echo.front.set(Arc::downgrade(&front)).unwrap_or_else(|_| panic!("set once"));
    let queue = workers(2).spawn_sink(batch.clone()).unwrap();
    write_all(&queue, [0, 1]);
    wait_for(|| queue.state().ledger.delivered == 2);
    assert_eq!(echo.answers.entries(), [Outcome::Accepted, Outcome::Accepted, Outcome::Full(12)]);
    // The same in a flush, which is not inside a delivery.
    write_all(&queue, [1]);
    flush(&queue);
    assert_eq!(echo.answers.entries().len(), 6);
    assert!(queue.close().is_done());
    assert_eq!(assert_balanced(&batch.state()).refused.full, 2);
}

/// A thread that hands a batch on may wait for room behind, and who makes that room must not wait for it in turn.
#[test]
fn nobody_waits_for_a_batch_that_waits_for_room() {
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
    let batch = Arc::new(behind.unwrap().batch(1).unwrap());
    let sink: Arc<dyn Sink<u64>> = batch.clone();
    front.set(Arc::downgrade(&sink)).unwrap_or_else(|_| panic!("set once"));
    // One in the handler's hands, one in its ring, and one that waits.
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

/// Inside a bus nothing waits, also behind a queue: a removal waits for whoever is inside.
#[test]
fn a_batch_that_is_called_by_a_bus_behind_a_queue_refuses() {
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
fn a_flush_waits_for_what_came_before_it_and_not_for_what_came_later() {
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
    // The flush hands on [3], and an event comes that it need not wait for.
    gate.wait_reached(2);
    write_all(&batch, [4]);
    gate.permit(1);
    assert_eq!(flushing.join().unwrap(), Finish::Done);
    assert_eq!((script.batches(), batch.state().depth), (vec![vec![1, 2], vec![3]], 1));
}

#[test]
fn a_flush_ends_while_four_workers_are_busy() {
    let (batch, script) = batch(2);
    let queue = workers(4).spawn_sink(batch).unwrap();
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
fn an_age_holds_whichever_worker_has_begun_the_batch() {
    let (batch, script) = batch(100);
    let batch = Arc::new(batch.age(Duration::from_millis(1)).unwrap());
    let queue = workers(4).spawn_sink(batch.clone()).unwrap();
    for event in 0..20 {
        write_all(&queue, [event]);
        wait_for(|| script.batches().len() as u64 == event + 1);
    }
    assert!(queue.close().is_done());
    assert_eq!(batch.state().ledger.delivered, 20);
}

#[test]
fn a_batch_without_room_behind_is_offered_again_whichever_worker_had_it() {
    let (batch, script) = batch(1);
    let queue = workers(4).spawn_sink(batch).unwrap();
    for event in 0..8 {
        script.answer([Answer::Full]);
        write_all(&queue, [event]);
        wait_for(|| script.batches().len() as u64 == event + 1);
    }
    assert!(queue.close().is_done());
}

/// What a tick, or the end of a queue's batch, wanted handed on goes as soon as the batch on its way is back.
#[test]
fn what_is_due_while_a_batch_is_on_its_way_follows_it() {
    for end_of_batch in [false, true] {
        let (batch, script) = batch(2);
        let (batch, gate) = (batch.age(SECOND).unwrap().at_end_of_batch(), Gate::closed());
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
            assert_eq!(tick(&batch, old), Some(old + Duration::from_millis(100)), "and not at once");
        }
        gate.open();
        first.join().unwrap();
        assert_eq!(script.batches(), [vec![1, 2], vec![3]]);
        write_all(&batch, [4]);
        assert_eq!(script.batches().len(), 2, "the next one is due in its own time");
    }
}
