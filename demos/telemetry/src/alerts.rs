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
