//! A publisher's private lane as third parties see it.

use super::progress::Progress;
use super::signals::Signals;
use crate::ring::mpmc::Ring;
use crate::ring::spsc;
use crate::sink::lane::Seal;
use crate::stats::{EntryCounters, Ledger};
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::sync::{Arc, AtomicBool, AtomicU64, CachePadded, Ordering};
use crate::wait::list::{Waiter, Want};

/// The ring of a lane as third parties see it.
pub(super) enum ViewOf<E> {
    Spsc(spsc::Sealer<E>),
    Evicting(Arc<Ring<E>>),
    /// Events go into the mailbox's shared lane, where the publisher may wait for room.
    Shared(Waiter),
}

/// A private lane as all threads but its publisher and its consumer see it.
pub(crate) struct LaneView<E> {
    ring: ViewOf<E>,
    progress: CachePadded<Progress>,
    pub(super) entry: EntryCounters,
    signals: std::sync::Arc<Signals>,
    /// The publisher has let go of the lane.
    released: AtomicU64,
    /// A lane without a ring of its own takes nothing more.
    cancelled: AtomicBool,
}

impl<E> LaneView<E> {
    pub(super) fn new(
        ring: ViewOf<E>,
        entry: EntryCounters,
        signals: &std::sync::Arc<Signals>,
    ) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self {
            ring,
            progress: CachePadded::default(),
            entry,
            signals: signals.clone(),
            released: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
        })
    }

    /// Begins to seal the lane.
    pub(crate) fn mark(&self) {
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                sealer.mark();
            }
            ViewOf::Evicting(ring) => {
                ring.close();
            }
            // ORD(lane.cancelled): Release; pairs with `is_cancelled`.
            ViewOf::Shared(_) => self.cancelled.store(true, Ordering::Release),
        }
    }

    /// Whether a lane without a ring of its own was sealed. A push that has not seen it yet is waited for by a thread that needs to.
    pub(super) fn is_cancelled(&self) -> bool {
        // ORD(lane.cancelled): Acquire; pairs with `mark`.
        self.cancelled.load(Ordering::Acquire)
    }

    /// Ends the seal, behind a heavy fence.
    pub(crate) fn fix(&self) {
        if let ViewOf::Spsc(sealer) = &self.ring {
            sealer.fix();
        }
    }

    /// Seals this lane alone.
    pub(crate) fn seal_now(&self) {
        self.mark();
        // ORD(spsc.fin): heavy fence; pairs with the light ones of the publisher and of `Consumer::refresh`.
        heavy_fence_or_wait(process_pair());
        self.fix();
    }

    /// Ends a seal that another thread has begun, which may have lost its processor or wait for publishers before it goes on. A
    /// reader that has seen the mark, and then fences, knows as well as that thread what may be proposed.
    #[cold]
    pub(crate) fn end_seal(&self) {
        // ORD(spsc.fin): heavy fence; pairs with the light one of the publisher.
        heavy_fence_or_wait(process_pair());
        self.fix();
    }

    /// What the lane's publisher waits for when its own ring is full.
    #[inline]
    pub(crate) fn room(&self) -> Want {
        Want::room_in(self)
    }

    /// After a seal: wakes the consumer to end the lane, the lane's publisher if it waits for room, and flushes, whose goals may be
    /// nearer than they were. Publishers with other lanes, and closes, have nothing to do: lanes are sealed many at a time.
    pub(crate) fn wake_all(&self) {
        self.signals.cell.wake_now();
        match &self.ring {
            ViewOf::Shared(waiter) => self.signals.blocked.notify_waiter(waiter),
            ViewOf::Spsc(_) | ViewOf::Evicting(_) => self.signals.blocked.notify_one(self.room()),
        }
        self.signals.blocked.notify_progress();
    }

    pub(crate) fn entry(&self) -> &EntryCounters {
        &self.entry
    }

    pub(crate) fn accepted(&self) -> u64 {
        match &self.ring {
            ViewOf::Spsc(sealer) => sealer.accepted(),
            ViewOf::Evicting(ring) => ring.position(),
            ViewOf::Shared(_) => 0,
        }
    }

    /// Whether everything accepted below `target` was handled, or pushed out.
    pub(crate) fn is_past(&self, target: u64) -> bool {
        match &self.ring {
            ViewOf::Evicting(ring) => self.progress.is_past(ring, target),
            // The target is a tail that was seen before the lane was sealed: the end may have been fixed below it, and the publisher
            // has taken back what lies between.
            ViewOf::Spsc(sealer) => {
                let handled = self.progress.handled();
                handled >= target || sealer.end().is_some_and(|end| handled >= end)
            }
            ViewOf::Shared(_) => true,
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the publisher has let go and everything in the lane was handled: its counters are final.
    pub(crate) fn is_over(&self) -> bool {
        // ORD(lane.released): Acquire; pairs with the Release in `let_go`: its counters are visible.
        self.released.load(Ordering::Acquire) == 1
            && match &self.ring {
                // A receiver gives the slot back first, and then enters the event.
                ViewOf::Spsc(sealer) => sealer.is_ended() && self.progress.handled() >= sealer.accepted(),
                ViewOf::Evicting(ring) => ring.is_ended() && self.progress.in_hand() == 0,
                ViewOf::Shared(_) => true,
            }
    }

    /// How many accepted events are not handled.
    pub(super) fn pending(&self) -> u64 {
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                // In this order: the number may be too high for a moment, and is never too low.
                let handled = self.progress.handled();
                sealer.accepted().saturating_sub(handled)
            }
            ViewOf::Evicting(ring) => ring.len() as u64 + self.progress.in_hand(),
            ViewOf::Shared(_) => 0,
        }
    }

    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        self.entry.add_to(ledger);
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                let handled = self.progress.handled();
                let accepted = sealer.accepted();
                ledger.offered += accepted;
                ledger.accepted += accepted;
                ledger.pending += accepted.saturating_sub(handled);
            }
            ViewOf::Evicting(ring) => {
                ledger.accepted += ring.position();
                ledger.pending += ring.len() as u64 + self.progress.in_hand();
            }
            ViewOf::Shared(_) => {}
        }
    }
}

impl<E: Send + 'static> Seal for LaneView<E> {
    fn mark(&self) {
        Self::mark(self);
    }

    fn fix(&self) {
        Self::fix(self);
    }

    fn wake_all(&self) {
        Self::wake_all(self);
    }
}

/// The publisher lets go of its lane, whose end is fixed by now: its counters are final.
pub(super) fn let_go<E>(view: &LaneView<E>) {
    // ORD(lane.released): Release; pairs with `LaneView::is_over`.
    view.released.store(1, Ordering::Release);
    // A sleeping consumer would keep the empty lane.
    view.signals.cell.wake_now();
}
