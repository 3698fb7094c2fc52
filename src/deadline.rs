//! A point in time after which nothing waits any longer.

use std::time::{Duration, Instant};

/// The longest duration that is passed to another crate or added to a moment: a century. A longer wait means the same, and a clock
/// may be unable to hold the sum.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The moment after a wait, cut to what the clock can hold.
pub(crate) fn moment_after(now: Instant, wait: Duration) -> Instant {
    let mut wait = wait.min(LONGEST);
    loop {
        match now.checked_add(wait) {
            Some(moment) => return moment,
            // Only a clock of the user's is that far ahead.
            None => wait /= 2,
        }
    }
}

/// How long a close without a limit of its own works off what was accepted.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// How long the drop of a last handle waits.
pub(crate) const DROP_LIMIT: Duration = Duration::from_millis(500);

/// A point in time after which nothing waits any longer, or never.
///
/// Sinks get one in [`Sink::close_by`](crate::Sink::close_by) and forward it, so that a whole chain shares one limit. A publish and the push
/// into a lane take one, too: until then they may wait for room, where the policy of the sink is to wait.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let deadline = buslane::time::Deadline::after(Duration::from_secs(5));
/// assert!(!deadline.is_over());
/// assert!(buslane::time::Deadline::NOW.is_over());
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
    /// A deadline that is over already: nothing waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink};
    /// use buslane::stats::CloseReport;
    /// use buslane::time::Deadline;
    /// assert_eq!(noop::<u32>().close_by(Deadline::NOW), CloseReport::done()); // nothing is waited for
    /// assert!(Deadline::NOW.is_over());
    /// ```
    pub const NOW: Self = Self(Limit::Now);
    /// No deadline.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// assert!(!Deadline::NEVER.is_over());
    /// assert_eq!(Deadline::NEVER.min(Deadline::NOW), Deadline::NOW);
    /// ```
    pub const NEVER: Self = Self(Limit::Never);

    /// A deadline so long from now; one too far away to be expressed is [`NEVER`](Self::NEVER).
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// assert!(!Deadline::after(Duration::from_secs(60)).is_over());
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

    /// A deadline at this moment.
    ///
    /// # Examples
    /// ```
    /// use std::time::Instant;
    /// assert!(buslane::time::Deadline::at(Instant::now()).is_over());
    /// ```
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(Limit::At(moment))
    }

    /// The earlier of the two.
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

    /// The later one of two.
    pub(crate) fn max(self, other: Self) -> Self {
        if self.min(other) == self { other } else { self }
    }

    /// When it is, as far as that is a moment: `now` when it is over already, `None` when it never is.
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

    /// How long it still is; `None` when there is no limit, zero when it is over.
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
            // Time is outside the models: there, a deadline that is not over yet never will be.
            Limit::At(_) if crate::sync::MODEL => None,
            Limit::At(moment) => Some(moment.saturating_duration_since(Instant::now())),
            Limit::Never => None,
        }
    }

    /// Whether nothing may wait any longer.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use std::time::Duration;
    /// let deadline = Deadline::after(Duration::from_millis(1));
    /// while !deadline.is_over() {
    ///     std::thread::yield_now(); // or something useful
    /// }
    /// assert_eq!(deadline.remaining(), Some(Duration::ZERO));
    /// ```
    #[must_use]
    pub fn is_over(self) -> bool {
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
    fn moment_is_cut_to_the_end_of_the_clock() {
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
