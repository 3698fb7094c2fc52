//! Dead letters: events that a retry gave up.

use crate::error::WriteError;
use crate::wait::context::error_text;
use std::fmt;
use std::sync::Arc;

/// An event that a retry gave up, with the reason.
///
/// [`Retry::dead_letters`](crate::retry::Retry::dead_letters) sets the sink that receives it.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, sink_fn, SinkExt};
/// use buslane::retry::Backoff;
/// let (letters, mut dead) = Channel::lossy(8)?;
/// let policy = Backoff::default().max_attempts(1);
/// let sink = sink_fn(|_: &u32| Err("no route")).retry(policy).dead_letters(letters);
/// sink.write(7)?;
/// let letter = dead.recv()?;
/// assert_eq!(letter.event, 7);
/// assert_eq!(letter.to_string(), "given up after 1 attempt: the sink failed: no route");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone)]
pub struct DeadLetter<E> {
    /// The event.
    pub event: E,
    /// The error of the last attempt, or the reason for which none was made.
    pub error: Arc<WriteError<()>>,
    /// The number of attempts that were made.
    pub attempts: u32,
}

impl<E> DeadLetter<E> {
    pub(super) fn new(error: WriteError<E>, attempts: u32) -> Self {
        let (event, error) = match error {
            WriteError::Full(event) => (event, WriteError::Full(())),
            WriteError::Closed(event) => (event, WriteError::Closed(())),
            WriteError::Timeout(event) => (event, WriteError::Timeout(())),
            WriteError::Reentrant(event) => (event, WriteError::Reentrant(())),
            WriteError::Failed { event, source } => (event, WriteError::Failed { event: (), source }),
        };
        Self { event, error: Arc::new(error), attempts }
    }

    /// Returns the error from which the letter was created.
    pub(super) fn into_error(self) -> WriteError<E> {
        let error = Arc::try_unwrap(self.error).unwrap_or_else(|shared| {
            // The sink that refused the letter kept the error, so only its text remains.
            WriteError::Failed { event: (), source: error_text(&*shared).into() }
        });
        error.map_event(|()| self.event)
    }
}

/// Omits the event, which need not be `Debug`.
impl<E> fmt::Debug for DeadLetter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("error", &self.error)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// Omits the event, which need not be `Display`.
impl<E> fmt::Display for DeadLetter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.attempts == 1 { "" } else { "s" };
        write!(f, "given up after {} attempt{more}: {}", self.attempts, self.error)
    }
}
