//! The only consumer of a ring: it takes values without a read-modify-write.

use super::Ring;
use crate::error::BuildError;
use crate::sync::{Ordering, unique_number};
use std::cell;

/// The right to take values from one ring, as its only consumer. It can be sent to another thread,
/// and not be shared or cloned.
///
/// # Invariants
/// - M5: in a ring with an only consumer, no other thread stores `head`, empties a slot, or evicts.
///   There is one `SoleConsumer` with the number of the ring, and each call that takes or frees
///   checks that number. So a slot below the tail that is filled stays filled until this consumer
///   takes its value.
/// - M6: `taken` is the position after the last value that was taken. It is `head`, or one more
///   between [`Ring::take_sole`] and [`Ring::free_sole`].
pub(crate) struct SoleConsumer {
    ring: u64,
    /// In a cell, so that a shared reference suffices, and the consumer is not `Sync`.
    taken: cell::Cell<u64>,
}

impl<T: Send> Ring<T> {
    /// Creates a ring with an only consumer, which is returned with it. The ring never evicts.
    pub(crate) fn with_sole_consumer(capacity: usize) -> Result<(Self, SoleConsumer), BuildError> {
        let number = unique_number();
        let mut ring = Self::new(capacity)?;
        ring.sole = number;
        Ok((ring, SoleConsumer { ring: number, taken: cell::Cell::new(0) }))
    }
}

impl<T> Ring<T> {
    /// Returns how many of the oldest values can be taken now without a gap, at most `most`.
    ///
    /// The loads of the stamps do not depend on each other, so their cache misses overlap.
    #[inline]
    pub(crate) fn filled_for_sole(&self, by: &SoleConsumer, most: usize) -> usize {
        let first = by.taken.get();
        let filled = |position: u64| self.is_filled(position);
        (first..first + most as u64).take_while(|position| filled(*position)).count()
    }

    /// Returns whether the oldest value can be taken now.
    #[inline(always)]
    pub(crate) fn is_filled_for_sole(&self, by: &SoleConsumer) -> bool {
        self.is_filled(by.taken.get())
    }

    /// Takes the oldest value, and frees its slot. Returns it with its position.
    #[inline(always)]
    pub(crate) fn pop_sole(&self, by: &SoleConsumer) -> Option<(u64, T)> {
        let position = by.taken.get();
        let is_free = position == self.head.load(Ordering::Relaxed);
        if !(self.is_read_by(by) && is_free && self.is_filled(position)) {
            return None;
        }
        by.taken.set(position + 1);
        // SAFETY: M2, M5, M6: as in `take_sole`.
        let value = unsafe { self.cell(position).value.take() };
        self.free_taken(position);
        Some((position, value))
    }

    #[inline(always)]
    fn is_read_by(&self, consumer: &SoleConsumer) -> bool {
        self.sole == consumer.ring
    }

    #[inline(always)]
    fn is_filled(&self, position: u64) -> bool {
        // ORD(mpmc.stamp): Acquire; pairs with the producer's Release in `push`: the value is
        // written.
        self.cell(position).stamp.load(Ordering::Acquire) == position + 1
    }

    /// Takes the oldest value. Its slot stays occupied until [`free_sole`](Self::free_sole).
    ///
    /// # Panics
    /// When the value is not there, the slot of the last one was not freed, or the consumer belongs
    /// to another ring.
    #[inline(always)]
    pub(crate) fn take_sole(&self, by: &SoleConsumer) -> T {
        let position = by.taken.get();
        let is_free = position == self.head.load(Ordering::Relaxed);
        assert!(self.is_read_by(by) && is_free && self.is_filled(position), "the value is there");
        by.taken.set(position + 1);
        // SAFETY: M2, M5, M6: the slot holds a value, which only this consumer takes, once: `taken`
        // has passed it.
        unsafe { self.cell(position).value.take() }
    }

    /// Frees the slot of the value that was taken, and returns its position.
    #[inline(always)]
    pub(crate) fn free_sole(&self, by: &SoleConsumer) -> u64 {
        let position = self.head.load(Ordering::Relaxed);
        if self.is_read_by(by) && position < by.taken.get() {
            self.free_taken(position);
        }
        position
    }

    /// Frees the slot at `position`, the head, whose value the only consumer has taken.
    #[inline(always)]
    fn free_taken(&self, position: u64) {
        // ORD(mpmc.head): Release; pairs with the Acquire loads of `head` (`is_full_at`, `len`).
        self.head.store(position + 1, Ordering::Release);
        // ORD(mpmc.stamp): Release; pairs with the Acquire in `push`: the slot is empty (M3).
        self.cell(position).stamp.store(position + self.slots(), Ordering::Release);
    }
}
