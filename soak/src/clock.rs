//! A clock that jumps forward by hours, or stops for a while.

use buslane::time::Deadline;
use buslane::time::{Clock, Pause};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock without a fixed relation to the system's time: it jumps at every read, and never goes
/// back.
#[derive(Debug)]
pub(crate) struct Jumping {
    begun: Instant,
    /// The milliseconds since then.
    shown: AtomicU64,
    looks: AtomicU64,
}

impl Jumping {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), shown: AtomicU64::new(0), looks: AtomicU64::new(0) }
    }
}

impl Clock for Jumping {
    fn now(&self) -> Instant {
        let jump = match self.looks.fetch_add(1, Ordering::Relaxed) % 7 {
            0 => 3_600_000,
            1..4 => 1,
            _ => 0,
        };
        self.begun + Duration::from_millis(self.shown.fetch_add(jump, Ordering::Relaxed) + jump)
    }

    fn wait_until(&self, _moment: Instant, pause: &Arc<Pause>) {
        // A wait of any length passes almost at once.
        pause.wait(Deadline::after(Duration::from_micros(50)), || false);
    }
}
