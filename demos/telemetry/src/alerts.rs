//! The thread that reads what passed the filter.

use buslane::Receiver;
use buslane::error::RecvError;
use std::collections::VecDeque;

/// How many alerts the report shows: the last ones.
const SHOWN: usize = 4;

/// What the alert thread read.
#[derive(Debug)]
pub(crate) struct Alerts<E> {
    /// How many alerts there were.
    pub(crate) count: u64,
    pub(crate) last: VecDeque<E>,
    /// Why reading ended.
    pub(crate) end: RecvError,
}

impl<E> Alerts<E> {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { count: 0, last: VecDeque::with_capacity(SHOWN), end: RecvError::Closed }
    }

    /// Counts an alert.
    pub(crate) fn note(&mut self, event: E) {
        self.count += 1;
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(event);
    }
}

/// Reads until the channel ends.
pub(crate) fn watch<E: Send + 'static>(mut receiver: Receiver<E>) -> Alerts<E> {
    let mut alerts = Alerts::new();
    alerts.end = loop {
        match receiver.recv() {
            Ok(event) => alerts.note(event),
            Err(end) => break end,
        }
    };
    alerts
}
