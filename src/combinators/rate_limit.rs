//! A combinator that limits the rate of events.

use super::sieve::Sieve;
use crate::error::{ConfigError, Invalid, OutOfMemory, WriteError};
use crate::sink::lane::{Internal, Lane, Lanes};
use crate::sink::{Inner, Sink, SinkKey, control};
use crate::stats::{CloseReport, Disposition, SinkState};
use crate::sync::{AtomicU64, Ordering};
use crate::time::{Clock, Deadline, SystemClock};
use crate::wait::context::{UserCode, user_code};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

/// A sink that limits the rate of events to `per_second`, with bursts of `burst`, and drops the
/// excess.
///
/// Made by [`SinkExt::rate_limit`](crate::SinkExt::rate_limit).
///
/// # Guarantees
/// - **Rate**: a token bucket holds at most `burst` tokens and is full at first. Each forwarded
///   event takes one token, and `per_second` tokens return each second, at equal intervals. The
///   interval is rounded to whole nanoseconds, and is at least one.
/// - **Shared**: all publishers share one bucket, with a lane or without.
/// - **Progress**: lock-free, and no call waits. A forwarded event costs a read of the clock (about
///   25 ns) and a compare-and-swap on a word that all publishers share. A dropped event costs a
///   read of the clock and a load of that word.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, SinkExt};
/// let (channel, mut receiver) = Channel::lossy(64)?;
/// let sink = channel.rate_limit(0.001, 2); // a burst of two, then one each 1000 s
/// for n in 0..10 {
///     sink.write(n)?;
/// }
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a rate limit does nothing until it is written to or added to a bus"]
pub struct RateLimit<E, S, C = SystemClock> {
    inner: S,
    sieve: Arc<Sieve<TokenLimit<C>>>,
    events: PhantomData<fn(E)>,
}

/// The test of each event: whether the bucket has a token.
struct TokenLimit<C> {
    settings: Result<(), ConfigError>,
    bucket: Bucket,
    clock: C,
}

/// A bucket of tokens, represented by the time at which it will be full again.
struct Bucket {
    start: Instant,
    /// The nanoseconds from one token to the next.
    interval: u64,
    /// The nanoseconds in which all tokens but one return.
    slack: u64,
    /// The time at which the bucket is full again, in nanoseconds since the start.
    full_at: AtomicU64,
}

impl Bucket {
    fn new(start: Instant, interval: u64, slack: u64) -> Self {
        Self { start, interval, slack, full_at: AtomicU64::new(0) }
    }

    /// Takes a token. Returns whether there was one.
    fn take(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.start).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        // Relaxed: the word publishes no other data.
        let taken = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let full_at = full_at.max(now);
            (full_at - now <= self.slack).then(|| full_at.saturating_add(self.interval))
        });
        taken.is_ok()
    }
}

impl<E, S> RateLimit<E, S> {
    pub(crate) fn new(inner: S, per_second: f64, burst: u64) -> Self {
        let settings = if !(per_second.is_finite() && per_second > 0.0) {
            Err(Invalid::Rate(per_second.into()).into())
        } else if burst == 0 {
            Err(Invalid::ZeroBurst.into())
        } else {
            Ok(())
        };
        // A conversion from a float to an integer saturates.
        let interval = ((1e9 / per_second).round() as u64).max(1);
        let bucket = Bucket::new(Instant::now(), interval, interval.saturating_mul(burst.saturating_sub(1)));
        let sieve = Sieve::new(TokenLimit { settings, bucket, clock: SystemClock });
        Self { inner, sieve, events: PhantomData }
    }

    /// Replaces the clock; the bucket is then full.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use buslane::{Channel, Sink, SinkExt, testing::ManualClock};
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let sink = channel.rate_limit(2.0, 1).clock(clock.clone());
    /// sink.write(1)?;
    /// sink.write(2)?; // dropped, and counted as filtered
    /// clock.advance(Duration::from_millis(500));
    /// sink.write(3)?;
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 3]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock<C: Clock + 'static>(self, clock: C) -> RateLimit<E, S, C> {
        let TokenLimit { settings, bucket: Bucket { interval, slack, .. }, .. } = self.sieve.test;
        let now = {
            let _user_code = UserCode::enter();
            clock.now()
        };
        let bucket = Bucket::new(now, interval, slack);
        let sieve = Sieve::new(TokenLimit { settings, bucket, clock });
        RateLimit { inner: self.inner, sieve, events: PhantomData }
    }
}

impl<C: Clock> TokenLimit<C> {
    /// Returns whether one more event passes, or the text of the clock's panic.
    #[inline]
    fn passes(&self) -> Result<bool, String> {
        user_code(|| self.clock.now()).map(|now| self.bucket.take(now))
    }
}

impl<E, S, C> Sink<E> for RateLimit<E, S, C>
where
    E: Send + 'static,
    S: Sink<E>,
    C: Clock + 'static,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        if let Err(error) = self.sieve.test.settings {
            return self.sieve.refuse_invalid(event, error);
        }
        self.sieve.write(self.sieve.test.passes(), event, &self.inner)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.sieve.close(deadline, &self.inner)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        if self.sieve.test.settings.is_err() {
            return Ok(None);
        }
        self.sieve.lane(&self.inner, |limit, _| limit.passes())
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.sieve.test.settings.is_ok() && self.inner.has_lanes()
    }

    fn reports_closed(&self) -> bool {
        self.sieve.is_closed(&self.inner)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.sieve.test.settings.and_then(|()| control::validate(self))
    }

    fn describe(&self, state: &mut SinkState) {
        self.sieve.describe(state, &self.inner);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.sieve))
    }
}

impl<E, S: fmt::Debug, C> fmt::Debug for RateLimit<E, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("inner", &self.inner).finish_non_exhaustive()
    }
}
