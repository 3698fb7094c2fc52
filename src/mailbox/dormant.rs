//! How publishers tell a consumer that a lane is no longer dormant.
//!
//! A consumer that has many lanes does not poll those that stay empty: see
//! [`ring::spsc`](crate::ring::spsc) for the handshake of one lane. The lanes of a mailbox are in
//! 64 *groups*, one for each bit of a word. A thread that makes a lane active, seals it or ends it
//! sets the bit of its group, after it has changed the lane. The consumer loads the word before each
//! poll. It takes all bits by one exchange, and then polls the lanes of these groups that are not
//! dormant any more.
//!
//! A bit is a hint: setting it once more than needed is harmless. So any thread that waits for a lane
//! sets its bit, and need not know whether another thread is about to do so.

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The number of groups of lanes.
pub(super) const GROUPS: usize = 64;

/// The groups with lanes that may not be dormant any more.
///
/// No publisher into a private lane loads a word here, or one beside it, while its lane is active.
#[derive(Default)]
pub(crate) struct ActiveGroups {
    bits: AtomicU64,
    /// The number of lanes that were made.
    lanes: AtomicUsize,
    /// Whether a lane was ever dormant.
    used: AtomicBool,
}

impl ActiveGroups {
    /// Returns the group of a new lane: lanes are spread evenly.
    pub(super) fn next_group(&self) -> usize {
        self.lanes.fetch_add(1, Ordering::Relaxed) % GROUPS
    }

    /// Records that a lane becomes dormant.
    pub(super) fn set_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Returns whether a lane was ever dormant. A hint: a thread that misses it relies on the publisher
    /// to tell the consumer.
    pub(super) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Tells the consumer to poll the lanes of these groups that are not dormant. If the consumer
    /// may be parked, the caller then executes a full fence and wakes it.
    pub(super) fn tell(&self, bits: u64) {
        // ORD(mailbox.active): Release; pairs with the Acquire in `take`: the lane was changed
        // before.
        self.bits.fetch_or(bits, Ordering::Release);
    }

    /// Returns whether the consumer was told of any group.
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        // Relaxed: before a park, the fences of `cell.state` order it.
        self.bits.load(Ordering::Relaxed) != 0
    }

    /// Takes all bits.
    pub(super) fn take(&self) -> u64 {
        // ORD(mailbox.active): Acquire; pairs with the Release in `tell`: the changes of the lanes
        // are visible.
        self.bits.swap(0, Ordering::Acquire)
    }
}

/// Returns the bit of a group.
pub(super) fn bit(group: usize) -> u64 {
    1 << group
}

/// Calls `f` with each group whose bit is set.
pub(super) fn each_group(mut bits: u64, mut f: impl FnMut(usize)) {
    while bits != 0 {
        f(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}
