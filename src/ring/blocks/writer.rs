//! What whoever writes does: puts values into the current block, and enters the next one.

use super::block::Block;
use super::spares::Chain;
use super::{BUSY, BlockRing, CLOSED, VALUE};
use crate::sync::prefetch::prefetch_for_write;
use crate::sync::slot::Slot;
use crate::sync::{Arc, Ordering};
use std::fmt;
use std::mem::needs_drop;
use std::ptr::null_mut;

/// The current block, and those that may follow. It changes once for each block: the position, which changes with each value, is
/// kept by whoever writes, so that values put in by turns move no more lines of memory between processors than they must.
pub(super) struct WriterCore<T> {
    /// Where the slot of position 0 would lie, if the current block went back so far: so that the position alone tells the slot.
    origin: *const Slot<T>,
    /// The first position behind the current block.
    end: u64,
    /// The first position of the current block whose slot holds no value of the block's former life.
    held_end: u64,
    block_len: u64,
    /// What the tail word says beside the position while a value is being written.
    busy: u64,
    block: *mut Block<T>,
    /// The current block's place in the table.
    entry: usize,
    /// Spares without values: new ones, and such as were emptied.
    spares: Chain<T>,
    /// Blocks that readers have given back, full of values.
    returned: Chain<T>,
    /// How many blocks outside the stream hold values: with readers, given back, or being emptied.
    filled: usize,
    /// A block that was given back, from which each put takes one value.
    stale: *mut Block<T>,
}

// SAFETY: as for `BlockRing`, whose blocks it points to; whoever holds the core keeps that alive.
unsafe impl<T: Send + Sync> Send for WriterCore<T> {}

impl<T> WriterCore<T> {
    fn new(shared: &BlockRing<T>) -> Self {
        Self {
            origin: std::ptr::null(),
            end: 0,
            held_end: 0,
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

    /// From here on several write by turns: the tail word says so.
    pub(super) fn share(&mut self) {
        self.busy = BUSY;
    }

    /// Writes a value that no tail shows yet into the current block, and gives back the one that lay there. Where the block is full,
    /// the value comes back: [`begin_block`](Self::begin_block) first.
    ///
    /// Nothing in it can unwind, so that the value is moved straight from where it was made.
    #[inline(always)]
    pub(super) fn put_within(&self, position: &mut u64, value: T) -> Result<Option<T>, T> {
        if *position == self.end {
            return Err(value);
        }
        // SAFETY: the position lies in the current block, so this is one of its slots, which J6 keeps.
        let slot = unsafe { &*self.origin.wrapping_add(*position as usize) };
        let slot = prefetch_for_write(slot, Block::<T>::AHEAD);
        let old = if needs_drop::<T>() && *position < self.held_end {
            // SAFETY: J2, J5: the slot is ours, and holds a value of the block's former life.
            Some(unsafe { slot.take() })
        } else {
            None
        };
        // SAFETY: J2: the slot is ours, and its old value was taken out or need not be dropped.
        unsafe { slot.put(value) };
        *position += 1;
        Ok(old)
    }

    /// As [`put_within`](Self::put_within), into the next block where the current one is full.
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

    /// Whether there is a value that nobody can read any more.
    #[inline(always)]
    pub(super) fn has_stale(&self) -> bool {
        needs_drop::<T>() && !self.stale.is_null()
    }

    /// Goes on to the next block, and leaves `stamp` in it.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_block(&mut self, shared: &BlockRing<T>, position: u64, stamp: u64) {
        if !self.block.is_null() {
            // SAFETY: J6.
            unsafe { (*self.block).set_held(self.block_len) };
        }
        // What a reader misses because of this block it must be able to tell: the tail is shown before anything is retired.
        // ORD(blocks.tail): Release; as in `Writer::commit`.
        shared.tail.store((position * VALUE) | self.busy, Ordering::Release);
        self.entry = if self.entry + 1 == shared.table.len() { 0 } else { self.entry + 1 };
        let entry = &shared.table[self.entry];
        // Relaxed: only whoever writes stores here.
        let victim = entry.load(Ordering::Relaxed);
        // SAFETY: J6.
        let is_pinned = unsafe { (*victim).retire() };
        let next = if is_pinned { self.swap_for_spare(shared, victim) } else { victim };
        // SAFETY: J6.
        let block = unsafe { &*next };
        block.enter(shared.number(position), stamp);
        if is_pinned {
            // ORD(blocks.table): Release; pairs with the Acquire in `Reader::pin`: the block is entered, and made.
            entry.store(next, Ordering::Release);
        }
        self.block = next;
        self.origin = block.slots().as_ptr().cast_const().wrapping_sub(position as usize);
        self.end = position + self.block_len;
        self.held_end = position + block.held();
        if needs_drop::<T>() && self.filled > 0 && self.stale.is_null() {
            self.stale = self.returned.pop_or_take(&shared.handed.returned);
        }
        block.prefetch_beginning();
        prefetch_state(shared, self.entry);
    }

    /// Leaves a block to the readers that are inside, and takes a spare in its place. Takes constant time, whatever the number of
    /// readers and spares: other writers wait for it.
    fn swap_for_spare(&mut self, shared: &BlockRing<T>, victim: *mut Block<T>) -> *mut Block<T> {
        // SAFETY: J6.
        unsafe { (*victim).set_overwritten() };
        self.filled += 1;
        // Not before a pin was seen, since only a writer that sees the pin is sure to see what its reader has handed over.
        let mut spare = self.returned.pop_or_take(&shared.handed.returned);
        if spare.is_null() {
            spare = self.spares.pop_or_take(&shared.handed.new);
        }
        if spare.is_null() {
            spare = std::mem::replace(&mut self.stale, null_mut());
        }
        // J4: there is one.
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
        // SAFETY: J2, J5, J7: the block is ours, and its first `held + 1` slots hold values.
        let value = unsafe { block.slots().add(held as usize).as_ref().take() };
        if held == 0 {
            self.spares.push(std::mem::replace(&mut self.stale, null_mut()));
            self.filled -= 1;
        }
        Some(value)
    }
}

/// Asks for the line of the next block's state, which readers have written to, while there is time.
#[inline]
fn prefetch_state<T>(shared: &BlockRing<T>, entry: usize) {
    let next = &shared.table[if entry + 1 == shared.table.len() { 0 } else { entry + 1 }];
    // SAFETY: J6.
    crate::sync::prefetch::prefetch_line_for_write(unsafe { &*next.load(Ordering::Relaxed) });
}

/// The only writer of a ring.
///
/// # Guarantees
/// Every method is wait-free and allocates nothing. A value costs plain stores; each block one read-modify-write, and one or two more
/// where a reader stalls in the block that is overwritten. None of it depends on the number of readers.
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

    /// Writes a value, and gives back the one that it overwrites, where values have destructors (others just go). Readers see it
    /// after the next [`commit`](Self::commit), or as soon as a later value begins a block.
    ///
    /// Drop what comes back behind the commit: destructors are foreign code, and may panic.
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

    /// As [`put`](Self::put); but where the value would begin a block, it comes back.
    #[inline(always)]
    pub(crate) fn put_within(&mut self, value: T) -> Result<Option<T>, T> {
        self.core.put_within(&mut self.position, value)
    }

    /// Goes on to the next block, when the current one is full, and leaves `stamp` in it.
    pub(crate) fn begin_block(&mut self, stamp: u64) {
        self.core.begin_block(&self.shared, self.position, stamp);
    }

    /// Whether there is something for [`take_stale`](Self::take_stale).
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

    /// Takes out a value that nobody can read any more: left over in a block that a reader held while it was overwritten. One at a
    /// time, after a put, is enough for all to go.
    ///
    /// # Examples
    /// While a reader holds a block, its values stay there:
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

    /// Shows everything written so far to the readers.
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
        // ORD(blocks.tail): Release; pairs with the Acquire in `BlockRing::tail_word`: the values are written.
        self.shared.tail.store(self.position * VALUE, Ordering::Release);
    }

    /// The position of the next value.
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

    /// Shows everything written so far, and that no value follows.
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
