//! The remaining time of one step of a request.

use std::time::{Duration, Instant};
use ureq::Error;
use ureq::unversioned::transport::{NextTimeout, time};

/// A time limit of the HTTP client, with the instant at which it began.
///
/// The client passes a duration to each call. A call that waits several times must not exceed it in
/// total.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    timeout: NextTimeout,
    since: Instant,
}

impl Budget {
    pub(crate) fn new(timeout: NextTimeout) -> Self {
        Self { timeout, since: Instant::now() }
    }

    /// Returns the remaining time, or `None` without a limit.
    ///
    /// # Errors
    /// The client's timeout error when no time is left.
    pub(crate) fn left(&self) -> Result<Option<Duration>, Error> {
        if self.timeout.after.is_not_happening() {
            return Ok(None);
        }
        let left = self.timeout.after.saturating_sub(self.since.elapsed());
        if left.is_zero() { Err(self.over()) } else { Ok(Some(left)) }
    }

    /// Returns the remaining time as the limit of a nested step.
    ///
    /// # Errors
    /// The client's timeout error when no time is left.
    pub(crate) fn rest(&self) -> Result<NextTimeout, Error> {
        let after = self.left()?.map_or(time::Duration::NotHappening, time::Duration::Exact);
        Ok(NextTimeout { after, ..self.timeout })
    }

    /// Returns the timeout error of a step that used up its time.
    pub(crate) fn over(&self) -> Error {
        Error::Timeout(self.timeout.reason)
    }
}
