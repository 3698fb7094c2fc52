//! The backoff of a wait for a step that another thread has begun, where no notification follows
//! it.
//!
//! Such a step takes nanoseconds while the other thread runs. If that thread is preempted, the wait
//! lasts until it runs again. If the waiting thread has the higher priority, spinning and yielding
//! can keep the other one from running for as long as the system allows. So every such wait in the
//! crate uses [`Pace`]: after a bounded number of spins and yields it sleeps between checks.

use super::processors::is_known_to_be_one;
use super::{MODEL, spin_hint, thread};
use std::time::Duration;

/// The number of waits that spin. The spins double up to about a microsecond each. Every check in
/// between may take a cache line from the other thread.
const SPINS: u32 = 16;
/// The longest spin, as a power of two.
const LONGEST_SPIN: u32 = 7;
/// The number of waits after the spins that yield to another thread.
const YIELDS: u32 = 8;
/// The first sleep. Each later one is twice as long, up to about a millisecond.
const FIRST_SLEEP: Duration = Duration::from_micros(20);
const DOUBLINGS: u32 = 6;

/// The backoff of one wait for another thread: call [`wait`](Self::wait) between two checks.
pub(crate) struct Pace {
    waits: u32,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { waits: 0 }
    }

    /// Spins in the first calls, yields in the next, then sleeps. With one processor it does not
    /// spin. In a model it only yields.
    #[cold]
    pub(crate) fn wait(&mut self) {
        let waits = if is_known_to_be_one() { self.waits.max(SPINS) } else { self.waits };
        self.waits = waits.saturating_add(1);
        if MODEL {
            thread::yield_now();
        } else if waits < SPINS {
            (0..1_u32 << waits.min(LONGEST_SPIN)).for_each(|_| spin_hint());
        } else if waits < SPINS + YIELDS {
            thread::yield_now();
        } else {
            // A sleep, not a park: a park would consume a wake-up that is meant for another wait of
            // this thread.
            std::thread::sleep(FIRST_SLEEP * (1 << (waits - SPINS - YIELDS).min(DOUBLINGS)));
        }
    }
}
