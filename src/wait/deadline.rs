//! A point in time after which nothing waits any longer.

use std::time::{Duration, Instant};

/// A point in time after which nothing waits any longer, or never.
///
/// Sinks get one in [`Sink::close`](crate::Sink::close) and hand it on, so that a whole chain shares one limit.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let deadline = buslane::Deadline::after(Duration::from_secs(5));
/// assert!(!deadline.is_over());
/// assert!(buslane::Deadline::NOW.is_over());
/// assert_eq!(buslane::Deadline::NEVER.remaining(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Limit);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// A deadline that is over already: nothing waits.
    pub const NOW: Self = Self(Limit::Now);
    /// No deadline.
    pub const NEVER: Self = Self(Limit::Never);

    /// A deadline so long from now; one too far away to be expressed is [`NEVER`](Self::NEVER).
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        if limit.is_zero() {
            return Self::NOW;
        }
        Self(Instant::now().checked_add(limit).map_or(Limit::Never, Limit::At))
    }

    /// A deadline at this moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(Limit::At(moment))
    }

    /// How long it still is; `None` when there is no limit, zero when it is over.
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        match self.0 {
            Limit::Now => Some(Duration::ZERO),
            // Time is outside the models: there, a deadline that is not over yet never will be.
            Limit::At(_) if crate::sync::MODEL => None,
            Limit::At(moment) => Some(moment.saturating_duration_since(Instant::now())),
            Limit::Never => None,
        }
    }

    /// Whether nothing may wait any longer.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.remaining().is_some_and(|left| left.is_zero())
    }
}
