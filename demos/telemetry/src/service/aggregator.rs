//! The sink that turns samples into histograms.

use super::sample::{Operation, Sample};
use crate::live::Live;
use crate::report::{duration_text, new_histogram};
use buslane::BoxError;
use buslane::queue::Handler;
use hdrhistogram::Histogram;
use std::sync::mpsc;
use std::time::Instant;

/// Turns samples into histograms, and shows a live line. Runs downstream of a queue, so it needs no
/// lock.
#[derive(Debug)]
pub(crate) struct Aggregator {
    summary: Summary,
    live: Live,
    sender: mpsc::Sender<Summary>,
}

/// What the samples say about the service.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// Nanoseconds in the service, for each operation.
    latencies: [Histogram<u64>; Operation::ALL.len()],
    pub(crate) bytes: u64,
    pub(crate) failed: u64,
}

impl Summary {
    fn new() -> Self {
        Self { latencies: std::array::from_fn(|_| new_histogram()), bytes: 0, failed: 0 }
    }

    /// Nanoseconds in the service, of one operation.
    pub(crate) fn of(&self, operation: Operation) -> &Histogram<u64> {
        &self.latencies[operation as usize]
    }

    /// How many samples there were.
    pub(crate) fn count(&self) -> u64 {
        self.latencies.iter().map(Histogram::len).sum()
    }
}

impl Aggregator {
    /// An aggregator, and where it hands in its summary when its queue closes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Summary>) {
        let (sender, receiver) = mpsc::channel();
        (Self { summary: Summary::new(), live: Live::new(), sender }, receiver)
    }
}

impl Handler<Sample> for Aggregator {
    fn handle(&mut self, sample: Sample) -> Result<(), BoxError> {
        self.summary.latencies[sample.operation as usize].saturating_record(u64::from(sample.nanos));
        self.summary.bytes += u64::from(sample.bytes);
        self.summary.failed += u64::from(sample.is_failure());
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        let summary = &self.summary;
        self.live.show(now, || {
            let reads = summary.of(Operation::Get);
            format!(
                "{} samples, {} failed; GET p50 {}, p99 {}",
                summary.count(),
                summary.failed,
                duration_text(reads.value_at_quantile(0.5)),
                duration_text(reads.value_at_quantile(0.99))
            )
        })
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.live.clear();
        Ok(self.sender.send(self.summary.clone())?)
    }
}
