//! A sink for batches that gives scripted answers and logs what it got.

use buslane::stats::{CloseReport, FlushReport, SinkState};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Sink, WriteError};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use test_support::lock;

/// The outcome of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Take,
    Full,
    Timeout,
    Reentrant,
    Fail,
    /// Accepts all but the first `n` events, and returns those.
    FailFirst(usize),
    Close,
    Panic,
}

/// Gives the scripted answers, and accepts every batch once there are none left.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Answer>>,
    batches: Mutex<Vec<Vec<u64>>>,
    signals: Mutex<Vec<String>>,
    gate: Mutex<Option<Gate>>,
}

impl Script {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds the answers to the next writes.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.answers).extend(answers);
    }

    /// Makes every write wait at this gate.
    pub(crate) fn stop_at(&self, gate: Gate) {
        *lock(&self.gate) = Some(gate);
    }

    /// Returns the batches that were accepted.
    pub(crate) fn batches(&self) -> Vec<Vec<u64>> {
        lock(&self.batches).clone()
    }

    /// Returns the signals that were received, including closes but not ticks.
    pub(crate) fn signals(&self) -> Vec<String> {
        lock(&self.signals).clone()
    }
}

impl Sink<Vec<u64>> for Script {
    fn write(&self, mut batch: Vec<u64>) -> Result<(), WriteError<Vec<u64>>> {
        let gate = lock(&self.gate).clone();
        if let Some(gate) = gate {
            gate.pass();
        }
        let answer = lock(&self.answers).pop_front().unwrap_or(Answer::Take);
        let failed = |event| Err(WriteError::Failed { event, source: "scripted".into() });
        match answer {
            Answer::Take => {
                lock(&self.batches).push(batch);
                Ok(())
            }
            Answer::Full => Err(WriteError::Full(batch)),
            Answer::Timeout => Err(WriteError::Timeout(batch)),
            Answer::Reentrant => Err(WriteError::Reentrant(batch)),
            Answer::Fail => failed(batch),
            Answer::FailFirst(count) => {
                lock(&self.batches).push(batch.split_off(count));
                failed(batch)
            }
            Answer::Close => Err(WriteError::Closed(batch)),
            Answer::Panic => panic!("scripted"),
        }
    }

    fn close_by(&self, _: Deadline) -> CloseReport {
        lock(&self.signals).push("close".into());
        CloseReport::done()
    }

    fn flush_by(&self, _: Deadline, _: &mut FlushReport) {
        lock(&self.signals).push("flush".into());
    }

    fn abort_now(&self) {
        lock(&self.signals).push("abort".into());
    }

    fn end_of_batch(&self) {
        lock(&self.signals).push("end of batch".into());
    }

    fn describe(&self, _: &mut SinkState) {
        panic!("a batch does not ask its inner sink for a ledger");
    }
}
