//! What a monitor forwards: events, and in the same order what happened to the connection.

use std::fmt;
use std::time::Duration;

/// An event of a source, or a change of the connection to it, in the order in which they happened.
///
/// Between two events without a [`Gap`](Self::Gap) between them the monitor has left none out: the
/// source has proved that none is missing, or the connection did not end. What a sink loses after it
/// has accepted it is counted in its ledger.
///
/// # Examples
/// A handler that reads a state anew whenever events may be missing:
/// ```
/// use buslane::source::{Gap, GapReason, Update};
/// #[derive(Default)]
/// struct Cache { events: u32, refreshes: u32 }
/// impl Cache {
///     fn apply(&mut self, update: Update<&str>) {
///         match update {
///             Update::Event(_) => self.events += 1,
///             Update::Gap(_) | Update::Connected { resumed: false } => self.refreshes += 1,
///             _ => {}
///         }
///     }
/// }
/// let mut cache = Cache::default();
/// cache.apply(Update::Connected { resumed: false });
/// cache.apply(Update::Event("start"));
/// cache.apply(Update::Gap(Gap::new(GapReason::HistoryLost)));
/// assert_eq!((cache.events, cache.refreshes), (1, 2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Update<E> {
    /// An event of the source.
    Event(E),
    /// A connection is live.
    Connected {
        /// Whether the connection continues after the last event. If it does not, and there was an
        /// earlier connection or a token, a [`Gap`](Self::Gap) comes first.
        resumed: bool,
    },
    /// Events may be missing here.
    Gap(Gap),
    /// A connection has ended, or the monitor has stopped.
    Disconnected(Disconnected),
}

impl<E> Update<E> {
    /// Returns the event, or `None` for every other update.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Update;
    /// assert_eq!(Update::Event(7).into_event(), Some(7));
    /// assert_eq!(Update::<u32>::Connected { resumed: true }.into_event(), None);
    /// ```
    #[must_use]
    pub fn into_event(self) -> Option<E> {
        match self {
            Self::Event(event) => Some(event),
            _ => None,
        }
    }
}

/// A place in the stream of events where some may be missing.
///
/// # Examples
/// ```
/// use buslane::source::{Gap, GapReason};
/// assert_eq!(Gap::new(GapReason::Unproven).to_string(), "events may be missing: the connection was not resumed");
/// assert_eq!(Gap::new(GapReason::HistoryLost).missed(3).to_string(), "3 events are missing: the source no longer has them");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gap {
    /// The reason.
    pub reason: GapReason,
    /// The number of missing events, if it is known.
    pub missed: Option<u64>,
}

/// The reason why events may be missing.
///
/// # Examples
/// ```
/// assert_eq!(buslane::source::GapReason::StaleToken.to_string(), "the source refused the token");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum GapReason {
    /// The source cannot prove that the new connection continues after the last event.
    Unproven,
    /// The source refused the token, which was dropped.
    StaleToken,
    /// The source no longer has some events.
    HistoryLost,
    /// The source sent something that cannot be decoded.
    Undecodable,
    /// The sink refused or dropped events: it was full, it failed, or it panicked.
    SinkRefused,
}

impl Gap {
    /// Makes a gap in which an unknown number of events may be missing.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Gap, GapReason};
    /// assert_eq!(Gap::new(GapReason::HistoryLost).missed, None);
    /// ```
    #[must_use]
    pub fn new(reason: GapReason) -> Self {
        Self { reason, missed: None }
    }

    /// Sets the number of missing events.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Gap, GapReason};
    /// assert_eq!(Gap::new(GapReason::HistoryLost).missed(3).missed, Some(3));
    /// ```
    #[must_use]
    pub fn missed(mut self, events: u64) -> Self {
        self.missed = Some(events);
        self
    }

    /// Combines this gap with one that follows it before any event.
    pub(super) fn and(self, next: Self) -> Self {
        let missed = self.missed.zip(next.missed).map(|(one, other)| one.saturating_add(other));
        Self { reason: self.reason, missed }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.missed {
            None => f.write_str("events may be missing")?,
            Some(1) => f.write_str("1 event is missing")?,
            Some(events) => write!(f, "{events} events are missing")?,
        }
        write!(f, ": {}", self.reason)
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unproven => "the connection was not resumed",
            Self::StaleToken => "the source refused the token",
            Self::HistoryLost => "the source no longer has them",
            Self::Undecodable => "the source sent what cannot be decoded",
            Self::SinkRefused => "the sink refused or dropped them",
        })
    }
}

/// The end of a connection, or of the monitor.
///
/// # Examples
/// ```
/// use buslane::source::{Disconnected, Update};
/// fn is_last(update: &Update<u32>) -> bool {
///     matches!(update, Update::Disconnected(end) if end.retry_after.is_none())
/// }
/// assert!(is_last(&Update::Disconnected(Disconnected::new(None, None))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Disconnected {
    /// The error that ended the connection. `None` if the other side ended it, or the monitor was
    /// asked to stop.
    pub error: Option<String>,
    /// The time until the next attempt to connect. `None` if the monitor has stopped: this is its
    /// last update.
    pub retry_after: Option<Duration>,
}

impl Disconnected {
    /// Makes the end of a connection, with its error and the time until the next attempt.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Disconnected;
    /// use std::time::Duration;
    /// let end = Disconnected::new(Some("connection reset".to_owned()), Some(Duration::from_secs(2)));
    /// assert_eq!(end.to_string(), "disconnected: connection reset; next attempt after 2.0s");
    /// ```
    #[must_use]
    pub fn new(error: Option<String>, retry_after: Option<Duration>) -> Self {
        Self { error, retry_after }
    }
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("disconnected")?;
        if let Some(error) = &self.error {
            write!(f, ": {error}")?;
        }
        match self.retry_after {
            Some(wait) => write!(f, "; next attempt after {wait:.1?}"),
            None => f.write_str("; stopped"),
        }
    }
}
