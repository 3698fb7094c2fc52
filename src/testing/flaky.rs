//! A sink that fails as planned.

use crate::error::WriteError;
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{Counters, Disposition, EntryOutcome, SinkState};
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The text of the error with which a [`Flaky`] sink fails.
///
/// # Examples
/// ```
/// use buslane::{Sink, noop, testing::{FLAKY, Flaky}};
/// let error = Flaky::new(noop()).failing(1).write(7).unwrap_err();
/// assert_eq!(error.to_string(), format!("the sink failed: {FLAKY}"));
/// ```
pub const FLAKY: &str = "the flaky sink failed as planned";

/// A sink that fails as planned, and forwards every other event.
///
/// Whether the *n*th write fails depends only on *n* and on the seed, so that a test can be
/// repeated. The error is [`WriteError::Failed`] with the text [`FLAKY`], and the event comes back.
/// The sink has no lanes. Wrap it in an `Arc` to read its counts after it was added to a bus.
///
/// # Examples
/// ```
/// use buslane::Sink;
/// use buslane::testing::{Collect, FLAKY, Flaky};
/// let seen = Collect::new();
/// // It fails twice for certain, then nine times in ten.
/// let flaky = Flaky::new(seen.clone()).failing(2).rate(0.9, 1);
/// let error = flaky.write(7).unwrap_err();
/// assert!(error.to_string().ends_with(FLAKY));
/// assert_eq!(error.into_event(), 7);
/// while flaky.write(7).is_err() {}
/// assert_eq!(seen.events(), [7]);
/// assert_eq!(flaky.attempts(), flaky.failures() + 1);
/// ```
#[must_use = "a flaky sink does nothing until it is written to or added to a bus"]
pub struct Flaky<E, S> {
    inner: S,
    /// The number of first writes that fail in any case.
    first: u64,
    /// A later write fails if its hash is below this.
    below: f64,
    seed: u64,
    shared: Arc<FlakyCore>,
    events: PhantomData<fn(E)>,
}

struct FlakyCore {
    attempts: AtomicU64,
    failures: AtomicU64,
    counters: Counters,
}

impl<E, S: Sink<E>> Flaky<E, S> {
    /// Returns a sink that does not fail yet.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, testing::{Collect, Flaky}};
    /// let seen = Collect::new();
    /// Flaky::new(seen.clone()).write("event")?;
    /// assert_eq!(seen.events(), ["event"]);
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    pub fn new(inner: S) -> Self {
        let shared =
            FlakyCore { attempts: AtomicU64::new(0), failures: AtomicU64::new(0), counters: Counters::new() };
        Self { inner, first: 0, below: 0.0, seed: 0, shared: Arc::new(shared), events: PhantomData }
    }

    /// Makes the first `first` writes fail.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, noop, testing::Flaky};
    /// let flaky = Flaky::new(noop()).failing(2);
    /// assert!(flaky.write(7).is_err() && flaky.write(7).is_err() && flaky.write(7).is_ok());
    /// assert_eq!((flaky.attempts(), flaky.failures()), (3, 2));
    /// ```
    pub fn failing(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// Makes a share of the later writes fail: none at 0.0, and all at 1.0. The seed decides which
    /// ones.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, noop, testing::Flaky};
    /// let fails = |seed| {
    ///     let flaky = Flaky::new(noop()).rate(0.5, seed);
    ///     (0..100).map(|n| flaky.write(n).is_err()).collect::<Vec<_>>()
    /// };
    /// assert_eq!(fails(1), fails(1)); // a test can be repeated
    /// assert_ne!(fails(1), fails(2));
    /// ```
    pub fn rate(mut self, rate: f64, seed: u64) -> Self {
        (self.below, self.seed) = (rate, seed);
        self
    }

    /// Returns the number of writes.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink, SinkExt};
    /// use buslane::retry::Backoff;
    /// use buslane::testing::{Flaky, ManualClock};
    /// let flaky = std::sync::Arc::new(Flaky::new(noop()).failing(2));
    /// let sink = flaky.clone().retry(Backoff::default()).clock(ManualClock::hurrying());
    /// sink.write("event")?;
    /// assert_eq!(flaky.attempts(), 3);
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    #[must_use]
    pub fn attempts(&self) -> u64 {
        // Relaxed here and below: a count publishes nothing.
        self.shared.attempts.load(Ordering::Relaxed)
    }

    /// Returns the number of writes that failed.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, noop, testing::Flaky};
    /// let flaky = Flaky::new(noop()).rate(0.5, 1);
    /// let failed = (0..100).filter(|n| flaky.write(*n).is_err()).count();
    /// assert_eq!(flaky.failures(), failed as u64);
    /// ```
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    fn fails(&self) -> bool {
        let attempt = self.shared.attempts.fetch_add(1, Ordering::Relaxed);
        let fails = attempt < self.first || unit(self.seed, attempt) < self.below;
        self.shared.failures.fetch_add(u64::from(fails), Ordering::Relaxed);
        fails
    }
}

/// Returns a number from 0 up to, but not including, 1, mixed from both arguments. The same
/// arguments give the same number.
fn unit(seed: u64, n: u64) -> f64 {
    let mut mixed = seed ^ n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for factor in [0xBF58_476D_1CE4_E5B9_u64, 0x94D0_49BB_1331_11EB] {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(factor);
    }
    // As many bits as an f64 holds exactly.
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

impl<E, S: Sink<E>> Sink<E> for Flaky<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        if !self.fails() {
            return self.inner.offer(event);
        }
        let counters = self.shared.counters.shared();
        counters.offered(1);
        // `Closed` is final: a write after a close must not be retried.
        if self.inner.reports_closed() {
            counters.count(EntryOutcome::RefusedClosed, 1);
            return Err(WriteError::Closed(event));
        }
        counters.count(EntryOutcome::RefusedFailed, 1);
        Err(WriteError::Failed { event, source: FLAKY.into() })
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn describe(&self, state: &mut SinkState) {
        self.inner.describe(state);
        self.shared.counters.add_to(&mut state.ledger);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.shared))
    }
}

impl<E, S: fmt::Debug> fmt::Debug for Flaky<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flaky")
            .field("inner", &self.inner)
            .field("attempts", &self.shared.attempts)
            .field("failures", &self.shared.failures)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::unit;

    #[test]
    fn numbers_spread_over_the_unit_interval() {
        for seed in 0..8 {
            let numbers: Vec<f64> = (0..1000).map(|n| unit(seed, n)).collect();
            assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
            let low = numbers.iter().filter(|number| **number < 0.9).count();
            assert!((850..950).contains(&low), "{low} of 1000 below 0.9 with the seed {seed}");
        }
    }
}
