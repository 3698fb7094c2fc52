//! Clocks, and waits that another thread can interrupt.

use crate::deadline::Deadline;
use crate::sync::membarrier::FencePair;
use crate::sync::{AtomicBool, Ordering};
use crate::wait::WaitList;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A source of time for retries, breakers and rate limits, and a way to wait for it.
///
/// [`SystemClock`] is the system's monotonic clock. The module `testing` has a clock that a test
/// moves by hand, so that no test of a backoff has to sleep.
///
/// # Examples
/// A clock whose time passes only in waits, which return at once:
/// ```
/// use buslane::time::{Clock, Pause};
/// use buslane::{Sink, sink_fn, SinkExt};
/// use buslane::retry::Backoff;
/// use std::{sync::{Arc, Mutex}, time::{Duration, Instant}};
/// #[derive(Debug)]
/// struct Skipping(Mutex<Instant>);
/// impl Clock for Skipping {
///     fn now(&self) -> Instant {
///         *self.0.lock().unwrap()
///     }
///     fn wait_until(&self, moment: Instant, _pause: &Arc<Pause>) {
///         *self.0.lock().unwrap() = moment;
///     }
/// }
/// let begin = Instant::now();
/// let clock = Arc::new(Skipping(Mutex::new(begin)));
/// let wait = Duration::from_secs(60);
/// let policy = Backoff::new(wait, wait).jitter(0.0).max_attempts(3);
/// let sink = sink_fn(|_: &u32| Err("no route")).retry(policy).clock(clock.clone());
/// assert!(sink.write(1).is_err());
/// assert_eq!(clock.now() - begin, 2 * wait);
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the current time, which never goes back.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Clock, SystemClock};
    /// let before = SystemClock.now();
    /// assert!(SystemClock.now() >= before);
    /// ```
    fn now(&self) -> Instant;

    /// Waits until `moment`, or until the pause is interrupted, whichever comes first.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Clock, Pause, SystemClock};
    /// use std::{sync::Arc, time::Duration};
    /// let (pause, begin) = (Arc::new(Pause::new()), SystemClock.now());
    /// pause.interrupt();
    /// SystemClock.wait_until(begin + Duration::from_secs(3600), &pause);
    /// assert!(SystemClock.now() < begin + Duration::from_secs(3600));
    /// ```
    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>);
}

/// The monotonic clock of the system.
///
/// # Examples
/// ```
/// use buslane::time::{Clock, Pause, SystemClock};
/// use std::{sync::Arc, time::Duration};
/// let moment = SystemClock.now() + Duration::from_millis(1);
/// SystemClock.wait_until(moment, &Arc::new(Pause::new()));
/// assert!(SystemClock.now() >= moment);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>) {
        pause.wait(Deadline::at(moment), || false);
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>) {
        (**self).wait_until(moment, pause);
    }
}

/// A point where any number of threads wait for time to pass, until another thread interrupts it
/// permanently.
///
/// # Examples
/// ```
/// use buslane::time::{Clock, Pause, SystemClock};
/// use std::time::{Duration, Instant};
/// let pause = std::sync::Arc::new(Pause::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| SystemClock.wait_until(Instant::now() + Duration::from_secs(3600), &pause));
///     pause.interrupt(); // ends the wait, even if it has not begun
/// });
/// assert!(pause.is_interrupted());
/// ```
pub struct Pause {
    interrupted: AtomicBool,
    list: WaitList,
}

impl Pause {
    /// Returns a pause that is not interrupted.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Deadline, Pause};
    /// use std::time::Duration;
    /// let pause = Pause::new();
    /// assert!(!pause.wait(Deadline::after(Duration::from_millis(1)), || false)); // until the deadline
    /// assert!(!pause.is_interrupted());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { interrupted: AtomicBool::new(false), list: WaitList::new(FencePair::Symmetric) }
    }

    /// Ends every wait on this pause, now and in the future.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Deadline, Pause};
    /// let pause = Pause::new();
    /// std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| pause.wait(Deadline::NEVER, || false));
    ///     pause.interrupt();
    ///     assert!(!waiting.join().unwrap()); // `done` was not true
    /// });
    /// ```
    pub fn interrupt(&self) {
        // ORD(pause.interrupted): Release; pairs with the Acquire in `is_interrupted`.
        self.interrupted.store(true, Ordering::Release);
        self.list.notify();
    }

    /// Returns `true` if the pause was interrupted, which ends every wait on it.
    ///
    /// # Examples
    /// ```
    /// let pause = buslane::time::Pause::new();
    /// assert!(!pause.is_interrupted());
    /// pause.interrupt();
    /// assert!(pause.is_interrupted());
    /// ```
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        // ORD(pause.interrupted): Acquire; pairs with the Release in `interrupt`.
        self.interrupted.load(Ordering::Acquire)
    }

    /// Makes every waiting thread check again whether its wait is over.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Deadline, Pause};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// let (pause, done) = (Pause::new(), AtomicBool::new(false));
    /// std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| pause.wait(Deadline::NEVER, || done.load(Ordering::Acquire)));
    ///     done.store(true, Ordering::Release);
    ///     pause.poke();
    ///     assert!(waiting.join().unwrap());
    /// });
    /// ```
    pub fn poke(&self) {
        self.list.notify_progress();
    }

    /// Waits for `done`, and returns `true` if `done` returned `true`.
    ///
    /// The wait ends when the first of these is true:
    ///
    /// - `done` returns `true`. It is called again after each [`poke`](Self::poke).
    /// - The pause is interrupted.
    /// - The deadline has passed.
    ///
    /// The wait parks the thread, so it may consume an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Deadline, Pause};
    /// let pause = Pause::new();
    /// assert!(pause.wait(Deadline::NEVER, || true));
    /// assert!(!pause.wait(Deadline::NOW, || false)); // the deadline has passed
    /// pause.interrupt();
    /// assert!(!pause.wait(Deadline::NEVER, || false)); // every wait ends at once
    /// ```
    pub fn wait(&self, deadline: Deadline, mut done: impl FnMut() -> bool) -> bool {
        let outcome = self.list.wait_until(deadline, || {
            if done() { Some(true) } else { self.is_interrupted().then_some(false) }
        });
        outcome.unwrap_or(false)
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pause").field("interrupted", &self.is_interrupted()).finish_non_exhaustive()
    }
}
