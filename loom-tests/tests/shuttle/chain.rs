//! A queue with two workers, whose sinks are batches of retries of a sink that sometimes fails.

use crate::support::{Event, LIMIT, Log, Progress, Source, Told};
use buslane::retry::{Backoff, DeadLetter};
use buslane::time::{Clock, Pause};
use buslane::{Bus, Overflow, Queue, Sink, SinkExt, WaitStrategy, WriteError};
use loom_tests::schedules::explore;
use loom_tests::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PUBLISHERS: usize = 3;
const EVENTS: usize = 4;

/// A clock that stops until a thread waits: then it advances to the end of that wait, and others
/// run.
#[derive(Clone, Debug)]
struct Turns(Instant, Arc<AtomicUsize>);

impl Turns {
    fn new() -> Self {
        Self(Instant::now(), Arc::default())
    }
}

impl Clock for Turns {
    fn now(&self) -> Instant {
        self.0 + Duration::from_nanos(self.1.load(Ordering::Relaxed) as u64)
    }

    fn wait_until(&self, moment: Instant, _pause: &Arc<Pause>) {
        thread::yield_now();
        let nanos = moment.saturating_duration_since(self.0).as_nanos() as usize;
        self.1.fetch_max(nanos, Ordering::Relaxed);
    }
}

/// The sink of the batches: each third attempt fails, and every batch with event 1 fails.
#[derive(Clone, Default)]
struct Flaky {
    log: Log,
    attempts: Arc<AtomicUsize>,
}

impl Sink<Vec<Event>> for Flaky {
    fn write(&self, batch: Vec<Event>) -> Result<(), WriteError<Vec<Event>>> {
        thread::yield_now();
        let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
        if attempt % 3 == 2 || batch.iter().any(|event| event.publisher == 0 && event.number == 1) {
            return Err(WriteError::Failed { event: batch, source: "not now".into() });
        }
        batch.iter().for_each(|event| self.log.note(event));
        Ok(())
    }
}

/// The sink of the events that were given up.
#[derive(Clone, Default)]
struct Letters(Log);

impl Sink<DeadLetter<Vec<Event>>> for Letters {
    fn write(&self, letter: DeadLetter<Vec<Event>>) -> Result<(), WriteError<DeadLetter<Vec<Event>>>> {
        letter.event.iter().for_each(|event| self.0.note(event));
        Ok(())
    }
}

#[test]
fn batched_retries_deliver_each_event_exactly_once() {
    // Three publishers, two workers with batches of two each, up to three attempts, dead letters; a
    // flush and a close in between. Each accepted event is accepted by the sink or becomes a dead
    // letter, once; no thread waits for itself.
    explore(|| {
        let (bus, source, told) = (Bus::new(), Source::new(), Told::default());
        let progress = Progress::default();
        let (sink, letters) = (Flaky::default(), Letters::default());
        let backoff = Backoff::new(Duration::from_nanos(100), Duration::from_nanos(400));
        let backoff = backoff.seed(1).max_attempts(3);
        let batch = || {
            let retry = sink.clone().retry(backoff.clone()).dead_letters(letters.clone());
            Arc::new(retry.clock(Turns::new()).batch(2))
        };
        let batches = [batch(), batch()];
        let queue = Queue::builder()
            .capacity(4)
            .overflow(Overflow::Block)
            .wait_strategy(WaitStrategy::Park)
            .workers(2)
            .spawn_each_sink(|worker| batches[worker].clone())
            .expect("a small queue");
        bus.add(queue.clone()).expect("open");
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|me| {
                let (bus, source, told) = (bus.clone(), source.clone(), told.clone());
                let progress = progress.clone();
                let logs = [sink.log.clone(), letters.0.clone()];
                thread::spawn(move || {
                    let mut publisher = bus.publisher();
                    let mut accepted = 0;
                    for number in 0..EVENTS {
                        let event = source.event(me, number);
                        let outcome = publisher.publish(event.clone());
                        accepted += outcome.as_ref().map_or(0, |published| published.accepted);
                        told.note(&event, outcome);
                        progress.step();
                    }
                    if bus.flush_timeout(LIMIT).is_done() {
                        let came: usize = logs.iter().map(|log| log.of(me).len()).sum();
                        assert_eq!(came, accepted, "forwarded when the flush returns");
                    }
                })
            })
            .collect();
        let closing = bus.clone();
        let closer = thread::spawn(move || {
            progress.wait(PUBLISHERS * EVENTS);
            closing.close_timeout(LIMIT)
        });
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        let report = closer.join().unwrap();
        assert!(report.is_done(), "{report}");
        assert_eq!(
            told.accepted(),
            sink.log.len() + letters.0.len(),
            "the accepted events arrived, or were given up"
        );
        for log in [&sink.log, &letters.0] {
            log.assert_no_repetition();
        }
        for publisher in 0..PUBLISHERS {
            let given_up = letters.0.of(publisher);
            assert!(given_up.iter().all(|number| !sink.log.has(publisher, *number)), "once");
        }
        for ledger in [batches[0].state().ledger, batches[1].state().ledger, queue.state().ledger] {
            ledger.check().unwrap();
            assert_eq!(ledger.pending, 0);
        }
        drop((bus, queue, batches, sink, letters));
        source.assert_all_dropped();
    });
}
