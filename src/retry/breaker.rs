//! A circuit breaker, which stops the attempts at a sink that is down.

use super::policy::{Attempt, Next, RetryLimits, RetryPolicy};
use crate::deadline::moment_after;
use crate::error::{ConfigError, Invalid};
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Mutex, lock};
use crate::time::{Clock, SystemClock};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most times that the waits below the threshold are halved: the shortest is a thousandth of
/// the backoff.
const MOST_HALVINGS: u32 = 10;

/// A circuit breaker: stops the attempts at a sink after a number of consecutive failures, then
/// probes it.
///
/// - **Closed**: every attempt is let through. A failed event is retried after a wait that doubles
///   up to the backoff as the failures approach the threshold, so that no thread spins.
/// - **Open**, from `threshold` consecutive failures on: no attempt is let through until the
///   backoff is over.
/// - **Half-open**: one attempt at a time, the probe, is let through. If it succeeds, the breaker
///   closes; if it fails, the breaker opens for another backoff. Meanwhile every other caller waits
///   for a backoff and asks again. A probe that panics, or finds its sink closed, makes room for
///   the next one.
///
/// The counts cover every sink that uses the breaker: sinks that fail together can share one
/// through an `Arc`. A breaker by itself never gives up an event; see
/// [`max_attempts`](Self::max_attempts) and [`max_elapsed`](Self::max_elapsed).
///
/// # Examples
/// ```
/// use buslane::{Sink, sink_fn, SinkExt};
/// use buslane::retry::{Breaker, BreakerState};
/// use std::{sync::Arc, time::Duration};
/// let breaker = Arc::new(Breaker::new(1, Duration::from_secs(1)).max_attempts(1));
/// let down = sink_fn(|_: &u32| Err("connection refused")).retry(breaker.clone());
/// assert!(down.write(1).is_err());
/// assert_eq!(breaker.state(), BreakerState::Open);
/// ```
#[must_use = "a policy does nothing until a retry uses it"]
pub struct Breaker {
    threshold: u32,
    backoff: Duration,
    limits: RetryLimits,
    clock: Arc<dyn Clock>,
    circuit: Mutex<Circuit>,
}

struct Circuit {
    /// Consecutive failures.
    failures: u32,
    /// The end of the time in which no attempt is let through; `None` while the breaker is closed.
    until: Option<Instant>,
    /// The thread that probes.
    probe: Option<ThreadId>,
}

/// The state of a [`Breaker`]: which attempts it lets through.
///
/// # Examples
/// ```
/// use buslane::retry::{Attempt, AttemptError, Breaker, BreakerState, RetryPolicy};
/// use std::time::Duration;
/// let breaker = Breaker::new(1, Duration::from_secs(60));
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// let _ = breaker.failure(&"event", &Attempt::new(1, Duration::ZERO, AttemptError::Full));
/// assert_eq!(breaker.state(), BreakerState::Open);
/// RetryPolicy::<&str>::success(&breaker);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerState {
    /// Every attempt is let through.
    Closed,
    /// No attempt is let through.
    Open,
    /// One attempt at a time is let through.
    HalfOpen,
}

impl Breaker {
    /// Creates a breaker that opens after `threshold` consecutive failures and waits for `backoff`
    /// before each probe.
    ///
    /// A threshold of 0, and a backoff of zero, are invalid: see [`validate`](Self::validate).
    ///
    /// # Examples
    /// Two consecutive failures open it:
    /// ```
    /// use buslane::{Sink, sink_fn, SinkExt};
    /// use buslane::retry::{Breaker, BreakerState};
    /// use std::{sync::Arc, time::Duration};
    /// let breaker = Arc::new(Breaker::new(2, Duration::from_secs(60)).max_attempts(1));
    /// let sink = sink_fn(|ok: &bool| if *ok { Ok(()) } else { Err("no route") }).retry(breaker.clone());
    /// for ok in [false, true, false] {
    ///     let _ = sink.write(ok);
    /// }
    /// assert_eq!(breaker.state(), BreakerState::Closed);
    /// let _ = sink.write(false);
    /// assert_eq!(breaker.state(), BreakerState::Open);
    /// ```
    pub fn new(threshold: u32, backoff: Duration) -> Self {
        Self {
            threshold,
            backoff,
            limits: RetryLimits::default(),
            clock: Arc::new(SystemClock),
            circuit: Mutex::new(Circuit { failures: 0, until: None, probe: None }),
        }
    }

    /// Checks the settings, as [every call that starts to use a
    /// retry](crate::error#where-settings-are-checked) does.
    ///
    /// # Errors
    /// [`ConfigError`] for the first invalid setting.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::Breaker;
    /// use std::time::Duration;
    /// let second = Duration::from_secs(1);
    /// assert!(Breaker::new(5, second).validate().is_ok());
    /// let error = Breaker::new(0, second).validate().unwrap_err();
    /// assert_eq!(error.to_string(), "threshold 0 is invalid: it must be at least 1 failure");
    /// ```
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.threshold == 0 {
            Err(Invalid::ZeroThreshold.into())
        } else if self.backoff.is_zero() {
            Err(Invalid::ZeroBackoff.into())
        } else {
            self.limits.validate()
        }
    }

    /// Limits the number of attempts with an event, including the first one. Default: no limit.
    ///
    /// 0 attempts are invalid: see [`validate`](Self::validate).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, sink_fn, SinkExt, WriteError};
    /// use buslane::retry::Breaker;
    /// use std::time::Duration;
    /// let breaker = Breaker::new(5, Duration::from_millis(1)).max_attempts(2);
    /// let sink = sink_fn(|_: &u32| Err("no route")).retry(breaker);
    /// assert!(matches!(sink.write(7), Err(WriteError::Failed { event: 7, .. })));
    /// ```
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.limits.set_attempts(attempts);
        self
    }

    /// Gives up an event if the attempt after a failed one would be later than `limit` after the
    /// first. Default: no limit.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Breaker, Next, RetryPolicy};
    /// use std::time::Duration;
    /// let breaker = Breaker::new(5, Duration::from_secs(1)).max_elapsed(Duration::from_secs(60));
    /// let late = Attempt::new(2, Duration::from_secs(61), AttemptError::Full);
    /// assert_eq!(breaker.failure(&"event", &late), Next::GiveUp);
    /// ```
    pub fn max_elapsed(mut self, limit: Duration) -> Self {
        self.limits.set_elapsed(limit);
        self
    }

    /// Sets the clock. Default: [`SystemClock`]. Give the [`Retry`](crate::retry::Retry) the same
    /// clock.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use buslane::retry::{Attempt, AttemptError, Breaker, BreakerState, RetryPolicy};
    /// use buslane::testing::ManualClock;
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let breaker = Breaker::new(1, Duration::from_secs(60)).clock(clock.clone());
    /// let _ = breaker.failure(&"event", &Attempt::new(1, Duration::ZERO, AttemptError::Full));
    /// assert_eq!(breaker.state(), BreakerState::Open);
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(breaker.state(), BreakerState::HalfOpen);
    /// # }
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the current state.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Breaker, BreakerState, RetryPolicy};
    /// use std::time::Duration;
    /// let breaker = Breaker::new(2, Duration::from_secs(60));
    /// let full = Attempt::new(1, Duration::ZERO, AttemptError::Full);
    /// let states = [(); 2].map(|()| {
    ///     let _ = breaker.failure(&"event", &full);
    ///     breaker.state()
    /// });
    /// assert_eq!(states, [BreakerState::Closed, BreakerState::Open]);
    /// ```
    #[must_use]
    pub fn state(&self) -> BreakerState {
        let now = self.clock.now();
        match lock(&self.circuit).until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Returns the wait of a failed event while the breaker is closed.
    fn approach(&self, failures: u32) -> Duration {
        let missing = self.threshold.saturating_sub(failures).min(MOST_HALVINGS);
        self.backoff / (1 << missing)
    }
}

impl<E> RetryPolicy<E> for Breaker {
    fn validate(&self) -> Result<(), ConfigError> {
        self.validate()
    }

    fn before(&self, _event: &E) -> Duration {
        if lock(&self.circuit).until.is_none() {
            return Duration::ZERO;
        }
        // The clock may be user code, so it is read outside the lock.
        let (now, this) = (self.clock.now(), thread::current().id());
        let mut circuit = lock(&self.circuit);
        match circuit.until {
            None => Duration::ZERO,
            Some(until) if now < until => until - now,
            // An inner sink that shares the breaker with the probing one is part of the probe.
            Some(_) if circuit.probe.is_none_or(|probe| probe == this) => {
                circuit.probe = Some(this);
                Duration::ZERO
            }
            Some(_) => self.backoff,
        }
    }

    fn failure(&self, _event: &E, attempt: &Attempt<'_>) -> Next {
        let now = self.clock.now();
        let mut circuit = lock(&self.circuit);
        circuit.failures = circuit.failures.saturating_add(1);
        // An attempt that began before the breaker opened gives no new information: only the probe
        // keeps it open.
        let opens = match circuit.until {
            None => circuit.failures >= self.threshold,
            Some(_) => circuit.probe == Some(thread::current().id()),
        };
        if opens {
            circuit.probe = None;
            circuit.until = Some(moment_after(now, self.backoff));
        }
        match circuit.until {
            Some(until) => self.limits.allow(attempt, until.saturating_duration_since(now), Next::Again),
            None => {
                let wait = self.approach(circuit.failures);
                self.limits.allow(attempt, wait, Next::After(wait))
            }
        }
    }

    fn success(&self) {
        *lock(&self.circuit) = Circuit { failures: 0, until: None, probe: None };
    }

    fn abandoned(&self) {
        let mut circuit = lock(&self.circuit);
        if circuit.probe == Some(thread::current().id()) {
            circuit.probe = None;
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("threshold", &self.threshold)
            .field("backoff", &self.backoff)
            .field("limits", &self.limits)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
