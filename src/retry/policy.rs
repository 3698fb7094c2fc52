//! Retry policies: whether, when and how often an event is tried again.

use crate::error::{ConfigError, Invalid, WriteError};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A policy that decides whether and when an event is tried again.
///
/// [`Backoff`](crate::retry::Backoff) and [`Breaker`](crate::retry::Breaker) are policies. A policy
/// needs only [`failure`](Self::failure). Every writing thread calls it, and an `Arc` of it may
/// serve several sinks.
///
/// After each attempt that [`before`](Self::before) let through, exactly one of `failure`,
/// [`success`](Self::success) and [`abandoned`](Self::abandoned) follows, on the same thread. A
/// method that panics loses no event: the event is given up with an error.
///
/// # Examples
/// ```
/// use buslane::{Sink, sink_fn, SinkExt};
/// use buslane::retry::{Attempt, AttemptError, Next, RetryPolicy};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
///
/// /// Waits for sinks that are full, and gives up all other failures.
/// struct OnlyFull;
///
/// impl<E> RetryPolicy<E> for OnlyFull {
///     fn failure(&self, _event: &E, attempt: &Attempt<'_>) -> Next {
///         match attempt.error() {
///             AttemptError::Full | AttemptError::Timeout => Next::After(Duration::from_millis(1)),
///             _ => Next::GiveUp,
///         }
///     }
/// }
///
/// let calls = AtomicU32::new(0);
/// let fails = sink_fn(|_: &u32| {
///     calls.fetch_add(1, Ordering::Relaxed);
///     Err("no such file")
/// });
/// assert!(fails.retry(OnlyFull).write(1).is_err());
/// assert_eq!(calls.load(Ordering::Relaxed), 1);
/// ```
pub trait RetryPolicy<E>: Send + Sync {
    /// Returns the wait before an attempt with this event may be made: zero lets the attempt
    /// through.
    ///
    /// Called before every attempt, and again after each wait that it requested, until it returns
    /// zero. Default: zero.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Breaker, RetryPolicy};
    /// use std::time::Duration;
    /// let breaker = Breaker::new(1, Duration::from_secs(60));
    /// assert!(breaker.before(&"event").is_zero());
    /// let _ = breaker.failure(&"event", &Attempt::new(1, Duration::ZERO, AttemptError::Full));
    /// assert!(!breaker.before(&"event").is_zero()); // it has opened
    /// ```
    fn before(&self, event: &E) -> Duration {
        let _ = event;
        Duration::ZERO
    }

    /// Decides what follows a failed attempt.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError, Next, RetryPolicy};
    /// use std::time::Duration;
    /// struct Thrice;
    /// impl<E> RetryPolicy<E> for Thrice {
    ///     fn failure(&self, _event: &E, attempt: &Attempt<'_>) -> Next {
    ///         if attempt.number() < 3 { Next::Again } else { Next::GiveUp }
    ///     }
    /// }
    /// let third = Attempt::new(3, Duration::ZERO, AttemptError::Full);
    /// assert_eq!(Thrice.failure(&"event", &third), Next::GiveUp);
    /// ```
    fn failure(&self, event: &E, attempt: &Attempt<'_>) -> Next;

    /// Records a successful attempt. The sink owns the event now.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink, SinkExt};
    /// use buslane::retry::{Attempt, Next, RetryPolicy};
    /// use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
    /// #[derive(Default)]
    /// struct Counting(AtomicU32);
    /// impl<E> RetryPolicy<E> for Counting {
    /// #   fn failure(&self, _event: &E, _attempt: &Attempt<'_>) -> Next { Next::GiveUp }
    ///     fn success(&self) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    /// let policy = Arc::new(Counting::default());
    /// noop().retry(policy.clone()).write("event")?;
    /// assert_eq!(policy.0.load(Ordering::Relaxed), 1);
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    fn success(&self) {}

    /// Records an attempt that gives no information about the sink's health: the sink is closed, or
    /// it panicked.
    ///
    /// # Examples
    /// A write into a channel whose receiver was dropped is abandoned:
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// use buslane::retry::{Attempt, Next, RetryPolicy};
    /// use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
    /// #[derive(Default)]
    /// struct Counting(AtomicU32);
    /// impl<E> RetryPolicy<E> for Counting {
    /// #   fn failure(&self, _event: &E, _attempt: &Attempt<'_>) -> Next { Next::GiveUp }
    ///     fn abandoned(&self) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    /// let policy = Arc::new(Counting::default());
    /// let (channel, _) = Channel::lossy(8)?;
    /// assert!(channel.retry(policy.clone()).write("event").is_err());
    /// assert_eq!(policy.0.load(Ordering::Relaxed), 1);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    fn abandoned(&self) {}

    /// Checks the settings of the policy.
    ///
    /// A retry calls this once, when it is created, and [reports the
    /// error](crate::error#where-settings-are-checked) when it is first used. Default: they are
    /// valid.
    ///
    /// # Errors
    /// [`ConfigError`] for the first invalid setting: [`ConfigError::other`] creates one.
    ///
    /// # Examples
    /// A policy that wraps another one forwards the call:
    /// ```
    /// use buslane::error::{ConfigError, ConfigErrorKind};
    /// use buslane::retry::{Attempt, Backoff, Next, RetryPolicy};
    /// struct Loud<P>(P);
    /// impl<E, P: RetryPolicy<E>> RetryPolicy<E> for Loud<P> {
    ///     fn failure(&self, event: &E, attempt: &Attempt<'_>) -> Next {
    ///         println!("attempt {} failed", attempt.number());
    ///         self.0.failure(event, attempt)
    ///     }
    ///     fn validate(&self) -> Result<(), ConfigError> {
    ///         self.0.validate()
    ///     }
    /// }
    /// let policy = Loud(Backoff::default().max_attempts(0));
    /// let error = RetryPolicy::<u32>::validate(&policy).unwrap_err();
    /// assert_eq!(error.kind(), ConfigErrorKind::Attempts);
    /// ```
    fn validate(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<E, P: RetryPolicy<E> + ?Sized> RetryPolicy<E> for $pointer {
            fn before(&self, event: &E) -> Duration {
                (**self).before(event)
            }

            fn failure(&self, event: &E, attempt: &Attempt<'_>) -> Next {
                (**self).failure(event, attempt)
            }

            fn validate(&self) -> Result<(), ConfigError> {
                (**self).validate()
            }

            fn success(&self) {
                (**self).success();
            }

            fn abandoned(&self) {
                (**self).abandoned();
            }
        }
    )*};
}

forward!(&P, Box<P>, Arc<P>);

/// A policy's decision about an event whose attempt failed.
///
/// # Examples
/// ```
/// use buslane::retry::{Attempt, AttemptError, Backoff, Next, RetryPolicy};
/// use std::time::Duration;
/// let policy = Backoff::default().jitter(0.0).max_attempts(2);
/// let after = |number| policy.failure(&"event", &Attempt::new(number, Duration::ZERO, AttemptError::Full));
/// assert_eq!(after(1), Next::After(Duration::from_millis(100)));
/// assert_eq!(after(2), Next::GiveUp);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Try again as soon as [`RetryPolicy::before`] lets the event through.
    Again,
    /// Try again after this wait at the earliest.
    After(Duration),
    /// Give up: the event goes to the dead letters, or returns to the caller.
    GiveUp,
}

/// A failed attempt, as a policy sees it.
///
/// # Examples
/// A policy that gives up after a second, or when the file is not there:
/// ```
/// use buslane::retry::{Attempt, AttemptError, Next, RetryPolicy};
/// use std::{io, time::Duration};
/// struct Files;
/// impl<E> RetryPolicy<E> for Files {
///     fn failure(&self, _event: &E, attempt: &Attempt<'_>) -> Next {
///         let missing = attempt.source::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
///         if missing || attempt.elapsed() > Duration::from_secs(1) { Next::GiveUp } else { Next::Again }
///     }
/// }
/// let missing = io::Error::from(io::ErrorKind::NotFound);
/// let attempt = Attempt::new(1, Duration::ZERO, AttemptError::Failed(&missing));
/// assert_eq!(Files.failure(&"event", &attempt), Next::GiveUp);
/// assert_eq!(Files.failure(&"event", &Attempt::new(1, Duration::ZERO, AttemptError::Full)), Next::Again);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    number: u32,
    elapsed: Duration,
    error: AttemptError<'a>,
}

impl<'a> Attempt<'a> {
    /// Creates an attempt, for tests of a policy.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError};
    /// use std::time::Duration;
    /// let attempt = Attempt::new(2, Duration::from_secs(1), AttemptError::Full);
    /// assert_eq!((attempt.number(), attempt.elapsed()), (2, Duration::from_secs(1)));
    /// assert!(matches!(attempt.error(), AttemptError::Full));
    /// ```
    #[must_use]
    pub fn new(number: u32, elapsed: Duration, error: AttemptError<'a>) -> Self {
        Self { number, elapsed, error }
    }

    /// Returns the number of attempts made with this event, including this one; from 1.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError};
    /// use std::time::Duration;
    /// let second = Attempt::new(2, Duration::from_secs(1), AttemptError::Full);
    /// assert_eq!(second.number(), 2);
    /// ```
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns the time since shortly before the first attempt with this event, waits included.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError};
    /// use std::time::Duration;
    /// let late = Attempt::new(9, Duration::from_secs(60), AttemptError::Timeout);
    /// assert!(late.elapsed() > Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns the error of the attempt.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError};
    /// use std::time::Duration;
    /// let error = std::io::Error::other("no route");
    /// let attempt = Attempt::new(1, Duration::ZERO, AttemptError::Failed(&error));
    /// assert_eq!(attempt.error().to_string(), "the sink failed: no route");
    /// ```
    #[must_use]
    pub fn error(&self) -> AttemptError<'a> {
        self.error
    }

    /// Returns the source of the error, if the sink [failed](AttemptError::Failed) with this type.
    ///
    /// # Examples
    /// ```
    /// use buslane::retry::{Attempt, AttemptError};
    /// use std::{io, time::Duration};
    /// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    /// let attempt = Attempt::new(1, Duration::ZERO, AttemptError::Failed(&refused));
    /// assert!(attempt.source::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused));
    /// ```
    #[must_use]
    pub fn source<T: Error + 'static>(&self) -> Option<&'a T> {
        match self.error {
            AttemptError::Failed(source) => source.downcast_ref(),
            AttemptError::Full | AttemptError::Timeout => None,
        }
    }
}

/// The reason why an attempt failed: a [`WriteError`] without the event.
///
/// # Examples
/// ```
/// use buslane::retry::AttemptError;
/// let error = std::io::Error::other("no route");
/// assert_eq!(AttemptError::Failed(&error).to_string(), "the sink failed: no route");
/// assert_eq!(AttemptError::Timeout.to_string(), "the sink did not accept the event in time");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum AttemptError<'a> {
    /// The sink had no room.
    Full,
    /// The sink found no room, or received no answer, in time.
    Timeout,
    /// The sink failed.
    Failed(&'a (dyn Error + Send + Sync + 'static)),
}

impl<'a> AttemptError<'a> {
    /// Returns the event and the reason; `None` if another attempt cannot succeed.
    pub(super) fn of<E>(error: &'a WriteError<E>) -> Option<(&'a E, Self)> {
        match error {
            WriteError::Full(event) => Some((event, Self::Full)),
            WriteError::Timeout(event) => Some((event, Self::Timeout)),
            WriteError::Failed { event, source } => Some((event, Self::Failed(&**source))),
            // A call that is nested too deeply stays so at the next attempt.
            WriteError::Closed(_) | WriteError::Reentrant(_) => None,
        }
    }
}

impl fmt::Display for AttemptError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => WriteError::Full(()).fmt(f),
            Self::Timeout => WriteError::Timeout(()).fmt(f),
            Self::Failed(source) => write!(f, "the sink failed: {source}"),
        }
    }
}

/// The limits at which the crate's own policies give up an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RetryLimits {
    attempts: Option<u32>,
    elapsed: Option<Duration>,
}

impl RetryLimits {
    pub(super) fn set_attempts(&mut self, most: u32) {
        self.attempts = Some(most);
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.attempts == Some(0) { Err(Invalid::ZeroAttempts.into()) } else { Ok(()) }
    }

    pub(super) fn set_elapsed(&mut self, most: Duration) {
        self.elapsed = Some(most);
    }

    /// Returns `next` for an event that would be tried again after `wait`, or `GiveUp` if that
    /// exceeds a limit.
    pub(super) fn allow(&self, attempt: &Attempt<'_>, wait: Duration, next: Next) -> Next {
        let too_often = self.attempts.is_some_and(|most| attempt.number >= most);
        let too_late = self.elapsed.is_some_and(|most| attempt.elapsed.saturating_add(wait) > most);
        if too_often || too_late { Next::GiveUp } else { next }
    }
}
