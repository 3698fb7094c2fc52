//! A retry policy around another one, which tells what it sees.

use crate::story::Story;
use buslane::error::ConfigError;
use buslane::retry::{Attempt, Breaker, BreakerState, Next, RetryPolicy};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells of failed attempts, and of a breaker that opens and closes.
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

    fn look_at_breaker(&self) {
        let state = self.breaker.state();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != state {
            *seen = state;
            self.story.tell(self.name, format_args!("breaker: {state:?}"));
        }
    }
}

impl<E, P: RetryPolicy<E>> RetryPolicy<E> for Observer<P> {
    fn before(&self, event: &E) -> std::time::Duration {
        self.look_at_breaker();
        self.policy.before(event)
    }

    fn failure(&self, event: &E, attempt: &Attempt<'_>) -> Next {
        let next = self.policy.failure(event, attempt);
        let then = match next {
            Next::Again => String::from("again when the breaker lets it"),
            Next::After(wait) => format!("again in {wait:?}"),
            _ => String::from("given up"),
        };
        let (number, error) = (attempt.number(), attempt.error());
        self.story.tell(self.name, format_args!("attempt {number}: {error}; {then}"));
        self.look_at_breaker();
        next
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.policy.validate()
    }

    fn success(&self) {
        self.policy.success();
        self.look_at_breaker();
    }

    fn abandoned(&self) {
        self.policy.abandoned();
    }
}
