//! The settings of a monitor, and its start.

use super::base::Source;
use super::core::Core;
use super::failures::FailureRow;
use super::monitor::Monitor;
use super::output::Output;
use super::session::Session;
use super::tokens::tokens;
use super::update::Update;
use super::worker::{Store, Worker};
use crate::error::{BoxError, ConfigError, Invalid, SpawnError};
use crate::retry::Backoff;
use crate::sink::Sink;
use crate::sink::control::validated;
use crate::sync::thread;
use crate::time::{Clock, SystemClock};
use crate::wait::context::user_code;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The settings of a [`Monitor`].
///
/// | setting | default |
/// |---|---|
/// | [`name`](Self::name) | `"buslane-monitor"` |
/// | [`backoff`](Self::backoff) | [`Backoff::default()`](Backoff): 100 ms to 20 s, full jitter, no limit |
/// | [`healthy_after`](Self::healthy_after) | 30 s |
/// | [`silence`](Self::silence) | 60 s |
/// | [`clock`](Self::clock) | the system's |
/// | [`resume`](Self::resume), [`store_token`](Self::store_token) | none |
///
/// # Examples
/// ```
/// use buslane::retry::Backoff;
/// use buslane::source::Monitor;
/// use buslane::testing::{Collect, Script};
/// use std::time::Duration;
/// let monitor = Monitor::builder(Script::<u32>::new())
///     .name("engine")
///     .backoff(Backoff::new(Duration::from_millis(50), Duration::from_secs(5)))
///     .healthy_after(Duration::from_secs(10))
///     .resume(None) // the token of an earlier process
///     .spawn(Collect::new())?;
/// # drop(monitor);
/// # Ok::<(), buslane::error::SpawnError>(())
/// ```
// Not `Clone`: the source and the hook belong to one monitor.
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct MonitorBuilder<S: Source> {
    source: S,
    name: String,
    backoff: Backoff,
    healthy_after: Duration,
    silence: Duration,
    clock: Arc<dyn Clock>,
    token: Option<S::Token>,
    store: Option<Store<S::Token>>,
}

impl<T: Clone + Send + Sync + 'static> Monitor<T> {
    /// Returns a builder for the monitor of a source.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{FileLines, Monitor};
    /// let builder = Monitor::builder(FileLines::new("/var/log/app.log")).name("app log");
    /// # drop(builder);
    /// ```
    pub fn builder<S: Source<Token = T>>(source: S) -> MonitorBuilder<S> {
        MonitorBuilder {
            source,
            name: String::from("buslane-monitor"),
            backoff: Backoff::default(),
            healthy_after: Duration::from_secs(30),
            silence: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
            token: None,
            store: None,
        }
    }
}

impl<S: Source> MonitorBuilder<S> {
    /// Sets the name of the thread.
    ///
    /// A name with a NUL byte is invalid.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the waits between attempts to connect.
    ///
    /// Failures are counted until a connection has been [healthy](Self::healthy_after). The limits
    /// of the backoff are those of one row of failures: after
    /// [`max_attempts`](Backoff::max_attempts) or [`max_elapsed`](Backoff::max_elapsed), the monitor
    /// gives up and stops. Without them it never does.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::Backoff;
    /// use buslane::source::{Monitor, MonitorState, StopReason};
    /// use buslane::testing::{Collect, Script};
    /// use std::time::Duration;
    /// let (script, seen) = (Script::<u32>::new().refuse("no route"), Collect::new());
    /// let once = Backoff::default().max_attempts(1);
    /// let monitor = Monitor::builder(script).backoff(once).spawn(seen.clone())?;
    /// seen.wait_for(1); // `Disconnected`, the last update
    /// assert!(monitor.wait_live(Duration::from_secs(60)).is_err());
    /// assert_eq!(monitor.state(), MonitorState::Stopped(StopReason::GaveUp("no route".into())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how long a connection must be live before its end no longer counts with the failures
    /// before it.
    ///
    /// A connection that ends earlier makes the next wait longer, even if it delivered events.
    pub fn healthy_after(mut self, healthy_after: Duration) -> Self {
        self.healthy_after = healthy_after;
        self
    }

    /// Sets the time without news after which the source checks that the other side is still there,
    /// if the source can do that.
    ///
    /// Zero is invalid.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets the token from which the first connection continues: that of an earlier process, if
    /// there is one.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Monitor, Update};
    /// use buslane::testing::{Collect, Script};
    /// let (script, seen) = (Script::new().connect_resumed().event("four"), Collect::new());
    /// let monitor = Monitor::builder(script.clone()).resume(Some(3)).spawn(seen.clone())?;
    /// seen.wait_for(2);
    /// assert_eq!(seen.events(), [Update::Connected { resumed: true }, Update::Event("four")]);
    /// assert_eq!(script.tokens(), [Some(3)]);
    /// # drop(monitor);
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    pub fn resume(mut self, token: Option<S::Token>) -> Self {
        self.token = token;
        self
    }

    /// Calls a function with a token that a later process may resume from: after every `every`
    /// events, at a position that a connection reports before its first event, at the end of each
    /// connection, and when the monitor stops.
    ///
    /// Before a token that comes after new events, the monitor flushes its sink, which waits for at
    /// most a second. If the sink is not flushed then, or the function fails or panics, the
    /// [snapshot](super::MonitorSnapshot::store_failures) counts a failure, and the next attempt
    /// comes later.
    ///
    /// So a crash repeats events (at-least-once), as far as the flush of the sink reaches: see
    /// [`flush_timeout`](crate::Bus::flush_timeout).
    ///
    /// - The handler of a queue has been called for every event before the token. An event on which
    ///   it failed or panicked does not come again.
    /// - The receiver of a channel has read these events. It may not have handled them.
    /// - A queue, channel or journal that has evicted an event has lost it, although it had accepted
    ///   it.
    /// - A bus accepts an event if any of its sinks does. An event that another sink refused does not
    ///   come again.
    ///
    /// `every` of 0 is invalid. With 1, each event waits for its own flush.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::testing::Script;
    /// use buslane::Queue;
    /// use std::sync::{Arc, Mutex};
    /// let log = Arc::new(Mutex::new(Vec::new()));
    /// let (handled, stored) = (log.clone(), log.clone());
    /// let queue = Queue::builder().spawn(move |n: u32| handled.lock().unwrap().push(format!("event {n}")))?;
    /// let script = Script::new().connect().event(7).event(8).event(9).end();
    /// let monitor = Monitor::builder(script.clone())
    ///     .store_token(2, move |token| {
    ///         stored.lock().unwrap().push(format!("token {token}"));
    ///         Ok::<(), std::io::Error>(())
    ///     })
    ///     .spawn_events(queue)?;
    /// script.wait_played();
    /// assert!(monitor.stop().is_done());
    /// assert_eq!(*log.lock().unwrap(), ["event 7", "event 8", "token 2", "event 9", "token 3"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn store_token<R: Into<BoxError>>(
        mut self,
        every: u64,
        mut store: impl FnMut(&S::Token) -> Result<(), R> + Send + 'static,
    ) -> Self {
        let store = Box::new(move |token: &S::Token| store(token).map_err(Into::into));
        self.store = Some(Store { every, store, since: 0, is_behind: false });
        self
    }

    /// Sets the clock of the backoff, of the healthy time and of [`Session`]: for tests.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts the monitor. The sink gets events, and what happens to the connection.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting of the monitor, the source or the sink is invalid, the memory
    /// for the lane cannot be allocated, or the system cannot start a thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Monitor, Update};
    /// use buslane::testing::Script;
    /// use buslane::Channel;
    /// let (channel, mut updates) = Channel::lossy(64)?;
    /// let monitor = Monitor::builder(Script::new().connect().event(7)).spawn(channel)?;
    /// assert_eq!(updates.recv()?, Update::Connected { resumed: false });
    /// assert_eq!(updates.recv()?, Update::Event(7));
    /// # drop(monitor);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn(self, sink: impl Sink<Update<S::Event>> + 'static) -> Result<Monitor<S::Token>, SpawnError> {
        self.start(sink, Some, true)
    }

    /// Starts the monitor. The sink gets events only.
    ///
    /// What happens to the connection is in [`Monitor::state`] and [`Monitor::snapshot`]. The sink
    /// does not learn where events are missing.
    ///
    /// # Errors
    /// As for [`spawn`](Self::spawn).
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::testing::Script;
    /// use buslane::Bus;
    /// let bus = Bus::new();
    /// let mut events = bus.subscribe_lossy(64)?;
    /// let monitor = Monitor::builder(Script::new().connect().event(7)).spawn_events(bus.clone())?;
    /// assert_eq!(events.recv()?, 7);
    /// # drop(monitor);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_events(self, sink: impl Sink<S::Event> + 'static) -> Result<Monitor<S::Token>, SpawnError> {
        self.start(sink, Update::into_event, false)
    }

    fn start<X: Send + 'static, K: Sink<X> + 'static>(
        self,
        sink: K,
        wrap: fn(Update<S::Event>) -> Option<X>,
        is_told: bool,
    ) -> Result<Monitor<S::Token>, SpawnError> {
        self.check()?;
        validated(&sink)?;
        let Self { source, name, backoff, healthy_after, silence, clock, token, store } = self;
        let output = Output::new(sink, wrap, is_told)?;
        let continues = token.is_some();
        let (token, shared_token) = tokens(token)?;
        let core = Arc::new(Core::new(Session::new(clock, silence), shared_token, output.wait_end()));
        let worker = Worker {
            core: core.clone(),
            source,
            output,
            token,
            failure_row: FailureRow::new(backoff, healthy_after),
            store,
            ahead: None,
            continues,
            is_gap_told: false,
        };
        thread::spawn_named(name, move || worker.run()).map_err(SpawnError::Thread)?;
        Ok(Monitor::new(core))
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(invalid) = Invalid::nul_in_name(&self.name) {
            return Err(invalid.into());
        }
        if self.silence.is_zero() {
            return Err(Invalid::ZeroSilence.into());
        }
        if self.store.as_ref().is_some_and(|store| store.every == 0) {
            return Err(Invalid::ZeroStore.into());
        }
        self.backoff.validate()?;
        let panicked =
            ConfigError::other("the source panicked in `validate`: it must return an error instead");
        user_code(|| self.source.validate()).unwrap_or(Err(panicked))
    }
}

impl<S: Source> fmt::Debug for MonitorBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonitorBuilder")
            .field("name", &self.name)
            .field("backoff", &self.backoff)
            .field("healthy_after", &self.healthy_after)
            .field("silence", &self.silence)
            .finish_non_exhaustive()
    }
}
