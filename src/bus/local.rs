//! The cached publisher of each thread on a bus. A limited number of them have lanes of their own.
//!
//! Lanes take memory, and a process may have many more threads than threads that publish often: a
//! pool for blocking calls has hundreds. So a bus limits the number of its cached publishers with
//! lanes: see [`quota`](super::quota).

use super::Bus;
use super::core::Core;
use super::publisher::Publisher;
use crate::sync::kept::{Loan, Owner, lend};
use crate::time::Deadline;
use std::sync::Arc;

impl<E: Clone + Send + 'static> Bus<E> {
    /// Calls `f` with this thread's cached [`Publisher`], which the first call makes.
    ///
    /// This is for code that cannot hold a publisher: async handlers, statics and layers.
    ///
    /// At most `max(16, 2 × processors)` cached publishers of a bus have lanes of their own at the
    /// same time. So hundreds of threads that publish rarely, such as those of a pool for blocking
    /// calls, take no more memory than that.
    ///
    /// - The first half of the cached publishers get their lanes at once.
    /// - The others get lanes after their thread has published 64 events through the shared lanes.
    ///   The shared lanes are several times slower, as [`publish`](Self::publish) is.
    /// - A thread above the limit continues to use the shared lanes, and requests lanes again every
    ///   64 events.
    ///
    /// A thread leaves its lanes to the bus when it ends, as a dropped publisher does. The events of a
    /// thread keep their order as it moves to its own lanes.
    ///
    /// A runtime's thread that becomes a thread for a blocking call (`block_in_place`) keeps its
    /// publisher, which counts against the limit until that thread ends. A thread that must have
    /// lanes takes its own [`publisher`](Self::publisher), which does not count.
    ///
    /// In two cases, `f` gets a publisher that uses the shared lanes:
    ///
    /// - The cached publisher is already in use further up on this thread.
    /// - The thread is ending. The publisher then never waits for room, as if by
    ///   [`try_publish`](Publisher::try_publish).
    ///
    /// The cached publisher does not keep the bus open, and is dropped when the thread ends.
    ///
    /// In an async task, sinks that make publishers wait (`Block`, `BlockFor`, a gating subscriber)
    /// block the runtime's thread. The events of a task that moves between threads have no order.
    /// See [`docs::async_code`](crate::docs::async_code).
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
    /// The cached publisher, which keeps the bus alive, but not open.
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
        |loan| {
            let mut shared = None;
            // One call site, so that `f` is worth inlining, and an event that it holds stays in
            // registers.
            f(match loan {
                Loan::Kept(publisher) => publisher,
                Loan::Busy => shared.insert(Publisher::shared(core, Deadline::NEVER)),
                // A thread that joins this one must not wait for room.
                Loan::Ending => shared.insert(Publisher::shared(core, Deadline::NOW)),
            })
        },
    )
}
