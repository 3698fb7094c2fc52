//! The settings of a sink, and its start.

use crate::acks::Acks;
use crate::config::{Invalid, NatsConfigError};
use crate::counters::{Counters, JetStreamStats};
use crate::letters::{Letters, Rejected};
use crate::link::Link;
use crate::message::{Encode, Functions, Headers, Prepared, Text};
use crate::publisher::{PublishSettings, Publisher};
use crate::server::Server;
use crate::sink::JetStream;
use crate::subject;
use async_nats::HeaderMap;
use buslane::retry::{Backoff, RetryPolicy};
use buslane::time::Pause;
use buslane::{BoxError, Sink, SinkExt};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most messages in flight: more than a server holds for one stream.
const MOST_IN_FLIGHT: usize = 100_000;

/// How the subject of an event is found.
enum SubjectOf<E> {
    Fixed(String),
    By(Text<E>),
}

impl<E> JetStream<E> {
    /// Returns a builder with the default settings, for a [`Server`] or its URL.
    ///
    /// # Examples
    /// ```
    /// use buslane_nats::JetStream;
    /// let builder = JetStream::<String>::builder("nats://localhost:4222").subject("words").json();
    /// # drop(builder);
    /// ```
    pub fn builder(server: impl Into<Server>) -> JetStreamBuilder<E> {
        JetStreamBuilder::new(server.into())
    }
}

/// The settings of a [`JetStream`].
///
/// | setting | default |
/// |---|---|
/// | [`subject`](Self::subject) or [`subject_by`](Self::subject_by) | required |
/// | [`json`](Self::json) or [`encode`](Self::encode) | required |
/// | [`stream`](Self::stream) | whichever has the subject |
/// | [`headers`](Self::headers) | none but the message id |
/// | [`message_id`](Self::message_id) | unique for each event |
/// | [`batch`](Self::batch), [`batch_bytes`](Self::batch_bytes), [`age`](Self::age) | 1024 events, 8 MiB, 100 ms |
/// | [`window`](Self::window) | 4096 messages |
/// | [`ack_timeout`](Self::ack_timeout) | 5 s |
/// | [`strict_order`](Self::strict_order) | off |
/// | [`retry`](Self::retry) | [`Backoff::default()`](Backoff): 100 ms to 20 s, full jitter, no limit |
/// | [`dead_letters`](Self::dead_letters) | none: rejected events are dropped, and counted |
///
/// # Examples
/// ```
/// use buslane::retry::Breaker;
/// use buslane_nats::JetStream;
/// use std::time::Duration;
/// let sink = JetStream::builder("nats://127.0.0.1:9")
///     .subject_by(|order: &u64| format!("orders.{}", order % 16))
///     .encode(|order, payload| {
///         payload.extend_from_slice(&order.to_le_bytes());
///         Ok(())
///     })
///     .headers(|_, headers| headers.insert("Content-Type", "application/octet-stream"))
///     .message_id(|order| format!("order-{order}")) // the same in a later process
///     .ack_timeout(Duration::from_secs(2))
///     .retry(Breaker::new(5, Duration::from_secs(10))) // asks a dead server every ten seconds
///     .connect_lazy()?;
/// # drop(sink);
/// # Ok::<(), buslane_nats::NatsConfigError>(())
/// ```
#[must_use = "a builder does nothing until `connect_lazy` is called"]
pub struct JetStreamBuilder<E> {
    server: Server,
    subject: Option<SubjectOf<E>>,
    encode: Option<Encode<E>>,
    headers: Option<Headers<E>>,
    message_id: Option<Text<E>>,
    stream: Option<String>,
    batch: usize,
    batch_bytes: usize,
    age: Duration,
    window: usize,
    ack_timeout: Duration,
    is_strict: bool,
    policy: Box<dyn RetryPolicy<()>>,
    letters: Letters<E>,
}

impl<E> JetStreamBuilder<E> {
    pub(crate) fn new(server: Server) -> Self {
        Self {
            server,
            subject: None,
            encode: None,
            headers: None,
            message_id: None,
            stream: None,
            batch: 4096,
            batch_bytes: 8 << 20,
            age: Duration::from_millis(100),
            window: 4096,
            ack_timeout: Duration::from_secs(5),
            is_strict: false,
            policy: Box::new(Backoff::default()),
            letters: None,
        }
    }

    /// Sets one subject for all events. It has no spaces, wildcards and empty tokens.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(SubjectOf::Fixed(subject.into()));
        self
    }

    /// Sets a function that returns the subject of an event. An event with an invalid one is rejected.
    pub fn subject_by<R: Into<String>>(mut self, subject: impl Fn(&E) -> R + Send + Sync + 'static) -> Self {
        self.subject = Some(SubjectOf::By(Box::new(move |event| subject(event).into())));
        self
    }

    /// Sets a function that writes the payload of an event into a buffer. An event on which it fails is
    /// rejected.
    ///
    /// # Examples
    /// ```
    /// use buslane_nats::JetStream;
    /// let builder = JetStream::<String>::builder("nats://localhost").encode(|text, payload| {
    ///     payload.extend_from_slice(text.as_bytes());
    ///     Ok(())
    /// });
    /// # drop(builder);
    /// ```
    pub fn encode(
        mut self,
        encode: impl Fn(&E, &mut Vec<u8>) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.encode = Some(Box::new(encode));
        self
    }

    /// Makes the payload of an event its JSON.
    #[cfg(feature = "serde")]
    pub fn json(self) -> Self
    where
        E: serde::Serialize,
    {
        self.encode(|event, payload| serde_json::to_writer(payload, event).map_err(Into::into))
    }

    /// Sets the stream that must store the events. If another one has the subject, the server refuses
    /// the event, and it is rejected.
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Sets a function that adds headers to the message of an event. A function that panics, as an
    /// invalid header does, rejects the event.
    ///
    /// `Nats-Msg-Id` is replaced by the message id.
    pub fn headers(mut self, headers: impl Fn(&E, &mut HeaderMap) + Send + Sync + 'static) -> Self {
        self.headers = Some(Box::new(headers));
        self
    }

    /// Sets a function that returns the id by which the server recognizes an event.
    ///
    /// Use it where events have an identity that lasts longer than the process: then what two
    /// processes send is stored once, within the stream's `duplicate_window`. An id of another event in
    /// that time means that the event is *not* stored, and counts as a duplicate.
    pub fn message_id<R: Into<String>>(mut self, id: impl Fn(&E) -> R + Send + Sync + 'static) -> Self {
        self.message_id = Some(Box::new(move |event| id(event).into()));
        self
    }

    /// Sets the most events of a batch: of what is acknowledged before the next ones are sent.
    ///
    /// A batch also ends when the queue upstream has no more events, so a small load is sent at once.
    pub fn batch(mut self, events: usize) -> Self {
        self.batch = events;
        self
    }

    /// Sets the most bytes of payload in a batch. An event that is larger by itself is a batch.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Sets the longest time for which an event waits for others in a batch.
    pub fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Sets the most messages that are sent and not acknowledged. A batch is acknowledged before the next
    /// one is sent, so it is also at most [`batch`](Self::batch).
    pub fn window(mut self, messages: usize) -> Self {
        self.window = messages;
        self
    }

    /// Sets how long the sink waits for an acknowledgement while none arrives.
    pub fn ack_timeout(mut self, limit: Duration) -> Self {
        self.ack_timeout = limit;
        self
    }

    /// Stores the events in their order, whatever fails.
    ///
    /// Each message names the one before it, and the server stores it only right after that one
    /// (`Nats-Expected-Last-Msg-Id`). The window stays as it is, so this costs nothing while the sink is
    /// the only publisher of the stream. Beside other publishers it is correct and slow: what they
    /// publish in between makes the server refuse the rest of the window, which is sent again.
    pub fn strict_order(mut self) -> Self {
        self.is_strict = true;
        self
    }

    /// Sets when a batch is sent again, and when its events are given up: a
    /// [`Backoff`], a [`Breaker`](buslane::retry::Breaker), or your own policy.
    ///
    /// An attempt that brought an acknowledgement begins the count anew. The limits of a policy are
    /// those of a row of attempts without one.
    pub fn retry(mut self, policy: impl RetryPolicy<()> + 'static) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Sets the sink that gets the events which are given up. It is called on the thread that writes,
    /// and is neither flushed nor closed by this sink.
    pub fn dead_letters(mut self, sink: impl Sink<Rejected<E>> + 'static) -> Self {
        self.letters = Some(Box::new(sink));
        self
    }

    /// Starts the sink. The connection is opened by a thread of its own, now and whenever it is lost:
    /// the server may be absent.
    ///
    /// # Errors
    /// [`NatsConfigError`] for the first invalid setting, or if the thread cannot be started.
    ///
    /// # Examples
    /// ```
    /// use buslane_nats::{JetStream, NatsConfigErrorKind};
    /// let kind = |subject: &str| {
    ///     let sink = JetStream::<u32>::builder("nats://127.0.0.1:9").subject(subject).json().connect_lazy();
    ///     sink.err().map(|error| error.kind())
    /// };
    /// assert_eq!(kind("numbers.prime"), None);
    /// assert_eq!(kind("numbers.*"), Some(NatsConfigErrorKind::Subject));
    /// ```
    pub fn connect_lazy(self) -> Result<JetStream<E>, NatsConfigError>
    where
        E: Send + 'static,
    {
        self.validate()?;
        let functions = Functions {
            subject: match self.subject.ok_or(Invalid::NoSubject)? {
                SubjectOf::Fixed(subject) => Box::new(move |_: &E| subject.clone()),
                SubjectOf::By(function) => function,
            },
            encode: self.encode.ok_or(Invalid::NoEncoder)?,
            headers: self.headers,
            message_id: self.message_id,
            stream: match self.stream {
                Some(stream) => Some(stream.parse().map_err(|_| Invalid::Name("stream"))?),
                None => None,
            },
        };
        let (pause, counters) = (Arc::new(Pause::new()), Arc::new(Counters::default()));
        let acks = Arc::new(Acks::new(pause.clone()));
        let link = Arc::new(Link::start(self.server, acks.clone(), pause.clone(), counters.clone())?);
        let settings = PublishSettings {
            window: self.window,
            ack_timeout: self.ack_timeout,
            is_strict: self.is_strict,
            policy: self.policy,
        };
        let publisher = Publisher::new(link.clone(), acks, pause, counters.clone(), settings, self.letters);
        let batch = publisher
            .batch(self.batch)
            .bytes(self.batch_bytes, Prepared::size)
            .age(self.age)
            .at_end_of_batch();
        Ok(JetStream::of(batch, functions, link, JetStreamStats(counters)))
    }

    fn validate(&self) -> Result<(), Invalid> {
        self.server.addresses()?;
        match &self.subject {
            None => return Err(Invalid::NoSubject),
            Some(SubjectOf::Fixed(subject)) => subject::check(subject).map_err(Invalid::Subject)?,
            Some(SubjectOf::By(_)) => {}
        }
        if self.encode.is_none() {
            return Err(Invalid::NoEncoder);
        }
        if self.stream.as_deref().is_some_and(|name| !subject::is_name(name)) {
            return Err(Invalid::Name("stream"));
        }
        for (value, what) in
            [(self.batch, "batch"), (self.batch_bytes, "batch of bytes"), (self.window, "window")]
        {
            if value == 0 {
                return Err(Invalid::Zero(what));
            }
        }
        if self.window > MOST_IN_FLIGHT {
            let (value, most) = (self.window as u64, MOST_IN_FLIGHT as u64);
            return Err(Invalid::TooMany { what: "window", value, most });
        }
        if self.ack_timeout.is_zero() {
            return Err(Invalid::ZeroDuration("acknowledgement timeout"));
        }
        if self.age.is_zero() {
            return Err(Invalid::ZeroDuration("age"));
        }
        Ok(self.policy.validate()?)
    }
}

/// Shows the server's hosts and the limits.
impl<E> fmt::Debug for JetStreamBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamBuilder")
            .field("server", &self.server)
            .field("stream", &self.stream)
            .field("batch", &self.batch)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
