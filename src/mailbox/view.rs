//! A private lane as third parties see it: for seals, flushes, snapshots and the registry.

use super::dormant::bit;
use super::progress::Progress;
use super::signals::Signals;
use crate::ring::mpmc::Ring;
use crate::ring::spsc;
use crate::sink::lane::Seal;
use crate::stats::{EntryCounters, Ledger};
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::sync::{Arc, AtomicBool, AtomicU64, CachePadded, Ordering};
use crate::wait::WaitList;
use crate::wait::list::task::Condition;
use crate::wait::list::{Waiter, Want};

/// The ring of a lane as third parties see it.
pub(super) enum ViewOf<E> {
    Spsc(spsc::Sealer<E>),
    Evicting(Arc<Ring<E>>),
    /// Events go into the mailbox's shared lane, where the publisher may wait for room.
    Shared,
}

/// A private lane as all threads but its publisher and its consumer see it.
pub(crate) struct LaneView<E> {
    ring: ViewOf<E>,
    progress: CachePadded<Progress>,
    pub(super) entry: EntryCounters,
    signals: std::sync::Arc<Signals>,
    /// The waiter of a publish that has to wait for room. Allocated with the lane, so that waiting
    /// allocates nothing.
    waiter: Waiter,
    /// 1 once the publisher has released the lane.
    released: AtomicU64,
    /// Whether a lane without its own ring was sealed.
    closed: AtomicBool,
    /// The group of the lane, for a consumer that does not poll dormant lanes.
    group: usize,
    /// The consumer's position when it last called [`was_idle_at`](Self::was_idle_at).
    judged: AtomicU64,
}

impl<E> LaneView<E> {
    pub(super) fn new(
        ring: ViewOf<E>,
        entry: EntryCounters,
        signals: &std::sync::Arc<Signals>,
    ) -> std::sync::Arc<Self> {
        let waiter = match &ring {
            ViewOf::Spsc(_) | ViewOf::Evicting(_) => Waiter::for_own_room(),
            ViewOf::Shared => Waiter::wanting(Want::SHARED_ROOM),
        };
        std::sync::Arc::new(Self {
            ring,
            waiter,
            progress: CachePadded::default(),
            entry,
            signals: signals.clone(),
            released: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            group: signals.active.next_group(),
            judged: AtomicU64::new(0),
        })
    }

    /// Begins to seal the lane.
    pub(crate) fn mark(&self) {
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                if sealer.mark() {
                    self.tell_consumer();
                }
            }
            ViewOf::Evicting(ring) => {
                ring.close();
            }
            // ORD(lane.closed): Release; pairs with `is_closed`.
            ViewOf::Shared => self.closed.store(true, Ordering::Release),
        }
    }

    /// Returns whether a lane without its own ring was sealed. A thread that must exclude a push
    /// that has not seen the seal waits for that push.
    pub(super) fn is_closed(&self) -> bool {
        // ORD(lane.closed): Acquire; pairs with `mark`.
        self.closed.load(Ordering::Acquire)
    }

    /// Ends the seal. The caller executes a heavy fence between `mark` and this.
    pub(crate) fn fix(&self) {
        if let ViewOf::Spsc(sealer) = &self.ring {
            sealer.fix();
        }
    }

    /// Seals this lane alone.
    pub(crate) fn seal_now(&self) {
        self.mark();
        // ORD(spsc.fin): heavy fence; pairs with the light ones of the publisher and of
        // `Consumer::refresh`.
        heavy_fence_or_wait(process_pair());
        self.fix();
    }

    /// Ends a seal that another thread began. That thread may have been preempted, or may wait for
    /// publishers before it continues. A reader that has seen the mark and then fences knows as
    /// well as that thread which tail may be proposed.
    #[cold]
    pub(crate) fn end_seal(&self) {
        // ORD(spsc.fin): heavy fence; pairs with the light one of the publisher.
        heavy_fence_or_wait(process_pair());
        self.fix();
    }

    /// Tells the consumer that the lane is no longer dormant. The caller then wakes the consumer if
    /// it is parked.
    #[cold]
    pub(super) fn tell_consumer(&self) {
        self.signals.active.tell(bit(self.group));
    }

    /// Begins to seal the lane, as a thread does that stalls before it tells the consumer.
    #[cfg(test)]
    pub(super) fn mark_and_stall(&self) {
        if let ViewOf::Spsc(sealer) = &self.ring {
            sealer.mark();
        }
    }

    /// Returns whether the consumer was at this position when it last called this.
    pub(super) fn was_idle_at(&self, position: u64) -> bool {
        // A word of the consumer alone. It is here because the consumer's half is kept small.
        let judged = self.judged.load(Ordering::Relaxed);
        self.judged.store(position, Ordering::Relaxed);
        judged == position
    }

    pub(super) fn group(&self) -> usize {
        self.group
    }

    /// Returns the waiter of the lane's publisher, for when there is no room.
    #[inline]
    pub(crate) fn waiter(&self) -> &Waiter {
        &self.waiter
    }

    /// After a seal, wakes:
    /// - the consumer, to end the lane;
    /// - the lane's publisher, if it waits for room;
    /// - flushes, whose goals may be nearer than they were.
    ///
    /// Does not wake publishers with other lanes, nor closes: they have nothing to do, and many
    /// lanes are sealed at a time.
    pub(crate) fn wake_all(&self) {
        self.signals.cell.wake_now();
        self.signals.blocked.notify_waiter(&self.waiter);
        self.signals.blocked.notify_progress();
    }

    pub(crate) fn entry(&self) -> &EntryCounters {
        &self.entry
    }

    pub(crate) fn accepted(&self) -> u64 {
        match &self.ring {
            ViewOf::Spsc(sealer) => sealer.accepted(),
            ViewOf::Evicting(ring) => ring.position(),
            ViewOf::Shared => 0,
        }
    }

    /// Returns whether every event accepted below `target` was handled or evicted.
    pub(crate) fn has_reached(&self, target: u64) -> bool {
        match &self.ring {
            ViewOf::Evicting(ring) => self.progress.has_reached(ring, target),
            // The target is a tail that was read before the lane was sealed. The end may have been
            // fixed below it, and then the publisher has taken back the events between them.
            ViewOf::Spsc(sealer) => {
                let handled = self.progress.handled();
                handled >= target || sealer.end().is_some_and(|end| handled >= end)
            }
            ViewOf::Shared => true,
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Records that the publisher has released its lane, whose end is fixed: its counters are
    /// final.
    pub(super) fn release(&self) {
        // ORD(lane.released): Release; pairs with the Acquire in `is_final`.
        self.released.store(1, Ordering::Release);
    }

    /// Wakes a parked consumer, which would otherwise keep a lane that has ended.
    pub(super) fn wake_consumer(&self) {
        self.signals.cell.wake_now();
    }

    /// Returns whether the publisher has released the lane and every event in it was handled: the
    /// lane's counters are final.
    pub(crate) fn is_final(&self) -> bool {
        // ORD(lane.released): Acquire; pairs with the Release in `release`: its counters are
        // visible.
        self.released.load(Ordering::Acquire) == 1
            && match &self.ring {
                // A receiver first returns the slot, and then counts the event.
                ViewOf::Spsc(sealer) => sealer.is_drained() && self.progress.handled() >= sealer.accepted(),
                ViewOf::Evicting(ring) => ring.is_drained() && self.progress.in_hand() == 0,
                ViewOf::Shared => true,
            }
    }

    /// Returns the number of accepted events that were not handled.
    pub(super) fn pending(&self) -> u64 {
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                // In this order: the number may briefly be too high, and it is never too low.
                let handled = self.progress.handled();
                sealer.accepted().saturating_sub(handled)
            }
            ViewOf::Evicting(ring) => ring.len() as u64 + self.progress.in_hand(),
            ViewOf::Shared => 0,
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
            ViewOf::Shared => {}
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

/// What a task waits for that publishes through a lane with a ring of its own: room, or the end.
impl<E: Send + 'static> Condition for LaneView<E> {
    fn list(&self) -> &WaitList {
        &self.signals.blocked
    }

    fn holds(&self) -> bool {
        match &self.ring {
            ViewOf::Spsc(sealer) => sealer.is_open_to_push(),
            // Such a lane makes no publisher wait, or its room is not its own.
            ViewOf::Evicting(_) | ViewOf::Shared => true,
        }
    }

    fn hurry(&self) {
        self.signals.wake_for_room();
    }
}
