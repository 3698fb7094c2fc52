//! What each thread keeps for an owner that all threads share: made at its first use there, lent to
//! one caller at a time.
//!
//! The way to the value that was asked for last is a comparison and a flag: no reference count, no
//! type that is looked at while the program runs.
//!
//! # Invariants
//! - K1: an entry under an address is an `Entry<O>`, `O` being the type of the owner that lies
//!   there: the entry holds the owner, so that no other can come to lie at its address.
//! - K2: an entry is dropped only while it is not lent, or when its thread ends, where nothing is
//!   lent any more.
//! - K3: `last` points to an entry in `entries`, whose place in memory never changes, or nowhere.
#![expect(
    unsafe_code,
    reason = "a value is found by the address of its owner, which says of what type it is"
)]

use super::per_thread;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// Shared by threads of which each keeps something for it.
pub(crate) trait Owner: 'static {
    /// What each thread keeps.
    type Kept: 'static;

    /// Whether the owner has no use for it any more.
    fn is_closed(&self) -> bool;
}

struct Entry<O: Owner> {
    lent: Cell<bool>,
    value: UnsafeCell<O::Kept>,
    owner: Arc<O>,
}

/// An entry whose type is not known.
trait AnyEntry {
    fn is_idle_and_over(&self) -> bool;
}

impl<O: Owner> AnyEntry for Entry<O> {
    fn is_idle_and_over(&self) -> bool {
        !self.lent.get() && self.owner.is_closed()
    }
}

/// What one thread keeps.
struct Shelf {
    /// The owner that was asked for last, and its entry.
    last: Cell<(usize, *const ())>,
    entries: RefCell<Vec<(usize, Box<dyn AnyEntry>)>>,
}

per_thread! {
    static SHELF: Shelf = Shelf { last: Cell::new((0, ptr::null())), entries: RefCell::new(Vec::new()) },
    dropped with the thread
}

impl Shelf {
    /// The entry of an owner, if there is one.
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

    /// Keeps a value, and takes out those that are over, for the caller to drop.
    fn keep<O: Owner>(&self, owner: &Arc<O>, value: O::Kept) -> Vec<(usize, Box<dyn AnyEntry>)> {
        let entry = Entry { lent: Cell::new(false), value: UnsafeCell::new(value), owner: owner.clone() };
        // K3: what is taken out may be the last.
        self.last.set((0, ptr::null()));
        let mut entries = self.entries.borrow_mut();
        let over = entries.extract_if(.., |(_, entry)| entry.is_idle_and_over()).collect();
        entries.push((Arc::as_ptr(owner).addr(), Box::new(entry)));
        over
    }
}

/// What a caller gets.
pub(crate) enum Lent<'a, T> {
    /// What this thread keeps.
    Kept(&'a mut T),
    /// Nothing: it is lent already further up on this thread.
    Busy,
    /// Nothing: the thread is ending, and keeps nothing any more.
    Ending,
}

/// Lends `f` what this thread keeps for `owner`, made by `make` at the first call.
#[inline]
pub(crate) fn lend<O: Owner, R>(
    owner: &Arc<O>,
    make: impl FnOnce() -> O::Kept,
    f: impl FnOnce(Lent<'_, O::Kept>) -> R,
) -> R {
    /// Ends the loan, also when `f` unwinds.
    struct Loan<'a>(&'a Cell<bool>);
    impl Drop for Loan<'_> {
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
    // SAFETY: K2, K3: the entry is there, and stays while its flag is set, which nothing can come
    // before.
    let entry = found.map(|entry| unsafe { entry.as_ref() });
    let loan = entry.filter(|entry| !entry.lent.replace(true)).map(|entry| (entry, Loan(&entry.lent)));
    f(match &loan {
        // SAFETY: the flag was not set, so this is the only reference, and the loan outlives it.
        Some((entry, _loan)) => Lent::Kept(unsafe { &mut *entry.value.get() }),
        None if entry.is_some() => Lent::Busy,
        None => Lent::Ending,
    })
}

#[cold]
fn keep<O: Owner>(owner: &Arc<O>, make: impl FnOnce() -> O::Kept) -> Option<NonNull<Entry<O>>> {
    // Foreign code, as are the destructors of what is over: outside the borrow, and before the
    // entry is looked for, since they may come here again.
    let value = make();
    drop(SHELF.try_with(|shelf| shelf.keep(owner, value)));
    SHELF.try_with(|shelf| shelf.find(owner)).ok().flatten()
}
