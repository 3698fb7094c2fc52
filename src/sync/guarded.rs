//! A value that publishers call into while the control plane may take it, guarded by one hazard
//! word per publisher.
//!
//! A publisher names the value in its [`Hazard`] before it checks whether the value is still
//! attached. The remover marks the value first and checks the hazard words second. With a fence
//! between the two steps on both sides, either the publisher sees the mark and stays out, or the
//! remover sees the name and waits. A publisher never waits.
//!
//! A remover that knows by other means that no publisher will enter needs no fence. (M. Michael's
//! hazard pointers, 2004, with an id in place of the pointer. Ids are never reused, so a name is
//! unambiguous.)
//!
//! Readers of a copy-on-write list have no hazard word. They reach the value through a [`Listed`],
//! which only lists own. While a reader holds a list, the `Listed` is shared and the value stays.
//!
//! # Invariants
//! - G1: the value is moved out only by [`Listed::take`], which has the only `Listed` (so no list
//!   reader is inside or will be) and has seen that no hazard word of the domain names it. It
//!   checks them after the mark and the heavy fence, or after every publisher has shown that it
//!   uses the value no more.
//! - G2: a reference is given out only while a hazard word of the value's own domain names it, or
//!   through a `Listed` that its owner holds.
//! - G3: what `INSIDE` points to lies on this thread's stack, in a call of [`Entered::inside`] that
//!   has not returned. The same holds for each `outer` pointer.
#![expect(unsafe_code, reason = "one thread takes the value that other threads read")]

use super::membarrier::{FencePair, heavy_fence_or_wait, light_fence};
use super::slot::Slot;
use super::{Arc, AtomicU64, CachePadded, Mutex, Ordering, lock, per_thread};
use std::cell::Cell;
use std::ptr::null;

/// A call into a value, and the enclosing call.
struct Inside {
    state: *const AtomicU64,
    outer: *const Self,
}

per_thread! {
    /// The innermost call of this thread into a value.
    static INSIDE: Cell<*const Inside> = Cell::new(null())
}

/// Returns whether this thread is inside a call that a removal may wait for.
pub(crate) fn is_inside() -> bool {
    INSIDE.try_with(|inside| !inside.get().is_null()).unwrap_or(false)
}

/// Returns whether this thread is inside a value that was detached meanwhile.
///
/// Such a thread waits for nothing, since a remover waits for it. Checked where a wait would begin,
/// and at each of its steps.
pub(crate) fn is_let_go() -> bool {
    let mut at = INSIDE.try_with(Cell::get).unwrap_or(null());
    while !at.is_null() {
        // SAFETY: G3.
        let Inside { state, outer } = unsafe { &*at };
        // Relaxed: it ends a wait, and implies nothing about the value.
        // SAFETY: G3: the state is borrowed by the call.
        if unsafe { &**state }.load(Ordering::Relaxed) != ATTACHED {
            return true;
        }
        at = *outer;
    }
    false
}

/// The word in which one publisher names the value that it calls; 0 names nothing.
pub(crate) struct Hazard(CachePadded<AtomicU64>);

/// All hazard words that can name the values of one bus.
pub(crate) struct Domain {
    pair: FencePair,
    hazards: Mutex<Vec<Arc<Hazard>>>,
}

impl Domain {
    pub(crate) fn new(pair: FencePair) -> Self {
        Self { pair, hazards: Mutex::new(Vec::new()) }
    }

    pub(crate) fn register(&self) -> Arc<Hazard> {
        let hazard = Arc::new(Hazard(CachePadded::new(AtomicU64::new(0))));
        lock(&self.hazards).push(hazard.clone());
        hazard
    }

    /// Drops the word of a dropped publisher.
    ///
    /// A publisher inside a call cannot be dropped, so the word names nothing.
    pub(crate) fn forget(&self, hazard: &Arc<Hazard>) {
        lock(&self.hazards).retain(|known| !Arc::ptr_eq(known, hazard));
    }

    /// Executes the fence between the mark and the check of the hazard words.
    pub(crate) fn fence(&self) {
        // ORD(guarded.hazard): heavy fence; pairs with the light one in `enter`, and with that in
        // `Info::begin_call`.
        heavy_fence_or_wait(self.pair);
    }

    fn names(&self, id: u64) -> bool {
        // ORD(guarded.hazard): Acquire; pairs with the Release in `Entered::drop`: the effects of
        // the call are visible.
        lock(&self.hazards).iter().any(|hazard| hazard.0.load(Ordering::Acquire) == id)
    }
}

const ATTACHED: u64 = 0;
const DETACHED: u64 = 1;
const TAKEN: u64 = 2;

/// A value with its id and its mark.
pub(crate) struct Guarded<T> {
    id: u64,
    state: AtomicU64,
    value: Slot<T>,
}

// SAFETY: `&T` is given to several threads (`T: Sync`), and the value moves to the one that takes
// it (`T: Send`).
unsafe impl<T: Send + Sync> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Names the value and checks that it is attached. Dropping the result clears the word.
    ///
    /// `hazard` belongs to the domain that `take` will be given, and names nothing now.
    #[inline]
    pub(crate) fn enter<'a>(&'a self, hazard: &'a Hazard, pair: FencePair) -> Option<Entered<'a, T>> {
        // ORD(guarded.hazard): Release; pairs with the Acquire in `Domain::names`: a remover that
        // finds this name instead of its own sees the effects of the call before this one. A store
        // does not continue the release sequence of the store before it.
        hazard.0.store(self.id, Ordering::Release);
        // ORD(guarded.hazard): light fence; pairs with the heavy one in `Domain::fence`: the
        // publisher sees the mark, or the remover sees the name.
        light_fence(pair);
        // Dropped again, which clears the word, if the value is detached.
        let entered = Entered { guarded: self, hazard };
        // ORD(guarded.state): Relaxed; the fence above pairs with the heavy one in `Domain::fence`.
        (self.state.load(Ordering::Relaxed) == ATTACHED).then_some(entered)
    }

    /// Returns whether no thread has detached the value yet.
    pub(crate) fn is_attached(&self) -> bool {
        // ORD(guarded.state): Acquire; pairs with `detach`.
        self.state.load(Ordering::Acquire) == ATTACHED
    }

    /// Returns whether a hazard word of `domain` names the value now.
    pub(crate) fn is_named(&self, domain: &Domain) -> bool {
        domain.names(self.id)
    }

    /// Marks the value, so that no further call enters it. Calls in progress continue.
    ///
    /// [`Domain::fence`] must follow before the hazard words are checked, unless it is otherwise
    /// certain that no thread enters without having seen the mark.
    pub(crate) fn detach(&self) {
        // ORD(guarded.state): AcqRel; pairs with the Acquire in `is_attached`, `Listed::take`. The
        // fence that follows pairs with the light fence in `enter`. Fails if another thread has
        // detached the value before.
        let _ = self.state.compare_exchange(ATTACHED, DETACHED, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if self.state.load(Ordering::Relaxed) != TAKEN {
            // SAFETY: `&mut self`, and the value was not taken.
            drop(unsafe { self.value.take() });
        }
    }
}

/// A call in progress, or one that found the value detached.
pub(crate) struct Entered<'a, T> {
    guarded: &'a Guarded<T>,
    hazard: &'a Hazard,
}

impl<T> Entered<'_, T> {
    /// Makes a call that may wait inside the value. Detaching the value ends the wait, see
    /// [`is_let_go`].
    pub(crate) fn inside<R>(&self, call: impl FnOnce() -> R) -> R {
        /// Removes the call from the list, also when it unwinds.
        struct Leave(*const Inside);
        impl Drop for Leave {
            fn drop(&mut self) {
                let _ = INSIDE.try_with(|inside| inside.set(self.0));
            }
        }
        let outer = INSIDE.try_with(Cell::get).unwrap_or(null());
        let here = Inside { state: &raw const self.guarded.state, outer };
        let _leave = Leave(outer);
        let _ = INSIDE.try_with(|inside| inside.set(&raw const here));
        call()
    }

    /// Lends the value to `f`.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: G2: our hazard word names the value, which was attached after that: no taker
        // passes the word.
        unsafe { self.guarded.value.with(f) }
    }
}

impl<T> Drop for Entered<'_, T> {
    fn drop(&mut self) {
        // ORD(guarded.hazard): Release; pairs with the Acquire in `Domain::names`.
        self.hazard.0.store(0, Ordering::Release);
    }
}

/// The access that lists have to a value without a hazard word.
pub(crate) struct Listed<T>(Arc<Guarded<T>>);

impl<T> Listed<T> {
    /// Wraps a value. `id` is not 0 and never given to another value of the same domain.
    pub(crate) fn new(id: u64, value: T) -> Self {
        debug_assert_ne!(id, 0);
        let slot = Slot::empty();
        // SAFETY: the slot is new and empty, and no other thread has it.
        unsafe { slot.put(value) };
        Self(Arc::new(Guarded { id, state: AtomicU64::new(ATTACHED), value: slot }))
    }

    /// Returns the half that publishers keep.
    pub(crate) fn guarded(&self) -> &Arc<Guarded<T>> {
        &self.0
    }

    /// Lends the value to `f`.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: G2: the value leaves only through `take`, which needs the only `Listed`; `self`
        // is borrowed here.
        unsafe { self.0.value.with(f) }
    }

    /// Returns whether no call of a publisher is inside the value, and none will be.
    ///
    /// That is so when the value was detached, no list but `listed` itself holds it, and no hazard
    /// word of `domain` names it. Stays true.
    pub(crate) fn is_quiet(listed: &mut Arc<Self>, domain: &Domain) -> bool {
        Arc::get_mut(listed).is_some_and(|Self(guarded)| {
            // ORD(guarded.state): Acquire; pairs with `detach`.
            guarded.state.load(Ordering::Acquire) == DETACHED && !domain.names(guarded.id)
        })
    }

    /// Moves the value out once no thread can be inside it, see [`is_quiet`](Self::is_quiet).
    ///
    /// `None` means that a thread may still be inside (call again), or that the value was taken
    /// before.
    pub(crate) fn take(listed: &mut Arc<Self>, domain: &Domain) -> Option<T> {
        if !Self::is_quiet(listed, domain) {
            return None;
        }
        let guarded = &listed.0;
        guarded.state.store(TAKEN, Ordering::Relaxed);
        // SAFETY: G1: the only `Listed`, detached, and named by no hazard word since; `&mut` makes
        // this the only take.
        Some(unsafe { guarded.value.take() })
    }
}
