//! One block of the ring: its slots, and the word that determines its owner.

use super::BLOCK;
use crate::sync::prefetch::{LINE, bytes_ahead_in_block, prefetch_line_for_write, spare};
use crate::sync::slot::{Aligned, Slot};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, CachePadded, Ordering};
use crate::wait::context::discard;
use std::ptr::NonNull;

/// The number of bits in a state that count pins.
pub(super) const PIN_BITS: u32 = 16;
const PINS: u64 = (1 << PIN_BITS) - 1;
/// The block is no longer in the stream, and gains no further pin.
const RETIRED: u64 = 1 << PIN_BITS;
const NUMBER_SHIFT: u32 = PIN_BITS + 1;

/// Returns the state of a block that is in the stream under this number and not pinned. Numbers
/// repeat after 2⁴⁷ blocks, which matters only to a reader that is preempted for exactly that many
/// blocks between two of its steps.
const fn in_stream(number: u64) -> u64 {
    number << NUMBER_SHIFT
}

/// One block of the ring.
pub(super) struct Block<T> {
    /// The number, whether the block is retired, and the pins (J1).
    state: CachePadded<AtomicU64>,
    /// The next block in a stack or chain of spares. Written by the thread with exclusive access to
    /// the block.
    next: AtomicPtr<Self>,
    /// Whether the block was overwritten while readers pinned it. A hint for those readers; the
    /// state is decisive. It is not in the state's cache line, which other readers change.
    overwritten: AtomicBool,
    /// The number of slots, from the first on, that hold values (J5). Only the current writer uses
    /// it.
    held: AtomicU64,
    /// A stamp that the writer stores when it enters the block.
    stamp: AtomicU64,
    slots: Aligned<Slot<T>>,
}

impl<T> Block<T> {
    /// The prefetch distance of the writer; the same number of spare bytes follows the slots.
    pub(super) const AHEAD: usize = bytes_ahead_in_block::<T>(BLOCK as usize);

    /// Creates an empty block that is not in the stream; `None` when its memory cannot be
    /// allocated.
    pub(super) fn boxed(len: usize) -> Option<Box<Self>> {
        let slots = Aligned::try_new(len + spare::<T>(Self::AHEAD), |_| Slot::empty())?;
        Some(Box::new(Self {
            state: CachePadded::new(AtomicU64::new(RETIRED)),
            next: AtomicPtr::new(std::ptr::null_mut()),
            overwritten: AtomicBool::new(false),
            held: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            slots,
        }))
    }

    pub(super) fn next(&self) -> &AtomicPtr<Self> {
        &self.next
    }

    pub(super) fn slots(&self) -> NonNull<Slot<T>> {
        NonNull::from(&*self.slots).cast()
    }

    /// Prefetches the first cache lines, for which no earlier put has prefetched.
    pub(super) fn prefetch_beginning(&self) {
        let values_in_a_line = LINE / size_of::<T>().clamp(1, LINE);
        self.slots[..spare::<T>(Self::AHEAD)]
            .iter()
            .step_by(values_in_a_line)
            .for_each(prefetch_line_for_write);
    }

    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(super) fn set_held(&self, held: u64) {
        self.held.store(held, Ordering::Relaxed);
    }

    pub(super) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// Takes the block out of the stream, if it is in it; returns whether a reader pins it. One
    /// read-modify-write, without a retry loop.
    pub(super) fn retire(&self) -> bool {
        if self.state.load(Ordering::Relaxed) & RETIRED != 0 {
            // The block was never used: blocks in the table are retired only in this function.
            return false;
        }
        // ORD(blocks.state): AcqRel; Acquire pairs with the Release in `unpin`: those readers'
        // reads are over, and in `pin`: the blocks that a pinning reader has handed over are
        // visible. Release pairs with the Acquire in `pin`: a reader that finds the block retired
        // sees a tail that has overtaken it.
        let before = self.state.fetch_add(RETIRED, Ordering::AcqRel);
        before & PINS != 0
    }

    /// Marks the block as overwritten, for the readers that pin it.
    pub(super) fn set_overwritten(&self) {
        self.overwritten.store(true, Ordering::Relaxed);
    }

    /// Returns whether the block, which the caller pins, was overwritten.
    #[inline(always)]
    pub(super) fn is_overwritten(&self) -> bool {
        self.overwritten.load(Ordering::Relaxed)
    }

    /// Puts a free block into the stream.
    pub(super) fn enter(&self, number: u64, stamp: u64) {
        self.stamp.store(stamp, Ordering::Relaxed);
        self.overwritten.store(false, Ordering::Relaxed);
        // ORD(blocks.state): Release; pairs with the Acquire in `pin`: the stamp is written, and
        // the mark cleared.
        self.state.store(in_stream(number), Ordering::Release);
    }

    /// Pins the block, unless it is not in the stream under this number.
    pub(super) fn pin(&self, number: u64) -> bool {
        // ORD(blocks.state): Acquire, also where the exchange fails; pairs with the Release in
        // `enter`, and in `retire`: the reader then sees a tail that has overtaken this block, and
        // moves on.
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if state & !PINS != in_stream(number) {
                return false;
            }
            // ORD(blocks.state): Release pairs with the Acquire in `retire`: a writer that sees the
            // pin sees the spare that this reader has brought, and the blocks that it has given
            // back.
            match self.state.compare_exchange_weak(state, state + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => state = other,
            }
        }
    }

    /// Unpins the block; returns whether this was the last pin of a retired block, which then
    /// belongs to the caller (J7).
    #[must_use = "the writer waits for nothing, and gets the block from its last reader"]
    pub(super) fn unpin(&self) -> bool {
        // ORD(blocks.state): AcqRel; Release pairs with the Acquire in `retire` and in the last
        // `unpin`: this reader's reads are over. Acquire pairs with the Release of the other
        // readers' `unpin`: their reads are over, too.
        let before = self.state.fetch_sub(1, Ordering::AcqRel);
        before & (RETIRED | PINS) == RETIRED | 1
    }

    /// Returns whether the block is in the stream under this number.
    pub(super) fn is_current(&self, number: u64) -> bool {
        self.state.load(Ordering::Relaxed) & !PINS == in_stream(number)
    }

    /// Drops the first `held` values of a block that no other thread can access.
    pub(super) fn drop_values(&mut self, held: u64) {
        self.set_held(0);
        for slot in &self.slots[..held as usize] {
            // SAFETY: J5: the first `held` slots hold values; they are taken once, since `held` is
            // 0 from here on.
            discard(unsafe { slot.take() });
        }
    }
}
