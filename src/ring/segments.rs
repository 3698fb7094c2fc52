//! An unbounded queue: a list of blocks into which any number of threads push, and from which one
//! thread at a time pops.
//!
//! The list of blocks is that of crossbeam's `SegQueue`. A push claims a position with one
//! compare-and-swap, writes its value there, and marks the slot as filled. The push that claims the
//! last position of a block links the next block, which it allocated before the claim. Pops take a
//! lock: only consumers need it, and a consumer that waits for the lock sleeps.
//!
//! # Waits
//! There are two waits, both for a thread that is between two of its stores. Both are [`Pace`]d, so
//! a waiting thread of higher priority does not keep that thread from running:
//! - a push waits while the push that claimed a block's last position links the next block, a few
//!   stores;
//! - a pop waits until the oldest claimed position is filled, so it finds every value whose push
//!   has returned, also after a push that is not done. A consumer that parks uses
//!   [`Segments::pop_filled`] instead, which never waits: the push wakes it.
//!
//! No user code runs in between.
//!
//! # Invariants
//! - U1: the position in `tail` is the next one to claim. While `CHANGING` is not set, `last` is
//!   its block.
//! - U2: a slot belongs to the thread that claimed its position until that thread sets `filled`;
//!   from then on, to the thread that holds `first`.
//! - U3: the slots from the position in `first` up to that in `tail` are claimed, and the filled
//!   ones of them hold values. All other slots are empty.
//! - U4: a block is freed by the thread that has taken its last value. All its slots were filled by
//!   then, and a push does not access a block after the store that fills its slot. The last
//!   position's push sets `next` before that store.
#![expect(
    unsafe_code,
    reason = "slots are written on one thread and read on another, in blocks that are linked"
)]

#[cfg(test)]
mod models;

use crate::sync::pace::Pace;
use crate::sync::slot::Slot;
use crate::sync::{self, AtomicBool, AtomicPtr, AtomicU64, CachePadded, Mutex, Ordering, lock};
use crate::wait::context::discard;
use std::ptr::null_mut;

/// The number of positions in a block.
const BLOCK: u64 = if sync::MODEL { 2 } else { 32 };
/// In `tail`: the next block is being linked.
const CHANGING: u64 = 1;
/// One position in `tail`.
const POSITION: u64 = 2;

struct Cell<T> {
    filled: AtomicBool,
    value: Slot<T>,
}

struct Block<T> {
    next: AtomicPtr<Self>,
    cells: [Cell<T>; BLOCK as usize],
}

impl<T> Block<T> {
    /// Initializes the block on the heap: the stack may have no room for a whole block.
    fn boxed() -> Box<Self> {
        let mut block = Box::<Self>::new_uninit();
        let place = block.as_mut_ptr();
        // SAFETY: inside the memory of the block.
        unsafe { (&raw mut (*place).next).write(AtomicPtr::new(null_mut())) };
        for index in 0..BLOCK as usize {
            let cell = Cell { filled: AtomicBool::new(false), value: Slot::empty() };
            // SAFETY: as above.
            unsafe { (&raw mut (*place).cells[index]).write(cell) };
        }
        // SAFETY: each of its fields was written.
        unsafe { block.assume_init() }
    }

    fn cell(&self, position: u64) -> &Cell<T> {
        &self.cells[(position % BLOCK) as usize]
    }
}

/// What a pop does if the oldest position was claimed and is not filled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unfilled {
    /// Waits for the push that claimed it.
    Await,
    /// Takes no value.
    Leave,
}

/// The position of the next pop, and its block.
struct First<T> {
    position: u64,
    block: *mut Block<T>,
}

// SAFETY: U2, U4: a pointer to values that move with it.
unsafe impl<T: Send> Send for First<T> {}

/// The queue.
pub(crate) struct Segments<T> {
    tail: CachePadded<AtomicU64>,
    last: AtomicPtr<Block<T>>,
    first: CachePadded<Mutex<First<T>>>,
    /// The position in `first`, for loads without the lock.
    taken: AtomicU64,
}

// SAFETY: U1 to U4: values move from one thread to another, one owner at a time.
unsafe impl<T: Send> Send for Segments<T> {}
// SAFETY: as above; no `&T` is ever given out.
unsafe impl<T: Send> Sync for Segments<T> {}

impl<T> Segments<T> {
    pub(crate) fn new() -> Self {
        let block = Box::into_raw(Block::boxed());
        Self {
            tail: CachePadded::new(AtomicU64::new(0)),
            last: AtomicPtr::new(block),
            first: CachePadded::new(Mutex::new(First { position: 0, block })),
            taken: AtomicU64::new(0),
        }
    }

    /// Pushes a value. Allocates one block in 32 pushes.
    pub(crate) fn push(&self, value: T) {
        let mut pace = Pace::new();
        // For the last position of a block: allocated before the claim, because other pushes wait
        // after it.
        let mut spare: Option<Box<Block<T>>> = None;
        // ORD(segments.tail): Acquire; pairs with the Release in `claim_last`: the block is linked.
        // Claims of other threads in between are read-modify-writes, and continue the release
        // sequence.
        let mut tail = self.tail.load(Ordering::Acquire);
        loop {
            if tail & CHANGING != 0 {
                pace.wait();
                // ORD(segments.tail): Acquire, as above.
                tail = self.tail.load(Ordering::Acquire);
                continue;
            }
            let position = tail / POSITION;
            let is_last = position % BLOCK == BLOCK - 1;
            if is_last && spare.is_none() {
                spare = Some(Block::boxed());
            }
            // U1: if the claim succeeds, the tail has not changed, nor has the block. Relaxed: the
            // Acquire of the tail has made it visible.
            let block = self.last.load(Ordering::Relaxed);
            let next = (tail + POSITION) | if is_last { CHANGING } else { 0 };
            // ORD(segments.tail): Acquire, as above, where it fails. Where it succeeds it publishes
            // only the claim.
            match self.tail.compare_exchange_weak(tail, next, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => {
                    // SAFETY: U4: the position is claimed and not filled, so its block is not
                    // freed.
                    let block = unsafe { &*block };
                    if let Some(spare) = spare.take_if(|_| is_last) {
                        self.claim_last(block, spare, next - CHANGING);
                    }
                    let cell = block.cell(position);
                    // SAFETY: U2: the claim gave the slot to this thread, and it is empty.
                    unsafe { cell.value.put(value) };
                    // ORD(segments.filled): Release; pairs with the Acquire in `take`: the value is
                    // written, and `next` is.
                    cell.filled.store(true, Ordering::Release);
                    return;
                }
                Err(newer) => tail = newer,
            }
        }
    }

    /// Links the next block, and lets other pushes claim positions in it.
    fn claim_last(&self, block: &Block<T>, next: Box<Block<T>>, tail: u64) {
        let next = Box::into_raw(next);
        // Relaxed: published by the slot that is filled after it, and by the tail.
        block.next.store(next, Ordering::Relaxed);
        self.last.store(next, Ordering::Relaxed);
        // ORD(segments.tail): Release; pairs with the Acquire in `push`: the block is initialized
        // and linked.
        self.tail.store(tail, Ordering::Release);
    }

    /// Takes the oldest value; waits until the push that claimed its position has filled it.
    pub(crate) fn pop(&self) -> Option<T> {
        self.take(Unfilled::Await)
    }

    /// Takes the oldest value, unless its position is not filled yet.
    pub(crate) fn pop_filled(&self) -> Option<T> {
        self.take(Unfilled::Leave)
    }

    fn take(&self, unfilled: Unfilled) -> Option<T> {
        let mut first = lock(&self.first);
        let position = first.position;
        // SAFETY: U4: the block of the next position is not freed.
        let block = unsafe { &*first.block };
        let cell = block.cell(position);
        let mut pace = Pace::new();
        // ORD(segments.filled): Acquire; pairs with the Release in `push`.
        while !cell.filled.load(Ordering::Acquire) {
            if unfilled == Unfilled::Leave || self.pushed() <= position {
                return None;
            }
            pace.wait();
        }
        // SAFETY: U2, U3: the slot is filled, and the lock gives it to this thread. The position
        // advances, so no thread takes it again.
        let value = unsafe { cell.value.take() };
        first.position = position + 1;
        self.taken.store(position + 1, Ordering::Relaxed);
        if first.position.is_multiple_of(BLOCK) {
            let old = first.block;
            first.block = block.next.load(Ordering::Relaxed);
            drop(first);
            // SAFETY: U4: this was the last value of the block, which came from a box.
            drop(unsafe { Box::from_raw(old) });
        }
        Some(value)
    }

    /// Returns whether the oldest position is filled: [`pop_filled`](Self::pop_filled) then finds a
    /// value, unless another thread takes it.
    pub(crate) fn has_filled(&self) -> bool {
        if self.is_empty() {
            return false;
        }
        let first = lock(&self.first);
        // SAFETY: U4: the block of the next position is not freed, and the lock keeps it.
        let block = unsafe { &*first.block };
        // Relaxed: the pop that follows orders the value; against a consumer that parks, the fences
        // of the pair do.
        block.cell(first.position).filled.load(Ordering::Relaxed)
    }

    /// Returns the number of positions ever claimed.
    fn pushed(&self) -> u64 {
        self.tail.load(Ordering::Relaxed) / POSITION
    }

    /// Returns the number of values in the queue, including those that are being written.
    pub(crate) fn len(&self) -> usize {
        // In this order: the other order might find more values taken than pushed.
        let taken = self.taken.load(Ordering::Relaxed);
        self.pushed().saturating_sub(taken) as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Segments<T> {
    fn drop(&mut self) {
        while let Some(value) = self.pop() {
            discard(value);
        }
        let block = lock(&self.first).block;
        // SAFETY: U4: no value is left, so this is the last block, and no other thread can reach
        // it.
        drop(unsafe { Box::from_raw(block) });
    }
}
