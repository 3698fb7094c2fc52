//! A retry policy around another one, which reports what it sees.

use buslane::error::ConfigError;
use buslane::retry::{Attempt, AttemptError, Breaker, BreakerState, Next, RetryPolicy};
use demo_support::{Mark, Story};
use std::sync::{Arc, Mutex, PoisonError};

/// Reports failed attempts, and a breaker that opens and closes.
pub(crate) struct Observer<P> {
    pub(crate) policy: P,
    breaker: Arc<Breaker>,
    name: &'static str,
    story: Story,
    seen: Mutex<BreakerState>,
}

impl<P> Observer<P> {
    pub(crate) fn new(policy: P, breaker: Arc<Breaker>, name: &'static str, story: Story) -> Self {
        Self { policy, breaker, name, story, seen: Mutex::new(BreakerState::Closed) }
    }

    fn check_breaker(&self) {
        let state = self.breaker.state();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != state {
            *seen = state;
            let (mark, state) = match state {
                BreakerState::Closed => (Mark::Good, "closed"),
                BreakerState::Open => (Mark::Notice, "open"),
                _ => (Mark::Neutral, "half open, for one attempt"),
            };
            self.story.tell_as(mark, self.name, format_args!("circuit breaker: {state}"));
        }
    }
}

impl<E, P: RetryPolicy<E>> RetryPolicy<E> for Observer<P> {
    fn before(&self, event: &E) -> std::time::Duration {
        self.check_breaker();
        self.policy.before(event)
    }

    fn failure(&self, event: &E, attempt: &Attempt<'_>) -> Next {
        let next = self.policy.failure(event, attempt);
        let then = match next {
            Next::Again => String::from("retry when the breaker allows it"),
            Next::After(wait) => format!("retry in {wait:?}"),
            _ => String::from("given up"),
        };
        // The line says that the attempt failed, so only the cause follows.
        let error = match attempt.error() {
            AttemptError::Failed(source) => source.to_string(),
            other => other.to_string(),
        };
        let number = attempt.number();
        self.story.tell_as(Mark::Notice, self.name, format_args!("attempt {number} failed: {error}; {then}"));
        self.check_breaker();
        next
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.policy.validate()
    }

    fn success(&self) {
        self.policy.success();
        self.check_breaker();
    }

    fn abandoned(&self) {
        self.policy.abandoned();
    }
}
