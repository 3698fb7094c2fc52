//! A sink that delays each event by a clock.

use crate::error::WriteError;
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{CloseReport, Counters, Disposition, EntryOutcome, SinkState};
use crate::time::{Clock, Deadline, Pause};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A sink that delays each event by a clock that the test provides, so that no test has to sleep.
///
/// A close or an abort ends the waits: the waiting events come back as [`WriteError::Closed`]. The
/// sink has no lanes. A [`timeout`](crate::SinkExt::timeout) upstream does not end the waits,
/// because a slow sink stands in for a sink outside this crate.
///
/// # Examples
/// ```
/// use buslane::Sink;
/// use buslane::testing::{Collect, ManualClock, Slow};
/// use std::time::Duration;
/// let (clock, seen) = (ManualClock::new(), Collect::new());
/// let slow = Slow::new(seen.clone(), Duration::from_secs(60), clock.clone());
/// std::thread::scope(|scope| {
///     scope.spawn(|| slow.write("at last"));
///     clock.await_sleepers(1);
///     assert!(seen.is_empty());
///     clock.advance(Duration::from_secs(60));
/// });
/// assert_eq!(seen.events(), ["at last"]);
/// ```
#[must_use = "a slow sink does nothing until it is written to or added to a bus"]
pub struct Slow<E, S> {
    inner: S,
    delay: Duration,
    clock: Box<dyn Clock>,
    shared: Arc<SlowCore>,
    events: PhantomData<fn(E)>,
}

struct SlowCore {
    pause: Arc<Pause>,
    counters: Counters,
}

impl<E, S: Sink<E>> Slow<E, S> {
    /// Returns a sink that waits for `delay` before it forwards an event.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, noop, testing::{ManualClock, Slow}};
    /// use std::time::Duration;
    /// let clock = ManualClock::hurrying();
    /// Slow::new(noop(), Duration::from_secs(60), clock.clone()).write("event")?;
    /// assert_eq!(clock.passed(), Duration::from_secs(60));
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    pub fn new(inner: S, delay: Duration, clock: impl Clock + 'static) -> Self {
        let shared = SlowCore { pause: Arc::new(Pause::new()), counters: Counters::new() };
        Self { inner, delay, clock: Box::new(clock), shared: Arc::new(shared), events: PhantomData }
    }

    /// Waits for the delay, and returns `true` if the wait was not interrupted.
    fn wait(&self) -> bool {
        let pause = &self.shared.pause;
        match self.clock.now().checked_add(self.delay) {
            Some(moment) => self.clock.wait_until(moment, pause),
            // The end of the delay is too far away for an `Instant`.
            None => drop(pause.wait(Deadline::NEVER, || false)),
        }
        !pause.is_interrupted()
    }
}

impl<E, S: Sink<E>> Sink<E> for Slow<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        if !self.shared.pause.is_interrupted() && self.wait() {
            return self.inner.offer(event);
        }
        let counters = self.shared.counters.shared();
        counters.offered(1);
        counters.count(EntryOutcome::RefusedClosed, 1);
        Err(WriteError::Closed(event))
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.shared.pause.interrupt();
        self.inner.close_by(deadline)
    }

    fn abort_now(&self) {
        self.shared.pause.interrupt();
        self.inner.abort_now();
    }

    fn reports_closed(&self) -> bool {
        self.inner.reports_closed() || self.shared.pause.is_interrupted()
    }

    fn describe(&self, state: &mut SinkState) {
        self.inner.describe(state);
        self.shared.counters.add_to(&mut state.ledger);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.shared))
    }
}

impl<E, S: fmt::Debug> fmt::Debug for Slow<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slow")
            .field("inner", &self.inner)
            .field("delay", &self.delay)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
