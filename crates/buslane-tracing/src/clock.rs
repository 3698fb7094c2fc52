//! The time of an event: where it comes from, and its text.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NANOS: u64 = 1_000_000_000;

/// A point in time, in nanoseconds since the Unix epoch; or none, if the clock is [`Clock::None`].
///
/// `Display` writes RFC 3339 in UTC with microseconds, and `-` for no time.
///
/// # Examples
/// ```
/// use buslane_tracing::Timestamp;
/// let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
/// assert_eq!(time.to_string(), "2023-11-14T22:13:20.123456Z");
/// assert_eq!(Timestamp::NONE.to_string(), "-");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// No time: that of an event whose clock is [`Clock::None`].
    pub const NONE: Self = Self(0);

    /// Returns the time that is this number of nanoseconds after the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since the Unix epoch, and 0 for no time.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Returns whether this is no time.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    fn since_epoch(since: Duration) -> Self {
        // In the year 2554 the seconds no longer fit; the time then stays at the maximum.
        Self(since.as_secs().saturating_mul(NANOS).saturating_add(u64::from(since.subsec_nanos())))
    }
}

impl From<SystemTime> for Timestamp {
    /// Converts a time; one before the epoch becomes no time.
    fn from(time: SystemTime) -> Self {
        time.duration_since(UNIX_EPOCH).map_or(Self::NONE, Self::since_epoch)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_nanos(time.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("-");
        }
        let (seconds, nanos) = (self.0 / NANOS, self.0 % NANOS);
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let micros = nanos / 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// Returns year, month and day of a number of days since the epoch.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March, so that the leap day is the last day of a year. The first day of
    // the first such year of the era is March 1 of the year 0, 719 468 days before the epoch.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months of 31 and 30 days in turn: five months have 153 days.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The clock that is read on the thread of an event.
///
/// | clock | resolution | cost |
/// |---|---|---|
/// | [`System`](Self::System), the default | a nanosecond | 20 to 30 ns |
/// | [`Coarse`](Self::Coarse) | that of the system's tick: 1 to 10 ms | about 5 ns |
/// | [`None`](Self::None) | no time | nothing |
///
/// The text of a line comes later, on the worker, so its time must come from the caller.
///
/// # Examples
/// ```
/// use buslane_tracing::{Clock, ManualTime, Timestamp};
/// let time = ManualTime::new(Timestamp::from_nanos(5));
/// let clock = Clock::Manual(time.clone());
/// time.set(Timestamp::from_nanos(7));
/// assert_eq!(clock.now().nanos(), 7);
/// assert!(Clock::None.now().is_none());
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The system's time.
    #[default]
    System,
    /// The system's time at its last tick. Elsewhere than on Linux, the same as `System`.
    Coarse,
    /// No time.
    None,
    /// A time that a test sets.
    Manual(ManualTime),
}

impl Clock {
    /// Returns the time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => SystemTime::now().into(),
            Self::Coarse => Timestamp::since_epoch(buslane::time::coarse_unix_time()),
            Self::None => Timestamp::NONE,
            Self::Manual(time) => time.get(),
        }
    }
}

/// The time of [`Clock::Manual`]. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ManualTime(Arc<AtomicU64>);

impl ManualTime {
    /// Creates a time that stays the same until it is set.
    #[must_use]
    pub fn new(time: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(time.0)))
    }

    /// Sets the time.
    pub fn set(&self, time: Timestamp) {
        // Relaxed: the number publishes nothing.
        self.0.store(time.0, Ordering::Relaxed);
    }

    /// Adds to the time.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the time.
    #[must_use]
    pub fn get(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}
