//! The thread that reads what passed the filter.

use buslane::Receiver;
use buslane::error::RecvError;
use std::collections::VecDeque;
use std::fmt;

/// How many alerts are shown at the end. A flood of them would tell less.
const SHOWN: usize = 4;

/// What the alert thread saw.
#[derive(Debug)]
pub(crate) struct Alerts<E> {
    /// How many there were.
    pub(crate) count: u64,
    last: VecDeque<E>,
    end: RecvError,
}

/// Reads until the channel ends.
pub(crate) fn watch<E: Send + 'static>(mut receiver: Receiver<E>) -> Alerts<E> {
    let (mut count, mut last) = (0, VecDeque::with_capacity(SHOWN));
    let end = loop {
        match receiver.recv() {
            Ok(event) => {
                count += 1;
                if last.len() == SHOWN {
                    last.pop_front();
                }
                last.push_back(event);
            }
            Err(end) => break end,
        }
    };
    Alerts { count, last, end }
}

impl<E: fmt::Display> fmt::Display for Alerts<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let introduction = if self.last.is_empty() { "" } else { "; the last of them:" };
        writeln!(f, "  {} read, then: {}{introduction}", self.count, self.end)?;
        self.last.iter().try_for_each(|event| writeln!(f, "  {event}"))
    }
}
