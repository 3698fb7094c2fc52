//! How many cached publishers of a bus have lanes of their own.
//!
//! The first few get theirs at once; further ones when they have published [`EVENTS`] events
//! through the shared lanes; and beyond [`most`] none does until a thread ends.

use super::core::Core;
use crate::sync::processors::online_processors;
use crate::sync::{MODEL, Ordering};
use std::sync::OnceLock;

/// The events that a cached publisher sends through the shared lanes before it asks for lanes of
/// its own, and asks again.
pub(super) const EVENTS: u32 = 64;

/// The most cached publishers of one bus that have lanes of their own: two for each processor, and
/// at least 16.
pub(super) fn most() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    if MODEL { 2 } else { *MOST.get_or_init(|| (2 * online_processors()).max(16)) }
}

impl<E: Send + 'static> Core<E> {
    /// Makes room for one more cached publisher with lanes, if there are fewer than `most`.
    pub(super) fn admit_local(&self, most: usize) -> bool {
        // Relaxed: a count, by which nothing is published.
        let mut count = self.locals.load(Ordering::Relaxed);
        while count < most {
            match self.locals.compare_exchange(count, count + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    /// A cached publisher with lanes has gone.
    pub(super) fn local_gone(&self) {
        self.locals.fetch_sub(1, Ordering::Relaxed);
    }
}
