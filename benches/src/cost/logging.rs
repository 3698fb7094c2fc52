//! What a line of a log costs the thread that logs it, while the worker keeps up.
//!
//! As for the [writers](super::appender) of other events, the worker runs on the consumer's
//! processor meanwhile, and its file is a substitute that reads every line and checks its event.
//!
//! - [`lines`]: a finished line of 120 bytes, written with `io::Write`.
//! - [`events`]: an event of tracing with three numbers and a constant message, events that no
//!   subscriber wants, and a record of the `log` facade with a constant message. A process has one
//!   subscriber and one logger, so each of these has a process of its own.

pub mod events;
pub mod lines;

use super::appender::Written;
use crate::event::Event;
use std::io::{self, Write};

/// A substitute for a file: reads the lines that are written, in whatever pieces.
struct File {
    written: Written,
    /// The beginning of a line whose end is missing.
    rest: Vec<u8>,
    read: Read,
}

/// Returns the length of the first line, and its event.
type Read = Box<dyn FnMut(&[u8]) -> Option<(usize, Event)> + Send>;

impl File {
    fn new(written: &Written, read: impl FnMut(&[u8]) -> Option<(usize, Event)> + Send + 'static) -> Self {
        Self { written: written.clone(), rest: Vec::new(), read: Box::new(read) }
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let mut start = 0;
        while let Some((length, event)) = (self.read)(&self.rest[start..]) {
            self.written.push(event);
            start += length;
        }
        self.rest.drain(..start);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
