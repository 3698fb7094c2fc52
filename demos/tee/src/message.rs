//! The event, and what the main thread is told.

use std::io;
use std::sync::Arc;

/// A line as it was read, with its end; any bytes. The sinks share it: a clone is a count.
pub(crate) type Line = Arc<[u8]>;

/// What the main thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// Some lines.
    Lines(Vec<Line>),
    /// Reading ended before the end.
    Unreadable(io::Error),
    /// All was read.
    End,
    /// Look up: somebody asked for the end, or an output is gone.
    Wake,
}
