//! What a monitor reports of itself: its state, its counters, and how it ended.

use crate::stats::Finish;
use crate::sync::{AtomicU64, Ordering, add_single_writer};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The state of a [`Monitor`](crate::source::Monitor).
///
/// # Examples
/// ```
/// use buslane::source::{Monitor, MonitorState, StopReason};
/// use buslane::testing::{Collect, Script};
/// use std::time::Duration;
/// let script = Script::new().connect().event("start");
/// let monitor = Monitor::builder(script).spawn(Collect::new())?;
/// monitor.wait_live(Duration::from_secs(60))?;
/// assert_eq!(monitor.state(), MonitorState::Live);
/// assert!(monitor.stop().is_done());
/// assert_eq!(monitor.state(), MonitorState::Stopped(StopReason::Requested));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum MonitorState {
    /// The source opens a connection, or has not yet found out whether it continues.
    Connecting {
        /// The number of this attempt since the last healthy connection, from 1.
        attempt: u32,
    },
    /// A connection is live.
    Live,
    /// The connection ended or could not be opened, and the monitor waits before the next attempt.
    Waiting {
        /// The number of failures since the last healthy connection.
        failures: u32,
        /// The time that is left of the wait.
        retry_in: Duration,
        /// The last error.
        error: String,
    },
    /// The monitor has stopped for good.
    Stopped(StopReason),
}

/// The reason why a monitor has stopped.
///
/// # Examples
/// ```
/// use buslane::source::StopReason;
/// let reason = StopReason::GaveUp("no route".to_owned());
/// assert_eq!(reason.to_string(), "gave up: no route");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum StopReason {
    /// It was asked to stop, or its last handle was dropped.
    Requested,
    /// Its sink is closed.
    SinkClosed,
    /// Its backoff has a limit, which was reached; with the last error.
    GaveUp(String),
    /// The source reported that no attempt can succeed; with the error.
    Fatal(String),
}

impl fmt::Display for MonitorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { attempt } => write!(f, "connecting, attempt {attempt}"),
            Self::Live => f.write_str("live"),
            Self::Waiting { failures, retry_in, error } => {
                write!(f, "waiting for {retry_in:.1?} after failure {failures}: {error}")
            }
            Self::Stopped(reason) => write!(f, "stopped: {reason}"),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("as requested"),
            Self::SinkClosed => f.write_str("the sink is closed"),
            Self::GaveUp(error) => write!(f, "gave up: {error}"),
            Self::Fatal(error) => write!(f, "no attempt can succeed: {error}"),
        }
    }
}

/// The state and the counters of a monitor, read at about the same time.
///
/// At rest, `events` is the sum of `forwarded`, `refused`, `dropped` and `panicked`. The difference
/// is the event that is on its way into the sink.
///
/// The counters are pulled: an event costs no clock read, so there is no time of the last event.
///
/// # Examples
/// ```
/// use buslane::source::Monitor;
/// use buslane::testing::{Collect, Script};
/// let (script, seen) = (Script::new().connect().event(1).event(2), Collect::new());
/// let monitor = Monitor::builder(script).spawn_events(seen.clone())?;
/// seen.wait_for(2);
/// assert!(monitor.stop().is_done());
/// let snapshot = monitor.snapshot();
/// assert_eq!((snapshot.connects, snapshot.events, snapshot.forwarded), (1, 2, 2));
/// println!("{snapshot}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a snapshot only reads the counters of the monitor"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MonitorSnapshot {
    /// The state.
    pub state: MonitorState,
    /// The time since the state was entered.
    pub state_for: Duration,
    /// The attempts to connect.
    pub attempts: u64,
    /// The connections that were live.
    pub connects: u64,
    /// The connections that ended, and the attempts that failed.
    pub failures: u64,
    /// The events that the source read.
    pub events: u64,
    /// The events that the sink accepted.
    pub forwarded: u64,
    /// The events that the sink refused.
    pub refused: u64,
    /// The events that the sink accepted and dropped at once, as a full lossy queue does.
    pub dropped: u64,
    /// The events on which the sink panicked.
    pub panicked: u64,
    /// The events that the source recognized as duplicates.
    pub duplicates: u64,
    /// The items that could not be decoded.
    pub undecodable: u64,
    /// The gaps, without those that the sink caused.
    pub gaps: u64,
    /// The panics of the source.
    pub source_panics: u64,
    /// The times that the token was not stored: its function failed or panicked, or the sink was not
    /// flushed in time.
    pub store_failures: u64,
    /// The last error of the source, the sink or the function that stores the token.
    pub last_error: Option<String>,
}

impl fmt::Display for MonitorSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, state_for, attempts, connects, failures, events, forwarded, .. } = self;
        write!(f, "monitor {state} (for {state_for:.1?}); {attempts} attempts, {connects} connects, ")?;
        write!(f, "{failures} failures; {events} events, {forwarded} forwarded")?;
        for (count, name) in [
            (self.refused, "refused"),
            (self.dropped, "dropped"),
            (self.panicked, "panicked"),
            (self.duplicates, "duplicates"),
            (self.undecodable, "undecodable"),
            (self.gaps, "gaps"),
            (self.source_panics, "panics of the source"),
            (self.store_failures, "failures to store the token"),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        self.last_error.as_ref().map_or(Ok(()), |error| write!(f, "; last error: {error}"))
    }
}

/// The outcome of a stop.
///
/// # Examples
/// ```
/// use buslane::source::{Monitor, StopReason};
/// use buslane::testing::{Collect, Script};
/// let monitor = Monitor::builder(Script::<u32>::new()).spawn(Collect::new())?;
/// let report = monitor.stop();
/// assert!(report.is_done());
/// assert_eq!(report.reason, Some(StopReason::Requested));
/// assert_eq!(report.to_string(), "done: as requested; 0 events forwarded");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a stop that timed out left the source or the sink in a call"]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct StopReport {
    /// How far the stop came. At the deadline the source or the sink has not returned from its
    /// call; the monitor ends when it does.
    pub finish: Finish,
    /// Why the monitor has stopped; `None` until it has.
    pub reason: Option<StopReason>,
    /// The events that the sink accepted.
    pub forwarded: u64,
    /// The events that were read and not accepted, because the stop ended their wait for room.
    pub undelivered: u64,
}

impl StopReport {
    /// Returns `true` if the monitor has stopped, and forwarded every event that it had read or
    /// counted it as lost.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::StopReport;
    /// assert!(StopReport::default().is_done());
    /// ```
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.finish == Finish::Done && self.undelivered == 0
    }
}

impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.finish)?;
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        write!(f, "; {} events forwarded", self.forwarded)?;
        if self.undelivered > 0 {
            write!(f, ", {} undelivered", self.undelivered)?;
        }
        Ok(())
    }
}

/// The error of [`Monitor::wait_live`](crate::source::Monitor::wait_live): the source is not live.
///
/// # Examples
/// ```
/// use buslane::source::Monitor;
/// use buslane::testing::{Collect, Script};
/// use std::time::Duration;
/// let script = Script::<u32>::new().refuse("no route");
/// let monitor = Monitor::builder(script.clone()).spawn(Collect::new())?;
/// let error = monitor.wait_live(Duration::from_millis(1)).unwrap_err();
/// assert!(error.to_string().starts_with("the source is not live: "));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLive {
    /// The state of the monitor when the wait ended.
    pub state: MonitorState,
}

impl fmt::Display for NotLive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the source is not live: {}", self.state)
    }
}

impl Error for NotLive {}

/// The counters of a monitor. Only its worker writes them.
pub(super) struct Counts([AtomicU64; COUNTS]);

const COUNTS: usize = 13;

/// One counter.
#[derive(Clone, Copy)]
pub(super) enum Count {
    Attempts,
    Connects,
    Failures,
    /// Events that were read. Counted before their outcome.
    Read,
    Forwarded,
    Refused,
    Dropped,
    Panicked,
    Duplicates,
    Undecodable,
    Gaps,
    SourcePanics,
    StoreFailures,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    #[inline]
    pub(super) fn add(&self, count: Count) {
        add_single_writer(&self.0[count as usize], 1);
    }

    pub(super) fn get(&self, count: Count) -> u64 {
        // Relaxed: the count publishes nothing.
        self.0[count as usize].load(Ordering::Relaxed)
    }
}
