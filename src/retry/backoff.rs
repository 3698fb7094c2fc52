//! Exponential backoff with jitter.

use super::policy::{Attempt, Next, RetryLimits, RetryPolicy};
use crate::error::{ConfigError, Invalid};
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Exponential backoff: waits that grow with each failed attempt of an event up to a maximum, with
/// jitter.
///
/// After the n-th failed attempt, the wait is drawn uniformly from above 0 up to
/// `base · factorⁿ⁻¹`, limited to the maximum (full jitter). Each event counts its own attempts, so
/// events do not delay each other. To stop the attempts at a sink that is down, use a
/// [`Breaker`](crate::retry::Breaker).
///
/// | setting | default |
/// |---|---|
/// | base | 100 ms |
/// | maximum | 20 s |
/// | [`factor`](Self::factor) | 2 |
/// | [`jitter`](Self::jitter) | 1, which is full jitter |
/// | [`max_attempts`](Self::max_attempts), [`max_elapsed`](Self::max_elapsed) | no limit |
///
/// For constant waits use `Backoff::new(wait, wait).jitter(0.0)`.
///
/// # Examples
/// ```
/// use buslane::{sink_fn, SinkExt};
/// use buslane::retry::Backoff;
/// use std::time::Duration;
/// let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5)).max_attempts(8);
/// let queue = sink_fn(|line: &String| println!("{line}")).retry(backoff).queue(1024)?;
/// # drop(queue);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a policy does nothing until a retry uses it"]
pub struct Backoff {
    base: Duration,
    max: Duration,
    factor: f64,
    jitter: f64,
    limits: RetryLimits,
    dice: Dice,
}

impl Backoff {
    /// Creates a backoff whose first wait is at most `base`, and whose longest wait is at most
    /// `max`.
    ///
    /// A `base` of zero, and a `max` below the `base`, are invalid: see
    /// [`validate`](Self::validate).
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::Backoff;
    /// use std::time::Duration;
    /// let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    /// assert_eq!((backoff.window(1), backoff.window(100)), (Duration::from_millis(50), Duration::from_secs(5)));
    /// ```
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, ..Self::default() }
    }

    /// Checks the settings, as [every call that starts to use a
    /// retry](crate::error#where-settings-are-checked) does.
    ///
    /// # Errors
    /// [`ConfigError`] for the first invalid setting.
    ///
    /// # Examples
    /// ```
    /// use buslane::error::ConfigErrorKind;
    /// use buslane::retry::Backoff;
    /// use std::time::Duration;
    /// let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    /// assert!(Backoff::new(second, minute).validate().is_ok());
    /// let error = Backoff::new(minute, second).validate().unwrap_err();
    /// assert_eq!(error.kind(), ConfigErrorKind::Backoff);
    /// assert_eq!(error.to_string(), "longest backoff 1s is invalid: it must be at least the first backoff 60s");
    /// ```
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { base, max, factor, jitter, .. } = *self;
        if base.is_zero() {
            Err(Invalid::ZeroBackoff.into())
        } else if max < base {
            Err(Invalid::InvertedBackoff { base, max }.into())
        } else if !factor.is_finite() || factor < 1.0 {
            Err(Invalid::Factor(factor.into()).into())
        } else if !(0.0..=1.0).contains(&jitter) {
            Err(Invalid::Jitter(jitter.into()).into())
        } else {
            self.limits.validate()
        }
    }

    /// Sets the factor by which each wait is longer than the previous one.
    ///
    /// A factor below 1, and one that is not finite, are invalid: see [`validate`](Self::validate).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let backoff = buslane::retry::Backoff::default().factor(3.0);
    /// assert_eq!(backoff.window(3), Duration::from_millis(900));
    /// ```
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Sets the random part of each wait: 0 for none, 1 for the whole wait.
    ///
    /// A number outside 0 to 1 is invalid: see [`validate`](Self::validate).
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
    /// use std::time::Duration;
    /// let backoff = Backoff::default().jitter(0.0);
    /// let second = Attempt::new(2, Duration::ZERO, AttemptError::Full);
    /// assert_eq!(backoff.failure(&"event", &second), Next::After(Duration::from_millis(200)));
    /// ```
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Limits the number of attempts with an event, including the first one. After the last one the
    /// event is given up.
    ///
    /// 0 attempts are invalid: see [`validate`](Self::validate).
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
    /// use std::time::Duration;
    /// let backoff = Backoff::default().max_attempts(2);
    /// let second = Attempt::new(2, Duration::ZERO, AttemptError::Full);
    /// assert_eq!(backoff.failure(&"event", &second), Next::GiveUp);
    /// ```
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.limits.set_attempts(attempts);
        self
    }

    /// Gives up an event as soon as the next attempt would be later than `limit` after the first
    /// one.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
    /// use std::time::Duration;
    /// let backoff = Backoff::default().max_elapsed(Duration::from_secs(60));
    /// let late = Attempt::new(2, Duration::from_secs(61), AttemptError::Full);
    /// assert_eq!(backoff.failure(&"event", &late), Next::GiveUp);
    /// ```
    pub fn max_elapsed(mut self, limit: Duration) -> Self {
        self.limits.set_elapsed(limit);
        self
    }

    /// Sets the seed of the jitter, which makes it reproducible in tests.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Backoff, RetryPolicy};
    /// let wait = |seed| {
    ///     let attempt = Attempt::new(1, std::time::Duration::ZERO, AttemptError::Full);
    ///     Backoff::default().seed(seed).failure(&"event", &attempt)
    /// };
    /// assert_eq!(wait(1), wait(1));
    /// assert_ne!(wait(1), wait(2));
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.dice = Dice(AtomicU64::new(seed));
        self
    }

    /// Returns the longest wait after this number of failed attempts.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// let backoff = buslane::retry::Backoff::default();
    /// assert_eq!(backoff.window(1), Duration::from_millis(100));
    /// assert_eq!(backoff.window(4), Duration::from_millis(800));
    /// assert_eq!(backoff.window(u32::MAX), Duration::from_secs(20));
    /// ```
    #[must_use]
    pub fn window(&self, failures: u32) -> Duration {
        let doublings = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.factor.powi(doublings);
        // A value that is infinite or too large for a `Duration` exceeds the maximum.
        Duration::try_from_secs_f64(seconds).map_or(self.max, |window| window.min(self.max))
    }
}

/// The clone continues with the same random numbers as the original.
impl Clone for Backoff {
    fn clone(&self) -> Self {
        let Self { base, max, factor, jitter, limits, dice } = self;
        let (base, max, factor, jitter, limits) = (*base, *max, *factor, *jitter, *limits);
        // Relaxed: the count publishes nothing.
        Self { base, max, factor, jitter, limits, dice: Dice(AtomicU64::new(dice.0.load(Ordering::Relaxed))) }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            max: Duration::from_secs(20),
            factor: 2.0,
            jitter: 1.0,
            limits: RetryLimits::default(),
            dice: Dice(AtomicU64::new(RandomState::new().hash_one(0))),
        }
    }
}

impl<E> RetryPolicy<E> for Backoff {
    fn validate(&self) -> Result<(), ConfigError> {
        self.validate()
    }

    fn failure(&self, _event: &E, attempt: &Attempt<'_>) -> Next {
        let window = self.window(attempt.number());
        let part = window.as_secs_f64() * (1.0 - self.jitter * self.dice.roll());
        // The conversion to a floating-point number may round up a long duration, above the window
        // or above the longest `Duration`.
        let wait = Duration::try_from_secs_f64(part).map_or(window, |wait| wait.min(window));
        self.limits.allow(attempt, wait, Next::After(wait))
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("base", &self.base)
            .field("max", &self.max)
            .field("factor", &self.factor)
            .field("jitter", &self.jitter)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Pseudorandom numbers: a counter whose values are scrambled (SplitMix64), so that threads need no
/// lock.
struct Dice(AtomicU64);

impl Dice {
    /// Returns a number from 0 up to, but not including, 1.
    fn roll(&self) -> f64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        // Relaxed: the count publishes nothing.
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}
