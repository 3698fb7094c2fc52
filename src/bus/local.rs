//! One cached publisher for each thread and bus, of which a limited number has lanes of its own.
//!
//! Lanes cost memory, and there may be many more threads than threads that publish often: a pool for blocking calls has hundreds. So a
//! bus counts its cached publishers with lanes: see [`quota`](super::quota).

use super::core::Core;
use super::publisher::Publisher;
use crate::sync::kept::{Lent, Owner, lend};
use crate::time::Deadline;
use std::sync::Arc;

impl<E: Send + 'static> Owner for Core<E> {
    /// Keeps the bus alive, though not open.
    type Kept = Publisher<E>;

    fn is_closed(&self) -> bool {
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
