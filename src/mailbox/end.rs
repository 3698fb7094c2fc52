//! The end of a mailbox: closed, closed by an overflow, aborted, drained.

use super::core::Mailbox;
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::sync::{Ordering, fence, lock};

/// Why a mailbox takes no more events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
    /// It had no room for an event, and its policy is
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
    /// Takes no more events, from any lane. What was accepted stays to be handled. Whether this
    /// call was the first.
    pub(crate) fn seal(&self, end: End) -> bool {
        let word = if end == End::Overflowed { 2 } else { 1 };
        // ORD(mailbox.end): AcqRel; Release pairs with the Acquire in `end`: a thread that sees the
        // end sees what came before it.
        let first = self.end.compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire).is_ok();
        self.shared.close();
        {
            let mut registry = lock(&self.registry);
            registry.sealed = true;
            // Marked, fenced once, fixed: see `ring::spsc`.
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
        // All of them: once for each mailbox, no writer gets room any more, and each goal may be
        // nearer than it was.
        self.signals.blocked.notify();
        first
    }

    /// Gives up the backlog: the consumer counts what is left as aborted, and no publisher waits
    /// for room any more.
    pub(crate) fn abort(&self) {
        // ORD(mailbox.aborted): Release; a thread that sees the generation that `seal` moves on
        // behind it sees this, too.
        self.aborted.store(true, Ordering::Release);
        self.seal(End::Closed);
    }

    pub(crate) fn is_aborted(&self) -> bool {
        // ORD(mailbox.aborted): Relaxed; a hint, asked for at each event; behind the generation,
        // sure.
        self.aborted.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) -> End {
        // ORD(mailbox.end): Acquire; pairs with the Release in `seal`.
        End::of(self.end.load(Ordering::Acquire))
    }

    /// Whether the mailbox is closed and its consumers are done with every event.
    pub(crate) fn is_drained(&self) -> bool {
        // ORD(mailbox.drained): Acquire; pairs with the Release in `set_drained`: the last
        // handler's work is visible.
        self.drained.load(Ordering::Acquire)
    }

    /// The consumer has handled the last event, or is dropped.
    pub(crate) fn set_drained(&self) {
        // ORD(mailbox.drained): Release; pairs with the Acquire in `is_drained`.
        self.drained.store(true, Ordering::Release);
        // ORD(mailbox.drained): full fence; pairs with that in `push_unbounded`.
        fence(Ordering::SeqCst);
        self.sweep();
        // All of them: this is what every flush and every close waits for.
        self.signals.blocked.notify();
    }
}
