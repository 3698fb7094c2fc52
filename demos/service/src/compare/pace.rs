//! The times at which the requests of a connection are due.

use std::thread;
use std::time::{Duration, Instant};

/// The times at which the requests of a connection are due; without an interval, at once.
#[derive(Debug)]
pub(crate) struct Pace {
    next: Instant,
    interval: Option<Duration>,
}

impl Pace {
    /// Begins with the first request of this thread.
    pub(crate) fn new(first: Instant, interval: Option<Duration>) -> Self {
        // A timer of the system may be late by 50 µs, so that it can serve several at once. That
        // would count as latency.
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_timerslack(1);
        Self { next: first, interval }
    }

    /// Waits until the next request is due, and returns that time: a past one, if the connection was
    /// still in use.
    pub(crate) fn wait(&mut self) -> Instant {
        let Some(interval) = self.interval else { return Instant::now() };
        let due = self.next;
        self.next += interval;
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return due;
            }
            thread::sleep(left);
        }
    }
}
