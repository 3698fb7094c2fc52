//! The end of a mailbox: closed, closed by an overflow, aborted, drained.

use super::core::Mailbox;
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::sync::{Ordering, fence, lock};

/// The state of a mailbox: open, or the reason that it accepts no further events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
    /// Closed by an overflow: a lane was full, and the policy is
    /// [`Overflow::Close`](super::overflow::Overflow::Close).
    Overflowed,
}

impl End {
    fn of(word: u64) -> Self {
        match word {
            0 => Self::Open,
            1 => Self::Closed,
            _ => Self::Overflowed,
        }
    }
}

impl<E: Send + 'static> Mailbox<E> {
    /// Closes all lanes to new events; accepted events are still handled. Returns whether this call
    /// was the first.
    pub(crate) fn seal(&self, end: End) -> bool {
        let word = if end == End::Overflowed { 2 } else { 1 };
        // ORD(mailbox.end): AcqRel; Release pairs with the Acquire in `end`: a thread that sees the
        // end sees everything that happened before it.
        let first = self.end.compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire).is_ok();
        self.shared.close();
        {
            let mut registry = lock(&self.registry);
            registry.sealed = true;
            // Mark all, fence once, fix all: see `ring::spsc`.
            registry.views.iter().for_each(|view| view.mark());
            // ORD(spsc.fin): heavy fence; pairs with the light ones of publishers and of
            // `Consumer::refresh`.
            heavy_fence_or_wait(process_pair());
            registry.views.iter().for_each(|view| view.fix());
            // ORD(mailbox.generation): Release; pairs with the Acquire in `Reader::pick_up`,
            // `Reader::has_work`.
            self.generation.fetch_add(1, Ordering::Release);
        }
        self.signals.wake_now();
        // Wakes all waiters: no writer gets room after this, and each goal may be nearer than it
        // was. It happens once for each mailbox.
        self.signals.blocked.notify();
        first
    }

    /// Discards the backlog: the consumer counts the remaining events as aborted, and no publisher
    /// waits for room after that.
    pub(crate) fn abort(&self) {
        // ORD(mailbox.aborted): Release; a thread that sees the generation that `seal` moves
        // afterwards also sees this.
        self.aborted.store(true, Ordering::Release);
        self.seal(End::Closed);
    }

    pub(crate) fn is_aborted(&self) -> bool {
        // ORD(mailbox.aborted): Relaxed; a hint, checked for each event; reliable after a load of
        // the generation.
        self.aborted.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) -> End {
        // ORD(mailbox.end): Acquire; pairs with the Release in `seal`.
        End::of(self.end.load(Ordering::Acquire))
    }

    /// Returns whether the mailbox is closed and its consumers have finished with every event.
    pub(crate) fn is_drained(&self) -> bool {
        // ORD(mailbox.drained): Acquire; pairs with the Release in `set_drained`: the last
        // handler's work is visible.
        self.drained.load(Ordering::Acquire)
    }

    /// Records that the consumer has handled the last event or was dropped.
    pub(crate) fn set_drained(&self) {
        // ORD(mailbox.drained): Release; pairs with the Acquire in `is_drained`.
        self.drained.store(true, Ordering::Release);
        // ORD(mailbox.drained): full fence; pairs with that in `push_unbounded`.
        fence(Ordering::SeqCst);
        self.sweep();
        // Wakes all waiters: every flush and every close waits for this.
        self.signals.blocked.notify();
    }
}
