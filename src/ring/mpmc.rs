//! A bounded MPMC ring buffer with eviction and a closed bit in its tail word.
//!
//! The algorithm is D. Vyukov's bounded MPMC queue (2010): the stamp of each slot determines which
//! side may use it next. This ring adds three things:
//!
//! - the closed bit is in the tail word (as in LCRQ, by Morrison and Afek, 2013), so no claim
//!   succeeds after a close and the final position is exact;
//! - the capacity is exact, also between powers of two;
//! - a producer may evict the oldest value.
//!
//! No operation spins. A producer that finds a slot which a preempted consumer has claimed and not
//! yet emptied reports a full ring. A consumer that finds a slot which a preempted producer has
//! claimed and not yet filled reports [`Pop::Pending`].
//!
//! A consumer must not take a later value first, because that would reverse the order of one
//! producer. So a reader that promises to find each value whose push has returned waits for the
//! producer of the oldest position. It waits only while a later position is filled: otherwise no
//! push has returned that the reader has not seen. See `Ring::has_written`. That producer is a few
//! instructions from its write, runs no user code, and waits for nothing that the reader holds; it
//! is late only if it is preempted.
//!
//! # Invariants
//! - M1: stamp == position: the slot is empty and belongs to the producer that claims `position`.
//! - M2: stamp == position + 1: the slot holds a value and belongs to the consumer that claims
//!   `position`.
//! - M3: the consumer of `position` sets the stamp to `position + slots`, which is M1 of the next
//!   lap. With at least two slots the stamps of M1 to M3 differ.
//! - M4: a position below the closed tail was claimed exactly once and will be filled.
//! - M5 to M7: of a ring with an only consumer, see [`SoleConsumer`].
//! - M8: the number of cells is a power of two, and `mask` is one less.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

mod outcome;
mod sole;

use crate::error::{BuildError, OutOfMemory};
use crate::sync::pace::Pace;
use crate::sync::prefetch::{bytes_ahead, prefetch_line_for_write};
use crate::sync::slot::{Aligned, Slot};
use crate::sync::{AtomicU64, CachePadded, Ordering};
use crate::wait::context::discard;
pub use outcome::{Pop, PushError};
pub(crate) use sole::SoleConsumer;
use std::fmt;

const CLOSED: u64 = 1;

struct Cell<T> {
    stamp: AtomicU64,
    value: Slot<T>,
}

/// A bounded MPMC ring, shared by reference or in an `Arc`.
///
/// # Examples
/// ```
/// use buslane::ring::mpmc::{Pop, Ring};
/// let ring = Ring::new(8)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| ring.push(1));
///     scope.spawn(|| ring.push(2));
/// });
/// let (Pop::Value(one), Pop::Value(other)) = (ring.pop(), ring.pop()) else { unreachable!() };
/// assert_eq!(one + other, 3);
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub struct Ring<T> {
    /// The next position that a producer claims, shifted left by one; the lowest bit is the closed
    /// bit.
    tail: CachePadded<AtomicU64>,
    /// The next position that a consumer claims.
    head: CachePadded<AtomicU64>,
    cells: Aligned<Cell<T>>,
    /// One less than the number of cells.
    mask: u64,
    capacity: u64,
    /// The number of the ring's only consumer, or 0 if there is none.
    sole: u64,
    /// The distance between a position that is claimed and the one whose slot is prefetched for a
    /// later claim.
    ahead: u64,
}

/// The reason why a claim failed.
pub(crate) enum Refusal {
    Full,
    Closed,
}

/// A position that this thread has claimed and not filled yet. No other thread uses its slot.
#[must_use]
pub(crate) struct Claimed<'a, T> {
    cell: &'a Cell<T>,
    position: u64,
}

impl<T> Claimed<'_, T> {
    /// Moves the value into the slot, where a consumer finds it.
    #[inline(always)]
    pub(crate) fn fill(self, value: T) {
        // SAFETY: M1: the slot is empty, and this thread has the claim of the position, which ends
        // here.
        unsafe { self.cell.value.put(value) };
        // ORD(mpmc.stamp): Release; pairs with the Acquire in `pop`: the value is written.
        self.cell.stamp.store(self.position + 1, Ordering::Release);
    }
}

impl<T: Send> Ring<T> {
    /// Creates a ring that holds exactly `capacity` values.
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is zero or larger than
    /// [`MAX_CAPACITY`](super::MAX_CAPACITY), or its memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::mpmc::{Pop, PushError, Ring};
    /// let ring = Ring::new(1)?;
    /// assert_eq!(ring.push("a"), Ok(()));
    /// assert_eq!(ring.push("b"), Err(PushError::Full("b")));
    /// let mut evicted = Vec::new();
    /// assert_eq!(ring.push_evicting("b", |old| evicted.push(old)), Ok(()));
    /// assert_eq!(evicted, ["a"]);
    /// assert_eq!(ring.close(), 2);
    /// assert_eq!(ring.push("c"), Err(PushError::Closed("c")));
    /// assert_eq!(ring.pop(), Pop::Value("b"));
    /// assert!(ring.is_drained());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn new(capacity: usize) -> Result<Self, BuildError> {
        let cells = Aligned::try_new(super::slots_for(capacity, 2)?, |position| Cell {
            stamp: AtomicU64::new(position as u64),
            value: Slot::empty(),
        })
        .ok_or(OutOfMemory::new(capacity))?;
        // In a small ring, the slots ahead are those that the consumer is reading.
        let ahead = (bytes_ahead::<Cell<T>>() / size_of::<Cell<T>>()).min(cells.len() / 8) as u64;
        let mask = cells.len() as u64 - 1;
        Ok(Self {
            tail: CachePadded::new(AtomicU64::new(0)),
            head: CachePadded::new(AtomicU64::new(0)),
            cells,
            mask,
            capacity: capacity as u64,
            sole: 0,
            ahead,
        })
    }
}

impl<T> Ring<T> {
    fn slots(&self) -> u64 {
        self.mask + 1
    }

    #[inline(always)]
    fn index(&self, position: u64) -> usize {
        (position & self.mask) as usize
    }

    #[inline(always)]
    fn cell(&self, position: u64) -> &Cell<T> {
        // SAFETY: M8: a masked index is below the number of slots.
        unsafe { self.cells.get_unchecked(self.index(position)) }
    }

    /// Pushes a value. Lock-free; one compare-and-swap without contention.
    ///
    /// # Errors
    /// The value, when the ring is full or closed. A slot that a consumer is emptying counts as
    /// full.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::mpmc::{PushError, Ring};
    /// let ring = Ring::new(2)?;
    /// assert!(ring.push("a").is_ok() && ring.push("b").is_ok());
    /// assert_eq!(ring.push("c"), Err(PushError::Full("c")));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        match self.claim() {
            Ok(claimed) => {
                claimed.fill(value);
                Ok(())
            }
            Err(Refusal::Full) => Err(PushError::Full(value)),
            Err(Refusal::Closed) => Err(PushError::Closed(value)),
        }
    }

    /// Claims the next position, for a value that moves into its slot directly.
    ///
    /// The caller must [fill](Claimed::fill) it at once: consumers wait for it, and the values after
    /// it are not read before. It may claim in other rings first, since a claim waits for nothing.
    #[inline(always)]
    pub(crate) fn claim(&self) -> Result<Claimed<'_, T>, Refusal> {
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            if tail & CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            let position = tail >> 1;
            let cell = self.cell(position);
            // ORD(mpmc.stamp): Acquire; pairs with the consumer's Release in `pop`: the slot is
            // empty.
            let stamp = cell.stamp.load(Ordering::Acquire);
            if stamp == position && !self.is_full_at(position) {
                // Relaxed claim: the stamp's Release publishes the value, and a close changes this
                // word, so the exchange fails.
                match self.tail.compare_exchange_weak(tail, tail + 2, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        // The consumer has emptied that slot, so it is in the consumer's cache.
                        prefetch_line_for_write(self.cell(position + self.ahead));
                        return Ok(Claimed { cell, position });
                    }
                    Err(newer) => tail = newer,
                }
            } else {
                let newer = self.tail.load(Ordering::Relaxed);
                if newer == tail {
                    return Err(Refusal::Full);
                }
                tail = newer;
            }
        }
    }

    /// Returns whether the exact capacity, not the slots, forbids `position`; possible only where
    /// the capacity is no power of two (or is one).
    #[inline(always)]
    fn is_full_at(&self, position: u64) -> bool {
        // ORD(mpmc.head): Acquire; pairs with the Release in `pop_at`. The head of an only consumer is
        // a number, which needs no pair.
        self.capacity <= self.mask
            && position.saturating_sub(self.head.load(Ordering::Acquire)) >= self.capacity
    }

    /// Pushes a value; while the ring is full, passes the oldest value to `evicted` (drop-oldest).
    ///
    /// # Errors
    /// [`PushError::Closed`], or [`PushError::Full`] when a consumer or producer has claimed the
    /// oldest slot and not finished with it: this call never waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::mpmc::{Pop, Ring};
    /// let ring = Ring::new(2)?;
    /// let mut evicted = Vec::new();
    /// for n in 0..5 {
    ///     assert!(ring.push_evicting(n, |old| evicted.push(old)).is_ok());
    /// }
    /// assert_eq!(evicted, [0, 1, 2]);
    /// assert_eq!(ring.pop(), Pop::Value(3));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn push_evicting(&self, value: T, mut evicted: impl FnMut(T)) -> Result<(), PushError<T>> {
        let mut value = value;
        loop {
            match self.push(value) {
                Err(PushError::Full(back)) => match self.pop() {
                    Pop::Value(oldest) => {
                        value = back;
                        evicted(oldest);
                    }
                    Pop::Empty | Pop::Pending => return Err(PushError::Full(back)),
                },
                done => return done,
            }
        }
    }

    /// Takes the oldest value. Lock-free; one compare-and-swap without contention.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::mpmc::{Pop, Ring};
    /// let ring = Ring::new(2)?;
    /// assert!(ring.push("a").is_ok());
    /// assert_eq!((ring.pop(), ring.pop()), (Pop::Value("a"), Pop::Empty));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn pop(&self) -> Pop<T> {
        match self.pop_at() {
            Pop::Value((_, value)) => Pop::Value(value),
            Pop::Empty => Pop::Empty,
            Pop::Pending => Pop::Pending,
        }
    }

    /// Takes the oldest value, with its position.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::mpmc::{Pop, Ring};
    /// let ring = Ring::new(8)?;
    /// assert!(ring.push("a").is_ok() && ring.push("b").is_ok());
    /// assert_eq!((ring.pop_at(), ring.pop_at()), (Pop::Value((0, "a")), Pop::Value((1, "b"))));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn pop_at(&self) -> Pop<(u64, T)> {
        if self.sole != 0 {
            // The values are for that consumer alone (M5).
            return Pop::Empty;
        }
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let cell = self.cell(head);
            // ORD(mpmc.stamp): Acquire; pairs with the producer's Release in `push`: the value is
            // written.
            let stamp = cell.stamp.load(Ordering::Acquire);
            if stamp == head + 1 {
                // ORD(mpmc.head): Release; pairs with the Acquire loads of `head` (`is_full_at`,
                // `len`).
                match self.head.compare_exchange_weak(head, head + 1, Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: M2: the slot holds a value, and the exchange gave this thread the
                        // claim of it.
                        let value = unsafe { cell.value.take() };
                        // ORD(mpmc.stamp): Release; pairs with the Acquire in `push`: the slot is
                        // empty (M3).
                        cell.stamp.store(head + self.slots(), Ordering::Release);
                        return Pop::Value((head, value));
                    }
                    Err(newer) => head = newer,
                }
            } else {
                let newer = self.head.load(Ordering::Relaxed);
                if newer != head {
                    head = newer;
                } else if self.position() <= head {
                    return Pop::Empty;
                } else {
                    return Pop::Pending;
                }
            }
        }
    }

    /// Closes the ring and returns its final position, the number of accepted values. Idempotent.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::mpmc::{Pop, Ring};
    /// let ring = Ring::new(8)?;
    /// assert!(ring.push("a").is_ok());
    /// assert_eq!(ring.close(), 1);
    /// assert!(ring.push("b").is_err());
    /// assert_eq!(ring.pop(), Pop::Value("a")); // what is left stays there
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn close(&self) -> u64 {
        // ORD(mpmc.tail): AcqRel; a read-modify-write, so it reads the newest claim, and no later
        // claim can succeed.
        self.tail.fetch_or(CLOSED, Ordering::AcqRel) >> 1
    }

    /// Returns whether the ring is closed.
    ///
    /// # Examples
    /// ```
    /// let ring = buslane::ring::mpmc::Ring::<u32>::new(8)?;
    /// assert!(!ring.is_closed());
    /// ring.close();
    /// assert!(ring.is_closed());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        // ORD(mpmc.tail): Acquire; pairs with the Release in `close`.
        self.tail.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Returns whether the ring is closed and every value is claimed by a consumer (or evicted);
    /// once `true`, always `true`.
    ///
    /// # Examples
    /// ```
    /// let ring = buslane::ring::mpmc::Ring::new(8)?;
    /// assert!(ring.push("a").is_ok());
    /// ring.close();
    /// assert!(!ring.is_drained()); // a value is left
    /// ring.pop();
    /// assert!(ring.is_drained());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_drained(&self) -> bool {
        // ORD(mpmc.tail): Acquire; pairs with the Release in `close`.
        let tail = self.tail.load(Ordering::Acquire);
        tail & CLOSED != 0 && self.claimed() >= tail >> 1
    }

    /// Returns whether the oldest position is filled: a pop then finds a value, unless another
    /// consumer takes it first.
    ///
    /// # Examples
    /// ```
    /// let ring = buslane::ring::mpmc::Ring::new(8)?;
    /// assert!(!ring.has_filled());
    /// assert!(ring.push("a").is_ok());
    /// assert!(ring.has_filled());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn has_filled(&self) -> bool {
        // ORD(mpmc.head): Acquire; pairs with the Release in `pop_at`, here and below.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // ORD(mpmc.stamp): Acquire; pairs with the producer's Release in `push`.
            if self.cell(head).stamp.load(Ordering::Acquire) == head + 1 {
                return true;
            }
            // ORD(mpmc.head): Acquire, as above.
            let newer = self.head.load(Ordering::Acquire);
            if newer == head {
                return false;
            }
            head = newer;
        }
    }

    /// Returns whether a pop finds a value, unless another consumer takes it first.
    ///
    /// Each value whose push returned before this call is found. If it comes after a position
    /// that is claimed and not filled yet, this call waits until that producer has filled it.
    #[inline]
    pub(crate) fn has_written(&self) -> bool {
        self.has_filled() || self.await_written()
    }

    #[cold]
    fn await_written(&self) -> bool {
        // Positions that are claimed later belong to pushes that this call need not find.
        let end = self.position();
        let mut pace = Pace::new();
        loop {
            let head = self.claimed();
            // The head may be stale, and its position taken long ago. So the stamps decide, and the
            // next iteration loads a newer head. ORD(mpmc.stamp): Acquire; pairs with the
            // producer's Release in `push`.
            let filled = |position: u64| self.cell(position).stamp.load(Ordering::Acquire) == position + 1;
            match (head..end).find(|position| filled(*position)) {
                None => return false,
                Some(oldest) if oldest == head => return true,
                Some(_) => pace.wait(),
            }
        }
    }

    /// Returns whether a push finds room now; `false` for a closed ring.
    pub(crate) fn has_room(&self) -> bool {
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            let position = tail >> 1;
            // ORD(mpmc.stamp): Acquire; pairs with the Release of the thread that emptied the slot,
            // or has filled it since.
            let stamp = self.cell(position).stamp.load(Ordering::Acquire);
            if tail & CLOSED == 0 && stamp == position && !self.is_full_at(position) {
                return true;
            }
            let newer = self.tail.load(Ordering::Relaxed);
            if newer == tail {
                return false;
            }
            tail = newer;
        }
    }

    /// Returns the number of accepted values.
    ///
    /// # Examples
    /// ```
    /// let ring = buslane::ring::mpmc::Ring::new(1)?;
    /// assert!(ring.push("a").is_ok());
    /// ring.pop();
    /// assert!(ring.push("b").is_ok());
    /// assert!(ring.push("c").is_err());
    /// assert_eq!(ring.position(), 2);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn position(&self) -> u64 {
        // ORD(mpmc.tail): Acquire; pairs with the Release in `close`. Claims are Relaxed: a
        // position publishes no value.
        self.tail.load(Ordering::Acquire) >> 1
    }

    /// Returns the number of values that consumers claimed or that were evicted.
    ///
    /// # Examples
    /// ```
    /// let ring = buslane::ring::mpmc::Ring::new(1)?;
    /// assert!(ring.push("a").is_ok());
    /// assert!(ring.push_evicting("b", drop).is_ok());
    /// assert_eq!(ring.claimed(), 1); // the one that was evicted
    /// ring.pop();
    /// assert_eq!(ring.claimed(), 2);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn claimed(&self) -> u64 {
        // ORD(mpmc.head): Acquire; pairs with the Release in `pop_at`. The head of an only consumer is
        // a number, which needs no pair.
        self.head.load(Ordering::Acquire)
    }

    /// Returns the number of values in the ring, including those that are being written.
    ///
    /// # Examples
    /// ```
    /// let ring = buslane::ring::mpmc::Ring::new(8)?;
    /// (0..3).for_each(|n| assert!(ring.push(n).is_ok()));
    /// ring.pop();
    /// assert_eq!(ring.len(), 2);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        let head = self.claimed();
        self.position().saturating_sub(head) as usize
    }

    /// Returns whether the ring [is empty](Self::len).
    ///
    /// # Examples
    /// ```
    /// let ring = buslane::ring::mpmc::Ring::new(8)?;
    /// assert!(ring.is_empty());
    /// assert!(ring.push("a").is_ok());
    /// assert!(!ring.is_empty());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let end = self.tail.load(Ordering::Relaxed) >> 1;
        for position in self.head.load(Ordering::Relaxed)..end {
            let cell = self.cell(position);
            debug_assert_eq!(cell.stamp.load(Ordering::Relaxed), position + 1);
            // SAFETY: M2, M4: `&mut self`, so every claimed position is filled, and those from head
            // on hold values.
            discard(unsafe { cell.value.take() });
        }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
