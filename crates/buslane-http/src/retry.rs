//! A retry policy that respects an endpoint's answers.

use crate::error::HttpError;
use buslane::error::ConfigError;
use buslane::retry::{Attempt, Next, RetryPolicy};
use std::time::Duration;

/// A retry policy for HTTP sinks that wraps another policy and respects the endpoint's answers.
///
/// It gives up at once on errors that are [not retryable](HttpError::is_retryable), and waits at
/// least as long as the endpoint [asks for](HttpError::retry_after). The inner policy decides the
/// rest: the number of attempts, the delays, and the total time.
///
/// - An answer that is not retryable counts as a success for the inner policy, since the endpoint
///   is up: a [`Breaker`](buslane::retry::Breaker) closes.
/// - An event that fails to serialize as JSON counts neither as a success nor as a failure.
/// - The inner policy decides about errors other than [`HttpError`].
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
    /// Wraps a policy. A `Retry-After` of the endpoint counts for at most one minute.
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

    /// Sets the longest wait for an endpoint's `Retry-After`; zero ignores `Retry-After`.
    ///
    /// The inner policy does not know of that wait: it checks its own time limit against its own
    /// waits.
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
