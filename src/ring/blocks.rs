//! A broadcast ring buffer with history: one totally ordered stream of values for any number of
//! readers.
//!
//! The ring consists of blocks. A reader pins the block that it reads, so it can use the values in
//! place. The writer enters a block with one read-modify-write, for any number of readers. If a
//! reader pins the block that the writer is about to overwrite, the writer leaves that block to the
//! reader and continues with a spare. Each reader has brought one spare. The last reader to unpin
//! such a block hands it back. So a reader that stalls, or was forgotten, costs one block of
//! memory. It neither delays nor slows the writer, whose steps do not depend on the number of
//! readers.
//!
//! Values are overwritten without regard to readers. A slow reader that lags too far learns the
//! exact number of values that it missed, before it gets any further value. This holds also for a
//! reader that stalled inside a block that was overwritten meanwhile. Values that it has already
//! borrowed stay unchanged.
//!
//! | handle | what it is |
//! |---|---|
//! | [`Writer`] | the only writer: plain stores, and one read-modify-write for each block |
//! | [`SharedWriter`] | any number of writers: one read-modify-write for each value or batch |
//! | [`Bias`] | a shared writer that writes by plain stores while it is the only one |
//! | [`Source`] | creates readers, and has the position of the stream |
//! | [`Reader`] | one reader with its own cursor |
//!
//! The ring parks and wakes no thread; [`crate::Journal`] does that.
//!
//! # Invariants
//! - J1: a block's state is its number, whether it is retired, and how many readers pin it. The
//!   number of a block in the table is that of the values in it. A retired block gains no pin, and
//!   loses the pins that it has.
//! - J2: only the current writer (the [`Writer`], or the holder of the claim or of the bias) stores
//!   into a block. It does so only at positions of the block being written that no tail has shown
//!   yet, or while the block is retired and not pinned.
//! - J3: a reader reads a value only while it pins the value's block under the value's number, and
//!   below a tail that it has loaded.
//! - J4: a reader pins at most one block, or has one that it is about to give back, and brought a
//!   spare before its first pin. So of the blocks outside the stream, including the one that is
//!   being retired, at least one was handed to the writer.
//! - J5: the first `held` slots of a block hold values; in the block being written, so do all slots
//!   below the position of the next value.
//! - J6: blocks are freed only with the ring itself, so a pointer to a block is valid as long as
//!   any handle lives.
//! - J7: a block outside the stream belongs to the writer from when it was handed over until it
//!   enters the stream. If it was pinned when it was retired, it belongs to the readers that pin
//!   it; the last of them hands it over before its next pin.
#![expect(unsafe_code, reason = "slots are written on one thread and read on others")]

mod bias;
mod block;
mod holders;

mod reader;
mod shared_writer;
mod spares;
mod writer;

use crate::error::{BuildError, OutOfMemory, SubscribeError};
use crate::sync::slot::Slot;
use crate::sync::{Arc, AtomicPtr, AtomicU64, CachePadded, Mutex, Ordering, lock};
use crate::wait::context::UserCode;
pub(crate) use bias::{Bias, Claiming};
use block::Block;
pub use reader::{Look, OnLag, Reader};
pub use shared_writer::{Claim, SharedWriter};
use spares::Handed;
use std::fmt;
pub use writer::Writer;

/// The largest number of values in a block. With half of it, reading was slower with many readers;
/// with twice as many, nothing was faster.
const BLOCK: u64 = 64;
/// The largest number of concurrent readers, 65 535: the limit of the count in a block's state.
///
/// # Examples
/// ```
/// use buslane::ring::blocks::{MAX_READERS, ring};
/// let (_writer, source) = ring::<u8>(64)?;
/// let _reader = source.reader(0)?;
/// assert_eq!(MAX_READERS - source.readers(), 65_534); // the remaining readers
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const MAX_READERS: usize = (1 << block::PIN_BITS) - 1;

/// In the tail word, whose other bits are the number of values written: a writer has the claim.
const BUSY: u64 = 1;
/// In the tail word: no value follows.
const CLOSED: u64 = 2;
/// In the tail word: one shared writer writes without a claim.
const BIASED: u64 = 4;
/// One value in the tail word.
const VALUE: u64 = 8;

/// The state that all handles share.
struct BlockRing<T> {
    /// The number of values written, whether more may follow, and whether a shared writer has the
    /// claim or the bias.
    tail: CachePadded<AtomicU64>,
    /// The block of each number, modulo the table's length, which is one more than the capacity
    /// needs.
    table: Box<[AtomicPtr<Block<T>>]>,
    /// Blocks that readers have handed over and the writer has not taken.
    handed: CachePadded<Handed<T>>,
    capacity: u64,
    /// Values in a block: a power of two.
    block_len: u64,
    registry: Mutex<Registry<T>>,
}

/// The number of readers, and all blocks.
struct Registry<T> {
    /// Every block, for the drop of the ring.
    blocks: Vec<*mut Block<T>>,
    readers: usize,
    spares: usize,
}

// SAFETY: J1 to J6: blocks are accessed under the protocol, which lends values to several threads
// (`T: Sync`) and moves them between threads (`T: Send`).
unsafe impl<T: Send + Sync> Send for BlockRing<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for BlockRing<T> {}

impl<T> BlockRing<T> {
    /// Loads the tail word.
    #[inline(always)]
    fn tail_word(&self) -> u64 {
        // ORD(blocks.tail): Acquire; pairs with the Release in `Writer::commit` and `Claim::drop`:
        // the values are written.
        self.tail.load(Ordering::Acquire)
    }

    fn tail(&self) -> u64 {
        self.tail_word() / VALUE
    }

    /// Returns the position of the oldest value that is guaranteed to be kept.
    fn oldest(&self, tail: u64) -> u64 {
        tail.saturating_sub(self.capacity)
    }

    /// Returns the number of the block of a position.
    #[inline]
    fn number(&self, position: u64) -> u64 {
        position >> self.block_len.trailing_zeros()
    }

    fn entry(&self, number: u64) -> &AtomicPtr<Block<T>> {
        &self.table[(number % self.table.len() as u64) as usize]
    }
}

impl<T> Drop for BlockRing<T> {
    fn drop(&mut self) {
        let tail = self.tail.load(Ordering::Relaxed) / VALUE;
        // The block being written holds the values written into it, and its old values after them.
        let (number, written) = match tail % self.block_len {
            0 if tail == 0 => (u64::MAX, 0),
            0 => (self.number(tail) - 1, self.block_len),
            part => (self.number(tail), part),
        };
        // Destructors are user code: they run outside the lock, and as inside a delivery, where no
        // call waits.
        let blocks = std::mem::take(&mut lock(&self.registry).blocks);
        let _user_code = UserCode::enter();
        for block in blocks {
            // SAFETY: J6: each block was made by `Block::boxed`, is in the list once, and no other
            // thread can access it now.
            let mut block = unsafe { Box::from_raw(block) };
            let held = if block.is_current(number) { block.held().max(written) } else { block.held() };
            block.drop_values(held);
        }
    }
}

/// Creates a ring that keeps at least `capacity` values.
///
/// # Guarantees
/// All memory that the writer needs is allocated and touched here. The ring keeps the newest
/// `capacity` values and up to two blocks of older ones: the capacity is rounded up to whole
/// blocks, and one more block is being overwritten.
///
/// # Errors
/// [`BuildError`] when the capacity is zero or larger than [`MAX_CAPACITY`](super::MAX_CAPACITY),
/// or its memory cannot be allocated.
///
/// # Examples
/// ```
/// use buslane::ring::blocks::{Look, ring};
/// let (mut writer, source) = ring(2)?;
/// let mut reader = source.reader(0)?;
/// for value in ["a", "b", "c", "d", "e", "f"] {
///     writer.put(value);
///     writer.commit();
/// }
/// assert_eq!(reader.look(), Look::Lagged(4));
/// assert_eq!(reader.look(), Look::Values);
/// assert_eq!(reader.take(|position, value| (position, *value)), (4, "e"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ring<T: Send + Sync>(capacity: usize) -> Result<(Writer<T>, Source<T>), BuildError> {
    // Refuses an invalid capacity.
    super::slots_for(capacity, 1)?;
    let block_len = BLOCK.min(1 << capacity.ilog2());
    let out_of_memory = OutOfMemory::new(capacity);
    let count = (capacity as u64).div_ceil(block_len) as usize + 1;
    let mut blocks = Blocks(Vec::new());
    blocks.0.try_reserve(count).map_err(|_| out_of_memory)?;
    // Allocates all memory at once, and frees it: the blocks below are touched one by one, and a
    // system that overcommits would end the process in the middle.
    let mut all: Vec<Slot<T>> = Vec::new();
    all.try_reserve_exact(count.saturating_mul(block_len as usize)).map_err(|_| out_of_memory)?;
    drop(std::hint::black_box(all));
    for _ in 0..count {
        blocks.0.push(Box::into_raw(Block::boxed(block_len as usize).ok_or(out_of_memory)?));
    }
    let table = blocks.0.iter().map(|block| AtomicPtr::new(*block)).collect();
    let shared = Arc::new(BlockRing {
        tail: CachePadded::new(AtomicU64::new(0)),
        table,
        handed: Handed::new(),
        capacity: capacity as u64,
        block_len,
        registry: Mutex::new(Registry { blocks: blocks.keep(), readers: 0, spares: 0 }),
    });
    Ok((Writer::new(&shared), Source(shared)))
}

/// Blocks of a ring under construction, freed if the construction fails.
struct Blocks<T>(Vec<*mut Block<T>>);

impl<T> Blocks<T> {
    fn keep(mut self) -> Vec<*mut Block<T>> {
        std::mem::take(&mut self.0)
    }
}

impl<T> Drop for Blocks<T> {
    fn drop(&mut self) {
        for block in self.0.drain(..) {
            // SAFETY: made by `Block::boxed`, and no other thread has the pointer.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

/// A handle that creates readers of a ring, and has the position of its stream. Clones are handles
/// to the same ring.
///
/// # Examples
/// ```
/// use buslane::ring::blocks::ring;
/// let (mut writer, source) = ring(64)?;
/// writer.put("a");
/// writer.commit();
/// assert_eq!((source.tail(), source.oldest(), source.readers()), (1, 0, 0));
/// let reader = source.clone().reader(0)?;
/// assert_eq!((source.readers(), reader.behind()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Source<T>(Arc<BlockRing<T>>);

impl<T: Send + Sync> Source<T> {
    /// Creates a reader whose next value is the one at `position`.
    ///
    /// If that value is no longer kept, the reader starts with a lag, which counts all values up to
    /// the oldest that is kept. If it is not written yet, the reader finds nothing until it is.
    ///
    /// Copies no value. Allocates a block when there are more readers than ever before.
    ///
    /// # Errors
    /// [`SubscribeError::OutOfMemory`] when the block cannot be allocated, and
    /// [`SubscribeError::TooManyReaders`] when there are [`MAX_READERS`].
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::{Look, ring};
    /// let (mut writer, source) = ring(64)?;
    /// (0..10).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// let mut reader = source.reader(7)?;
    /// assert_eq!(reader.look(), Look::Values);
    /// assert_eq!(reader.take(|position, value| (position, *value)), (7, 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reader(&self, position: u64) -> Result<Reader<T>, SubscribeError> {
        self.admit()?;
        Ok(Reader::new(self.0.clone(), position))
    }

    fn admit(&self) -> Result<(), SubscribeError> {
        let shared = &self.0;
        let out_of_memory = OutOfMemory::new(shared.block_len as usize);
        let mut registry = lock(&shared.registry);
        if registry.readers == MAX_READERS {
            return Err(SubscribeError::TooManyReaders { most: MAX_READERS });
        }
        if registry.readers == registry.spares {
            registry.blocks.try_reserve(1).map_err(|_| out_of_memory)?;
            let spare = Box::into_raw(Block::boxed(shared.block_len as usize).ok_or(out_of_memory)?);
            registry.blocks.push(spare);
            registry.spares += 1;
            // SAFETY: J6, and no other thread has the pointer yet. A writer that sees this reader's
            // first pin sees the spare, too: see `Block::pin`.
            unsafe { shared.handed.new.push(spare) };
        }
        registry.readers += 1;
        Ok(())
    }
}

impl<T> Source<T> {
    /// Returns the number of values written, which is the position of the next one.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, source) = buslane::ring::blocks::ring(64)?;
    /// writer.put("a");
    /// assert_eq!(source.tail(), 0); // not shown yet
    /// writer.commit();
    /// assert_eq!(source.tail(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tail(&self) -> u64 {
        self.0.tail()
    }

    /// Returns the position of the oldest value that is guaranteed to be kept.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, source) = buslane::ring::blocks::ring(64)?;
    /// (0..100).for_each(|n| drop(writer.put(n)));
    /// writer.commit();
    /// assert_eq!(source.oldest(), 36);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.0.oldest(self.tail())
    }

    /// Returns whether no value follows.
    ///
    /// # Examples
    /// ```
    /// let (writer, source) = buslane::ring::blocks::ring::<u32>(64)?;
    /// assert!(!source.is_closed());
    /// writer.close();
    /// assert!(source.is_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.tail_word() & CLOSED != 0
    }

    /// Returns the number of newest values that are guaranteed to be kept.
    ///
    /// # Examples
    /// ```
    /// let (_writer, source) = buslane::ring::blocks::ring::<u32>(100)?;
    /// assert_eq!(source.capacity(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity as usize
    }

    /// Returns the number of values in a block: the [`capacity`](Self::capacity), rounded down to a
    /// power of two, and 64 at most.
    ///
    /// The ring may keep fewer than two blocks of values that are older than the newest `capacity`.
    ///
    /// # Examples
    /// ```
    /// use buslane::ring::blocks::ring;
    /// for (capacity, block_len) in [(1, 1), (3, 2), (50, 32), (1000, 64)] {
    ///     let (_writer, source) = ring::<u32>(capacity)?;
    ///     assert_eq!(source.block_len(), block_len);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn block_len(&self) -> usize {
        self.0.block_len as usize
    }

    /// Returns the number of readers.
    ///
    /// # Examples
    /// ```
    /// let (_writer, source) = buslane::ring::blocks::ring::<u32>(64)?;
    /// let (one, _other) = (source.reader(0)?, source.reader(0)?);
    /// assert_eq!(source.readers(), 2);
    /// drop(one);
    /// assert_eq!(source.readers(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn readers(&self) -> usize {
        lock(&self.0.registry).readers
    }
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("tail", &self.tail()).field("closed", &self.is_closed()).finish()
    }
}
