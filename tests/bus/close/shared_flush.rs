//! Flushes that the worker of one queue takes together, where the last queue of the flush is
//! further downstream.

use buslane::queue::Handler;
use buslane::stats::{Finish, FlushReport};
use buslane::testing::Gate;
use buslane::{BoxError, Queue, Sink, WriteError};
use std::time::Duration;
use test_support::{ends, waits};

const LONG: Duration = Duration::from_secs(60);

/// A sink that waits at a gate and forwards to the downstream queue.
struct Gated(Gate, Queue<u32>);

impl Sink<u32> for Gated {
    fn write(&self, event: u32) -> Result<(), WriteError<u32>> {
        self.0.pass();
        self.1.write(event)
    }

    fn inner(&self, visit: &mut buslane::sink::Inner<'_>) {
        visit.sink(&self.1);
    }

    // The test closes the downstream queue itself.
    fn close_by(&self, _: buslane::time::Deadline) -> buslane::stats::CloseReport {
        buslane::stats::CloseReport::done()
    }
}

/// Starts flushes while the worker of the queue waits at the gate, so that the worker takes them
/// together. Then opens the gate.
fn flush_together(
    queue: &Queue<u32>,
    gate: &Gate,
    flushes: usize,
) -> Vec<std::thread::JoinHandle<FlushReport>> {
    queue.write(1).unwrap();
    gate.wait_reached(1);
    let flushing = (0..flushes)
        .map(|_| {
            let queue = queue.clone();
            waits(move || queue.flush_timeout(LONG))
        })
        .collect();
    gate.open();
    flushing
}

/// A handler whose every flush fails.
struct Failing;

impl Handler<u32> for Failing {
    fn handle(&mut self, _: u32) -> Result<(), BoxError> {
        Ok(())
    }

    fn flush(&mut self, _: buslane::time::Deadline) -> Result<(), BoxError> {
        Err("the disk is full".into())
    }
}

#[test]
fn every_flush_reports_a_downstream_error() {
    let gate = Gate::closed();
    let last = Queue::builder().spawn_handler(Failing).unwrap();
    let queue = Queue::builder().spawn_sink(Gated(gate.clone(), last)).unwrap();
    for flush in flush_together(&queue, &gate, 4) {
        let report = ends(move || flush.join().unwrap());
        assert!(report.errors.iter().any(|error| error.contains("the disk is full")), "{report}");
    }
}

#[test]
fn no_flush_is_done_before_the_last_queue() {
    let (gate, end) = (Gate::closed(), Gate::closed());
    let at_the_end = end.clone();
    let last = Queue::builder().spawn(move |_: u32| at_the_end.pass()).unwrap();
    let middle = Queue::builder().spawn_sink(last).unwrap();
    let queue = Queue::builder().spawn_sink(Gated(gate.clone(), middle)).unwrap();
    let flushing = flush_together(&queue, &gate, 4);
    end.wait_reached(1);
    let early = waits(|| ());
    early.join().unwrap();
    assert!(
        flushing.iter().all(|flush| !flush.is_finished()),
        "a flush ended before the last queue handled the event"
    );
    end.open();
    for flush in flushing {
        assert_eq!(ends(move || flush.join().unwrap()).finish, Finish::Done);
    }
}
