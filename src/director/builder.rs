//! The settings of a director.

use super::common::Common;
use super::core::DirectorCore;
use super::handle::Director;
use super::letters::DeadPacket;
use super::probes::Probes;
use super::registry::Registry;
use super::settings::{Settings, Weigh};
use super::timers::Timers;
use crate::error::BuildError;
use crate::journal::Journal;
use crate::retry::Backoff;
use crate::sink::Sink;
use crate::sync::{AtomicU64, Mutex};
use crate::time::{Clock, SystemClock};
use crate::wait::{FencePair, WaitList};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`Director`].
///
/// | setting | default |
/// |---|---|
/// | [`history`](Self::history) | 65 536 events |
/// | [`packet`](Self::packet) | 256 events |
/// | [`packet_bytes`](Self::packet_bytes) | no limit |
/// | [`linger`](Self::linger) | zero: a packet takes what is there |
/// | [`in_flight`](Self::in_flight) | 1 packet |
/// | [`ack_timeout`](Self::ack_timeout) | 30 s |
/// | [`retry`](Self::retry) | [`Backoff::default()`](Backoff): 100 ms to 20 s, full jitter, no limit |
/// | [`root_capacity`](Self::root_capacity) | 1024 events for each member |
/// | [`dead_letters`](Self::dead_letters) | none: a packet that is given up is counted and dropped |
/// | [`clock`](Self::clock) | the system's |
///
/// # Examples
/// ```
/// use buslane::director::Director;
/// use buslane::retry::Backoff;
/// use std::time::Duration;
/// let director = Director::<String>::builder()
///     .history(4096)
///     .packet(64)
///     .packet_bytes(64 * 1024, String::len)
///     .linger(Duration::from_millis(5))
///     .retry(Backoff::default().max_attempts(10))
///     .build()?;
/// # drop(director);
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
// Not `Clone`: the sink of dead letters belongs to one director.
#[must_use = "a builder does nothing until `build` is called"]
pub struct DirectorBuilder<E: Clone + Send + Sync + 'static> {
    history: usize,
    settings: Settings<E>,
    backoff: Backoff,
    clock: Arc<dyn Clock>,
    letters: Option<Arc<dyn Sink<DeadPacket<E>>>>,
}

impl<E: Clone + Send + Sync + 'static> Director<E> {
    /// Creates a director with the default settings.
    ///
    /// # Errors
    /// [`BuildError`] when the memory of the history cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// let director = buslane::director::Director::<u32>::new()?;
    /// assert_eq!(director.roster().members.len(), 0);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn new() -> Result<Self, BuildError> {
        Self::builder().build()
    }

    /// Returns a builder with the default settings.
    ///
    /// # Examples
    /// ```
    /// let director = buslane::director::Director::<u32>::builder().history(1024).build()?;
    /// # drop(director);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn builder() -> DirectorBuilder<E> {
        DirectorBuilder::new()
    }
}

impl<E: Clone + Send + Sync + 'static> DirectorBuilder<E> {
    fn new() -> Self {
        Self {
            history: 65_536,
            settings: Settings::default(),
            backoff: Backoff::default(),
            clock: Arc::new(SystemClock),
            letters: None,
        }
    }

    /// Sets how many events are kept for members that have not read them: the bound of every
    /// outbox. 0 is invalid.
    ///
    /// A member that is further behind loses the oldest ones (drop-oldest), and learns how many.
    pub fn history(mut self, events: usize) -> Self {
        self.history = events;
        self
    }

    /// Sets the most events of a packet. 0 is invalid.
    pub fn packet(mut self, events: usize) -> Self {
        self.settings.packet = events;
        self
    }

    /// Sets the bytes with which a packet is complete: it ends with the event that reaches them.
    /// `weigh` returns the bytes of one event. 0 bytes are invalid.
    pub fn packet_bytes(mut self, bytes: usize, weigh: impl Fn(&E) -> usize + Send + Sync + 'static) -> Self {
        self.settings.bytes = Some((bytes, Weigh::new(weigh)));
        self
    }

    /// Sets how long a packet that is not full waits for more events, from its first one on.
    ///
    /// The window begins with the first event and later events do not extend it. So no event waits
    /// longer, however steady the flow is. The reader of an outbox is not woken by each event during
    /// the window, unless it is lossless: it looks now and then, so that it takes a full packet long
    /// before the end. Only a sudden flood of more events than the history keeps is lost meanwhile.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// Sets the most packets of events that may wait for their acknowledgement at the same time. 0 is
    /// invalid.
    ///
    /// A packet that is acknowledged before an earlier one counts until that one is acknowledged.
    pub fn in_flight(mut self, packets: usize) -> Self {
        self.settings.in_flight = packets;
        self
    }

    /// Sets the time after which a packet that was handed out and not acknowledged is delivered
    /// again. Zero is invalid.
    ///
    /// A node that is in a call is not interrupted: the time begins when it returns.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.settings.ack_timeout = timeout;
        self
    }

    /// Sets the waits before a packet that failed is delivered again, and how often.
    ///
    /// A packet that reaches a limit of the backoff becomes a [dead letter](Self::dead_letters). The
    /// packet of the state has no limit.
    pub fn retry(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the capacity of each member's inbox of root events. 0 is invalid.
    pub fn root_capacity(mut self, events: usize) -> Self {
        self.settings.root_capacity = events;
        self
    }

    /// Sets the sink of packets that are given up.
    ///
    /// It is called by the thread that gives the packet up: a worker, or the holder of a ticket. A
    /// sink that may wait or fail belongs into a queue. The director does not close it.
    pub fn dead_letters(mut self, letters: impl Sink<DeadPacket<E>> + 'static) -> Self {
        self.letters = Some(Arc::new(letters));
        self
    }

    /// Sets the clock of retries, lingers and timeouts: for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Creates the director. It starts no thread.
    ///
    /// # Errors
    /// [`BuildError`] when a setting is invalid, or the memory of the history cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let error = Director::<u32>::builder().packet(0).build().unwrap_err();
    /// assert_eq!(error.to_string(), "batch size 0 is invalid: it must be at least 1 event");
    /// ```
    pub fn build(self) -> Result<Director<E>, BuildError> {
        let Self { history, settings, backoff, clock, letters } = self;
        settings.check().map_err(BuildError::Config)?;
        backoff.validate().map_err(BuildError::Config)?;
        let journal = Journal::new(history)?;
        let common = Common {
            feed: journal.feed(),
            timers: Arc::new(Timers::new(clock)),
            backoff,
            letters,
            probes: Probes::default(),
            ended: WaitList::new(FencePair::Symmetric),
            letters_refused: AtomicU64::new(0),
            orphans: AtomicU64::new(0),
        };
        let core = DirectorCore {
            journal,
            common: Arc::new(common),
            registry: Arc::new(Registry::new()),
            defaults: settings,
            root: Mutex::new(0),
        };
        Ok(Director::of(core))
    }
}

impl<E: Clone + Send + Sync + 'static> Default for DirectorBuilder<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for DirectorBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectorBuilder")
            .field("history", &self.history)
            .field("packet", &self.settings.packet)
            .field("linger", &self.settings.linger)
            .field("in_flight", &self.settings.in_flight)
            .field("ack_timeout", &self.settings.ack_timeout)
            .field("retry", &self.backoff)
            .finish_non_exhaustive()
    }
}
