//! One-slot mailbox between the control plane and one publisher, with a way back for what the publisher is done with.
//!
//! The control plane *offers* a parcel, the publisher *takes* the newest one and later *returns* it; neither ever
//! waits, and the publisher neither allocates nor frees. A parcel that is replaced before it was taken goes back to
//! the control plane at once, so an idle publisher costs one parcel, however often the control plane changes its mind.
//!
//! # Invariants
//! - H1: a pointer in `slot` or on the `returned` stack came from `Box::into_raw` and is owned by that place alone;
//!   whoever swaps it out owns it.
//! - H2: `next` of a parcel is written only by the owner of the parcel, before the parcel goes on the stack.
#![expect(unsafe_code, reason = "ownership moves through atomic pointers")]

use super::slot::Slot;
use super::{AtomicBool, AtomicPtr, Ordering};
use std::marker::PhantomData;
use std::ptr;

/// What travels: a value, and the link of the return stack, so that returning it allocates nothing.
pub(crate) struct Parcel<T> {
    pub(crate) value: T,
    /// In a cell, so that a model sees who touches it.
    next: Slot<*mut Parcel<T>>,
}

// SAFETY: H2: `next` is a link that only the parcel's owner touches; a parcel is as sendable as its value.
unsafe impl<T: Send> Send for Parcel<T> {}

impl<T> Parcel<T> {
    pub(crate) fn new(value: T) -> Box<Self> {
        Box::new(Self { value, next: Slot::empty() })
    }
}

/// The mailbox and its return stack.
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

    /// Control plane: puts a parcel in, and gets the one that was never taken.
    pub(crate) fn offer(&self, parcel: Box<Parcel<T>>) -> Option<Box<Parcel<T>>> {
        // ORD(handoff.slot): AcqRel; Release pairs with `take`'s Acquire, Acquire with an earlier `offer`.
        let old = self.slot.swap(Box::into_raw(parcel), Ordering::AcqRel);
        // SAFETY: H1: the swap made us the owner.
        (!old.is_null()).then(|| unsafe { Box::from_raw(old) })
    }

    /// Publisher: takes the newest parcel, if there is one.
    pub(crate) fn take(&self) -> Option<Box<Parcel<T>>> {
        // ORD(handoff.slot): AcqRel; Acquire pairs with `offer`'s Release: the parcel's content is visible; Release pairs with the
        // Acquire in `is_taken`.
        let taken = self.slot.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: H1: the swap made us the owner.
        (!taken.is_null()).then(|| unsafe { Box::from_raw(taken) })
    }

    /// Control plane: whether the newest parcel was taken. If so, all that the publisher did before is visible.
    pub(crate) fn is_taken(&self) -> bool {
        // ORD(handoff.slot): Acquire; pairs with the Release in `take`.
        self.slot.load(Ordering::Acquire).is_null()
    }

    /// Publisher: gives a parcel back without freeing it.
    pub(crate) fn give_back(&self, parcel: Box<Parcel<T>>) {
        let parcel = Box::into_raw(parcel);
        let mut top = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: H2: we own the parcel until the exchange below succeeds.
            unsafe { (*parcel).next.put(top) };
            // ORD(handoff.returned): Release; pairs with `collect`'s Acquire: `next` and the value are visible.
            match self.returned.compare_exchange(top, parcel, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => top = newer,
            }
        }
    }

    /// Control plane: gets everything that was given back.
    pub(crate) fn collect(&self) -> Vec<Box<Parcel<T>>> {
        // ORD(handoff.returned): Acquire; pairs with `give_back`'s Release.
        let mut next = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
        let mut all = Vec::new();
        while !next.is_null() {
            // SAFETY: H1: the whole stack became ours by the swap; each parcel is turned into a box once.
            let parcel = unsafe { Box::from_raw(next) };
            // SAFETY: H2: the parcel is ours, and its link was written before it went on the stack.
            next = unsafe { parcel.next.take() };
            all.push(parcel);
        }
        all
    }
}

impl<T> Drop for Handoff<T> {
    fn drop(&mut self) {
        drop(self.take());
        drop(self.collect());
    }
}

/// A value that is taken out once, by whoever comes first.
///
/// # Invariant
/// - H3: the value is there until `taken` goes from false to true, and then belongs to the one that set it.
pub(crate) struct OneShot<T> {
    taken: AtomicBool,
    value: Slot<T>,
}

impl<T> OneShot<T> {
    pub(crate) fn new(value: T) -> Self {
        let slot = Slot::empty();
        // SAFETY: the slot is new, empty and ours.
        unsafe { slot.put(value) };
        Self { taken: AtomicBool::new(false), value: slot }
    }

    /// Takes the value, unless somebody did before.
    pub(crate) fn take(&self) -> Option<T> {
        // ORD(oneshot.taken): AcqRel; pairs with itself. Whoever hands the `OneShot` on publishes the value; the swap only decides
        // who gets it.
        if self.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: H3: the swap made the value ours.
        Some(unsafe { self.value.take() })
    }
}

impl<T> Drop for OneShot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
