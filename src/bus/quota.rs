//! The limit on the cached publishers of a bus that have lanes of their own.
//!
//! The first half of [`most`] get their lanes at once, and further ones after they have published
//! [`EVENTS`] events through the shared lanes. Beyond [`most`], a cached publisher gets lanes only
//! after a thread with lanes has ended.

use super::core::Core;
use crate::sync::processors::usable_processors;
use crate::sync::{MODEL, Ordering};
use std::sync::OnceLock;

/// The number of events that a cached publisher sends through the shared lanes before it requests
/// lanes of its own, and before each further request.
pub(super) const EVENTS: u32 = 64;

/// Returns the maximum number of cached publishers of one bus that have lanes of their own: two for
/// each processor, and at least 16.
pub(super) fn most() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    if MODEL { 2 } else { *MOST.get_or_init(|| (2 * usable_processors()).max(16)) }
}

impl<E: Send + 'static> Core<E> {
    /// Counts one more cached publisher with lanes, if there are fewer than `most`. Returns whether
    /// it did.
    pub(super) fn admit_local(&self, most: usize) -> bool {
        // Relaxed: this is a count, which publishes no other data.
        let mut count = self.locals.load(Ordering::Relaxed);
        while count < most {
            match self.locals.compare_exchange(count, count + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    /// Stops counting a cached publisher with lanes, which is being dropped.
    pub(super) fn local_gone(&self) {
        self.locals.fetch_sub(1, Ordering::Relaxed);
    }
}
