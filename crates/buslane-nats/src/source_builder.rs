//! The settings of a source.

use crate::config::{Invalid, NatsConfigError};
use crate::received::Received;
use crate::server::Server;
use crate::source::JetStreamSource;
use crate::source_settings::{Decode, SourceSettings};
use crate::subject;
use buslane::BoxError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The least wait for an acknowledgement: the server is told at half of it that the work continues.
const LEAST_ACK_WAIT: Duration = Duration::from_secs(1);
/// The most messages that the server lets a consumer leave unacknowledged, by this crate.
const MOST_PENDING: usize = 1_000_000;

impl<E: Send + 'static> JetStreamSource<E> {
    /// Returns a builder, for a [`Server`] or its URL, a stream, and the name of a durable consumer.
    ///
    /// # Examples
    /// ```
    /// use buslane_nats::JetStreamSource;
    /// let source = JetStreamSource::<Vec<u32>>::builder("nats://localhost", "NUMBERS", "sum").json().build()?;
    /// # drop(source);
    /// # Ok::<(), buslane_nats::NatsConfigError>(())
    /// ```
    pub fn builder(
        server: impl Into<Server>,
        stream: impl Into<String>,
        consumer: impl Into<String>,
    ) -> JetStreamSourceBuilder<E> {
        JetStreamSourceBuilder::new(server.into(), stream.into(), consumer.into())
    }
}

/// The settings of a [`JetStreamSource`].
///
/// | setting | default |
/// |---|---|
/// | [`json`](Self::json) or [`decode`](Self::decode) | required |
/// | [`filter`](Self::filter) | every message of the stream |
/// | [`only_new`](Self::only_new) | a new consumer begins with the first message that the stream has |
/// | [`fetch`](Self::fetch) | 512 messages |
/// | [`acknowledge_every`](Self::acknowledge_every) | 256 events |
/// | [`ack_wait`](Self::ack_wait) | 5 s |
/// | [`max_pending`](Self::max_pending) | 4096 messages |
///
/// # Examples
/// ```
/// use buslane_nats::JetStreamSource;
/// use std::time::Duration;
/// let source = JetStreamSource::<Vec<u8>>::builder("nats://localhost", "TELEMETRY", "archive")
///     .filter("telemetry.*.cpu")
///     .decode(|message| Ok(message.payload().to_vec()))
///     .ack_wait(Duration::from_secs(30))
///     .build()?;
/// # drop(source);
/// # Ok::<(), buslane_nats::NatsConfigError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct JetStreamSourceBuilder<E> {
    server: Server,
    settings: SourceSettings,
    decode: Option<Decode<E>>,
}

impl<E: Send + 'static> JetStreamSourceBuilder<E> {
    pub(crate) fn new(server: Server, stream: String, consumer: String) -> Self {
        let settings = SourceSettings {
            stream,
            consumer,
            filter: None,
            only_new: false,
            fetch: 512,
            ack_wait: Duration::from_secs(5),
            max_pending: 4096,
            acknowledge_every: 256,
        };
        Self { server, settings, decode: None }
    }

    /// Sets the function that makes an event of a message. A message on which it fails or panics is counted,
    /// reported as a gap of one event, and acknowledged with the events before it.
    pub fn decode(
        mut self,
        decode: impl Fn(&Received<'_>) -> Result<E, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.decode = Some(Arc::new(decode));
        self
    }

    /// Reads events from the JSON of their payloads.
    #[cfg(feature = "serde")]
    pub fn json(self) -> Self
    where
        E: serde::de::DeserializeOwned,
    {
        self.decode(|message| serde_json::from_slice(message.payload()).map_err(Into::into))
    }

    /// Sets the subject that selects messages: `*` for one token, and `>` at its end for the rest.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.settings.filter = Some(filter.into());
        self
    }

    /// Begins with what is published from now on, if the consumer is created now.
    pub fn only_new(mut self) -> Self {
        self.settings.only_new = true;
        self
    }

    /// Sets the most messages of one request to the server.
    pub fn fetch(mut self, messages: usize) -> Self {
        self.settings.fetch = messages;
        self
    }

    /// Sets after how many events [`monitor`](JetStreamSource::monitor) acknowledges them. It is at most
    /// half of [`max_pending`](Self::max_pending).
    ///
    /// Fewer events since the last time stay unacknowledged until more come, the server sends a heartbeat
    /// because none come, the connection ends, or the monitor stops. A crash repeats them. With 1, each event waits until the sink has handled it.
    pub fn acknowledge_every(mut self, events: u64) -> Self {
        self.settings.acknowledge_every = events;
        self
    }

    /// Sets how long the server waits for an acknowledgement before it delivers a message again. It counts
    /// when the consumer is created.
    ///
    /// The source tells the server at half of that time that the work continues, so a slow sink needs no longer
    /// one. That is about messages that the monitor has taken: while its thread waits, for room in the sink
    /// or for a flush before an acknowledgement, the server may deliver others again, and they are counted as
    /// duplicates. A connection that continues an earlier one waits as long for what was on its way.
    pub fn ack_wait(mut self, wait: Duration) -> Self {
        self.settings.ack_wait = wait;
        self
    }

    /// Sets the most messages that are delivered and not acknowledged. It counts when the consumer is
    /// created. A consumer that is there must have at least this limit.
    pub fn max_pending(mut self, messages: usize) -> Self {
        self.settings.max_pending = messages;
        self
    }

    /// Creates the source. It connects when its monitor does.
    ///
    /// # Errors
    /// [`NatsConfigError`] for the first invalid setting, or if the thread of the runtime cannot be
    /// started.
    pub fn build(self) -> Result<JetStreamSource<E>, NatsConfigError> {
        self.validate()?;
        let decode = self.decode.ok_or(Invalid::NoEncoder)?;
        JetStreamSource::start(self.server, self.settings, decode)
    }

    fn validate(&self) -> Result<(), Invalid> {
        let SourceSettings {
            stream, consumer, filter, fetch, ack_wait, max_pending, acknowledge_every, ..
        } = &self.settings;
        self.server.addresses()?;
        if !subject::is_name(stream) {
            return Err(Invalid::Name("stream"));
        }
        if !subject::is_name(consumer) {
            return Err(Invalid::Name("consumer"));
        }
        if let Some(filter) = filter {
            subject::check_filter(filter).map_err(Invalid::Subject)?;
        }
        let limits = [
            ("fetch", *fetch as u64, *max_pending as u64),
            ("acknowledge_every", *acknowledge_every, (*max_pending as u64 / 2).max(1)),
            ("max_pending", *max_pending as u64, MOST_PENDING as u64),
        ];
        for (what, value, most) in limits {
            if value == 0 {
                return Err(Invalid::Zero(what));
            }
            if value > most {
                return Err(Invalid::TooMany { what, value, most });
            }
        }
        if *ack_wait < LEAST_ACK_WAIT {
            return Err(Invalid::TooShort { what: "ack_wait", value: *ack_wait, least: LEAST_ACK_WAIT });
        }
        Ok(())
    }
}

/// Shows the server's hosts and the names.
impl<E> fmt::Debug for JetStreamSourceBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamSourceBuilder")
            .field("server", &self.server)
            .field("stream", &self.settings.stream)
            .field("consumer", &self.settings.consumer)
            .finish_non_exhaustive()
    }
}
