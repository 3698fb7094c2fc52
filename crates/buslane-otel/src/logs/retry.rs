//! The retry policy of exports.

use super::error::ExportError;
use buslane::error::ConfigError;
use buslane::retry::{Attempt, Backoff, Next, RetryPolicy};
use std::time::Duration;

/// A retry policy for exports: exponential backoff that respects the endpoint's answers.
///
/// It gives up at once on errors that are [not retryable](ExportError::is_retryable), and waits at
/// least as long as the endpoint's `Retry-After` asks for, within a limit for all such waits of one
/// export. The backoff decides the rest.
///
/// | setting | default |
/// |---|---|
/// | backoff | from 250 ms up to 10 s, full jitter; an export is given up after 60 s |
/// | [`max_retry_after`](Self::max_retry_after) | 60 s since the first attempt |
///
/// So with the default settings an export has its last attempt within 60 s. A flush and a close end
/// the waits at their own deadline, and at the deadline of a close the worker stops.
///
/// Switch off the retries of the exporter itself, which `opentelemetry-otlp` makes by default
/// (`with_retry_policy(RetryPolicy::disabled())`): they sleep inside of the export, where a close
/// cannot end them, and no snapshot counts them.
///
/// While a batch waits for its next attempt, the queue upstream fills up. Its overflow policy then
/// decides what is lost.
///
/// # Examples
/// ```
/// use buslane::SinkExt;
/// use buslane::retry::Backoff;
/// use buslane_otel::opentelemetry::InstrumentationScope;
/// use buslane_otel::opentelemetry_sdk::logs::InMemoryLogExporter;
/// use buslane_otel::{ExportRetry, LogSink};
/// use std::time::Duration;
/// let scope = InstrumentationScope::builder("checkout").build();
/// let sink = LogSink::new(InMemoryLogExporter::default(), scope, |text: &String, entry| {
///     entry.body(text.clone());
/// });
/// let policy = ExportRetry::new(Backoff::default().max_attempts(3));
/// let queue = sink.retry(policy).batch(512).age(Duration::from_secs(1)).queue(1024)?;
/// # drop(queue);
/// # Ok::<(), buslane::error::SpawnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExportRetry {
    backoff: Backoff,
    longest: Duration,
}

impl ExportRetry {
    /// Creates a policy with this backoff. A `Retry-After` counts up to one minute after the first
    /// attempt.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, longest: Duration::from_secs(60) }
    }

    /// Sets up to which time after the first attempt of an export a `Retry-After` counts. A longer one is
    /// cut to the rest of that time; zero ignores `Retry-After`.
    #[must_use]
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }
}

impl Default for ExportRetry {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
        Self::new(backoff.max_elapsed(Duration::from_secs(60)))
    }
}

impl<E> RetryPolicy<E> for ExportRetry {
    fn failure(&self, event: &E, attempt: &Attempt<'_>) -> Next {
        let error = attempt.source::<ExportError>();
        if error.is_some_and(|error| !error.is_retryable()) {
            return Next::GiveUp;
        }
        // Of all attempts together: an endpoint that asks again and again would double the time.
        let left = self.longest.saturating_sub(attempt.elapsed());
        let asked = error.map(ExportError::asked).unwrap_or_default().min(left);
        match self.backoff.failure(event, attempt) {
            Next::After(wait) => Next::After(wait.max(asked)),
            other => other,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.backoff.validate()
    }
}
