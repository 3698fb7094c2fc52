//! Writing by any number of threads, of which one at a time holds the claim: a bit in the tail word.
//!
//! No foreign code runs, and nothing is allocated or dropped, while the claim is held: a few nanoseconds. A thread that loses
//! its processor meanwhile holds the others up until it runs again. A form in which each writer claims a position of its own
//! needs a stamp for each value and pins for writers as well as readers. It was slower where writers meet, already without
//! those pins: 9.7 against 5.8 ns a value by two writers on near processors, 80 against 17 on far ones (two processors of an
//! AMD EPYC, 32-byte values).

use super::writer::{Writer, WriterCore};
use super::{BUSY, BlockRing, CLOSED, VALUE};
use crate::sync::pace::Pace;
use crate::sync::slot::Slot;
use crate::sync::{Arc, CachePadded, Ordering, cold_path};
use std::fmt;

/// Any number of writers of a ring. Clones write into the same one.
///
/// # Guarantees
/// Nothing allocates, once it is made. A value, or a batch, costs one read-modify-write, and each block one more. Writers wait
/// for each other, a few nanoseconds as long as none of them is interrupted just then.
///
/// Dropping the last one closes the ring.
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

struct Pen<T> {
    /// Belongs to whoever holds the claim.
    core: CachePadded<Slot<WriterCore<T>>>,
    shared: Arc<BlockRing<T>>,
}

impl<T: Send + Sync> SharedWriter<T> {
    /// Waits for the claim; `None` when the ring is closed.
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
        let position = if word & (CLOSED | BUSY) == 0 && self.try_claim(word).is_ok() {
            word / VALUE
        } else {
            cold_path();
            self.claim_slowly()?
        };
        Some(Claim { pen: &self.0, position, closes: false })
    }

    #[inline(always)]
    fn try_claim(&self, word: u64) -> Result<u64, u64> {
        let tail = &self.0.shared.tail;
        // ORD(blocks.claim): Acquire; pairs with the Release in `Claim::drop`: the core is as the last writer left it.
        tail.compare_exchange_weak(word, word | BUSY, Ordering::Acquire, Ordering::Relaxed)
    }

    /// Waits for the claim; the position that it comes with.
    #[cold]
    #[inline(never)]
    fn claim_slowly(&self) -> Option<u64> {
        // A holder that has lost its processor needs it to finish: a thread of higher priority must not keep it. And each look takes
        // the cache line away from the holder, so looks become rarer.
        let mut pace = Pace::new();
        loop {
            let word = self.0.shared.tail.load(Ordering::Relaxed);
            if word & CLOSED != 0 {
                return None;
            }
            if word & BUSY == 0 && self.try_claim(word).is_ok() {
                return Some(word / VALUE);
            }
            pace.wait();
        }
    }

    /// Shows that no value follows; whether this call did it.
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
                claim.closes = true;
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
        // SAFETY: the slot is new, empty and ours.
        unsafe { slot.put(core) };
        Self(Arc::new(Pen { core: CachePadded::new(slot), shared }))
    }
}

impl<T> Clone for SharedWriter<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Drop for Pen<T> {
    fn drop(&mut self) {
        // Nobody holds the claim: it borrows a handle. The core needs no destructor: blocks belong to `BlockRing`.
        // ORD(blocks.tail): Release; as in `Claim::drop`.
        self.shared.tail.fetch_or(CLOSED, Ordering::Release);
    }
}

impl<T> fmt::Debug for SharedWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedWriter").field("position", &self.0.shared.tail()).finish_non_exhaustive()
    }
}

/// The right to write. When it is dropped, readers see what was written, and the next writer may go on.
///
/// # Examples
/// Values of one claim lie side by side:
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
    closes: bool,
}

impl<T> Claim<'_, T> {
    /// Writes a value, and gives back the one that it overwrites, where values have destructors; it is to be dropped behind the
    /// claim.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{SharedWriter, ring};
    /// let (writer, source) = ring(1)?;
    /// let writer = SharedWriter::from(writer);
    /// let mut claim = writer.claim().expect("the ring is open");
    /// let old = ["a", "b", "c"].map(|text| claim.put(text.to_owned()));
    /// drop(claim); // and only now what was overwritten
    /// assert_eq!(old, [None, None, Some("a".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn put(&mut self, value: T) -> Option<T> {
        // SAFETY: the claim makes the core ours, which was put in when the pen was made.
        unsafe { self.pen.core.with_mut(|core| core.put(&self.pen.shared, &mut self.position, value)) }
    }

    /// As [`put`](Self::put); but where the value would begin a block, it comes back.
    #[inline(always)]
    pub(crate) fn put_within(&mut self, value: T) -> Result<Option<T>, T> {
        // SAFETY: as in `put`.
        unsafe { self.pen.core.with(|core| core.put_within(&mut self.position, value)) }
    }

    /// Goes on to the next block, when the current one is full, and leaves `stamp` in it.
    pub(crate) fn begin_block(&mut self, stamp: u64) {
        // SAFETY: as in `put`.
        unsafe { self.pen.core.with_mut(|core| core.begin_block(&self.pen.shared, self.position, stamp)) }
    }

    /// Takes out a value that nobody can read any more: left over in a block that a reader held while it was overwritten. One at a
    /// time, after a put, is enough for all to go.
    ///
    /// # Examples
    /// A reader that stands in a block keeps it until it goes:
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

    /// Shows readers what was written so far, and keeps the claim.
    pub(crate) fn show(&mut self) {
        // ORD(blocks.tail): Release; pairs with the Acquire in `BlockRing::tail_word`: the values are written.
        self.pen.shared.tail.store((self.position * VALUE) | BUSY, Ordering::Release);
    }

    /// The position of the next value.
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
        let closed = if self.closes { CLOSED } else { 0 };
        // ORD(blocks.tail): Release; pairs with the Acquire in `BlockRing::tail_word`: the values are written.
        // ORD(blocks.claim): Release; pairs with the Acquire in `SharedWriter::claim`.
        self.pen.shared.tail.store((self.position * VALUE) | closed, Ordering::Release);
    }
}

impl<T> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("position", &self.position).finish_non_exhaustive()
    }
}
