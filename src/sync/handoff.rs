//! Mailbox between the control plane and one publisher, with a return path for used parcels.
//!
//! The control plane *pushes* parcels, or *replaces* all untaken ones in one step. The publisher
//! *takes* all of them and later *returns* each. Neither side ever waits, and the publisher neither
//! allocates nor frees. A parcel that is replaced before it was taken returns to the control plane
//! at once, so an idle publisher keeps only the parcels that still matter to it.
//!
//! # Invariants
//! - H1: a pointer in `slot`, on the `returned` stack or in a [`Chain`] came from `Box::into_raw`
//!   and has no other owner; the thread that swaps it out owns it, and every parcel that is linked
//!   after it.
//! - H2: `next` of a parcel is written only by the owner of the parcel, before the parcel moves to
//!   another owner.
#![expect(unsafe_code, reason = "ownership moves through atomic pointers")]

use super::slot::Slot;
use super::{AtomicPtr, AtomicUsize, Ordering};
use std::marker::PhantomData;
use std::ptr;

/// A value with the link of the stack that holds it, so that moving it allocates nothing.
pub(crate) struct Parcel<T> {
    pub(crate) value: T,
    /// In a cell, so that a model sees every access.
    next: Slot<*mut Parcel<T>>,
}

// SAFETY: H2: `next` is a link that only the parcel's owner touches; a parcel is as sendable as its
// value.
unsafe impl<T: Send> Send for Parcel<T> {}

impl<T> Parcel<T> {
    pub(crate) fn new(value: T) -> Box<Self> {
        Box::new(Self { value, next: Slot::empty() })
    }
}

/// Linked parcels of one owner; the last one pushed comes first.
pub(crate) struct Chain<T> {
    first: *mut Parcel<T>,
    owns: PhantomData<Parcel<T>>,
}

// SAFETY: H1: a chain owns its parcels.
unsafe impl<T: Send> Send for Chain<T> {}

impl<T> Chain<T> {
    pub(crate) fn new() -> Self {
        Self { first: ptr::null_mut(), owns: PhantomData }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_null()
    }

    pub(crate) fn push(&mut self, parcel: Box<Parcel<T>>) {
        // SAFETY: H2: the parcel is ours.
        unsafe { parcel.next.put(self.first) };
        self.first = Box::into_raw(parcel);
    }

    /// Returns the same parcels in reverse order: the first one pushed comes first.
    pub(crate) fn reversed(self) -> Self {
        let mut reversed = Self::new();
        self.for_each(|parcel| reversed.push(parcel));
        reversed
    }

    fn into_first(mut self) -> *mut Parcel<T> {
        std::mem::replace(&mut self.first, ptr::null_mut())
    }
}

impl<T> Extend<Box<Parcel<T>>> for Chain<T> {
    fn extend<I: IntoIterator<Item = Box<Parcel<T>>>>(&mut self, parcels: I) {
        parcels.into_iter().for_each(|parcel| self.push(parcel));
    }
}

impl<T> Iterator for Chain<T> {
    type Item = Box<Parcel<T>>;

    fn next(&mut self) -> Option<Box<Parcel<T>>> {
        if self.first.is_null() {
            return None;
        }
        // SAFETY: H1: the parcel is ours, and it becomes a box only once, since `first` advances.
        let parcel = unsafe { Box::from_raw(self.first) };
        // SAFETY: H2: the parcel is ours, and its link was written before it came here.
        self.first = unsafe { parcel.next.take() };
        Some(parcel)
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// A mailbox and its return stack.
pub(crate) struct Handoff<T> {
    slot: AtomicPtr<Parcel<T>>,
    returned: AtomicPtr<Parcel<T>>,
    owns: PhantomData<Parcel<T>>,
}

// SAFETY: H1: parcels move between threads one owner at a time.
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

    /// Control plane: adds a parcel to the untaken ones, and returns whether there was none.
    pub(crate) fn push(&self, parcel: Box<Parcel<T>>) -> bool {
        let parcel = Box::into_raw(parcel);
        let mut top = self.slot.load(Ordering::Relaxed);
        loop {
            // SAFETY: H2: we own the parcel until the exchange below succeeds.
            unsafe { (*parcel).next.put(top) };
            // ORD(handoff.slot): AcqRel; Release pairs with the Acquire in `take`: the content is
            // visible, also that of the parcels below, whose pushes this read-modify-write
            // continues; Acquire with the Release in `take`: if the mailbox is empty, the effects
            // of the publisher on the earlier parcels are visible.
            match self.slot.compare_exchange(top, parcel, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return top.is_null(),
                Err(newer) => top = newer,
            }
        }
    }

    /// Control plane: replaces the untaken parcels by these, and returns the old ones.
    ///
    /// The mailbox always holds one set or the other.
    pub(crate) fn replace(&self, parcels: Chain<T>) -> Chain<T> {
        // ORD(handoff.slot): AcqRel; Release pairs with `take`'s Acquire, Acquire with an earlier
        // `push`.
        let first = self.slot.swap(parcels.into_first(), Ordering::AcqRel);
        // H1: the swap made us the owner.
        Chain { first, owns: PhantomData }
    }

    /// Publisher: takes all parcels, the newest first.
    pub(crate) fn take(&self) -> Chain<T> {
        // ORD(handoff.slot): AcqRel; Acquire pairs with the Release in `push` and `replace`: the
        // content of the parcels is visible; Release with the Acquire in `push`.
        let first = self.slot.swap(ptr::null_mut(), Ordering::AcqRel);
        // H1: the swap made us the owner.
        Chain { first, owns: PhantomData }
    }

    /// Control plane: whether all parcels were taken. If so, the earlier effects of the publisher
    /// are visible.
    pub(crate) fn is_taken(&self) -> bool {
        // ORD(handoff.slot): Acquire; pairs with the Release in `take`.
        self.slot.load(Ordering::Acquire).is_null()
    }

    /// Publisher: returns a parcel without freeing it.
    pub(crate) fn give_back(&self, parcel: Box<Parcel<T>>) {
        let parcel = Box::into_raw(parcel);
        let mut top = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: H2: we own the parcel until the exchange below succeeds.
            unsafe { (*parcel).next.put(top) };
            // ORD(handoff.returned): Release; pairs with `collect`'s Acquire: `next` and the value
            // are visible.
            match self.returned.compare_exchange(top, parcel, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => top = newer,
            }
        }
    }

    /// Control plane: takes every returned parcel.
    pub(crate) fn collect(&self) -> Chain<T> {
        // Relaxed: most of the time there is nothing, and the swap below decides.
        if self.returned.load(Ordering::Relaxed).is_null() {
            return Chain::new();
        }
        // ORD(handoff.returned): Acquire; pairs with `give_back`'s Release.
        let first = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        // H1: the whole stack became ours by the swap.
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
        // SAFETY: the slot is new, empty and ours.
        unsafe { slot.put(value) };
        Self { state: AtomicUsize::new(OFFERED), value: slot }
    }

    fn claim(&self, state: usize) -> Option<T> {
        // ORD(lease.state): AcqRel; pairs with itself. The parcel that carries the lease publishes
        // the value; the exchange only decides which thread gets it.
        self.state.compare_exchange(OFFERED, state, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        // SAFETY: H3: the exchange made the value ours.
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
        // SAFETY: H3: the exchange made the slot ours, which is empty since the value was accepted.
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
