//! Events that a sink gave up, and the sink that gets them.

use crate::counters::{Counters, add};
use crate::error::PublishError;
use crate::message::Prepared;
use buslane::Sink;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An event that a [`JetStream`](crate::JetStream) gave up, with the reason.
///
/// If the error [is retryable](PublishError::is_retryable), the retry policy gave up. Then an earlier
/// attempt may have stored the event: it has this message id.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, SinkExt};
/// use buslane_nats::{JetStream, PublishError, Rejected};
/// let (letters, mut rejected) = Channel::<Rejected<String>>::lossy(64)?;
/// let sink = JetStream::<String>::builder("nats://127.0.0.1:9")
///     .subject_by(|host| format!("hosts.{host}"))
///     .json()
///     .dead_letters(letters)
///     .connect_lazy()?;
/// let queue = sink.queue(64)?;
/// queue.write("a host".to_owned())?; // a subject has no spaces
/// let letter = rejected.recv()?;
/// assert_eq!(letter.event, "a host");
/// assert!(matches!(letter.error, PublishError::Subject(_)));
/// # drop(queue);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Rejected<E> {
    /// The event.
    pub event: E,
    /// Why it was given up.
    pub error: PublishError,
    /// The id of its message; empty if it has none.
    pub message_id: String,
}

/// Omits the event, which need not be `Debug`.
impl<E> fmt::Debug for Rejected<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("error", &self.error)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

/// Where rejected events go.
pub(crate) type Letters<E> = Option<Box<dyn Sink<Rejected<E>>>>;

/// Counts an event that is given up, and writes it to the dead letters, if there are any.
pub(crate) fn bury<E>(
    prepared: &mut Prepared<E>,
    error: &PublishError,
    letters: &Letters<E>,
    counters: &Counters,
) {
    add(&counters.rejected, 1);
    prepared.is_buried = true;
    let Some(letters) = letters else { return };
    let Some(event) = prepared.event.take() else { return };
    let message_id = prepared.message.id.clone();
    let rejected = Rejected { event, error: error.clone(), message_id };
    // A panic would go through the batch, whose other events have nothing to do with it.
    let written = catch_unwind(AssertUnwindSafe(|| letters.write(rejected).is_ok()));
    if !written.unwrap_or_default() {
        add(&counters.letters_lost, 1);
    }
}
