//! The handoff slot between the control plane and one publisher, with a return path for used
//! changes.
//!
//! The slot holds linked *nodes*, each with a change or a table. The control plane *pushes* nodes,
//! or *replaces* all untaken ones in one step. The publisher *takes* all of them and later
//! *returns* each. Neither side ever waits, and the publisher neither allocates nor frees. A node
//! that is replaced before it was taken returns to the control plane at once, so an idle publisher
//! keeps only the changes that still matter to it.
//!
//! # Invariants
//! - H1: a pointer in `slot`, on the `returned` stack or in a [`Chain`] came from `Box::into_raw`
//!   and has no other owner; the thread that swaps it out owns it, and every node that is linked
//!   after it.
//! - H2: `next` of a node is written only by the owner of the node, before the node moves to
//!   another owner.
#![expect(unsafe_code, reason = "ownership moves through atomic pointers")]

use super::slot::Slot;
use super::{AtomicPtr, AtomicUsize, Ordering};
use std::marker::PhantomData;
use std::ptr;

/// A value with the link of the stack that holds it, so that moving it allocates nothing.
pub(crate) struct Node<T> {
    pub(crate) value: T,
    /// In a cell, so that a model sees every access.
    next: Slot<*mut Node<T>>,
}

// SAFETY: H2: `next` is a link that only the node's owner touches; a node is as sendable as its
// value.
unsafe impl<T: Send> Send for Node<T> {}

impl<T> Node<T> {
    pub(crate) fn new(value: T) -> Box<Self> {
        Box::new(Self { value, next: Slot::empty() })
    }
}

/// Linked nodes of one owner; the last one pushed comes first.
pub(crate) struct Chain<T> {
    first: *mut Node<T>,
    owns: PhantomData<Node<T>>,
}

// SAFETY: H1: a chain owns its nodes.
unsafe impl<T: Send> Send for Chain<T> {}

impl<T> Chain<T> {
    pub(crate) fn new() -> Self {
        Self { first: ptr::null_mut(), owns: PhantomData }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    pub(crate) fn push(&mut self, node: Box<Node<T>>) {
        // SAFETY: H2: this chain owns the node.
        unsafe { node.next.put(self.first) };
        self.first = Box::into_raw(node);
    }

    /// Returns the same nodes in reverse order: the first one pushed comes first.
    pub(crate) fn reversed(self) -> Self {
        let mut reversed = Self::new();
        self.for_each(|node| reversed.push(node));
        reversed
    }

    fn into_first(mut self) -> *mut Node<T> {
        std::mem::replace(&mut self.first, ptr::null_mut())
    }
}

impl<T> Extend<Box<Node<T>>> for Chain<T> {
    fn extend<I: IntoIterator<Item = Box<Node<T>>>>(&mut self, nodes: I) {
        nodes.into_iter().for_each(|node| self.push(node));
    }
}

impl<T> Iterator for Chain<T> {
    type Item = Box<Node<T>>;

    fn next(&mut self) -> Option<Box<Node<T>>> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: H1: this chain owns the node, which becomes a box only once, since `first`
        // advances.
        let node = unsafe { Box::from_raw(self.first) };
        // SAFETY: H2: this chain owns the node, whose link was written before it came here.
        self.first = unsafe { node.next.take() };
        Some(node)
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// The handoff slot and its return stack.
pub(crate) struct Handoff<T> {
    slot: AtomicPtr<Node<T>>,
    returned: AtomicPtr<Node<T>>,
    owns: PhantomData<Node<T>>,
}

// SAFETY: H1: nodes move between threads one owner at a time.
unsafe impl<T: Send> Send for Handoff<T> {}
// SAFETY: as above; no `&T` is ever given out.
unsafe impl<T: Send> Sync for Handoff<T> {}

impl<T> Handoff<T> {
    pub(crate) fn new() -> Self {
        Self {
            slot: AtomicPtr::new(ptr::null_mut()),
            returned: AtomicPtr::new(ptr::null_mut()),
            owns: PhantomData,
        }
    }

    /// Control plane: adds a node to the untaken ones, and returns whether there was none.
    pub(crate) fn push(&self, node: Box<Node<T>>) -> bool {
        let node = Box::into_raw(node);
        let mut top = self.slot.load(Ordering::Relaxed);
        loop {
            // SAFETY: H2: this thread owns the node until the exchange below succeeds.
            unsafe { (*node).next.put(top) };
            // ORD(handoff.slot): AcqRel; Release pairs with the Acquire in `take`: the content is
            // visible, also that of the nodes below, whose pushes this read-modify-write
            // continues; Acquire with the Release in `take`: if the slot is empty, the effects
            // of the publisher on the earlier nodes are visible.
            match self.slot.compare_exchange(top, node, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return top.is_null(),
                Err(newer) => top = newer,
            }
        }
    }

    /// Control plane: replaces the untaken nodes by these, and returns the old ones.
    ///
    /// The slot always holds one set or the other.
    pub(crate) fn replace(&self, nodes: Chain<T>) -> Chain<T> {
        // ORD(handoff.slot): AcqRel; Release pairs with `take`'s Acquire, Acquire with an earlier
        // `push`.
        let first = self.slot.swap(nodes.into_first(), Ordering::AcqRel);
        // H1: the swap made this thread the owner.
        Chain { first, owns: PhantomData }
    }

    /// Publisher: takes all nodes, the newest first.
    pub(crate) fn take(&self) -> Chain<T> {
        // ORD(handoff.slot): AcqRel; Acquire pairs with the Release in `push` and `replace`: the
        // content of the nodes is visible; Release with the Acquire in `push`.
        let first = self.slot.swap(ptr::null_mut(), Ordering::AcqRel);
        // H1: the swap made this thread the owner.
        Chain { first, owns: PhantomData }
    }

    /// Control plane: whether all nodes were taken. If so, the earlier effects of the publisher
    /// are visible.
    pub(crate) fn is_taken(&self) -> bool {
        // ORD(handoff.slot): Acquire; pairs with the Release in `take`.
        self.slot.load(Ordering::Acquire).is_null()
    }

    /// Publisher: returns a node without freeing it.
    pub(crate) fn give_back(&self, node: Box<Node<T>>) {
        let node = Box::into_raw(node);
        let mut top = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: H2: this thread owns the node until the exchange below succeeds.
            unsafe { (*node).next.put(top) };
            // ORD(handoff.returned): Release; pairs with `collect`'s Acquire: `next` and the value
            // are visible.
            match self.returned.compare_exchange(top, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => top = newer,
            }
        }
    }

    /// Control plane: whether a node was returned. Exact if the caller is ordered after the
    /// publisher's last return.
    pub(crate) fn has_returned(&self) -> bool {
        // Relaxed: `collect` takes the nodes.
        !self.returned.load(Ordering::Relaxed).is_null()
    }

    /// Control plane: takes every returned node.
    pub(crate) fn collect(&self) -> Chain<T> {
        // Relaxed: most of the time there is nothing, and the swap below decides.
        if self.returned.load(Ordering::Relaxed).is_null() {
            return Chain::new();
        }
        // ORD(handoff.returned): Acquire; pairs with `give_back`'s Release.
        let first = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        // H1: the swap made this thread the owner of the whole stack.
        Chain { first, owns: PhantomData }
    }
}

impl<T> Drop for Handoff<T> {
    fn drop(&mut self) {
        drop(self.take());
        // Not `collect`, whose first load may read an old value in a model, which does not see the
        // count of the owners. ORD(handoff.returned): Acquire; pairs with `give_back`'s Release.
        let first = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        drop(Chain { first, owns: PhantomData });
    }
}

const OFFERED: usize = 0;
const HELD: usize = 1;
const RETURNING: usize = 2;
const RETURNED: usize = 3;
const WITHDRAWN: usize = 4;

/// A value that is lent once: the publisher accepts it, or the control plane withdraws it,
/// whichever comes first.
///
/// The publisher that accepted the value may put it back, to be dropped with the lease.
///
/// # Invariant
/// - H3: the value is in the slot while `state` is `OFFERED` or `RETURNED`. It belongs to the
///   thread that moves the state away from `OFFERED`, and the slot to the thread that moves it from
///   `HELD` to `RETURNING`.
pub(crate) struct Lease<T> {
    state: AtomicUsize,
    value: Slot<T>,
}

impl<T> Lease<T> {
    pub(crate) fn new(value: T) -> Self {
        let slot = Slot::empty();
        // SAFETY: the slot is new and empty, and no other thread has it.
        unsafe { slot.put(value) };
        Self { state: AtomicUsize::new(OFFERED), value: slot }
    }

    fn claim(&self, state: usize) -> Option<T> {
        // ORD(lease.state): AcqRel; pairs with itself. The change that carries the lease publishes
        // the value; the exchange only decides which thread gets it.
        self.state.compare_exchange(OFFERED, state, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        // SAFETY: H3: the exchange made this thread the owner of the value.
        Some(unsafe { self.value.take() })
    }

    /// Publisher: takes the value, unless it was taken or withdrawn before.
    pub(crate) fn accept(&self) -> Option<T> {
        self.claim(HELD)
    }

    /// Control plane: takes the value back, unless the publisher has it.
    pub(crate) fn withdraw(&self) -> Option<T> {
        self.claim(WITHDRAWN)
    }

    /// Returns whether the value was withdrawn.
    pub(crate) fn is_withdrawn(&self) -> bool {
        // Relaxed: only the control plane calls it, which withdraws under the same lock.
        self.state.load(Ordering::Relaxed) == WITHDRAWN
    }

    /// Publisher: puts the value back, for the control plane to drop. Returns a value that was not
    /// accepted to the caller.
    pub(crate) fn put_back(&self, value: T) -> Option<T> {
        if self.state.compare_exchange(HELD, RETURNING, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Some(value);
        }
        // SAFETY: H3: the exchange made this thread the owner of the slot, which is empty since the
        // value was accepted.
        unsafe { self.value.put(value) };
        // ORD(lease.state): Release; pairs with the Acquire in `drop`: the value is there.
        self.state.store(RETURNED, Ordering::Release);
        None
    }
}

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        // ORD(lease.state): Acquire; pairs with the Release in `put_back`. The reference count of
        // the lease's owner orders them as well, but a model does not see that; so this is a
        // read-modify-write, which reads the newest state.
        if matches!(self.state.swap(WITHDRAWN, Ordering::Acquire), OFFERED | RETURNED) {
            // SAFETY: H3, and `&mut self`.
            drop(unsafe { self.value.take() });
        }
    }
}
