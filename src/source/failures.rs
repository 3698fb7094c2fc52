//! What follows the end of a connection: the decision, without threads and without time of its own.
//!
//! A failure is a connect that failed, or a connection that ended, also one that the other side
//! ended cleanly. Failures are counted until a connection has been live for the *healthy* time. A
//! connection that ends after that is the first failure of a new row. So the backoff grows while an
//! endpoint accepts connections and drops them, and no source is connected to in a hot loop.
//!
//! A token that the source refuses is dropped, and the next attempt follows at once, since nothing
//! is wrong with the endpoint. That happens once in a row of failures. The second refusal is an
//! ordinary failure. For this rule a connection of less than a second ends no row, whatever the
//! healthy time is: a source that refuses each token it has just given is not connected to in a hot
//! loop.

use crate::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
use std::error::Error;
use std::time::{Duration, Instant};

/// The shortest live time after which a stale token is forgiven again.
const LEAST_HEALTHY: Duration = Duration::from_secs(1);

pub(super) struct FailureRow {
    backoff: Backoff,
    healthy_after: Duration,
    /// The failures in a row, and when the first of them happened.
    failures: u32,
    first: Option<Instant>,
    /// Whether a stale token was forgiven in this row.
    was_stale: bool,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Connect again after this wait.
    After(Duration),
    GiveUp,
}

impl FailureRow {
    pub(super) fn new(backoff: Backoff, healthy_after: Duration) -> Self {
        Self { backoff, healthy_after, failures: 0, first: None, was_stale: false }
    }

    /// Returns the number of failures in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Decides what follows a failure. `lived` is how long the connection was live, if it was.
    pub(super) fn failed(
        &mut self,
        lived: Option<Duration>,
        now: Instant,
        is_stale: bool,
        error: &(dyn Error + Send + Sync + 'static),
    ) -> Decision {
        if let Some(lived) = lived.filter(|lived| *lived >= self.healthy_after) {
            (self.failures, self.first) = (0, None);
            self.was_stale &= lived < LEAST_HEALTHY;
        }
        if is_stale && !std::mem::replace(&mut self.was_stale, true) {
            return Decision::After(Duration::ZERO);
        }
        self.failures = self.failures.saturating_add(1);
        let elapsed = now.saturating_duration_since(*self.first.get_or_insert(now));
        let attempt = Attempt::new(self.failures, elapsed, AttemptError::Failed(error));
        match self.backoff.failure(&(), &attempt) {
            Next::Again => Decision::After(Duration::ZERO),
            Next::After(wait) => Decision::After(wait),
            Next::GiveUp => Decision::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, FailureRow};
    use crate::retry::Backoff;
    use std::time::{Duration, Instant};

    const SECOND: Duration = Duration::from_secs(1);

    fn row(backoff: Backoff) -> FailureRow {
        FailureRow::new(backoff.jitter(0.0), 30 * SECOND)
    }

    fn after(row: &mut FailureRow, lived: Option<Duration>, is_stale: bool) -> Decision {
        row.failed(lived, Instant::now(), is_stale, &std::fmt::Error)
    }

    #[test]
    fn short_connections_do_not_reset_the_backoff() {
        let mut row = row(Backoff::new(SECOND, 60 * SECOND));
        for wait in [1, 2, 4, 8] {
            assert_eq!(after(&mut row, Some(29 * SECOND), false), Decision::After(wait * SECOND));
        }
        assert_eq!(after(&mut row, Some(30 * SECOND), false), Decision::After(SECOND));
        assert_eq!(after(&mut row, None, false), Decision::After(2 * SECOND));
        assert_eq!(row.failures(), 2);
    }

    #[test]
    fn stale_token_is_forgiven_once_in_a_row() {
        let mut row = row(Backoff::new(SECOND, 60 * SECOND));
        assert_eq!(after(&mut row, None, true), Decision::After(Duration::ZERO));
        assert_eq!(row.failures(), 0);
        assert_eq!(after(&mut row, Some(SECOND), true), Decision::After(SECOND));
        assert_eq!(after(&mut row, None, true), Decision::After(2 * SECOND));
        assert_eq!(after(&mut row, Some(60 * SECOND), true), Decision::After(Duration::ZERO));
    }

    #[test]
    fn stale_tokens_of_short_connections_back_off() {
        let backoff = Backoff::new(SECOND, 60 * SECOND).jitter(0.0);
        let mut row = FailureRow::new(backoff, Duration::ZERO);
        assert_eq!(after(&mut row, Some(Duration::ZERO), true), Decision::After(Duration::ZERO));
        for _ in 0..3 {
            assert_eq!(after(&mut row, Some(SECOND / 1000), true), Decision::After(SECOND));
        }
        assert_eq!(after(&mut row, Some(SECOND), true), Decision::After(Duration::ZERO));
    }

    #[test]
    fn limit_of_attempts_counts_failures_in_a_row() {
        let mut row = row(Backoff::new(SECOND, 60 * SECOND).max_attempts(2));
        assert_eq!(after(&mut row, None, false), Decision::After(SECOND));
        assert_eq!(after(&mut row, Some(31 * SECOND), false), Decision::After(SECOND));
        assert_eq!(after(&mut row, None, false), Decision::GiveUp);
    }
}
