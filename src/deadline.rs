//! The time at which a wait ends, and the default limits of closes and drops.

use std::time::{Duration, Instant};

/// The longest duration that is passed to another crate or added to an instant: a century. A longer
/// wait means the same, and a clock may be unable to represent the sum.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Returns the instant after a wait, limited to what the clock can represent.
pub(crate) fn moment_after(now: Instant, wait: Duration) -> Instant {
    let mut wait = wait.min(LONGEST);
    loop {
        match now.checked_add(wait) {
            Some(moment) => return moment,
            // Only a user's clock can be this far ahead.
            None => wait /= 2,
        }
    }
}

/// How long a close without its own limit drains the accepted events.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// How long the drop of a last handle waits.
pub(crate) const DROP_LIMIT: Duration = Duration::from_millis(500);

/// The point in time at which waits end, or never.
///
/// A sink receives a deadline in [`Sink::close_by`](crate::Sink::close_by) and forwards it, so that
/// a whole chain shares one limit. A publish and the push into a lane also take a deadline. Until
/// then, they may wait for room if the policy of the sink is to wait.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let deadline = buslane::time::Deadline::after(Duration::from_secs(5));
/// assert!(!deadline.has_passed());
/// assert!(buslane::time::Deadline::NOW.has_passed());
/// assert_eq!(buslane::time::Deadline::NEVER.remaining(), None);
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
    /// A deadline that has already passed, so that no call waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink};
    /// use buslane::stats::CloseReport;
    /// use buslane::time::Deadline;
    /// assert_eq!(noop::<u32>().close_by(Deadline::NOW), CloseReport::done()); // no call waits
    /// assert!(Deadline::NOW.has_passed());
    /// ```
    pub const NOW: Self = Self(Limit::Now);
    /// A deadline that never passes.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// assert!(!Deadline::NEVER.has_passed());
    /// assert_eq!(Deadline::NEVER.min(Deadline::NOW), Deadline::NOW);
    /// ```
    pub const NEVER: Self = Self(Limit::Never);

    /// Returns a deadline `limit` from now, or [`NEVER`](Self::NEVER) if that time cannot be
    /// represented.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// assert!(!Deadline::after(Duration::from_secs(60)).has_passed());
    /// assert_eq!(Deadline::after(Duration::ZERO), Deadline::NOW);
    /// assert_eq!(Deadline::after(Duration::MAX), Deadline::NEVER);
    /// ```
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        if limit.is_zero() {
            return Self::NOW;
        }
        Self(Instant::now().checked_add(limit).map_or(Limit::Never, Limit::At))
    }

    /// Returns a deadline at this instant.
    ///
    /// # Examples
    /// ```
    /// use std::time::Instant;
    /// assert!(buslane::time::Deadline::at(Instant::now()).has_passed());
    /// ```
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(Limit::At(moment))
    }

    /// Returns the earlier of two deadlines.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// let soon = Deadline::after(Duration::from_secs(1));
    /// assert_eq!(soon.min(Deadline::NEVER), soon);
    /// assert_eq!(soon.min(Deadline::NOW), Deadline::NOW);
    /// ```
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Limit::Now, _) | (_, Limit::Now) => Self::NOW,
            (Limit::At(one), Limit::At(other)) => Self::at(one.min(other)),
            (Limit::At(_), Limit::Never) => self,
            (Limit::Never, _) => other,
        }
    }

    /// Returns the later of two deadlines.
    pub(crate) fn max(self, other: Self) -> Self {
        if self.min(other) == self { other } else { self }
    }

    /// Returns the deadline as an instant: `now` for [`NOW`](Self::NOW), and `None` for
    /// [`NEVER`](Self::NEVER).
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use std::time::{Duration, Instant};
    /// let now = Instant::now();
    /// let later = now + Duration::from_secs(1);
    /// assert_eq!(Deadline::at(later).moment(now), Some(later));
    /// assert_eq!((Deadline::NOW.moment(now), Deadline::NEVER.moment(now)), (Some(now), None));
    /// ```
    #[must_use]
    pub fn moment(self, now: Instant) -> Option<Instant> {
        match self.0 {
            Limit::Now => Some(now),
            Limit::At(moment) => Some(moment),
            Limit::Never => None,
        }
    }

    /// Returns the time until the deadline: zero if it has passed, and `None` if it never passes.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// let limit = Duration::from_secs(60);
    /// assert!(Deadline::after(limit).remaining().is_some_and(|left| left <= limit));
    /// assert_eq!(Deadline::NOW.remaining(), Some(Duration::ZERO));
    /// ```
    #[must_use]
    pub fn remaining(self) -> Option<Duration> {
        match self.0 {
            Limit::Now => Some(Duration::ZERO),
            // Models have no time: in a model, a deadline that has not passed never passes.
            Limit::At(_) if crate::sync::MODEL => None,
            Limit::At(moment) => Some(moment.saturating_duration_since(Instant::now())),
            Limit::Never => None,
        }
    }

    /// Returns `true` if the deadline has passed, so that no call may wait any longer.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// let deadline = Deadline::after(Duration::from_millis(1));
    /// while !deadline.has_passed() {
    ///     std::thread::yield_now(); // or do some work
    /// }
    /// assert_eq!(deadline.remaining(), Some(Duration::ZERO));
    /// ```
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_some_and(|left| left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOSE_LIMIT, DROP_LIMIT, LONGEST, moment_after};
    use crate::docs::default_of;
    use std::time::{Duration, Instant};

    #[test]
    fn page_of_defaults_has_the_limits() {
        assert_eq!(
            default_of(&["`Bus::close`", "`Queue::close`"]),
            format!("{CLOSE_LIMIT:?}").replace("5s", "5 s")
        );
        let dropped = default_of(&["the last handle", "drop"]);
        assert!(dropped.starts_with(&format!("{} ms;", DROP_LIMIT.as_millis())), "{dropped}");
    }

    #[test]
    fn moment_saturates_at_the_end_of_the_clock() {
        let now = Instant::now();
        assert_eq!(moment_after(now, Duration::ZERO), now);
        assert_eq!(moment_after(now, Duration::MAX), now + LONGEST);
        let mut last = now;
        for _ in 0..10_000 {
            let later = moment_after(last, Duration::MAX);
            assert!(later >= last);
            match last.checked_add(LONGEST * 1_000_000) {
                Some(next) => last = next,
                None => break,
            }
        }
        assert!(moment_after(last, Duration::MAX) >= last);
    }
}
