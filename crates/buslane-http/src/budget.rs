//! The time that one step of a request has left.

use std::time::{Duration, Instant};
use ureq::Error;
use ureq::unversioned::transport::{NextTimeout, time};

/// A time limit of the client, from the moment at which it was given.
///
/// The client gives each call a duration; a call that waits several times has to spend it once.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    timeout: NextTimeout,
    since: Instant,
}

impl Budget {
    pub(crate) fn new(timeout: NextTimeout) -> Self {
        Self { timeout, since: Instant::now() }
    }

    /// What is left; `None` without a limit.
    ///
    /// # Errors
    /// The client's timeout when nothing is left.
    pub(crate) fn left(&self) -> Result<Option<Duration>, Error> {
        if self.timeout.after.is_not_happening() {
            return Ok(None);
        }
        let left = self.timeout.after.saturating_sub(self.since.elapsed());
        if left.is_zero() { Err(self.over()) } else { Ok(Some(left)) }
    }

    /// What is left, for a step that takes a limit of its own.
    ///
    /// # Errors
    /// The client's timeout when nothing is left.
    pub(crate) fn rest(&self) -> Result<NextTimeout, Error> {
        let after = self.left()?.map_or(time::Duration::NotHappening, time::Duration::Exact);
        Ok(NextTimeout { after, ..self.timeout })
    }

    /// The error of a step that used all of it.
    pub(crate) fn over(&self) -> Error {
        Error::Timeout(self.timeout.reason)
    }
}
