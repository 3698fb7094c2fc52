//! The shared writer of a broadcast ring: any number of threads write, and one at a time holds the
//! claim, a bit in the tail word.
//!
//! While the claim is held, for a few nanoseconds, no user code runs, and nothing is allocated or
//! dropped. A thread that is preempted meanwhile delays the other writers until it runs again. In
//! the alternative each writer claims its own position, which needs a stamp for each value, and
//! pins for writers as well as readers. Even without those pins it was slower under contention: 9.7
//! against 5.8 ns a value by two writers on near processors, 80 against 17 on far ones (two
//! processors of an AMD EPYC, 32-byte values).

use super::holders::Holders;
use super::writer::{Window, Writer, WriterCore};
use super::{BIASED, BUSY, BlockRing, CLOSED, VALUE};
use crate::sync::pace::Pace;
use crate::sync::slot::Slot;
use crate::sync::{Arc, CachePadded, Ordering, cold_path};
use std::fmt;

/// A shared writer of a broadcast ring; its clones write into the same ring.
///
/// # Guarantees
/// After its creation, no method allocates. A value, or a batch, costs one read-modify-write, and
/// each block one more. Writers wait for each other, for a few nanoseconds unless the holder of the
/// claim is preempted. The first claim beside a publisher of a bus that was the only writer makes
/// one or two system calls, which interrupt the threads of the process.
///
/// Dropping the last clone closes the ring.
///
/// # Examples
/// ```
/// use buslane::ring::blocks::{SharedWriter, ring};
/// let (writer, source) = ring(64)?;
/// let writer = SharedWriter::from(writer);
/// std::thread::scope(|scope| {
///     for n in 0..2 {
///         let writer = writer.clone();
///         scope.spawn(move || writer.claim().map(|mut claim| claim.put(n)));
///     }
/// });
/// assert_eq!(source.tail(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedWriter<T>(Arc<Pen<T>>);

/// What all shared writers of a ring have in common.
pub(super) struct Pen<T> {
    /// Belongs to the holder of the claim.
    core: CachePadded<Slot<WriterCore<T>>>,
    pub(super) holders: Holders,
    pub(super) shared: Arc<BlockRing<T>>,
}

impl<T> Pen<T> {
    /// Returns the claim that the calling thread has at this position.
    pub(super) fn claimed(&self, position: u64) -> Claim<'_, T> {
        Claim { pen: self, position, after: 0 }
    }
}

impl<T> SharedWriter<T> {
    pub(super) fn pen(&self) -> &Pen<T> {
        &self.0
    }
}

impl<T: Send + Sync> SharedWriter<T> {
    /// Waits for the claim; returns `None` when the ring is closed.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{SharedWriter, ring};
    /// let (writer, source) = ring(64)?;
    /// let writer = SharedWriter::from(writer);
    /// if let Some(mut claim) = writer.claim() {
    ///     claim.put("a");
    /// }
    /// assert_eq!(source.tail(), 1);
    /// writer.close();
    /// assert!(writer.claim().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn claim(&self) -> Option<Claim<'_, T>> {
        let word = self.0.shared.tail.load(Ordering::Relaxed);
        let position = if word & (CLOSED | BUSY | BIASED) == 0 && self.try_claim(word).is_ok() {
            word / VALUE
        } else {
            cold_path();
            self.claim_slowly()?
        };
        Some(self.0.claimed(position))
    }

    #[inline(always)]
    fn try_claim(&self, word: u64) -> Result<u64, u64> {
        let tail = &self.0.shared.tail;
        // ORD(blocks.claim): Acquire; pairs with the Release in `Claim::drop`: this writer sees the
        // core as the previous writer left it.
        tail.compare_exchange_weak(word, word | BUSY, Ordering::Acquire, Ordering::Relaxed)
    }

    /// Waits for the claim, and returns its position.
    #[cold]
    #[inline(never)]
    fn claim_slowly(&self) -> Option<u64> {
        // A preempted holder needs a processor to finish, so a thread of higher priority must not
        // spin. And each load takes the cache line away from the holder, so loads become rarer.
        let mut pace = Pace::new();
        let mut fenced = None;
        loop {
            // ORD(blocks.claim): Acquire; pairs with the Release in `Claim::drop`: the holder of
            // the bias is named.
            let word = self.0.shared.tail.load(Ordering::Acquire);
            if word & CLOSED != 0 {
                return None;
            }
            let has_claimed = if word & BIASED != 0 {
                self.0.holders.revoke(&self.0.shared.tail, word, &mut fenced)
            } else {
                word & BUSY == 0 && self.try_claim(word).is_ok()
            };
            if has_claimed {
                return Some(word / VALUE);
            }
            pace.wait();
        }
    }

    /// Closes the ring: no value follows. Returns whether this call closed it.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{SharedWriter, ring};
    /// let (writer, source) = ring::<u32>(64)?;
    /// let writer = SharedWriter::from(writer);
    /// assert!(writer.close());
    /// assert!(source.is_closed() && writer.claim().is_none() && !writer.close());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> bool {
        match self.claim() {
            Some(mut claim) => {
                claim.after = CLOSED;
                true
            }
            None => false,
        }
    }
}

impl<T: Send + Sync> From<Writer<T>> for SharedWriter<T> {
    fn from(writer: Writer<T>) -> Self {
        let (mut core, shared) = writer.into_parts();
        core.share();
        let slot = Slot::empty();
        // SAFETY: the slot is new and empty, and no other thread has it.
        unsafe { slot.put(core) };
        Self(Arc::new(Pen { core: CachePadded::new(slot), holders: Holders::new(), shared }))
    }
}

impl<T> Clone for SharedWriter<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Drop for Pen<T> {
    fn drop(&mut self) {
        // No thread holds the claim, since a claim borrows a handle. The core needs no destructor:
        // blocks belong to `BlockRing`. ORD(blocks.tail): Release; as in `Claim::drop`.
        self.shared.tail.fetch_or(CLOSED, Ordering::Release);
    }
}

impl<T> fmt::Debug for SharedWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWriter").field("position", &self.0.shared.tail()).finish_non_exhaustive()
    }
}

/// The exclusive right to write; its drop shows the written values to readers and releases the
/// claim.
///
/// # Examples
/// Values of one claim are contiguous:
/// ```
/// use buslane::ring::blocks::{SharedWriter, ring};
/// let (writer, source) = ring(64)?;
/// let writer = SharedWriter::from(writer);
/// let mut claim = writer.claim().expect("the ring is open");
/// claim.put("a");
/// claim.put("b");
/// assert_eq!((claim.position(), source.tail()), (2, 0));
/// drop(claim);
/// assert_eq!(source.tail(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "other writers wait until it is dropped"]
pub struct Claim<'a, T> {
    pen: &'a Pen<T>,
    /// The position of the next value.
    position: u64,
    /// The bits of the tail word after the claim.
    after: u64,
}

impl<T> Claim<'_, T> {
    /// Writes a value, and returns the value that it overwrites if values have destructors. Drop
    /// that value after the claim.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{SharedWriter, ring};
    /// let (writer, source) = ring(1)?;
    /// let writer = SharedWriter::from(writer);
    /// let mut claim = writer.claim().expect("the ring is open");
    /// let old = ["a", "b", "c"].map(|text| claim.put(text.to_owned()));
    /// drop(claim); // the overwritten value is dropped after the claim
    /// assert_eq!(old, [None, None, Some("a".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn put(&mut self, value: T) -> Option<T> {
        // SAFETY: the claim gives exclusive access to the core, which was stored when the pen was
        // created.
        unsafe { self.pen.core.with_mut(|core| core.put(&self.pen.shared, &mut self.position, value)) }
    }

    /// Like [`put`](Self::put), but returns a value that would begin a block as an error.
    #[inline(always)]
    pub(crate) fn put_within(&mut self, value: T) -> Result<Option<T>, T> {
        // SAFETY: as in `put`.
        unsafe { self.pen.core.with(|core| core.put_within(&mut self.position, value)) }
    }

    /// Enters the next block, if the current one is full, and stores `stamp` in it.
    pub(crate) fn begin_block(&mut self, stamp: u64) {
        // SAFETY: as in `put`.
        unsafe { self.pen.core.with_mut(|core| core.begin_block(&self.pen.shared, self.position, stamp)) }
    }

    /// Takes out a value that no reader can read any more, left in a block that a reader pinned
    /// while it was overwritten. One call after each put removes all such values.
    ///
    /// # Examples
    /// A reader that pins a block keeps its values until it unpins the block:
    /// ```
    /// use buslane::ring::blocks::{Look, SharedWriter, ring};
    /// let (writer, source) = ring(1)?;
    /// let writer = SharedWriter::from(writer);
    /// let write = |text: &str| {
    ///     let mut claim = writer.claim().expect("the ring is open");
    ///     (claim.put(text.to_owned()), claim.take_stale())
    /// };
    /// write("a");
    /// let mut reader = source.reader(0)?;
    /// assert_eq!(reader.look(), Look::Values);
    /// assert_eq!((write("b"), write("c")), ((None, None), (None, None)));
    /// drop(reader);
    /// assert_eq!(write("d").1.as_deref(), Some("a"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn take_stale(&mut self) -> Option<T> {
        // SAFETY: as in `put`.
        if !unsafe { self.pen.core.with(WriterCore::has_stale) } {
            return None;
        }
        // SAFETY: as in `put`.
        unsafe { self.pen.core.with_mut(WriterCore::take_stale) }
    }

    /// Returns the rest of the current block, unless it is full or there is a stale value to take.
    pub(super) fn window(&self) -> Option<Window<T>> {
        // SAFETY: as in `put`.
        let window = unsafe { self.pen.core.with(WriterCore::unburdened_window) }?;
        (!window.is_full(self.position)).then_some(window)
    }

    /// Sets the bits of the tail word after the claim.
    pub(super) fn ends_as(&mut self, after: u64) {
        self.after = after;
    }

    pub(super) fn pen(&self) -> &Pen<T> {
        self.pen
    }

    /// Shows the written values to readers, and keeps the claim.
    pub(crate) fn show(&mut self) {
        // ORD(blocks.tail): Release; pairs with the Acquire in `BlockRing::tail_word`: the values
        // are written.
        self.pen.shared.tail.store((self.position * VALUE) | BUSY, Ordering::Release);
    }

    /// Returns the position of the next value.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{SharedWriter, ring};
    /// let (writer, _source) = ring(64)?;
    /// let writer = SharedWriter::from(writer);
    /// let mut claim = writer.claim().expect("the ring is open");
    /// let of_a = claim.position();
    /// claim.put("a");
    /// assert_eq!((of_a, claim.position()), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl<T> Drop for Claim<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // ORD(blocks.tail): Release; pairs with the Acquire in `BlockRing::tail_word`: the values
        // are written. ORD(blocks.claim): Release; pairs with the Acquire in `SharedWriter::claim`.
        self.pen.shared.tail.store((self.position * VALUE) | self.after, Ordering::Release);
    }
}

impl<T> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("position", &self.position).finish_non_exhaustive()
    }
}
