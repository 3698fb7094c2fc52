//! The sink that counts lines, and how long they are.

use super::line::Line;
use crate::live::Live;
use crate::report::new_histogram;
use buslane::BoxError;
use buslane::queue::Handler;
use hdrhistogram::Histogram;
use std::sync::mpsc;
use std::time::Instant;

/// Counts lines, and shows a live line.
#[derive(Debug)]
pub(crate) struct Aggregator {
    summary: Summary,
    live: Live,
    sender: mpsc::Sender<Summary>,
}

/// What the lines are like.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) bytes: u64,
    pub(crate) lengths: Histogram<u64>,
}

impl Aggregator {
    /// An aggregator, and where it hands in its summary when its queue closes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Summary>) {
        let (sender, receiver) = mpsc::channel();
        let summary = Summary { bytes: 0, lengths: new_histogram() };
        (Self { summary, live: Live::new(), sender }, receiver)
    }
}

impl Handler<Line> for Aggregator {
    fn handle(&mut self, line: Line) -> Result<(), BoxError> {
        let length = line.text.len() as u64;
        self.summary.bytes += length;
        self.summary.lengths.saturating_record(length);
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        let Summary { bytes, lengths } = &self.summary;
        self.live.show(now, || format!("{} lines, {bytes} bytes", lengths.len()))
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.live.clear();
        Ok(self.sender.send(self.summary.clone())?)
    }
}
