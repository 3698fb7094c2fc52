//! Where time comes from, and waits that can be cut short.

use crate::deadline::Deadline;
use crate::sync::membarrier::FencePair;
use crate::sync::{AtomicBool, Ordering};
use crate::wait::WaitList;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Where retries, breakers and rate limits get the time from, and how they wait for it.
///
/// [`SystemClock`] is the real one. The module `testing` has one that is moved by hand, so that no test of a back-off has to
/// sleep.
///
/// # Examples
/// A clock for which no time passes but in waits, and they take none:
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
    /// The time. It never goes back.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Clock, SystemClock};
    /// let before = SystemClock.now();
    /// assert!(SystemClock.now() >= before);
    /// ```
    fn now(&self) -> Instant;

    /// Waits until `moment`, or until the pause is interrupted, if that comes first.
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

/// A place where any number of threads wait for time to pass, until somebody interrupts them for good.
///
/// # Examples
/// ```
/// use buslane::time::{Clock, Pause, SystemClock};
/// use std::time::{Duration, Instant};
/// let pause = std::sync::Arc::new(Pause::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| SystemClock.wait_until(Instant::now() + Duration::from_secs(3600), &pause));
///     pause.interrupt(); // now, or as soon as it begins to wait
/// });
/// assert!(pause.is_interrupted());
/// ```
pub struct Pause {
    interrupted: AtomicBool,
    list: WaitList,
}

impl Pause {
    /// A pause that nobody has interrupted.
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

    /// Ends every wait here, now and from now on.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Deadline, Pause};
    /// let pause = Pause::new();
    /// std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| pause.wait(Deadline::NEVER, || false));
    ///     pause.interrupt();
    ///     assert!(!waiting.join().unwrap()); // it was not done
    /// });
    /// ```
    pub fn interrupt(&self) {
        // ORD(pause.interrupted): Release; pairs with the Acquire in `is_interrupted`.
        self.interrupted.store(true, Ordering::Release);
        self.list.notify();
    }

    /// Whether waits here are over for good.
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

    /// Makes everybody who waits ask anew whether the wait is over.
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

    /// Waits until it is interrupted, `done` is true, or the deadline is over; whether it was `done`. `done` is asked again
    /// after each [`poke`](Self::poke).
    ///
    /// Parks the thread, and may so take an `unpark` token that was meant for the [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// ```
    /// use buslane::time::{Deadline, Pause};
    /// let pause = Pause::new();
    /// assert!(pause.wait(Deadline::NEVER, || true));
    /// assert!(!pause.wait(Deadline::NOW, || false)); // the time is over
    /// pause.interrupt();
    /// assert!(!pause.wait(Deadline::NEVER, || false)); // and now every wait is
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
