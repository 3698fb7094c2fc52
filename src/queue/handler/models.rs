//! The model of workers that share a sink.

use super::{SinkWork, Work};
use crate::error::WriteError;
use crate::sink::Sink;
use crate::stats::CloseReport;
use crate::time::Deadline;
use loom_tests::probe::Traces;
use loom_tests::{model, thread};
use std::sync::{Arc, Mutex};

/// A sink that asserts that its close comes after all writes, by an order between the threads. Its
/// lock is the standard library's, which adds no order in a model.
#[derive(Default)]
struct Watched {
    traces: Traces,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    writes: usize,
    closed: bool,
}

impl Sink<u32> for Watched {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        self.traces.look(0b1);
        let mut calls = self.calls.lock().unwrap();
        assert!(!calls.closed, "a write after the close");
        calls.writes += 1;
        Ok(())
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.calls.lock().unwrap().closed = true;
        self.traces.leave(0);
        CloseReport::done()
    }
}

#[test]
fn last_of_two_workers_closes_their_sink() {
    // The close comes after what the other worker wrote. Fails when ORD(work.working) is Relaxed.
    model(|| {
        let sink = Arc::new(Watched::default());
        let workers = SinkWork::of(&sink, 2).into_iter().map(|mut work| {
            thread::spawn(move || {
                assert!(work.handle(0_u32).is_ok());
                assert!(Work::<u32>::close(&mut work, Deadline::NEVER).is_done());
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.join().unwrap();
        }
        assert_eq!(sink.calls.lock().unwrap().writes, 2);
    });
}
