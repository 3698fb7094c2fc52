//! The sink that counts, and shows how far it is.

use crate::message::Line;
use buslane::BoxError;
use buslane::queue::Handler;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the bar is drawn anew.
const INTERVAL: Duration = Duration::from_millis(100);

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Count {
    lines: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    /// Lines, and pieces of long ones.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Acquire)
    }

    /// Bytes, line ends included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }
}

/// Counts lines, and shows how far it is.
pub(crate) struct Counter {
    count: Arc<Count>,
    bar: ProgressBar,
    next: Option<Instant>,
}

impl Counter {
    /// A counter, and what it counts. With `progress` it shows a bar on standard error if that is a
    /// terminal; of the whole input if its size is known.
    pub(crate) fn new(progress: bool, size: Option<u64>) -> (Self, Arc<Count>) {
        let count = Arc::new(Count::default());
        let bar = match size {
            _ if !progress => ProgressBar::hidden(),
            Some(size) => ProgressBar::new(size).with_style(style("{bar:40} {bytes}/{total_bytes}, ")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}, ")),
        };
        (Self { count: count.clone(), bar, next: None }, count)
    }
}

fn style(front: &str) -> ProgressStyle {
    let template = format!("{front}{{bytes_per_sec}}, {{msg}}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Handler<Line> for Counter {
    fn handle(&mut self, line: Line) -> Result<(), BoxError> {
        self.count.lines.fetch_add(1, Ordering::Release);
        self.count.bytes.fetch_add(line.len() as u64, Ordering::Release);
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Option<Instant> {
        if self.bar.is_hidden() {
            return None;
        }
        if self.next.is_none_or(|next| now >= next) {
            self.bar.set_position(self.count.bytes());
            self.bar.set_message(format!("{} lines", self.count.lines()));
            self.next = Some(now + INTERVAL);
        }
        self.next
    }

    fn close(&mut self) -> Result<(), BoxError> {
        self.bar.finish_and_clear();
        Ok(())
    }
}
