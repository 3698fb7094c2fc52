//! One reader of a broadcast ring: pins the block of its next value, reads values in place, and
//! computes its lag.

use super::block::Block;
use super::{BlockRing, CLOSED, VALUE};
use crate::sync::slot::Slot;
use crate::sync::{Arc, MODEL, Ordering, lock, spin_hint};
use std::fmt;
use std::ptr::NonNull;

/// The result of [`Reader::look`].
///
/// # Examples
/// ```
/// use buslane::ring::blocks::{Look, ring};
/// let (mut writer, source) = ring(64)?;
/// let mut reader = source.reader(0)?;
/// assert_eq!(reader.look(), Look::Empty);
/// writer.put("a");
/// writer.commit();
/// assert_eq!(reader.look(), Look::Values);
/// reader.take(|_, _| ());
/// writer.close();
/// assert_eq!(reader.look(), Look::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// At least one value.
    Values,
    /// `n` values were overwritten before this reader took them; the reader continues after them.
    /// Returned before any value that is still kept, also to a reader that stalled in the middle of
    /// a block.
    Lagged(u64),
    /// No value yet.
    Empty,
    /// No value, and none follows.
    Closed,
}

/// The position at which a reader continues after a lag.
///
/// A reader that stalls while its position is overwritten first learns the exact number of values
/// that it missed. Then it sees only values from this position on, as a new reader at the same
/// position would. If it stalled in the middle of a block, it misses the rest of that block. Values
/// that it has already borrowed, such as a batch, stay unchanged.
///
/// Values are overwritten in blocks. The values of a block that is not overwritten are not missed,
/// though they may be older than the newest `capacity`. If writers overwrite the block while the
/// reader checks it, the reader gets one more value or the lag, whichever comes first. No value is
/// lost between the two, and no value of that block comes after the lag.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, OnLag};
/// let journal = Journal::new(64)?;
/// let mut oldest = journal.subscribe(buslane::journal::Start::Now)?;
/// let mut newest = journal.subscription().on_lag(OnLag::Newest).subscribe()?;
/// (0..1000).for_each(|n| { let _ = journal.publish(n); });
/// assert!(matches!(oldest.recv()?, Entry::Lagged(missed) if missed <= 1000 - 64));
/// assert_eq!(newest.recv()?, Entry::Lagged(1000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLag {
    /// At the oldest value that is guaranteed to be kept.
    #[default]
    Oldest,
    /// At the next value to be written: the reader misses all values that are kept.
    Newest,
}

/// A reader of a broadcast ring, with its own cursor.
///
/// # Guarantees
/// [`look`](Self::look) is lock-free: it retries only when writers have advanced by a whole block
/// meanwhile. The [`known`](Self::known) values stay valid until the reader has passed them, so
/// reading them is wait-free. No method allocates.
///
/// # Examples
/// ```
/// use buslane::ring::blocks::{Look, ring};
/// let (mut writer, source) = ring(64)?;
/// let (mut one, mut other) = (source.reader(0)?, source.reader(0)?);
/// writer.put("a");
/// writer.commit();
/// for reader in [&mut one, &mut other] {
///     assert_eq!(reader.look(), Look::Values);
///     assert_eq!(reader.take(|_, value| *value), "a");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader<T> {
    shared: Arc<BlockRing<T>>,
    /// The position of the next value.
    cursor: u64,
    /// Values below this position are written, and in the pinned block.
    limit: u64,
    /// The last loaded tail.
    tail: u64,
    /// The slots of the pinned block.
    slots: NonNull<Slot<T>>,
    mask: u64,
    pinned: Option<NonNull<Block<T>>>,
    /// The pinned block's number.
    number: u64,
    on_lag: OnLag,
}

// SAFETY: J3: the pointers lead to the block that the reader has pinned, on any thread.
unsafe impl<T: Send + Sync> Send for Reader<T> {}
// SAFETY: a shared reader returns numbers, and lends values, which threads may share (`T: Sync`).
unsafe impl<T: Send + Sync> Sync for Reader<T> {}

impl<T> Reader<T> {
    pub(super) fn new(shared: Arc<BlockRing<T>>, position: u64) -> Self {
        Self {
            cursor: position,
            limit: position,
            tail: position,
            slots: NonNull::dangling(),
            mask: shared.block_len - 1,
            pinned: None,
            number: 0,
            on_lag: OnLag::Oldest,
            shared,
        }
    }

    /// Returns the position of the next value.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// writer.put("a");
    /// writer.commit();
    /// let mut reader = source.reader(0)?;
    /// assert_eq!((reader.look(), reader.position()), (Look::Values, 0));
    /// reader.take(|_, _| ());
    /// assert_eq!(reader.position(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.cursor
    }

    /// Returns how many values can be taken without another [`look`](Self::look): at most one
    /// block.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(100)?;
    /// (0..100).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// let mut reader = source.reader(0)?;
    /// assert_eq!((reader.known(), reader.look()), (0, Look::Values));
    /// assert_eq!(reader.known(), 64); // a block
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn known(&self) -> usize {
        (self.limit - self.cursor) as usize
    }

    /// Returns the number of values that this reader has not taken, including overwritten ones.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, source) = buslane::ring::blocks::ring(64)?;
    /// let reader = source.reader(0)?;
    /// (0..1000).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// assert_eq!(reader.behind(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.shared.tail().saturating_sub(self.cursor)
    }

    /// Sets where this reader continues after a lag.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, OnLag, ring};
    /// let (mut writer, source) = ring(64)?;
    /// let mut reader = source.reader(0)?;
    /// reader.set_on_lag(OnLag::Newest);
    /// (0..1000).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// assert_eq!((reader.look(), reader.look()), (Look::Lagged(1000), Look::Empty));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_on_lag(&mut self, on_lag: OnLag) {
        self.on_lag = on_lag;
    }

    /// Checks for a value that can be [taken](Self::take).
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(100)?;
    /// (0..100).for_each(|n| drop(writer.put(n)));
    /// writer.close();
    /// let (mut reader, mut sum) = (source.reader(0)?, 0);
    /// while reader.look() == Look::Values {
    ///     sum += reader.take(|_, n| *n);
    /// }
    /// assert_eq!((sum, reader.look()), (4950, Look::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn look(&mut self) -> Look {
        if self.has_values() { Look::Values } else { self.look_further() }
    }

    /// Returns whether a value is known and its block was not overwritten meanwhile: a look then
    /// finds it.
    #[inline(always)]
    pub(crate) fn has_values(&self) -> bool {
        // SAFETY: J3: values are known only in the pinned block, so a block is pinned; J6.
        self.cursor < self.limit && !unsafe { self.pinned.unwrap_unchecked().as_ref() }.is_overwritten()
    }

    /// Returns whether the pinned block was overwritten.
    fn is_overtaken(&self) -> bool {
        // SAFETY: J6.
        self.pinned.is_some_and(|block| unsafe { block.as_ref() }.is_overwritten())
    }

    /// Passes a reference to the next value to `f` and advances past it, also when `f` panics.
    ///
    /// # Panics
    /// When no value is known: call [`look`](Self::look) first.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// writer.put(String::from("a"));
    /// writer.commit();
    /// let mut reader = source.reader(0)?;
    /// assert_eq!(reader.look(), Look::Values);
    /// assert_eq!(reader.take(|position, text| (position, text.len())), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn take<R>(&mut self, f: impl FnOnce(u64, &T) -> R) -> R {
        assert!(self.cursor < self.limit, "no value is known: call look first");
        let position = self.cursor;
        self.cursor += 1;
        let index = (position & self.mask) as usize;
        // SAFETY: J3: below `limit`, which `look_further` sets, the value is written and its block
        // is pinned; the index is within the block.
        unsafe { self.slots.add(index).as_ref().with(|value| f(position, value)) }
    }

    /// Passes a reference to the next value to `f` without advancing; returns `None` when no value
    /// is known.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// writer.put("a");
    /// writer.commit();
    /// let mut reader = source.reader(0)?;
    /// assert_eq!(reader.peek(|_, value| *value), None); // not known yet
    /// assert_eq!(reader.look(), Look::Values);
    /// assert_eq!(reader.peek(|_, value| *value), Some("a"));
    /// assert_eq!(reader.position(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn peek<R>(&self, f: impl FnOnce(u64, &T) -> R) -> Option<R> {
        if self.cursor == self.limit {
            return None;
        }
        let index = (self.cursor & self.mask) as usize;
        // SAFETY: J3, as in `take`.
        Some(unsafe { self.slots.add(index).as_ref().with(|value| f(self.cursor, value)) })
    }

    /// Returns the known values without taking them.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// (0..5).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// let mut reader = source.reader(3)?;
    /// assert_eq!(reader.look(), Look::Values);
    /// assert_eq!((reader.values(), reader.position()), ([3, 4].as_slice(), 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline(always)]
    #[must_use]
    pub fn values(&self) -> &[T] {
        // SAFETY: J3: values below `limit` are written and contiguous, and the reader cannot
        // advance while they are borrowed.
        unsafe { self.lend(self.cursor, self.known()) }
    }

    /// Takes the next `count` values together, and returns them in place.
    ///
    /// # Panics
    /// When fewer than `count` values are known: call [`look`](Self::look) first.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// (0..5).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// let mut reader = source.reader(0)?;
    /// assert_eq!(reader.look(), Look::Values);
    /// assert_eq!(reader.values(), [0, 1, 2, 3, 4]);
    /// assert_eq!(reader.take_values(3), [0, 1, 2]);
    /// assert_eq!((reader.position(), reader.known()), (3, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline(always)]
    pub fn take_values(&mut self, count: usize) -> &[T] {
        assert!(count <= self.known(), "too few values are known: call look first");
        let first = self.cursor;
        self.cursor += count as u64;
        // SAFETY: J3: as in `values`. The block stays pinned until the next look, which takes
        // `&mut self`.
        unsafe { self.lend(first, count) }
    }

    /// Lends `count` values from position `first` on.
    ///
    /// # Safety
    /// The values are in the pinned block, and written.
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline(always)]
    unsafe fn lend(&self, first: u64, count: usize) -> &[T] {
        // Wrapping, since a reader that has pinned no block yet has no slots.
        let slots = self.slots.as_ptr().wrapping_add((first & self.mask) as usize);
        // SAFETY: the caller's; no writer stores into a pinned block below the tail. For zero
        // values the pointer is aligned and not null, which is sufficient.
        unsafe { Slot::slice(slots, count) }
    }

    /// Returns whether the reader has taken every value below the last loaded tail.
    #[inline(always)]
    pub(crate) fn is_dry(&self) -> bool {
        self.cursor >= self.tail
    }

    /// Returns whether a look would find a new value, or the end.
    pub(crate) fn has_news(&self) -> bool {
        let word = self.shared.tail_word();
        word / VALUE > self.cursor || word & CLOSED != 0
    }

    /// Returns the writer's stamp in the pinned block.
    pub(crate) fn stamp(&self) -> Option<u64> {
        // SAFETY: J6.
        self.pinned.map(|block| unsafe { block.as_ref() }.stamp())
    }

    /// Moves the cursor to another position; values in between are neither taken nor missed.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// (0..10).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// let mut reader = source.reader(0)?;
    /// reader.seek(8);
    /// assert_eq!(reader.look(), Look::Values);
    /// assert_eq!(reader.take(|_, value| *value), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn seek(&mut self, position: u64) {
        self.cursor = position;
        self.limit = position;
        self.tail = position;
    }

    #[cold]
    #[inline(never)]
    fn look_further(&mut self) -> Look {
        if self.cursor >= self.tail {
            let word = self.shared.tail_word();
            self.tail = word / VALUE;
            if self.cursor >= self.tail {
                return if word & CLOSED != 0 { Look::Closed } else { Look::Empty };
            }
        }
        let number = self.shared.number(self.cursor);
        let before = self.cursor;
        if self.pinned.is_none() || self.number != number || self.is_overtaken() {
            // Unpin first: never two pins (J4). A block that was overwritten cannot be pinned
            // again.
            self.unpin();
            if !self.pin(number) && !self.catch_up() {
                return Look::Lagged(self.cursor - before);
            }
        }
        self.limit = self.tail.min((self.number + 1) * self.shared.block_len);
        if self.cursor == before { Look::Values } else { Look::Lagged(self.cursor - before) }
    }

    /// Moves the cursor to where the reader continues after a lag; returns whether values are known
    /// there.
    fn catch_up(&mut self) -> bool {
        loop {
            // The failed pin before this call saw the block retired, so this load sees a tail that
            // has overtaken the block. Each further failure needs another block of new values:
            // writers make progress.
            self.tail = self.shared.tail();
            match self.on_lag {
                OnLag::Oldest => self.cursor = self.cursor.max(self.shared.oldest(self.tail)),
                OnLag::Newest => {
                    self.cursor = self.tail;
                    self.limit = self.tail;
                    return false;
                }
            }
            if self.pin(self.shared.number(self.cursor)) {
                return true;
            }
            if MODEL {
                spin_hint();
            }
        }
    }

    fn pin(&mut self, number: u64) -> bool {
        // ORD(blocks.table): Acquire; pairs with the Release in `WriterCore::begin_block`: the
        // block is initialized and entered.
        let block = self.shared.entry(number).load(Ordering::Acquire);
        // SAFETY: J6, and the table has no null in it.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: J6.
        let pinned = unsafe { block.as_ref() };
        if !pinned.pin(number) {
            return false;
        }
        self.pinned = Some(block);
        self.number = number;
        self.slots = pinned.slots();
        true
    }

    fn unpin(&mut self) {
        self.limit = self.cursor;
        if let Some(block) = self.pinned.take() {
            // SAFETY: J6.
            if unsafe { block.as_ref() }.unpin() {
                // SAFETY: J6, J7: this reader held the last pin of a block outside the stream.
                unsafe { self.shared.handed.returned.push(block.as_ptr()) };
            }
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.unpin();
        // The spare stays, for the next reader.
        lock(&self.shared.registry).readers -= 1;
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("position", &self.cursor).finish_non_exhaustive()
    }
}
