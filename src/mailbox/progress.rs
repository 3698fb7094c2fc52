//! The progress of the consumer in a lane.

#[cfg(test)]
mod models;

use crate::ring::mpmc::Ring;
use crate::sync::{AtomicU64, Ordering};

/// The progress of the one consumer in a lane, event by event.
///
/// It has its own cache line, which publishers do not read: slots are returned to them in chunks.
#[derive(Default)]
pub(crate) struct Progress {
    handled: AtomicU64,
    in_hand: AtomicU64,
}

impl Progress {
    /// Returns the position below which every event was handled.
    pub(crate) fn handled(&self) -> u64 {
        // ORD(lane.handled): Acquire; pairs with `done`: what the handler did is visible to a
        // flush.
        self.handled.load(Ordering::Acquire)
    }

    pub(crate) fn in_hand(&self) -> u64 {
        // ORD(lane.in_hand): Acquire; pairs with the Release in `done`: what the handler did is
        // visible to a flush.
        self.in_hand.load(Ordering::Acquire)
    }

    /// Returns whether every event below `target` was handled or evicted. The position of the last
    /// handled event does not show this if later events were evicted by an event that then found
    /// the ring closed.
    pub(crate) fn has_reached<E>(&self, ring: &Ring<E>, target: u64) -> bool {
        // In this order: the consumer announces an event before it claims it.
        self.handled() >= target || (ring.claimed() >= target && self.in_hand() == 0)
    }

    pub(crate) fn take_in_hand(&self) {
        self.in_hand.store(1, Ordering::Relaxed);
    }

    pub(crate) fn nothing_in_hand(&self) {
        // ORD(lane.in_hand): Release; pairs with `in_hand`.
        self.in_hand.store(0, Ordering::Release);
    }

    /// Records that every event below `position` was handled, in a ring that is read in order.
    #[inline(always)]
    pub(crate) fn advance_to(&self, position: u64) {
        // ORD(lane.handled): Release; pairs with `handled`.
        self.handled.store(position, Ordering::Release);
    }

    pub(crate) fn done(&self, position: u64) {
        // ORD(lane.in_hand): Release; pairs with `in_hand`.
        self.in_hand.store(0, Ordering::Release);
        // ORD(lane.handled): Release; pairs with `handled`.
        self.handled.store(position + 1, Ordering::Release);
    }
}
