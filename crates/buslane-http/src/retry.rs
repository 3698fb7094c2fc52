//! Retries that understand what an endpoint answers.

use crate::error::HttpError;
use buslane::error::ConfigError;
use buslane::retry::{Attempt, Next, RetryPolicy};
use std::time::Duration;

/// A retry policy for HTTP sinks around another one: gives up at once what is [not worth a
/// retry](HttpError::is_retryable), and waits at least as long as the endpoint [asks
/// for](HttpError::retry_after).
///
/// The policy inside decides everything else: how often, how long, and for how long in all. An
/// answer that is not worth a retry counts as a success with it, since it tells that the endpoint
/// is up: a [`Breaker`](buslane::retry::Breaker) closes. An event that cannot be written as JSON
/// tells it nothing. Errors that are no [`HttpError`] are left to it.
///
/// # Examples
/// ```
/// use buslane::{Bus, Channel, SinkExt};
/// use buslane::retry::{Backoff, DeadLetter};
/// use buslane_http::{HttpRetry, HttpSink};
/// use std::time::Duration;
/// let (letters, mut dead) = Channel::<DeadLetter<Vec<String>>>::lossy(64)?;
/// let policy = HttpRetry::new(Backoff::default().max_attempts(2));
/// let sink = HttpSink::new("http://127.0.0.1:9/events")?.batches();
/// let bus = Bus::new();
/// bus.add(sink.retry(policy).dead_letters(letters).batch(100).queue(1024)?)?;
/// bus.publish(String::from("push"))?;
/// assert!(bus.close().is_done());
/// assert_eq!(dead.recv()?.event, ["push"]); // no process listens at that port
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HttpRetry<P> {
    policy: P,
    most: Duration,
}

impl<P> HttpRetry<P> {
    /// Around this policy. Of what an endpoint asks for, a minute is granted at most.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
    /// use buslane_http::{HttpError, HttpRetry};
    /// use std::time::Duration;
    /// let policy = HttpRetry::new(Backoff::default());
    /// let after = |error| policy.failure(&"event", &Attempt::new(1, Duration::ZERO, AttemptError::Failed(error)));
    /// assert!(matches!(after(&HttpError::Timeout), Next::After(_)));
    /// assert_eq!(after(&HttpError::Unserializable), Next::GiveUp);
    /// ```
    #[must_use]
    pub fn new(policy: P) -> Self {
        Self { policy, most: Duration::from_secs(60) }
    }

    /// How much of what an endpoint asks for in `Retry-After` is granted; zero means nothing of it.
    ///
    /// The policy inside does not know of that wait: its own limit in time is checked against its
    /// own waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::SinkExt;
    /// use buslane::retry::Backoff;
    /// use buslane_http::{HttpRetry, HttpSink};
    /// use std::time::Duration;
    /// let policy = HttpRetry::new(Backoff::default()).max_retry_after(Duration::from_secs(600));
    /// let queue = HttpSink::<String>::new("https://example.com/events")?.retry(policy).queue(1024)?;
    /// assert!(queue.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn max_retry_after(mut self, most: Duration) -> Self {
        self.most = most;
        self
    }
}

impl<E, P: RetryPolicy<E>> RetryPolicy<E> for HttpRetry<P> {
    fn before(&self, event: &E) -> Duration {
        self.policy.before(event)
    }

    fn failure(&self, event: &E, attempt: &Attempt<'_>) -> Next {
        let Some(error) = attempt.source::<HttpError>() else {
            return self.policy.failure(event, attempt);
        };
        if !error.is_retryable() {
            if error.status().is_some() {
                self.policy.success();
            } else {
                self.policy.abandoned();
            }
            return Next::GiveUp;
        }
        let next = self.policy.failure(event, attempt);
        let asked = error.retry_after().unwrap_or_default().min(self.most);
        match next {
            Next::Again if !asked.is_zero() => Next::After(asked),
            Next::After(wait) => Next::After(wait.max(asked)),
            other => other,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.policy.validate()
    }

    fn success(&self) {
        self.policy.success();
    }

    fn abandoned(&self) {
        self.policy.abandoned();
    }
}
