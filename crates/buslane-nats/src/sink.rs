//! The sink of events.

use crate::counters::JetStreamStats;
use crate::error::PublishError;
use crate::id::MessageIds;
use crate::link::Link;
use crate::message::{Functions, Prepared};
use crate::publisher::Publisher;
use buslane::sink::{Batch, Inner, SinkKey};
use buslane::stats::{Disposition, SinkState};
use buslane::time::Deadline;
use buslane::{Sink, WriteError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A sink that stores each event in a JetStream stream.
///
/// It has no thread that waits for events: put a [`Queue`](buslane::Queue) upstream, with
/// `sink.queue(65_536)?`. The worker of the queue encodes and sends; a full batch, and the end of what
/// is waiting, go to the server at once.
///
/// # Guarantees
/// - **Delivered means acknowledged.** The ledger counts an event as delivered when the server has
///   acknowledged that it is stored, and as pending until then. A flush waits for it.
/// - **Once.** Each event has a message id before the first attempt, and keeps it. What is sent again,
///   because an acknowledgement did not come, is removed by the server, within the stream's
///   `duplicate_window`: 2 minutes, unless the stream has another one. If an outage is longer, what
///   was stored right before it may be stored again.
/// - **Nothing ends it but a close.** It connects again with backoff, sends again by the
///   [retry policy](crate::JetStreamBuilder::retry), by default without a limit, and replaces a connection on
///   which answers do not come. An outage fills the queue upstream, and then the queue's overflow
///   policy decides.
/// - **What cannot be stored is counted**, and goes to the [dead letters](crate::JetStreamBuilder::dead_letters):
///   an invalid subject, a payload that is too large, a refusal of the server.
/// - **Order**: in the order of the events, as long as nothing fails. With
///   [`strict_order`](crate::JetStreamBuilder::strict_order), in their order whatever fails.
///
/// | the server | the message |
/// |---|---|
/// | acknowledges, also as a duplicate | is delivered |
/// | does not answer in [time](crate::JetStreamBuilder::ack_timeout), or the connection breaks | is sent again |
/// | has no stream for the subject | is sent again: the stream may be created |
/// | is full, overloaded, or has no leader (429, 5xx) | is sent again |
/// | finds it too large, or refuses it (400) | is rejected |
/// | does not permit to publish to the subject | is rejected: the first one after its time, others at once for 10 s |
///
/// # Limits
/// - The server acknowledges before its file system has written to the disk (`sync_interval`, 2
///   minutes by default). A power failure may lose acknowledged messages, the end of a process does
///   not. Set `sync_interval: always`, or replicate the stream.
/// - A process that ends without a close loses what is in its queue. What it has sent without an
///   acknowledgement may be stored or not.
/// - Events that were aborted by a close, or given up by a policy, may be stored nevertheless.
///
/// # Examples
/// ```
/// use buslane::{Bus, SinkExt};
/// use buslane_nats::JetStream;
///
/// #[derive(Clone, serde::Serialize)]
/// struct Reading { host: String, celsius: f32 }
///
/// let sink = JetStream::builder("nats://127.0.0.1:9") // no server is needed yet
///     .stream("TELEMETRY")
///     .subject_by(|reading: &Reading| format!("telemetry.{}", reading.host))
///     .json()
///     .connect_lazy()?;
/// let bus = Bus::new();
/// bus.add_named("jetstream", sink.queue(65_536)?)?;
/// bus.publish(Reading { host: "a7".into(), celsius: 21.5 })?;
/// let report = bus.close_timeout(std::time::Duration::from_millis(10));
/// assert!(!report.is_done()); // no process listens at that port
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a sink does nothing until it is written to or added to a bus"]
pub struct JetStream<E> {
    batch: Batch<Prepared<E>, Publisher<E>>,
    functions: Functions<E>,
    ids: MessageIds,
    link: Arc<Link>,
    stats: JetStreamStats,
}

impl<E> JetStream<E> {
    pub(crate) fn of(
        batch: Batch<Prepared<E>, Publisher<E>>,
        functions: Functions<E>,
        link: Arc<Link>,
        stats: JetStreamStats,
    ) -> Self {
        Self { batch, functions, ids: MessageIds::new(), link, stats }
    }

    /// Returns a handle to the counters.
    #[must_use]
    pub fn stats(&self) -> JetStreamStats {
        self.stats.clone()
    }

    /// Waits until there is a connection.
    ///
    /// Nothing else needs this call: a sink without a connection holds its events. Use it where a
    /// program shall not start without its server.
    ///
    /// # Errors
    /// [`PublishError::Disconnected`] with the last failure, such as wrong credentials, if there is no
    /// connection at the limit.
    ///
    /// # Examples
    /// ```
    /// use buslane_nats::{JetStream, PublishError};
    /// use std::time::Duration;
    /// let sink = JetStream::<u32>::builder("nats://127.0.0.1:9").subject("numbers").json().connect_lazy()?;
    /// let error = sink.wait_connected(Duration::from_millis(1)).unwrap_err();
    /// assert!(matches!(error, PublishError::Disconnected(_)));
    /// # Ok::<(), buslane_nats::NatsConfigError>(())
    /// ```
    pub fn wait_connected(&self, limit: Duration) -> Result<(), PublishError> {
        match self.link.wait_open(Deadline::after(limit)) {
            Some(_) => Ok(()),
            None => Err(PublishError::Disconnected(self.link.error())),
        }
    }
}

impl<E: Send + 'static> Sink<E> for JetStream<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        // An event without a valid message is offered, too: the batch counts it as failed.
        self.batch.offer(self.functions.prepare(event, &self.ids)).map_err(unprepared)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.batch);
    }

    /// Shows the error of the connection, unless the batch has one.
    fn describe(&self, state: &mut SinkState) {
        self.batch.describe(state);
        if state.last_error.is_none() {
            state.last_error = self.link.error();
        }
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.link))
    }
}

/// Returns the error with the event alone.
fn unprepared<E>(error: WriteError<Prepared<E>>) -> WriteError<E> {
    error.map_event(|prepared| {
        // Only the publisher takes an event out, and what the batch gives back was never there.
        prepared.event.expect("a batch gives back the event that it did not accept")
    })
}

impl<E> fmt::Debug for JetStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream").field("counts", &self.stats.read()).finish_non_exhaustive()
    }
}
