//! A clock whose time passes only when a test moves it.

use super::{GUARD, lock};
use crate::time::{Clock, Deadline, Pause};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A clock whose time passes only when a test moves it.
///
/// Clones show the same time.
///
/// # Examples
/// ```
/// use buslane::testing::ManualClock;
/// use buslane::time::{Clock, Pause};
/// use std::time::Duration;
/// let (clock, pause) = (ManualClock::new(), std::sync::Arc::new(Pause::new()));
/// let later = clock.now() + Duration::from_secs(60);
/// std::thread::scope(|scope| {
///     scope.spawn(|| clock.wait_until(later, &pause));
///     clock.await_sleepers(1);
///     clock.advance(Duration::from_secs(60));
/// });
/// assert_eq!(clock.now(), later);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<ClockCore>);

#[derive(Debug)]
struct ClockCore {
    start: Instant,
    state: Mutex<ClockState>,
    /// Where tests wait for other threads to wait for the clock.
    changed: Pause,
}

#[derive(Debug)]
struct ClockState {
    passed: Duration,
    /// The pauses of the threads that wait now.
    sleepers: Vec<Arc<Pause>>,
    /// The number of waits that have ever begun.
    waits: usize,
    /// Whether a wait moves the clock to its end instead of waiting.
    hurries: bool,
}

impl ClockCore {
    /// Returns the time that has passed after `by` more, reduced to what an `Instant` can
    /// represent.
    fn reach(&self, passed: Duration, mut by: Duration) -> Duration {
        loop {
            let reached = passed.checked_add(by);
            match reached.filter(|reached| self.start.checked_add(*reached).is_some()) {
                Some(reached) => return reached,
                None => by /= 2,
            }
        }
    }
}

impl ManualClock {
    /// Returns a clock that shows the current time until it is moved.
    ///
    /// # Examples
    /// ```
    /// use buslane::testing::ManualClock;
    /// use buslane::time::Clock;
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// assert_eq!((clock.now(), clock.passed()), (clock.now(), Duration::ZERO)); // no time passes
    /// ```
    #[must_use]
    pub fn new() -> Self {
        let state = ClockState { passed: Duration::ZERO, sleepers: Vec::new(), waits: 0, hurries: false };
        Self(Arc::new(ClockCore { start: Instant::now(), state: Mutex::new(state), changed: Pause::new() }))
    }

    /// Returns a clock that each wait moves to its end, so that time passes and no thread sleeps.
    ///
    /// # Examples
    /// ```
    /// use buslane::testing::ManualClock;
    /// use buslane::time::{Clock, Pause};
    /// use std::{sync::Arc, time::Duration};
    /// let clock = ManualClock::hurrying();
    /// clock.wait_until(clock.now() + Duration::from_secs(60), &Arc::new(Pause::new()));
    /// assert_eq!((clock.passed(), clock.waits()), (Duration::from_secs(60), 1));
    /// ```
    #[must_use]
    pub fn hurrying() -> Self {
        let clock = Self::new();
        lock(&clock.0.state).hurries = true;
        clock
    }

    /// Moves the clock forward, and wakes the threads whose wait is over.
    ///
    /// If an `Instant` cannot represent the new time, the clock moves by less.
    ///
    /// # Examples
    /// ```
    /// use buslane::testing::ManualClock;
    /// use buslane::time::Clock;
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// let before = clock.now();
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(clock.now() - before, Duration::from_secs(60));
    /// assert_eq!(clock.passed(), Duration::from_secs(60));
    /// ```
    pub fn advance(&self, by: Duration) {
        let sleepers = {
            let mut state = lock(&self.0.state);
            state.passed = self.0.reach(state.passed, by);
            state.sleepers.clone()
        };
        sleepers.iter().for_each(|pause| pause.poke());
    }

    /// Returns how far the clock has been moved.
    ///
    /// # Examples
    /// ```
    /// use buslane::testing::ManualClock;
    /// use std::time::Duration;
    /// let clock = ManualClock::new();
    /// (0..3).for_each(|_| clock.advance(Duration::from_secs(20)));
    /// assert_eq!(clock.passed(), Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn passed(&self) -> Duration {
        lock(&self.0.state).passed
    }

    /// Returns the number of waits that have begun.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, SinkExt};
    /// use buslane::retry::Backoff;
    /// use buslane::testing::ManualClock;
    /// let clock = ManualClock::hurrying();
    /// let sink = buslane::sink_fn(|_: &u32| Err("no route")).retry(Backoff::default().max_attempts(4));
    /// assert!(sink.clock(clock.clone()).write(7).is_err());
    /// assert_eq!(clock.waits(), 3); // between four attempts
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn waits(&self) -> usize {
        lock(&self.0.state).waits
    }

    /// Waits, in real time, until `count` threads wait for this clock.
    ///
    /// # Panics
    /// If that does not happen within half a minute.
    ///
    /// # Examples
    /// The clock is not moved until there is a thread to wake:
    /// ```
    /// use buslane::testing::ManualClock;
    /// use buslane::time::{Clock, Pause};
    /// use std::{sync::Arc, time::Duration};
    /// let (clock, pause) = (ManualClock::new(), Arc::new(Pause::new()));
    /// let moment = clock.now() + Duration::from_secs(1);
    /// std::thread::scope(|scope| {
    ///     (0..2).for_each(|_| drop(scope.spawn(|| clock.wait_until(moment, &pause))));
    ///     clock.await_sleepers(2);
    ///     clock.advance(Duration::from_secs(1));
    /// });
    /// assert_eq!(clock.waits(), 2);
    /// ```
    #[track_caller]
    pub fn await_sleepers(&self, count: usize) {
        let enough_wait = || lock(&self.0.state).sleepers.len() >= count;
        assert!(self.0.changed.wait(Deadline::after(GUARD), enough_wait), "fewer than {count} threads wait");
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.start + self.passed()
    }

    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>) {
        {
            let mut state = lock(&self.0.state);
            state.waits += 1;
            if state.hurries {
                state.passed = state.passed.max(moment.saturating_duration_since(self.0.start));
                drop(state);
                // A thread that polls for the progress of another thread must let that thread run.
                std::thread::yield_now();
                return;
            }
            state.sleepers.push(pause.clone());
        }
        self.0.changed.poke();
        pause.wait(Deadline::NEVER, || self.now() >= moment);
        let mut state = lock(&self.0.state);
        if let Some(index) = state.sleepers.iter().position(|known| Arc::ptr_eq(known, pause)) {
            state.sleepers.swap_remove(index);
        }
    }
}
