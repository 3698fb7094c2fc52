//! Waiting for a step that another thread has begun and is about to finish, where nothing tells
//! when it has.
//!
//! Such a step takes nanoseconds while the other thread runs. If that thread has lost its
//! processor, the wait lasts until it runs again; and if the waiting thread has the higher
//! priority, spinning and yielding keep it from running at all, for as long as the system allows.
//! So every wait of this kind in the crate goes through [`Pace`]: after a bounded number of looks
//! and yields it sleeps between looks.

use super::{MODEL, spin_hint, thread};
use std::time::Duration;

/// The number of waits that spin: at first for a moment, then for about a microsecond each. Each
/// look in between may take a cache line away from the thread that is waited for.
const SPINS: u32 = 16;
/// The longest spin, as a power of two.
const LONGEST_SPIN: u32 = 7;
/// The number of waits after those that let another thread run.
const YIELDS: u32 = 8;
/// The first sleep. Each further one is twice as long, up to about a millisecond.
const FIRST_SLEEP: Duration = Duration::from_micros(20);
const DOUBLINGS: u32 = 6;

/// The pace of one wait for another thread: call [`wait`](Self::wait) between two looks.
pub(crate) struct Pace {
    waits: u32,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { waits: 0 }
    }

    /// Spins the first times, then yields, then sleeps. In a model it only yields.
    #[cold]
    pub(crate) fn wait(&mut self) {
        let waits = self.waits;
        self.waits = waits.saturating_add(1);
        if MODEL {
            thread::yield_now();
        } else if waits < SPINS {
            (0..1_u32 << waits.min(LONGEST_SPIN)).for_each(|_| spin_hint());
        } else if waits < SPINS + YIELDS {
            thread::yield_now();
        } else {
            // A sleep, not a park: a park would take a wake-up that is meant for another wait of
            // this thread.
            std::thread::sleep(FIRST_SLEEP * (1 << (waits - SPINS - YIELDS).min(DOUBLINGS)));
        }
    }
}
