//! A clock that jumps: forward by hours, or not at all for a while.

use buslane::time::Deadline;
use buslane::time::{Clock, Pause};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shows a time that has little to do with the system's: it jumps whenever it is looked at, and
/// never goes back.
#[derive(Debug)]
pub(crate) struct Jumping {
    begun: Instant,
    /// Milliseconds since then.
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
        // However long that is, it passes at once, or nearly.
        pause.wait(Deadline::after(Duration::from_micros(50)), || false);
    }
}
