//! Where time comes from, and waits that can be cut short.

use super::{Deadline, WaitList};
use crate::sync::membarrier::FencePair;
use crate::sync::{AtomicBool, Ordering};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Where retries, breakers and rate limits get the time from, and how they wait for it.
///
/// [`SystemClock`] is the real one. The module `testing` has one that is moved by hand, so that no test of a back-off has to
/// sleep.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time. It never goes back.
    fn now(&self) -> Instant;

    /// Waits until `moment`, or until the pause is interrupted, if that comes first.
    fn wait_until(&self, moment: Instant, pause: &Arc<Pause>);
}

/// The monotonic clock of the system.
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
/// use buslane::wait::{Clock, Pause, SystemClock};
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
    #[must_use]
    pub fn new() -> Self {
        Self { interrupted: AtomicBool::new(false), list: WaitList::new(FencePair::Symmetric) }
    }

    /// Ends every wait here, now and from now on.
    pub fn interrupt(&self) {
        // ORD(pause.interrupted): Release; pairs with the Acquire in `is_interrupted`.
        self.interrupted.store(true, Ordering::Release);
        self.list.notify();
    }

    /// Whether waits here are over for good.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        // ORD(pause.interrupted): Acquire; pairs with the Release in `interrupt`.
        self.interrupted.load(Ordering::Acquire)
    }

    /// Makes everybody who waits ask anew whether the wait is over.
    pub fn poke(&self) {
        self.list.notify();
    }

    /// Waits until it is interrupted, `done` is true, or the deadline is over; whether it was `done`. `done` is asked again
    /// after each [`poke`](Self::poke).
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
