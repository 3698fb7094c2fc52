//! The word that says where a ring ends.

use crate::sync::{AtomicU64, Ordering};

/// `fin` of a ring that nobody seals.
pub(super) const OPEN: u64 = u64::MAX;
/// `fin` while its final value is being agreed on.
pub(super) const SEALING: u64 = u64::MAX - 1;

/// The word that says where a ring ends: [`OPEN`], [`SEALING`], or the final tail.
///
/// What lies in memory is one more, so that an open ring's word is zero: a publisher joins it with what else may ask for its
/// attention, of all its lanes, and tests once.
pub(super) struct Fin(AtomicU64);

impl Fin {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(OPEN.wrapping_add(1)))
    }

    #[inline(always)]
    pub(super) fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(ordering).wrapping_sub(1)
    }

    /// What a producer looks at behind a fence: zero while the ring is open.
    #[inline(always)]
    pub(super) fn attention(&self) -> u64 {
        // ORD(spsc.fin): Relaxed; the fence before it pairs with the one between `Sealer::mark` and `Sealer::fix`.
        self.0.load(Ordering::Relaxed)
    }

    /// Moves the word on; `Err` says what it is if it is not `from`.
    pub(super) fn advance(&self, from: u64, to: u64) -> Result<u64, u64> {
        let [old, new] = [from, to].map(|value| value.wrapping_add(1));
        // ORD(spsc.fin): AcqRel; Release publishes what the proposer saw up to its tail, Acquire pairs with the winner's
        // Release. For a mark: the heavy fence that follows pairs with the light ones of producer and consumer.
        let moved = self.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        moved.map(|_| to).map_err(|found| found.wrapping_sub(1))
    }
}
