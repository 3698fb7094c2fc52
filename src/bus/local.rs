//! One cached publisher for each thread and bus.

use super::Core;
use super::publisher::Publisher;
use crate::sync::kept::{Lent, Owner, lend};
use std::sync::Arc;

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
        || Publisher::register(core, None),
        |lent| {
            let mut shared = None;
            // One call, so that it is worth inlining, and an event that it holds stays in registers.
            f(match lent {
                Lent::Kept(publisher) => publisher,
                Lent::Busy => shared.insert(Publisher::shared(core, true)),
                // Whoever joins the thread is not to wait for room.
                Lent::Ending => shared.insert(Publisher::shared(core, false)),
            })
        },
    )
}
