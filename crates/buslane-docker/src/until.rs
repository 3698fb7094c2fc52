//! The end of the range of events that a source asks for.

use crate::date::time_here;
use crate::drain::Opened;
use std::time::{Duration, Instant};

/// How long after the end an engine may take to end its stream. After that, the source ends it.
const GRACE: Duration = Duration::from_secs(5);
/// A date in a header has whole seconds, so the time may be nearly as much later.
const COARSE: i64 = 1_000_000_000;

/// The end of the range of events, and the engine's time when it was asked for.
pub(crate) struct Until {
    until: i64,
    now: i64,
    asked: Instant,
}

impl Until {
    pub(crate) fn new(until: i64, opened: &Opened) -> Self {
        let now = opened.now.unwrap_or_else(time_here);
        let now = if opened.is_coarse { now.saturating_add(COARSE) } else { now };
        Self { until, now, asked: opened.asked }
    }

    /// Returns whether the engine's time is past the end.
    pub(crate) fn is_reached(&self) -> bool {
        self.time_left(0).is_zero()
    }

    /// Returns how long the end of the stream is waited for.
    pub(crate) fn left(&self) -> Duration {
        self.time_left(i64::try_from(GRACE.as_nanos()).unwrap_or(i64::MAX))
    }

    fn time_left(&self, grace: i64) -> Duration {
        let elapsed = self.asked.elapsed().as_nanos().try_into().unwrap_or(i64::MAX);
        let left = self.until.saturating_add(grace).saturating_sub(self.now.saturating_add(elapsed));
        Duration::from_nanos(left.try_into().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::Until;
    use crate::drain::Opened;
    use std::time::{Duration, Instant};

    const SECOND: i64 = 1_000_000_000;

    fn until(until: i64, is_coarse: bool, ago: Duration) -> Until {
        let asked = Instant::now().checked_sub(ago).unwrap();
        Until::new(until, &Opened { engine: None, now: Some(0), asked, is_coarse })
    }

    #[test]
    fn time_that_the_answers_took_counts() {
        let hour = Duration::from_secs(3600);
        assert!(until(3600 * SECOND, false, hour).is_reached());
        assert!(!until(7200 * SECOND, false, hour).is_reached());
        assert!(!until(3600 * SECOND, false, hour).left().is_zero(), "the engine ends the stream first");
        assert!(until(3500 * SECOND, false, hour).left().is_zero());
    }

    #[test]
    fn date_of_a_header_may_be_a_second_late() {
        assert!(until(SECOND, true, Duration::ZERO).is_reached());
        assert!(!until(3600 * SECOND, true, Duration::ZERO).is_reached());
    }

    #[test]
    fn end_at_any_time_does_not_overflow() {
        assert!(until(i64::MIN, true, Duration::ZERO).left().is_zero());
        assert!(!until(i64::MAX, true, Duration::ZERO).is_reached());
    }
}
