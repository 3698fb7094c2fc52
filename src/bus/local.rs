//! One cached publisher for each thread and bus, of which a limited number has lanes of its own.
//!
//! Lanes cost memory, and there may be many more threads than threads that publish often: a pool for blocking calls has hundreds. So a
//! bus counts its cached publishers with lanes. The first few get theirs at once; further ones when they have published
//! [`EVENTS`] through the shared lanes; and beyond [`most`] none does until a thread ends.

use super::Core;
use super::publisher::Publisher;
use crate::sync::kept::{Lent, Owner, lend};
use crate::sync::processors::online_processors;
use crate::sync::{MODEL, Ordering};
use crate::time::Deadline;
use std::sync::{Arc, OnceLock};

/// The events that a cached publisher sends through the shared lanes before it asks for lanes of its own, and asks again.
pub(super) const EVENTS: u32 = 64;

/// The most cached publishers of one bus that have lanes of their own: two for each processor, and at least 16.
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

impl<E: Send + 'static> Owner for Core<E> {
    /// Keeps the bus alive, though not open.
    type Kept = Publisher<E>;

    fn is_over(&self) -> bool {
        self.is_closed()
    }
}

#[inline]
pub(super) fn with<E: Send + 'static, R>(core: &Arc<Core<E>>, f: impl FnOnce(&mut Publisher<E>) -> R) -> R {
    lend(
        core,
        || Publisher::local(core),
        |lent| {
            let mut shared = None;
            // One call, so that it is worth inlining, and an event that it holds stays in registers.
            f(match lent {
                Lent::Kept(publisher) => publisher,
                Lent::Busy => shared.insert(Publisher::shared(core, Deadline::NEVER)),
                // Whoever joins the thread is not to wait for room.
                Lent::Ending => shared.insert(Publisher::shared(core, Deadline::NOW)),
            })
        },
    )
}
