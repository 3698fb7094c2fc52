//! One cached publisher for each thread and bus, of which a limited number has lanes of its own.
//!
//! Lanes cost memory, and there may be many more threads than threads that publish often: a pool for blocking calls has hundreds. So a
//! bus counts its cached publishers with lanes: see [`quota`](super::quota).

use super::Bus;
use super::core::Core;
use super::publisher::Publisher;
use crate::sync::kept::{Lent, Owner, lend};
use crate::time::Deadline;
use std::sync::Arc;

impl<E: Clone + Send + 'static> Bus<E> {
    /// Lends this thread's cached [`Publisher`], made at the first call: for async handlers, statics and layers.
    ///
    /// At most `max(16, 2 × processors)` cached publishers of a bus have lanes of their own at the same time, so that hundreds of
    /// threads that publish now and then, as those of a pool for blocking calls do, cost no more memory than that. The first half of
    /// them get their lanes at once, the others when their thread has published 64 events through the shared lanes, which are
    /// several times slower, as [`publish`](Self::publish) is. A thread that finds no room keeps to the shared lanes, and asks again
    /// every 64 events. Lanes are given back when their thread ends. The events of a thread keep their order as it
    /// moves to its own lanes.
    ///
    /// A thread of a runtime that turns into one for a blocking call (`block_in_place`) keeps its publisher, which counts until that
    /// thread ends. A thread that must have lanes takes a [`publisher`](Self::publisher) of its own, which is not counted.
    ///
    /// When it is lent already further up on this thread, or the thread is ending, the closure gets a publisher that goes
    /// through the shared lanes; that of a thread that is ending never waits for room, as if by
    /// [`try_publish`](Publisher::try_publish). The cached publisher does not keep the bus open; it goes with the thread.
    ///
    /// In an async task, sinks that make publishers wait (`Block`, `BlockFor`, a gating subscriber) block the runtime's thread, and a task that
    /// moves between threads gets no order between its events: see [`docs::async_code`](crate::docs::async_code).
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// bus.with_local(|publisher| publisher.publish(7))?;
    /// assert_eq!(receiver.recv()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_local<R>(&self, f: impl FnOnce(&mut Publisher<E>) -> R) -> R {
        with(self.core(), f)
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
