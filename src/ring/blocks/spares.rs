//! Blocks outside the stream: the stacks on which readers hand them over, and the writer's chains
//! of them.
//!
//! A reader hands over a new block when it subscribes. It hands over a block that was left to it
//! when it removes the last pin (J7). A [`Stack`] is Treiber's (1986). The writer takes all of its
//! blocks with one swap, so there is no ABA problem, and uses them one at a time. So each of its
//! steps takes constant time, for any number of readers, and it never accesses a block that a
//! reader still pins.

use super::block::Block;
use crate::sync::{AtomicPtr, CachePadded, Ordering};
use std::ptr::null_mut;

/// All blocks that readers hand over, in a separate cache line.
pub(super) struct Handed<T> {
    /// Blocks that readers have brought, without values.
    pub(super) new: Stack<T>,
    /// Blocks that were left to readers and given back, full of values.
    pub(super) returned: Stack<T>,
}

impl<T> Handed<T> {
    pub(super) fn new() -> CachePadded<Self> {
        CachePadded::new(Self { new: Stack::new(), returned: Stack::new() })
    }
}

/// Blocks that readers have handed over and the writer has not taken yet, linked by their `next`.
pub(super) struct Stack<T>(AtomicPtr<Block<T>>);

impl<T> Stack<T> {
    fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Hands a block over to the writer.
    ///
    /// # Safety
    /// The block belongs to the ring (J6), and the caller has exclusive access to it.
    pub(super) unsafe fn push(&self, block: *mut Block<T>) {
        // SAFETY: J6.
        let next = unsafe { (*block).next() };
        let mut first = self.0.load(Ordering::Relaxed);
        loop {
            next.store(first, Ordering::Relaxed);
            // ORD(blocks.spares): Release; pairs with the Acquire in `take`: the block and its link
            // are written, and no thread reads it any more.
            match self.0.compare_exchange(first, block, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => first = other,
            }
        }
    }

    /// Takes all blocks. Called by the writer only.
    ///
    /// A block is found if its push happened before this call; it may be found if the push is
    /// concurrent.
    fn take(&self) -> *mut Block<T> {
        if self.0.load(Ordering::Relaxed).is_null() {
            return null_mut();
        }
        // ORD(blocks.spares): Acquire; pairs with the Release in `push`.
        self.0.swap(null_mut(), Ordering::Acquire)
    }
}

/// Blocks to which the writer has exclusive access, linked by their `next`.
pub(super) struct Chain<T>(*mut Block<T>);

impl<T> Chain<T> {
    pub(super) const fn new() -> Self {
        Self(null_mut())
    }

    pub(super) fn push(&mut self, block: *mut Block<T>) {
        // SAFETY: J6.
        unsafe { (*block).next() }.store(self.0, Ordering::Relaxed);
        self.0 = block;
    }

    /// Takes one block from the chain. If the chain is empty, all blocks of the stack become the
    /// chain first. Returns null when there is no block.
    pub(super) fn pop_or_take(&mut self, stack: &Stack<T>) -> *mut Block<T> {
        if self.0.is_null() {
            self.0 = stack.take();
        }
        let block = self.0;
        if !block.is_null() {
            // SAFETY: J6.
            self.0 = unsafe { (*block).next() }.load(Ordering::Relaxed);
        }
        block
    }
}
