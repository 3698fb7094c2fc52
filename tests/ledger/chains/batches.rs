//! Batches that a sink accepts in part: the ledgers count the events in them, whatever chain of
//! sinks the batch passes.

use super::probe::retries;
use buslane::retry::{Backoff, DeadLetter};
use buslane::stats::{Disposition, DropReason, Finish, Ledger};
use buslane::testing::{Collect, Gate, ManualClock};
use buslane::{BoxError, Bus, Channel, Queue, Sink, SinkExt, WriteError, noop, sink_fn};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use test_support::{assert_balanced, wait_for};

type Events = Vec<u64>;
type Letters<B> = Collect<DeadLetter<B>>;

const LIMIT: Duration = Duration::from_secs(30);

/// A type that holds events.
trait Holds: Clone + Send + Sync + 'static {
    /// Keeps only the events for which `keep` is true.
    fn retain(self, keep: &dyn Fn(u64) -> bool) -> Self;
    fn events(&self) -> Events;
}

impl Holds for u64 {
    fn retain(self, _keep: &dyn Fn(u64) -> bool) -> Self {
        self
    }
    fn events(&self) -> Events {
        vec![*self]
    }
}

impl<T: Holds> Holds for Vec<T> {
    fn retain(self, keep: &dyn Fn(u64) -> bool) -> Self {
        let part = |held: T| held.retain(keep);
        self.into_iter().map(part).filter(|held| held.events().into_iter().any(keep)).collect()
    }
    fn events(&self) -> Events {
        self.iter().flat_map(T::events).collect()
    }
}

/// A sink that accepts multiples of three only at the second attempt, multiples of five never, and
/// all other events at the first attempt.
#[derive(Clone, Default)]
struct Picky(Arc<Mutex<(Events, Events)>>);

impl Picky {
    fn taken(&self) -> u64 {
        self.0.lock().unwrap().0.len() as u64
    }
}

impl<B: Holds> Sink<B> for Picky {
    fn write(&self, batch: B) -> Result<(), WriteError<B>> {
        let mut seen = self.0.lock().unwrap();
        let (taken, tried) = &mut *seen;
        let takes = |n: u64| !n.is_multiple_of(5) && (!n.is_multiple_of(3) || tried.contains(&n));
        let left = batch.clone().retain(&|n| !takes(n));
        taken.extend(batch.events().into_iter().filter(|n| takes(*n)));
        tried.extend(left.events());
        if left.events().is_empty() {
            Ok(())
        } else {
            Err(WriteError::Failed { event: left, source: BoxError::from("choosy") })
        }
    }
}

fn policy() -> Backoff {
    let wait = Duration::from_millis(1);
    Backoff::new(wait, wait).max_attempts(2)
}

/// A named way to build the chain from a batch to the innermost sink; the flag tells whether it
/// retries.
type Build<B> = (&'static str, bool, fn(Picky, Letters<B>) -> Box<dyn Sink<B>>);

fn lettered<B: Holds>(picky: Picky, letters: Letters<B>) -> impl Sink<B> {
    SinkExt::<B>::retry(picky, policy()).clock(ManualClock::hurrying()).dead_letters(letters)
}

fn keyed<B: Holds>(sink: impl Sink<B>, letters: Letters<B>) -> impl Sink<B> {
    sink.retry_by_key(|batch: &B| batch.events()[0] % 3, policy())
        .clock(ManualClock::hurrying())
        .dead_letters(letters)
}

fn builds<B: Holds>() -> Vec<Build<B>> {
    vec![
        ("nothing", false, |picky, _| Box::new(picky)),
        ("queue", false, |picky, _| Box::new(SinkExt::<B>::queue(picky, 64).unwrap())),
        ("queue with workers", false, |picky, _| {
            Box::new(Queue::<B>::builder().workers(3).spawn_sink(picky).unwrap())
        }),
        ("queue by key", false, |picky, _| {
            let builder = Queue::<B>::builder().workers(3).ordered_by(|batch: &B| batch.events()[0] % 2);
            Box::new(builder.spawn_sink(picky).unwrap())
        }),
        ("retry", true, |picky, letters| Box::new(lettered(picky, letters))),
        ("retry in a row", true, |picky, letters| {
            Box::new(lettered(picky, letters).retry(policy()).clock(ManualClock::hurrying()))
        }),
        ("retry by key", true, |picky, letters| Box::new(keyed(picky, letters))),
        ("retry in a retry by key", true, |picky, letters| {
            Box::new(keyed(lettered(picky, letters), Letters::new()))
        }),
        ("retry by key in a queue", true, |picky, letters| {
            Box::new(keyed(picky, letters).queue(64).unwrap())
        }),
        ("retry in a queue", true, |picky, letters| Box::new(lettered(picky, letters).queue(64).unwrap())),
        ("retry in a queue in a retry by key", true, |picky, letters| {
            Box::new(keyed(lettered(picky, letters).queue(64).unwrap(), Letters::new()))
        }),
        ("retry in a queue in a queue", true, |picky, letters| {
            Box::new(lettered(picky, letters).queue(64).unwrap().queue(64).unwrap())
        }),
        ("retry in a queue in a map", true, |picky, letters| {
            Box::new(lettered(picky, letters).queue(64).unwrap().map(B::clone))
        }),
        ("retry in a map in a queue", true, |picky, letters| {
            Box::new(lettered(picky, letters).map(B::clone).queue(64).unwrap())
        }),
        ("retry in all that passes events on", true, |picky, letters| {
            let sink = lettered(picky, letters).filter(|_| true).inspect(()).catch_panic();
            let sink = sink.timeout(LIMIT).sample(1).rate_limit(1e9, 1000);
            Box::new(sink)
        }),
        ("retry in a queue in all that passes events on", true, |picky, letters| {
            let sink = lettered(picky, letters).queue(64).unwrap().filter(|_| true).inspect(()).catch_panic();
            let sink = sink.timeout(LIMIT).sample(1).rate_limit(1e9, 1000);
            Box::new(Arc::new(sink))
        }),
        ("retry on a side of a tee", true, |picky, letters| {
            Box::new(lettered(picky, letters).tee(sink_fn(|_: &B| Err("no route"))))
        }),
    ]
}

/// Asserts the outcome of each of `events` events, from the behavior of the innermost sink.
#[track_caller]
fn agrees(context: &str, ledger: &Ledger, events: u64, picky: &Picky, retries: bool) {
    let context = format!("{context}: {ledger}; taken {}", picky.taken());
    let never =
        (0..events).filter(|n| n.is_multiple_of(5) || (!retries && n.is_multiple_of(3))).count() as u64;
    assert_eq!(ledger.check(), Ok(()), "{context}");
    assert_eq!((ledger.offered, ledger.pending), (events, 0), "{context}");
    assert_eq!((ledger.delivered, ledger.dropped.failed), (events - never, never), "{context}");
    assert_eq!(ledger.delivered, picky.taken(), "{context}");
}

#[test]
fn batch_counts_parts_of_a_forwarded_batch() {
    for (name, retries, build) in builds::<Events>() {
        for queued in [false, true] {
            let (picky, letters) = (Picky::default(), Letters::new());
            let batch = Arc::new(build(picky.clone(), letters.clone()).batch(4));
            let bus = Bus::new();
            if queued {
                bus.add(batch.clone().queue(64).unwrap()).unwrap();
            } else {
                bus.add(batch.clone()).unwrap();
            }
            (0..30).for_each(|event| assert!(bus.publish(event).unwrap().is_complete()));
            assert!(bus.close_timeout(LIMIT).is_done(), "{name}");
            let context = format!("{name}, queued: {queued}");
            agrees(&context, &batch.state().ledger, 30, &picky, retries);
            agrees(&context, &bus.snapshot().sinks[0].state.ledger, 30, &picky, retries);
            if retries {
                let lettered: usize = letters.events().iter().map(|letter| letter.event.len()).sum();
                assert_eq!(lettered, 6, "{context}: letters");
            }
        }
    }
}

#[test]
fn batch_of_batches_counts_parts_of_parts() {
    for (name, retries, build) in builds::<Vec<Events>>() {
        for queued in [false, true] {
            let (picky, letters) = (Picky::default(), Letters::new());
            let outer: Box<dyn Sink<Events>> = if queued {
                Box::new(build(picky.clone(), letters).batch(2).queue(64).unwrap())
            } else {
                Box::new(build(picky.clone(), letters).batch(2))
            };
            let batch = Arc::new(outer.batch(4));
            let bus = Bus::new();
            bus.add(batch.clone().queue(64).unwrap()).unwrap();
            (0..30).for_each(|event| assert!(bus.publish(event).unwrap().is_complete()));
            assert!(bus.close_timeout(LIMIT).is_done(), "{name}");
            let context = format!("{name}, queued: {queued}");
            agrees(&context, &batch.state().ledger, 30, &picky, retries);
            agrees(&context, &bus.snapshot().sinks[0].state.ledger, 30, &picky, retries);
        }
    }
}

#[test]
fn inner_batch_keeps_its_own_ledger() {
    let (picky, letters) = (Picky::default(), Letters::new());
    let inner = Arc::new(lettered(picky.clone(), letters).queue(64).unwrap().batch(2));
    let outer = inner.clone().batch(4);
    (0..32).for_each(|event| outer.write(event).unwrap());
    assert!(outer.close_by(buslane::time::Deadline::after(LIMIT)).is_done());
    agrees("outer", &outer.state().ledger, 32, &picky, true);
    let ledger = inner.state().ledger;
    assert_eq!(ledger.check(), Ok(()));
    // Each batch of four except 16 to 19 has a multiple of five, which is given up.
    let failed =
        (0..8_u64).filter(|n| (4 * n..4 * n + 4).any(|event| event.is_multiple_of(5))).count() as u64;
    assert_eq!((ledger.offered, ledger.dropped.failed), (8, failed), "{ledger}");
}

#[test]
fn batch_counts_pending_events_of_a_busy_queue() {
    let gate = Gate::closed();
    let passing = gate.clone();
    let queue = Queue::builder().capacity(8).spawn(move |_: Events| passing.pass()).unwrap();
    let batch = queue.clone().batch(3);
    (0..8).for_each(|event| batch.write(event).unwrap());
    gate.wait_reached(1);
    let ledger = batch.state().ledger;
    assert_eq!((ledger.delivered, ledger.pending), (0, 8), "{ledger}");
    gate.open();
    assert!(queue.flush_timeout(LIMIT).is_done());
    let ledger = batch.state().ledger;
    assert_eq!((ledger.delivered, ledger.pending), (6, 2), "{ledger}");
    assert_eq!(ledger.check(), Ok(()));
}

#[test]
fn event_that_completes_a_batch_counts_once_while_the_batch_is_written() {
    let gate = Gate::closed();
    let queue = gate.before(Collect::<Events>::new()).batch(4).queue(64).unwrap();
    for event in 0..10 {
        queue.write(event).unwrap();
    }
    gate.wait_reached(1);
    // The worker is inside the write of the fourth event, which the batch has already.
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.accepted, ledger.delivered, ledger.pending), (10, 0, 10));
    let report = queue.close_timeout(Duration::from_millis(1));
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 10), "{report}");
    gate.open();
    wait_for(|| queue.state().ledger.pending == 0);
    let ledger = assert_balanced(&queue.state());
    // The sink may have been closed before the gate let the batch through, and then refuses it.
    let written = ledger.delivered + ledger.dropped.failed;
    assert_eq!((written, ledger.dropped.aborted), (4, 6), "{ledger}");
}

#[test]
fn batch_counts_events_that_a_queue_aborts() {
    let gate = Gate::closed();
    let passing = gate.clone();
    let queue = Queue::builder().capacity(8).spawn(move |_: Events| passing.pass()).unwrap();
    let batch = queue.clone().batch(3);
    (0..12).for_each(|event| batch.write(event).unwrap());
    gate.wait_reached(1);
    let _ = queue.close_timeout(Duration::ZERO);
    gate.open();
    let begun = Instant::now();
    while batch.state().ledger.pending > 0 {
        assert!(begun.elapsed() < LIMIT, "{}", batch.state().ledger);
        std::thread::yield_now();
    }
    let ledger = batch.state().ledger;
    assert_eq!((ledger.delivered, ledger.dropped.aborted), (3, 9), "{ledger}");
    assert_eq!(ledger.check(), Ok(()));
}

#[test]
fn batch_counts_drops_and_evictions_of_a_full_queue() {
    for (overflow, full, evicted) in
        [(buslane::Overflow::DropNewest, 6, 0), (buslane::Overflow::DropOldest, 0, 6)]
    {
        let (channel, receiver) =
            Channel::<Events>::builder().capacity(2).overflow(overflow).build().unwrap();
        let batch = channel.batch(3);
        (0..12).for_each(|event| batch.write(event).unwrap());
        let ledger = batch.state().ledger;
        let dropped = ledger.dropped;
        assert_eq!((dropped.full, dropped.evicted, ledger.pending), (full, evicted, 6), "{ledger}");
        drop(receiver);
        let ledger = batch.state().ledger;
        assert_eq!((ledger.dropped.receiver_dropped, ledger.pending), (6, 0), "{ledger}");
        assert_eq!(ledger.check(), Ok(()));
    }
}

#[test]
fn batch_counts_every_kind_of_channel_read() {
    type Read = fn(&mut buslane::Receiver<Events>);
    let ways: [(&str, Read); 4] = [
        ("recv", |receiver| while receiver.try_recv().is_ok() {}),
        ("drain", |receiver| assert_eq!(receiver.drain().count(), 2)),
        ("drain_with", |receiver| assert_eq!(receiver.drain_with(drop), 2)),
        ("iterator", |receiver| assert_eq!(receiver.iter().take(2).count(), 2)),
    ];
    for (way, read) in ways {
        for unbounded in [false, true] {
            let builder = Channel::<Events>::builder();
            let (channel, mut receiver) =
                if unbounded { builder.unbounded() } else { builder }.build().unwrap();
            let batch = channel.batch(3);
            (0..6).for_each(|event| batch.write(event).unwrap());
            assert_eq!(batch.state().ledger.pending, 6, "{way}");
            read(&mut receiver);
            let ledger = batch.state().ledger;
            assert_eq!((ledger.delivered, ledger.pending), (6, 0), "{way}, unbounded: {unbounded}: {ledger}");
        }
    }
    let (channel, receiver) = Channel::<Events>::builder().build_shared().unwrap();
    let batch = channel.batch(3);
    (0..6).for_each(|event| batch.write(event).unwrap());
    assert_eq!(batch.state().ledger.pending, 6);
    let mut receiver = receiver.clone();
    assert_eq!(receiver.iter().take(2).count(), 2);
    assert_eq!((batch.state().ledger.delivered, batch.state().ledger.pending), (6, 0));
}

#[test]
fn map_to_another_type_counts_the_whole_batch() {
    for fails in [false, true] {
        let texts = sink_fn(move |_: &String| if fails { Err("no route") } else { Ok(()) });
        let queue = texts.queue(64).unwrap();
        let batch = queue.clone().map(|batch: &Events| format!("{batch:?}")).batch(3);
        (0..6).for_each(|event| batch.write(event).unwrap());
        assert!(queue.flush_timeout(LIMIT).is_done());
        let ledger = batch.state().ledger;
        assert_eq!(
            (ledger.delivered, ledger.dropped.failed),
            if fails { (0, 6) } else { (6, 0) },
            "{ledger}"
        );
    }
}

#[test]
fn map_that_resizes_a_batch_keeps_the_input_count() {
    let queue = sink_fn(|_: &Events| ()).queue(64).unwrap();
    let batch = queue.clone().map(|batch: &Events| batch[..1].to_vec()).batch(3);
    (0..6).for_each(|event| batch.write(event).unwrap());
    assert!(queue.flush_timeout(LIMIT).is_done());
    let ledger = batch.state().ledger;
    assert_eq!((ledger.delivered, ledger.pending), (6, 0), "{ledger}");
}

#[test]
fn other_writers_do_not_affect_the_batch_ledger() {
    let queue =
        sink_fn(|batch: &Events| if batch.len() > 3 { Err("too long") } else { Ok(()) }).queue(64).unwrap();
    let batch = queue.clone().batch(3);
    (0..6).for_each(|event| batch.write(event).unwrap());
    queue.write((0..9).collect()).unwrap();
    assert!(queue.flush_timeout(LIMIT).is_done());
    let ledger = batch.state().ledger;
    assert_eq!((ledger.delivered, ledger.pending), (6, 0), "{ledger}");
    assert_eq!(ledger.check(), Ok(()));
}

#[test]
fn two_batches_on_one_retry_count_their_own_parts() {
    let (picky, letters) = (Picky::default(), Letters::new());
    let shared = Arc::new(lettered(picky.clone(), letters));
    let (one, other) = (shared.clone().batch(4), shared.batch(3));
    (0..8).for_each(|event| one.write(event).unwrap());
    (20..29).for_each(|event| other.write(event).unwrap());
    let (one, other) = (one.state().ledger, other.state().ledger);
    assert_eq!((one.delivered, one.dropped.failed), (6, 2), "{one}"); // without 0 and 5
    assert_eq!((other.delivered, other.dropped.failed), (7, 2), "{other}"); // without 20 and 25
}

#[test]
fn retry_reports_parts_only_to_a_batch() {
    let retry = lettered::<Events>(Picky::default(), Letters::new());
    let failed = Disposition::Dropped(DropReason::Failed);
    assert_eq!(retry.offer(vec![1, 2, 5]).unwrap(), failed, "the caller that offers it counts batches");
    let retry = Arc::new(retry);
    let _batch = retry.clone().batch(3);
    let Disposition::Partly(parts) = retry.offer(vec![1, 2, 5]).unwrap() else {
        panic!("a part was accepted")
    };
    assert_eq!((parts.delivered(), parts.rest()), (2, failed));
}

#[test]
fn tee_counts_events_of_its_better_side() {
    let (picky, letters) = (Picky::default(), Letters::new());
    let batch = lettered(picky, letters).tee(noop()).batch(3);
    (0..6).for_each(|event| batch.write(event).unwrap());
    let ledger = batch.state().ledger;
    assert_eq!((ledger.delivered, ledger.dropped.failed), (6, 0), "{ledger}");
}

/// A retry whose waits end at the close has accepted the events, and sends dead letters for them.
#[test]
fn batch_close_dead_letters_every_event() {
    let hour = Duration::from_secs(3600);
    for queued in [false, true] {
        for limit in [Duration::ZERO, Duration::from_millis(20)] {
            let context = format!("queued: {queued}, limit {limit:?}");
            let letters = Letters::<Events>::new();
            let sink = sink_fn(|_: &Events| Err("no route"));
            let retry = sink.retry(Backoff::new(hour, hour)).dead_letters(letters.clone());
            let batch = Arc::new(retry.batch(100));
            let state = || batch.state();
            if queued {
                let queue = batch.clone().queue(64).unwrap();
                (0..10).for_each(|event| queue.write(event).unwrap());
                let begun = Instant::now();
                while batch.state().depth < 10 {
                    assert!(begun.elapsed() < LIMIT, "{context}");
                    std::thread::yield_now();
                }
                let _ = queue.close_timeout(limit);
                while state().ledger.pending > 0 {
                    assert!(begun.elapsed() < LIMIT, "{context}");
                    std::thread::yield_now();
                }
            } else {
                (0..10).for_each(|event| batch.write(event).unwrap());
                let _ = batch.close_by(buslane::time::Deadline::after(limit));
            }
            let state = state();
            let sent: usize = letters.events().iter().map(|letter| letter.event.len()).sum();
            assert_eq!(state.ledger.check(), Ok(()), "{context}");
            assert_eq!((state.ledger.dropped.failed, sent), (10, 10), "{context}: {}", state.ledger);
            assert_eq!(retries(&state).letters_sent, 1, "{context}");
        }
    }
}

#[test]
fn batch_close_aborts_events_without_dead_letters() {
    let hour = Duration::from_secs(3600);
    let retry = sink_fn(|_: &Events| Err("no route")).retry(Backoff::new(hour, hour));
    let batch = retry.batch(100);
    (0..10).for_each(|event| batch.write(event).unwrap());
    let report = batch.close_by(buslane::time::Deadline::after(Duration::from_millis(20)));
    assert_eq!((report.finish, report.undelivered), (buslane::stats::Finish::TimedOut, 10));
    let ledger = batch.state().ledger;
    assert_eq!((ledger.dropped.aborted, ledger.dropped.failed), (10, 0), "{ledger}");
}
