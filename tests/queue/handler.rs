//! The life of a handler: ticks, batches, flushes and close, in order.

use buslane::queue::{Handler, QueueBuilder};
use buslane::stats::Finish;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{BoxError, Queue, Sink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, Log, assert_balanced, flush, lane};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Tick,
    Handle(u64),
    EndOfBatch,
    Flush,
    Close,
    Drop,
}

/// A handler that records every call, and passes a gate with each event.
struct Diary {
    log: Log<Call>,
    gate: Gate,
}

impl Handler<u64> for Diary {
    fn handle(&mut self, event: u64) -> Result<(), BoxError> {
        self.gate.pass();
        self.log.push(Call::Handle(event));
        Ok(())
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        self.log.push(Call::EndOfBatch);
        Ok(())
    }

    fn tick(&mut self, _: Instant) -> Option<Instant> {
        self.log.push(Call::Tick);
        None
    }

    fn flush(&mut self, _: Deadline) -> Result<(), BoxError> {
        self.log.push(Call::Flush);
        Ok(())
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.log.push(Call::Close);
        Ok(())
    }
}

impl Drop for Diary {
    fn drop(&mut self) {
        self.log.push(Call::Drop);
    }
}

fn diary(builder: QueueBuilder<u64>) -> (Queue<u64>, Gate, Log<Call>) {
    let (gate, log) = (Gate::closed(), Log::new());
    let queue = builder.spawn_handler(Diary { log: log.clone(), gate: gate.clone() }).unwrap();
    (queue, gate, log)
}

/// Returns the events of each batch, as separated by the batch ends.
fn batches(log: &Log<Call>) -> Vec<Vec<u64>> {
    let mut batches = vec![Vec::new()];
    for call in log.entries() {
        match call {
            Call::Handle(event) => batches.last_mut().unwrap().push(event),
            Call::EndOfBatch => batches.push(Vec::new()),
            Call::Tick | Call::Flush | Call::Close | Call::Drop => {}
        }
    }
    assert_eq!(batches.pop(), Some(Vec::new()), "the last batch has an end");
    batches
}

#[test]
fn handler_calls_follow_the_documented_order() {
    let (queue, gate, log) = diary(Queue::builder());
    gate.open();
    queue.write(7).unwrap();
    flush(&queue);
    assert!(queue.close().is_done());
    let calls = log.entries();
    assert_eq!(calls.first(), Some(&Call::Tick), "{calls:?}");
    let without_ticks: Vec<_> = calls.iter().copied().filter(|call| *call != Call::Tick).collect();
    assert_eq!(
        without_ticks,
        [Call::Handle(7), Call::EndOfBatch, Call::Flush, Call::Close, Call::Drop],
        "{calls:?}"
    );
    // A tick follows each batch, even if the handler requested no timer.
    let end = calls.iter().position(|call| *call == Call::EndOfBatch).unwrap();
    assert!(calls[end..].contains(&Call::Tick), "{calls:?}");
}

#[test]
fn batch_holds_at_most_max_batch_events() {
    let (queue, gate, log) = diary(Queue::builder().capacity(64).max_batch(4));
    let mut entry = lane(&queue);
    entry.push(0, Deadline::NEVER).unwrap();
    gate.wait_reached(1);
    (1..=10).for_each(|event| entry.push(event, Deadline::NEVER).unwrap());
    gate.open();
    flush(&queue);
    assert_eq!(batches(&log), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9, 10]]);
    assert_balanced(&queue.state());
}

#[test]
fn batch_ends_after_all_waiting_events() {
    let (queue, gate, log) = diary(Queue::builder().capacity(4));
    let mut entry = lane(&queue);
    entry.push(0, Deadline::NEVER).unwrap();
    gate.wait_reached(1);
    (1..=3).for_each(|event| entry.push(event, Deadline::NEVER).unwrap());
    gate.open();
    flush(&queue);
    let batches = batches(&log);
    assert_eq!(batches.concat(), [0, 1, 2, 3]);
    // The first batch may have ended before the other events arrived.
    assert!(batches.len() <= 2, "{batches:?}");
}

#[test]
fn last_batch_ends_despite_lane_changes_in_close() {
    for round in 0..100 {
        let (queue, gate, log) = diary(Queue::builder().capacity(4));
        gate.open();
        let (other, stop) = (queue.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let adder = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                drop(lane(&other));
            }
        });
        let mut entry = lane(&queue);
        (0..3).for_each(|event| entry.push(event, Deadline::NEVER).unwrap());
        assert!(queue.close().is_done());
        stop.store(true, Ordering::Relaxed);
        adder.join().unwrap();
        let calls: Vec<_> = log.entries().into_iter().filter(|call| *call != Call::Tick).collect();
        assert!(calls.ends_with(&[Call::EndOfBatch, Call::Close, Call::Drop]), "round {round}: {calls:?}");
    }
}

#[test]
fn tick_comes_at_the_requested_time_without_events() {
    struct Clock(mpsc::Sender<Instant>, Instant);
    impl Handler<u64> for Clock {
        fn handle(&mut self, _: u64) -> Result<(), BoxError> {
            Ok(())
        }
        fn tick(&mut self, now: Instant) -> Option<Instant> {
            self.0.send(now).unwrap();
            self.1 = now + Duration::from_millis(1);
            Some(self.1)
        }
    }
    let (sender, ticks) = mpsc::channel();
    let queue = Queue::builder().spawn_handler(Clock(sender, Instant::now())).unwrap();
    let mut last = ticks.recv_timeout(GUARD).unwrap();
    for _ in 0..20 {
        let tick = ticks.recv_timeout(GUARD).unwrap();
        assert!(tick >= last + Duration::from_millis(1), "a tick came too early");
        last = tick;
    }
    assert!(queue.close().is_done());
}

#[test]
fn default_flush_ends_the_batch() {
    struct Buffered(Log<&'static str>);
    impl Handler<u64> for Buffered {
        fn handle(&mut self, _: u64) -> Result<(), BoxError> {
            self.0.push("event");
            Ok(())
        }
        fn end_of_batch(&mut self) -> Result<(), BoxError> {
            self.0.push("written out");
            Ok(())
        }
    }
    let log = Log::new();
    let queue = Queue::builder().spawn_handler(Buffered(log.clone())).unwrap();
    flush(&queue);
    assert_eq!(log.entries(), ["written out"]);
    queue.write(1).unwrap();
    assert!(queue.close().is_done());
    assert_eq!(log.entries(), ["written out", "event", "written out"]);
}

/// A handler that fails in every call except those with an event.
#[derive(Clone, Copy)]
enum Failing {
    ByError,
    ByPanic,
}

impl Failing {
    fn fail(self, what: &str) -> Result<(), BoxError> {
        match self {
            Self::ByError => Err(what.into()),
            Self::ByPanic => panic!("{what}"),
        }
    }
}

impl Handler<u64> for Failing {
    fn handle(&mut self, _: u64) -> Result<(), BoxError> {
        Ok(())
    }

    fn end_of_batch(&mut self) -> Result<(), BoxError> {
        self.fail("in end_of_batch")
    }

    fn flush(&mut self, _: Deadline) -> Result<(), BoxError> {
        self.fail("in flush")
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.fail("in close")
    }
}

#[test]
fn handler_failures_are_reported_and_worker_continues() {
    for failing in [Failing::ByError, Failing::ByPanic] {
        let errors = Log::new();
        let hook = errors.clone();
        let queue = Queue::builder()
            .on_error(move |error: &BoxError| hook.push(error.to_string()))
            .spawn_handler(failing)
            .unwrap();
        queue.write(1).unwrap();
        // Every event was handled, but the flush itself failed.
        let flushed = queue.flush_timeout(GUARD);
        queue.write(2).unwrap();
        let report = queue.close();
        assert_eq!((report.finish, report.errors.len()), (Finish::Done, 1), "{report}");
        assert!(report.errors[0].contains("in close"), "{report}");
        let told = errors.entries();
        for what in ["in end_of_batch", "in flush"] {
            assert!(told.iter().any(|text| text.contains(what)), "{told:?}");
        }
        assert!(queue.state().last_error.is_some_and(|text| text.contains("in close")));
        assert_eq!(assert_balanced(&queue.state()).delivered, 2);
        assert!(!flushed.is_done(), "a failed flush is not done");
    }
}

#[test]
fn worker_survives_panicking_tick_and_drop() {
    struct Fragile;
    impl Handler<u64> for Fragile {
        fn handle(&mut self, _: u64) -> Result<(), BoxError> {
            Ok(())
        }
        fn tick(&mut self, _: Instant) -> Option<Instant> {
            panic!("in tick")
        }
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let queue = Queue::builder().spawn_handler(Fragile).unwrap();
    queue.write(1).unwrap();
    let report = queue.close();
    assert!(report.errors.iter().any(|text| text.contains("in drop")), "{report}");
    assert!(queue.state().last_error.is_some_and(|text| text.contains("in tick")));
    assert_eq!(assert_balanced(&queue.state()).delivered, 1);
}
