//! Events from anything that can be read, such as a recorded stream.

use crate::error::DockerError;
use crate::event::{DockerEvent, LONGEST_TEXT};
use crate::frame::{After, Decoder};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read};

/// An iterator over the events of a reader: a recorded stream of the API, or the lines of
/// `docker events --format '{{json .}}'`.
///
/// An object that is no event, or longer than 16 MiB, is an error of the kind `InvalidData`, and the
/// next event follows. What is no JSON is the last item, and so is an error of the reader.
///
/// # Examples
/// ```
/// use buslane_docker::{Action, EventReader};
/// let recorded = r#"{"Type":"volume","Action":"mount"} {"answer":42} {"Type":"volume","Action":"unmount"}"#;
/// let mut events = EventReader::new(recorded.as_bytes());
/// assert!(events.next().is_some_and(|event| event.is_ok_and(|event| event.action() == Action::Mount)));
/// assert!(events.next().is_some_and(|event| event.is_err()));
/// assert_eq!(events.count(), 1);
/// ```
#[must_use = "an iterator does nothing until it is read"]
pub struct EventReader<R> {
    input: R,
    decoder: Decoder,
    /// Events that were decoded.
    ready: VecDeque<DockerEvent>,
    /// An error that follows them.
    error: Option<io::Error>,
    /// Whether nothing follows them.
    is_over: bool,
}

impl<R: Read> EventReader<R> {
    /// Makes an iterator over the events of a reader, which needs no buffer of its own.
    pub fn new(input: R) -> Self {
        Self {
            input,
            decoder: Decoder::new(LONGEST_TEXT),
            ready: VecDeque::new(),
            error: None,
            is_over: false,
        }
    }

    /// Reads more. Returns `false` at the end.
    fn read(&mut self) -> io::Result<bool> {
        loop {
            match self.input.read(self.decoder.room()) {
                Ok(0) if self.decoder.is_inside() => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    self.decoder.filled(bytes);
                    return Ok(bytes > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Decodes a block of events, or reads more if none is whole.
    #[inline(never)]
    fn more(&mut self) -> io::Result<()> {
        match self.decoder.block(|event| self.ready.push_back(event)) {
            Ok(After::Full) => Ok(()),
            // What is whole comes before a read that may wait.
            Ok(After::Dry) if !self.ready.is_empty() => Ok(()),
            Ok(After::Dry) => self.read().map(|has_more| self.is_over = !has_more),
            Ok(After::Undecodable(error, _)) => {
                self.error = Some(invalid(error));
                Ok(())
            }
            Err(error) => Err(invalid(error)),
        }
    }
}

fn invalid(error: DockerError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl<R: Read> Iterator for EventReader<R> {
    type Item = io::Result<DockerEvent>;

    fn next(&mut self) -> Option<io::Result<DockerEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.error.take() {
                return Some(Err(error));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.more() {
                (self.error, self.is_over) = (Some(error), true);
            }
        }
    }
}

impl<R> fmt::Debug for EventReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReader").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
