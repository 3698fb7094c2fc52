//! The only consumer of a ring: it takes values without a read-modify-write.

use super::{Cell, Ring};
use crate::error::BuildError;
use crate::sync::{Ordering, unique_number};
use std::{cell, slice};

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
/// - M7: a [`SoleRun`] borrows the consumer mutably, so no other call takes a value meanwhile. Its
///   cells are those from `taken` on, and were found filled, and `taken` was `head` when it began.
pub(crate) struct SoleConsumer {
    ring: u64,
    /// In a cell, so that a shared reference suffices, and the consumer is not `Sync`.
    taken: cell::Cell<u64>,
}

impl<T> Cell<T> {
    /// Returns whether the cell holds the value of this position.
    #[inline(always)]
    fn is_filled(&self, position: u64) -> bool {
        // ORD(mpmc.stamp): Acquire; pairs with the producer's Release in `push`: the value is
        // written.
        self.stamp.load(Ordering::Acquire) == position + 1
    }
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
    /// Returns how many of the oldest values can be taken now without a gap, at most `most`, and
    /// none beyond the place where the ring wraps.
    #[inline]
    pub(crate) fn filled_for_sole(&self, by: &SoleConsumer, most: usize) -> usize {
        self.filled_from(by.taken.get(), most).len()
    }

    /// Returns the filled cells from `position` on, up to the first gap, at most `most`, and none
    /// beyond the place where the ring wraps.
    ///
    /// The loads of the stamps do not depend on each other, so their cache misses overlap.
    #[inline(always)]
    fn filled_from(&self, position: u64, most: usize) -> &[Cell<T>] {
        let cells = &self.cells[self.index(position)..];
        let filled = (position..).zip(cells.iter().take(most)).take_while(|(at, cell)| cell.is_filled(*at));
        &cells[..filled.count()]
    }

    /// Returns the number of values in the ring, where `found` were found from `position` on when at
    /// most `most` were looked for. Loads the tail, which the producers change, only if there may be
    /// more.
    #[inline(always)]
    fn depth_from(&self, position: u64, found: usize, most: usize) -> u64 {
        let is_whole = found < most && self.index(position + found as u64) > 0;
        if is_whole { found as u64 } else { self.len() as u64 }
    }

    /// Returns the number of values in the ring without a gap, or more, after
    /// [`filled_for_sole`](Self::filled_for_sole) has returned `found`.
    #[inline(always)]
    pub(crate) fn depth_for_sole(&self, by: &SoleConsumer, found: usize, most: usize) -> u64 {
        self.depth_from(by.taken.get(), found, most)
    }

    /// Returns whether the ring has an only consumer.
    pub(crate) fn has_sole_consumer(&self) -> bool {
        self.sole != 0
    }

    /// Returns the oldest values that can be taken now, as [`filled_for_sole`](Self::filled_for_sole)
    /// counts them.
    ///
    /// Everything is checked here, so that taking a value of the run checks nothing.
    #[inline(always)]
    pub(crate) fn run_for_sole<'a>(&'a self, by: &'a mut SoleConsumer, most: usize) -> SoleRun<'a, T> {
        let position = by.taken.get();
        let may_take = self.is_read_by(by) && position == self.head.load(Ordering::Relaxed);
        let cells = if may_take { self.filled_from(position, most) } else { &[] };
        SoleRun { cells: cells.iter(), position, ring: self, by }
    }

    #[inline(always)]
    fn is_read_by(&self, consumer: &SoleConsumer) -> bool {
        self.sole == consumer.ring
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
        assert!(
            self.is_read_by(by) && is_free && self.cell(position).is_filled(position),
            "the value is there"
        );
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
            self.free(self.cell(position), position);
        }
        position
    }

    /// Frees the cell at `position`, the head, whose value the only consumer has taken.
    #[inline(always)]
    fn free(&self, cell: &Cell<T>, position: u64) {
        // Relaxed: to other threads, the head of this ring is a number. A producer takes the slot by
        // its stamp, and a flush follows the consumer's progress.
        self.head.store(position + 1, Ordering::Relaxed);
        // ORD(mpmc.stamp): Release; pairs with the Acquire in `push`: the slot is empty (M3).
        cell.stamp.store(position + self.slots(), Ordering::Release);
    }
}

/// The oldest values of a ring, for its only consumer.
pub(crate) struct SoleRun<'a, T> {
    cells: slice::Iter<'a, Cell<T>>,
    position: u64,
    ring: &'a Ring<T>,
    by: &'a mut SoleConsumer,
}

impl<T> SoleRun<'_, T> {
    /// Returns the number of values that are left.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns the number of values in the ring without a gap, or more, at the begin of a run of at
    /// most `most`.
    #[inline(always)]
    pub(crate) fn depth(&self, most: usize) -> u64 {
        self.ring.depth_from(self.position, self.len(), most)
    }

    /// Takes the oldest value, and frees its slot. Returns it with its position.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        let cell = self.cells.next()?;
        let position = self.position;
        self.position = position + 1;
        self.by.taken.set(position + 1);
        // SAFETY: M2, M5, M7: the slot holds a value, which only this consumer takes, once: the run
        // has passed it.
        let value = unsafe { cell.value.take() };
        self.ring.free(cell, position);
        Some((position, value))
    }
}
