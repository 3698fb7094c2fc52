//! One value per thread for a shared owner, created at first use and lent to one caller at a time.
//!
//! Finding the value of the last owner takes a comparison and a flag: no reference count and no
//! run-time type check.
//!
//! # Invariants
//! - K1: an entry under an address is an `Entry<O>`, where `O` is the type of the owner at that
//!   address: the entry holds the owner, so no other owner can get the same address.
//! - K2: an entry is dropped only while it is not lent, or when its thread ends, where nothing is
//!   lent any more.
//! - K3: `last` is null or points to an entry in `entries`, whose address never changes.
#![expect(unsafe_code, reason = "a value is found by the address of its owner, which determines its type")]

use super::per_thread;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// An owner that threads share, and for which each thread keeps a value.
pub(crate) trait Owner: 'static {
    /// The value that each thread keeps.
    type Kept: 'static;

    /// Returns whether the owner needs the value no more.
    fn is_closed(&self) -> bool;
}

struct Entry<O: Owner> {
    lent: Cell<bool>,
    value: UnsafeCell<O::Kept>,
    owner: Arc<O>,
}

/// An entry with an erased type.
trait AnyEntry {
    /// Returns whether the value is not lent, and its owner needs it no more.
    fn is_removable(&self) -> bool;
}

impl<O: Owner> AnyEntry for Entry<O> {
    fn is_removable(&self) -> bool {
        !self.lent.get() && self.owner.is_closed()
    }
}

/// The values that one thread keeps.
struct Shelf {
    /// The owner of the last lookup, and its entry.
    last: Cell<(usize, *const ())>,
    entries: RefCell<Vec<(usize, Box<dyn AnyEntry>)>>,
}

per_thread! {
    static SHELF: Shelf = Shelf { last: Cell::new((0, ptr::null())), entries: RefCell::new(Vec::new()) },
    dropped with the thread
}

impl Shelf {
    /// Returns the entry of an owner, if there is one.
    #[inline]
    fn find<O: Owner>(&self, owner: &Arc<O>) -> Option<NonNull<Entry<O>>> {
        let address = Arc::as_ptr(owner).addr();
        let (last, entry) = self.last.get();
        let entry = if last == address { entry } else { self.search(address) };
        // K1: the type is that of the owner.
        NonNull::new(entry.cast::<Entry<O>>().cast_mut())
    }

    #[cold]
    fn search(&self, address: usize) -> *const () {
        let entries = self.entries.borrow();
        let found = entries.iter().find(|(known, _)| *known == address);
        let entry = found.map_or(ptr::null(), |(_, entry)| ptr::from_ref(&**entry).cast());
        if found.is_some() {
            self.last.set((address, entry));
        }
        entry
    }

    /// Adds a value, and removes those of closed owners, for the caller to drop.
    fn keep<O: Owner>(&self, owner: &Arc<O>, value: O::Kept) -> Vec<(usize, Box<dyn AnyEntry>)> {
        let entry = Entry { lent: Cell::new(false), value: UnsafeCell::new(value), owner: owner.clone() };
        // K3: the last entry may be among the removed ones.
        self.last.set((0, ptr::null()));
        let mut entries = self.entries.borrow_mut();
        let removed = entries.extract_if(.., |(_, entry)| entry.is_removable()).collect();
        entries.push((Arc::as_ptr(owner).addr(), Box::new(entry)));
        removed
    }
}

/// The result of a loan.
pub(crate) enum Loan<'a, T> {
    /// The value of this thread.
    Kept(&'a mut T),
    /// No value: a caller further up on this thread has it.
    Busy,
    /// No value: the thread is ending and keeps none any more.
    Ending,
}

/// Lends `f` the value that this thread keeps for `owner`. The first call creates it with `make`.
#[inline]
pub(crate) fn lend<O: Owner, R>(
    owner: &Arc<O>,
    make: impl FnOnce() -> O::Kept,
    f: impl FnOnce(Loan<'_, O::Kept>) -> R,
) -> R {
    /// Ends the loan, also when `f` unwinds.
    struct LoanEnd<'a>(&'a Cell<bool>);
    impl Drop for LoanEnd<'_> {
        #[inline(always)]
        fn drop(&mut self) {
            self.0.set(false);
        }
    }
    let found = match SHELF.try_with(|shelf| shelf.find(owner)) {
        Ok(Some(found)) => Some(found),
        Ok(None) => keep(owner, make),
        Err(_) => None,
    };
    // SAFETY: K2, K3: the entry exists and stays while its flag is set. Nothing runs between the
    // lookup and that.
    let entry = found.map(|entry| unsafe { entry.as_ref() });
    let loan = entry.filter(|entry| !entry.lent.replace(true)).map(|entry| (entry, LoanEnd(&entry.lent)));
    f(match &loan {
        // SAFETY: the flag was not set, so this is the only reference, and the loan outlives it.
        Some((entry, _loan)) => Loan::Kept(unsafe { &mut *entry.value.get() }),
        None if entry.is_some() => Loan::Busy,
        None => Loan::Ending,
    })
}

#[cold]
fn keep<O: Owner>(owner: &Arc<O>, make: impl FnOnce() -> O::Kept) -> Option<NonNull<Entry<O>>> {
    // `make` is user code, as are the destructors of the removed values. Both may call this
    // function again, so they run outside the borrow and before the lookup.
    let value = make();
    drop(SHELF.try_with(|shelf| shelf.keep(owner, value)));
    SHELF.try_with(|shelf| shelf.find(owner)).ok().flatten()
}
