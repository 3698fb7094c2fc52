//! The event, and the messages to the main thread.

use std::io;
use std::sync::Arc;

/// A line as it was read, with its end; any bytes. The sinks share it: a clone is a count.
pub(crate) type Line = Arc<[u8]>;

/// A message to the main thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// Some lines.
    Lines(Vec<Line>),
    /// Reading ended before the end.
    Unreadable(io::Error),
    /// Everything was read.
    End,
    /// Check whether the end was requested: on Ctrl-C, or because an output is gone.
    Wake,
}
