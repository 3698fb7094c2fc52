//! One block of the ring: its slots, and the word that says whose it is.

use super::BLOCK;
use crate::sync::prefetch::{LINE, bytes_ahead_in_block, prefetch_line_for_write, spare};
use crate::sync::slot::{Aligned, Slot};
use crate::sync::{AtomicBool, AtomicPtr, AtomicU64, CachePadded, Ordering};
use crate::wait::context::discard;
use std::ptr::NonNull;

/// How many bits of a state count pins.
pub(super) const PIN_BITS: u32 = 16;
const PINS: u64 = (1 << PIN_BITS) - 1;
/// The block is not in the stream any more: nobody pins it from here on.
const RETIRED: u64 = 1 << PIN_BITS;
const NUMBER_SHIFT: u32 = PIN_BITS + 1;

/// The state of a block that is in the stream under this number and that nobody pins. Numbers
/// repeat after 2⁴⁷ blocks, which matters to a reader that sleeps just as long between two of its
/// steps.
const fn in_stream(number: u64) -> u64 {
    number << NUMBER_SHIFT
}

/// One block of the ring.
pub(super) struct Block<T> {
    /// Number, retired or not, and pins (J1).
    state: CachePadded<AtomicU64>,
    /// The next block in a stack or chain of spares. Written by the thread that has the block to
    /// itself.
    next: AtomicPtr<Self>,
    /// The block was overwritten while readers pinned it. A hint for those readers, away from the
    /// state, which other readers change: what became of the block, the state says.
    overwritten: AtomicBool,
    /// How many slots, from the first on, hold values (J5). Only whoever writes touches it.
    held: AtomicU64,
    /// A mark that the writer leaves when it enters the block.
    stamp: AtomicU64,
    slots: Aligned<Slot<T>>,
}

impl<T> Block<T> {
    /// How far ahead whoever writes asks for lines; as much lies behind the slots.
    pub(super) const AHEAD: usize = bytes_ahead_in_block::<T>(BLOCK as usize);

    /// An empty block that is not in the stream; `None` when there is no memory for it.
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

    /// Asks for the lines that nobody asked for ahead, since the block began.
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

    /// Takes the block out of the stream, if it is in it; whether a reader is inside. One
    /// read-modify-write that never has to be repeated.
    pub(super) fn retire(&self) -> bool {
        if self.state.load(Ordering::Relaxed) & RETIRED != 0 {
            // Never used: blocks in the table are retired only here.
            return false;
        }
        // ORD(blocks.state): AcqRel; Acquire pairs with the Release in `unpin`: those readers'
        // looks are over, and in `pin`: what a reader that is inside has handed over is there.
        // Release pairs with the Acquire in `pin`: a reader that finds the block gone sees a tail
        // by which it is overdue.
        let before = self.state.fetch_add(RETIRED, Ordering::AcqRel);
        before & PINS != 0
    }

    /// Tells the readers that pin the block that it was overwritten.
    pub(super) fn set_overwritten(&self) {
        self.overwritten.store(true, Ordering::Relaxed);
    }

    /// Whether the block, which the caller pins, was overwritten.
    #[inline(always)]
    pub(super) fn is_overwritten(&self) -> bool {
        self.overwritten.load(Ordering::Relaxed)
    }

    /// Puts a free block into the stream.
    pub(super) fn enter(&self, number: u64, stamp: u64) {
        self.stamp.store(stamp, Ordering::Relaxed);
        self.overwritten.store(false, Ordering::Relaxed);
        // ORD(blocks.state): Release; pairs with the Acquire in `pin`: the stamp is written, and
        // the mark taken away.
        self.state.store(in_stream(number), Ordering::Release);
    }

    /// Pins the block, unless it is not in the stream under this number.
    pub(super) fn pin(&self, number: u64) -> bool {
        // ORD(blocks.state): Acquire, also where it fails; pairs with the Release in `retire`: the
        // reader then sees a tail by which this block is overdue, so that it moves on; and in
        // `enter`.
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

    /// Lets go of a pinned block. Whether this was the last pin of a block that is out of the
    /// stream, which then belongs to the caller (J7).
    #[must_use = "the writer waits for nothing, and gets the block from its last reader"]
    pub(super) fn unpin(&self) -> bool {
        // ORD(blocks.state): AcqRel; Release pairs with the Acquire in `retire` and in the last
        // `unpin`: our looks are over. Acquire pairs with the Release of the other readers'
        // `unpin`: theirs are, too.
        let before = self.state.fetch_sub(1, Ordering::AcqRel);
        before & (RETIRED | PINS) == RETIRED | 1
    }

    /// Whether the block is in the stream under this number.
    pub(super) fn is_current(&self, number: u64) -> bool {
        self.state.load(Ordering::Relaxed) & !PINS == in_stream(number)
    }

    /// Drops the first `held` values, when nobody else can reach the block. Panics of destructors
    /// end it: what is left is leaked then.
    pub(super) fn drop_values(&mut self, held: u64) {
        self.set_held(0);
        for slot in &self.slots[..held as usize] {
            // SAFETY: J5: the first `held` slots hold values; they are taken once, since `held` is
            // 0 from here on.
            discard(unsafe { slot.take() });
        }
    }
}
