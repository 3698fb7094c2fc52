//! The writer's side of a broadcast ring: puts values into the current block, and enters the next
//! one.

use super::block::Block;
use super::spares::Chain;
use super::{BUSY, BlockRing, CLOSED, VALUE};
use crate::sync::prefetch::prefetch_for_write;
use crate::sync::slot::Slot;
use crate::sync::{Arc, Ordering};
use std::fmt;
use std::mem::needs_drop;
use std::ptr::null_mut;

/// The slots of one block, as a writer uses them. It may outlive the writer's turn in that block.
pub(super) struct Window<T> {
    /// The address that the slot of position 0 would have if the block extended back to it, so a
    /// position alone determines its slot.
    origin: *const Slot<T>,
    /// The first position after the block.
    end: u64,
    /// The first position of the block whose slot holds no value from the block's previous use.
    held_end: u64,
}

impl<T> Clone for Window<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Window<T> {}

impl<T> Window<T> {
    /// Returns the window of no block, which is full at position 0.
    pub(super) const fn empty() -> Self {
        Self { origin: std::ptr::null(), end: 0, held_end: 0 }
    }

    /// Returns whether this position is the end of the block.
    #[inline(always)]
    pub(super) fn is_full(&self, position: u64) -> bool {
        position == self.end
    }

    /// Writes a value that no tail shows yet, and returns the value that it replaces. If the block
    /// is full, it returns the given value as an error.
    ///
    /// It cannot unwind, so the compiler moves the value directly into the slot.
    ///
    /// # Safety
    /// The caller is the current writer, and its position is in this block or at its end.
    #[inline(always)]
    pub(super) unsafe fn put_within(&self, position: &mut u64, value: T) -> Result<Option<T>, T> {
        if self.is_full(*position) {
            return Err(value);
        }
        // SAFETY: the caller's promise, and the block is not full.
        Ok(unsafe { self.put_next(position, value) })
    }

    /// Writes a value into a block that is not full, as [`put_within`](Self::put_within) does.
    ///
    /// # Safety
    /// The caller is the current writer, and its position is in this block.
    #[inline(always)]
    pub(super) unsafe fn put_next(&self, position: &mut u64, value: T) -> Option<T> {
        // SAFETY: the position is in the block, so this is one of its slots, which J6 keeps valid.
        let slot = unsafe { &*self.origin.wrapping_add(*position as usize) };
        let slot = prefetch_for_write(slot, Block::<T>::AHEAD);
        let old = if needs_drop::<T>() && *position < self.held_end {
            // SAFETY: J2, J5: the slot belongs to this writer, and holds a value from the block's
            // previous use.
            Some(unsafe { slot.take() })
        } else {
            None
        };
        // SAFETY: J2: the slot belongs to this writer, and its old value was taken out or needs no
        // drop.
        unsafe { slot.put(value) };
        *position += 1;
        old
    }
}

/// The writer's core: the current block, and blocks that may follow it. It changes once for each
/// block. The position, which changes with each value, is kept by the writing handle, so
/// alternating writers move as few cache lines as possible.
pub(super) struct WriterCore<T> {
    /// The slots of the current block.
    window: Window<T>,
    block_len: u64,
    /// The bits of the tail word beside the position while a value is being written.
    busy: u64,
    block: *mut Block<T>,
    /// The current block's index in the table.
    entry: usize,
    /// Spares without values: new ones, and emptied ones.
    spares: Chain<T>,
    /// Blocks that readers have given back, full of values.
    returned: Chain<T>,
    /// The number of blocks outside the stream that hold values: with readers, given back, or being
    /// emptied.
    filled: usize,
    /// A block that was given back; each put takes one value out of it.
    stale: *mut Block<T>,
}

// SAFETY: as for `BlockRing`, whose blocks it points to; the holder of the core keeps the ring
// alive.
unsafe impl<T: Send + Sync> Send for WriterCore<T> {}

impl<T> WriterCore<T> {
    fn new(shared: &BlockRing<T>) -> Self {
        Self {
            window: Window::empty(),
            block_len: shared.block_len,
            busy: 0,
            block: null_mut(),
            entry: shared.table.len() - 1,
            spares: Chain::new(),
            returned: Chain::new(),
            filled: 0,
            stale: null_mut(),
        }
    }

    /// Sets the busy bit for later stores of the tail word: from now on several writers take turns.
    pub(super) fn share(&mut self) {
        self.busy = BUSY;
    }

    /// Writes a value that no tail shows yet into the current block, and returns the value that it
    /// replaces. If the block is full, it returns the given value as an error: call
    /// [`begin_block`](Self::begin_block) first.
    #[inline(always)]
    pub(super) fn put_within(&self, position: &mut u64, value: T) -> Result<Option<T>, T> {
        // SAFETY: the holder of the core is the current writer; the window is that of its block.
        unsafe { self.window.put_within(position, value) }
    }

    /// Returns the window of the current block, unless each put has to take a stale value.
    pub(super) fn unburdened_window(&self) -> Option<Window<T>> {
        (!self.has_stale()).then_some(self.window)
    }

    /// Like [`put_within`](Self::put_within), but begins the next block if the current one is full.
    #[inline(always)]
    pub(super) fn put(&mut self, shared: &BlockRing<T>, position: &mut u64, mut value: T) -> Option<T> {
        loop {
            match self.put_within(position, value) {
                Ok(old) => return old,
                Err(back) => value = back,
            }
            self.begin_block(shared, *position, 0);
        }
    }

    /// Returns whether there is a value that no reader can read any more.
    #[inline(always)]
    pub(super) fn has_stale(&self) -> bool {
        needs_drop::<T>() && !self.stale.is_null()
    }

    /// Enters the next block, and stores `stamp` in it.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_block(&mut self, shared: &BlockRing<T>, position: u64, stamp: u64) {
        if !self.block.is_null() {
            // SAFETY: J6.
            unsafe { (*self.block).set_held(self.block_len) };
        }
        // The tail is shown before the block is retired, so a reader that misses values because of
        // it learns their number. ORD(blocks.tail): Release; as in `Writer::commit`.
        shared.tail.store((position * VALUE) | self.busy, Ordering::Release);
        self.entry = if self.entry + 1 == shared.table.len() { 0 } else { self.entry + 1 };
        let entry = &shared.table[self.entry];
        // Relaxed: only the current writer stores this word.
        let victim = entry.load(Ordering::Relaxed);
        // SAFETY: J6.
        let is_pinned = unsafe { (*victim).retire() };
        let next = if is_pinned { self.swap_for_spare(shared, victim) } else { victim };
        // SAFETY: J6.
        let block = unsafe { &*next };
        block.enter(shared.number(position), stamp);
        if is_pinned {
            // ORD(blocks.table): Release; pairs with the Acquire in `Reader::pin`: the block is
            // initialized and entered.
            entry.store(next, Ordering::Release);
        }
        self.block = next;
        self.window = Window {
            origin: block.slots().as_ptr().cast_const().wrapping_sub(position as usize),
            end: position + self.block_len,
            held_end: position + block.held(),
        };
        if needs_drop::<T>() && self.filled > 0 && self.stale.is_null() {
            self.stale = self.returned.pop_or_take(&shared.handed.returned);
        }
        block.prefetch_beginning();
        prefetch_state(shared, self.entry);
    }

    /// Leaves a block to the readers that pin it, and returns a spare to replace it. Takes constant
    /// time for any number of readers and spares, because other writers wait for it.
    fn swap_for_spare(&mut self, shared: &BlockRing<T>, victim: *mut Block<T>) -> *mut Block<T> {
        // SAFETY: J6.
        unsafe { (*victim).set_overwritten() };
        self.filled += 1;
        // Only after a pin was seen: a writer that sees the pin is certain to see the blocks that
        // its reader has handed over.
        let mut spare = self.returned.pop_or_take(&shared.handed.returned);
        if spare.is_null() {
            spare = self.spares.pop_or_take(&shared.handed.new);
        }
        if spare.is_null() {
            spare = std::mem::replace(&mut self.stale, null_mut());
        }
        // J4: at least one block was handed over.
        assert!(!spare.is_null(), "each reader has brought a spare");
        // SAFETY: J6.
        self.filled -= usize::from(unsafe { (*spare).held() } > 0);
        spare
    }

    /// Takes one value out of the block that is being emptied.
    #[cold]
    pub(super) fn take_stale(&mut self) -> Option<T> {
        if !self.has_stale() {
            return None;
        }
        // SAFETY: J6.
        let block = unsafe { &*self.stale };
        let held = block.held() - 1;
        block.set_held(held);
        // SAFETY: J2, J5, J7: the block belongs to this writer, and its first `held + 1` slots hold
        // values.
        let value = unsafe { block.slots().add(held as usize).as_ref().take() };
        if held == 0 {
            self.spares.push(std::mem::replace(&mut self.stale, null_mut()));
            self.filled -= 1;
        }
        Some(value)
    }
}

/// Prefetches the next block's state, whose cache line readers have modified, before the writer
/// needs it.
#[inline]
fn prefetch_state<T>(shared: &BlockRing<T>, entry: usize) {
    let next = &shared.table[if entry + 1 == shared.table.len() { 0 } else { entry + 1 }];
    // SAFETY: J6.
    crate::sync::prefetch::prefetch_line_for_write(unsafe { &*next.load(Ordering::Relaxed) });
}

/// The single writer of a broadcast ring.
///
/// # Guarantees
/// Every method is wait-free and allocates nothing. A value costs plain stores. Each block costs
/// one read-modify-write, and one or two more where a reader stalls in the block that is
/// overwritten. No cost depends on the number of readers.
///
/// Dropping it closes the ring.
///
/// # Examples
/// ```
/// use buslane::ring::blocks::{Look, ring};
/// let (mut writer, source) = ring(64)?;
/// let mut reader = source.reader(0)?;
/// writer.put("a");
/// assert_eq!(reader.look(), Look::Empty); // nothing is shown yet
/// writer.commit();
/// assert_eq!(reader.look(), Look::Values);
/// drop(writer);
/// assert!(source.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer<T> {
    core: WriterCore<T>,
    /// The position of the next value.
    position: u64,
    shared: Arc<BlockRing<T>>,
}

impl<T> Writer<T> {
    pub(super) fn new(shared: &Arc<BlockRing<T>>) -> Self {
        Self { core: WriterCore::new(shared), position: 0, shared: shared.clone() }
    }

    /// Writes a value, and returns the value that it overwrites if values have destructors. Readers
    /// see the new value after the next [`commit`](Self::commit), or as soon as a later value
    /// begins a block.
    ///
    /// Drop the returned value after the commit: destructors are user code, and may panic.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, source) = buslane::ring::blocks::ring(64)?;
    /// let mut overwritten = Vec::new();
    /// for n in 0..1000 {
    ///     let old = writer.put(n.to_string());
    ///     writer.commit();
    ///     overwritten.extend(old);
    /// }
    /// assert_eq!(overwritten[..3], ["0", "1", "2"]);
    /// assert!(source.oldest() >= overwritten.len() as u64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn put(&mut self, value: T) -> Option<T> {
        self.core.put(&self.shared, &mut self.position, value)
    }

    /// Like [`put`](Self::put), but returns a value that would begin a block as an error.
    #[inline(always)]
    pub(crate) fn put_within(&mut self, value: T) -> Result<Option<T>, T> {
        self.core.put_within(&mut self.position, value)
    }

    /// Enters the next block, if the current one is full, and stores `stamp` in it.
    pub(crate) fn begin_block(&mut self, stamp: u64) {
        self.core.begin_block(&self.shared, self.position, stamp);
    }

    /// Returns whether [`take_stale`](Self::take_stale) has a value to take.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(1)?;
    /// writer.put(String::from("a"));
    /// writer.commit();
    /// let mut reader = source.reader(0)?;
    /// assert_eq!(reader.look(), Look::Values);
    /// ["b", "c"].iter().for_each(|text| drop(writer.put(text.to_string())));
    /// assert!(!writer.has_stale()); // the reader may still look at it
    /// drop(reader);
    /// writer.put(String::from("d"));
    /// assert!(writer.has_stale());
    /// assert_eq!(writer.take_stale().as_deref(), Some("a"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn has_stale(&self) -> bool {
        self.core.has_stale()
    }

    /// Takes out a value that no reader can read any more, left in a block that a reader pinned
    /// while it was overwritten. One call after each put removes all such values.
    ///
    /// # Examples
    /// While a reader pins a block, its values stay there:
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// let mut write = |numbers: std::ops::Range<u32>| -> Vec<String> {
    ///     numbers.flat_map(|n| [writer.put(n.to_string()), writer.take_stale()]).flatten().collect()
    /// };
    /// write(0..100);
    /// let mut reader = source.reader(0)?;
    /// assert_eq!(reader.look(), Look::Values);
    /// assert!(!write(100..1000).contains(&"0".to_owned()));
    /// drop(reader);
    /// assert!(write(1000..2000).contains(&"0".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_stale(&mut self) -> Option<T> {
        self.core.take_stale()
    }

    /// Shows all written values to the readers.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, source) = buslane::ring::blocks::ring(64)?;
    /// writer.put("a");
    /// writer.put("b");
    /// writer.commit(); // both at once
    /// assert_eq!(source.tail(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn commit(&mut self) {
        // ORD(blocks.tail): Release; pairs with the Acquire in `BlockRing::tail_word`: the values
        // are written.
        self.shared.tail.store(self.position * VALUE, Ordering::Release);
    }

    /// Returns the position of the next value.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, source) = buslane::ring::blocks::ring(64)?;
    /// writer.put("a");
    /// assert_eq!((writer.position(), source.tail()), (1, 0)); // written, and not shown yet
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Shows all written values, and that no value follows.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, source) = buslane::ring::blocks::ring(64)?;
    /// writer.put("a");
    /// writer.close();
    /// assert_eq!((source.tail(), source.is_closed()), (1, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self) {
        drop(self);
    }

    pub(super) fn into_parts(self) -> (WriterCore<T>, Arc<BlockRing<T>>) {
        let mut this = std::mem::ManuallyDrop::new(self);
        this.commit();
        // SAFETY: `this` is never dropped, and each field is read once.
        unsafe { (std::ptr::read(&this.core), std::ptr::read(&this.shared)) }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        // ORD(blocks.tail): Release; as in `commit`.
        self.shared.tail.store((self.position * VALUE) | CLOSED, Ordering::Release);
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("position", &self.position()).finish_non_exhaustive()
    }
}
