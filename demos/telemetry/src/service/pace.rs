//! Open-loop arrivals: requests are due at fixed times, whatever became of the earlier ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest sleep of a client, which checks between two of them whether it is to stop.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// The time, as a client sees it.
pub(crate) trait Clock {
    fn now(&self) -> Instant;
    fn sleep(&self, duration: Duration);
}

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

/// The times at which a client's requests are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace<C = SystemClock> {
    next: Instant,
    interval: Duration,
    clock: C,
}

impl<C: Clock> Pace<C> {
    pub(crate) fn new(first: Instant, interval: Duration, clock: C) -> Self {
        // A timer of the system may be late by 50 µs, so that it can serve several at once. That
        // would count as latency.
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_timerslack(1);
        Self { next: first, interval, clock }
    }

    /// Waits until the next request is due, and returns that time: a past one, if the connection
    /// was still in use.
    pub(crate) fn wait(&mut self, stopping: &AtomicBool) -> Instant {
        let due = self.next;
        self.next += self.interval;
        while !stopping.load(Ordering::Relaxed) {
            let left = due.saturating_duration_since(self.clock.now());
            if left.is_zero() {
                break;
            }
            self.clock.sleep(left.min(LONGEST_SLEEP));
        }
        due
    }

    /// Returns the time since a request was due: its latency, if its reply came now.
    pub(crate) fn since(&self, due: Instant) -> Duration {
        self.clock.now().saturating_duration_since(due)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, LONGEST_SLEEP, Pace};
    use std::cell::Cell;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    /// A clock that moves only when a client sleeps, or by hand.
    struct Hand {
        now: Cell<Instant>,
        sleeps: Cell<usize>,
    }

    impl Hand {
        fn new() -> Self {
            Self { now: Cell::new(Instant::now()), sleeps: Cell::new(0) }
        }

        fn advance(&self, duration: Duration) {
            self.now.set(self.now.get() + duration);
        }
    }

    impl Clock for &Hand {
        fn now(&self) -> Instant {
            self.now.get()
        }

        fn sleep(&self, duration: Duration) {
            assert!(duration <= LONGEST_SLEEP);
            self.sleeps.set(self.sleeps.get() + 1);
            self.advance(duration);
        }
    }

    const INTERVAL: Duration = Duration::from_micros(100);

    #[test]
    fn requests_are_due_at_equal_intervals() {
        let (hand, running) = (Hand::new(), AtomicBool::new(false));
        let first = hand.now.get() + INTERVAL;
        let mut pace = Pace::new(first, INTERVAL, &hand);
        for number in 0..3 {
            assert_eq!(pace.wait(&running), first + INTERVAL * number);
            // The reply comes 10 µs after the request was due.
            hand.advance(INTERVAL / 10);
            assert_eq!(pace.since(first + INTERVAL * number), INTERVAL / 10);
        }
        assert_eq!(hand.sleeps.get(), 3);
    }

    #[test]
    fn late_reply_delays_the_next_latency() {
        let (hand, running) = (Hand::new(), AtomicBool::new(false));
        let first = hand.now.get();
        let mut pace = Pace::new(first, INTERVAL, &hand);
        assert_eq!(pace.wait(&running), first);
        // The service stalls: the second request is due meanwhile, and the third one as well.
        hand.advance(INTERVAL * 5 / 2);
        let due = pace.wait(&running);
        assert_eq!((due, pace.since(due)), (first + INTERVAL, INTERVAL * 3 / 2));
        let due = pace.wait(&running);
        assert_eq!((due, pace.since(due)), (first + INTERVAL * 2, INTERVAL / 2));
        assert_eq!(hand.sleeps.get(), 0);
    }

    #[test]
    fn stop_ends_the_wait() {
        let hand = Hand::new();
        let mut pace = Pace::new(hand.now.get() + INTERVAL, INTERVAL, &hand);
        pace.wait(&AtomicBool::new(true));
        assert_eq!(hand.sleeps.get(), 0);
    }
}
