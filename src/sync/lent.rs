//! A boxed user value that its holder calls and that another thread takes back when no call can
//! follow.
//!
//! A publisher keeps its lanes in its own table, and a lane may contain user code of the sink: the
//! closure of a filter, a stage. The control plane does not reach into that table, so an idle
//! publisher would keep these values long after the removal of the sink. Therefore the box is only
//! lent to the lane, and the control plane has a [`Claim`]. The holder pays nothing for that: it
//! uses the value through the same pointer as before.
//!
//! # Invariants
//! - V1: the box belongs to the thread that moves `state` away from LENT: the holder as it drops
//!   the [`Lent`], or the one claimant that succeeds.
//! - V2: a claimant takes the value back only when the holder uses it no more. The holder has
//!   ended; or it uses the value only inside the calls that the guard of the sink lets in, and the
//!   guard is quiet ([`Listed::is_quiet`](super::guarded::Listed::is_quiet)): no call is in
//!   progress, and none begins.
#![expect(unsafe_code, reason = "a box that has two possible owners")]

use super::{Arc, AtomicUsize, Ordering};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The holder has the value.
const LENT: usize = 0;
/// The holder is dropping it.
const DROPPING: usize = 1;
/// The value was dropped, or taken back.
const GONE: usize = 2;

/// A box that may be taken back.
pub(crate) struct Lent<T: ?Sized> {
    value: NonNull<T>,
    state: Arc<AtomicUsize>,
}

// SAFETY: V1: it owns its value as a box does.
unsafe impl<T: ?Sized + Send> Send for Lent<T> {}

impl<T: ?Sized> Lent<T> {
    pub(crate) fn new(value: Box<T>) -> Self {
        // SAFETY: a box is not null.
        let value = unsafe { NonNull::new_unchecked(Box::into_raw(value)) };
        Self { value, state: Arc::new(AtomicUsize::new(LENT)) }
    }

    /// Returns the right to take the value back.
    pub(crate) fn claim(&self) -> Claim<T> {
        Claim { value: self.value, state: self.state.clone() }
    }
}

impl<T: ?Sized> Deref for Lent<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: V2: the value is still there, and only the holder uses it.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Lent<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: V2: the value is still there, and only the holder uses it.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> Drop for Lent<T> {
    fn drop(&mut self) {
        /// Marks the value as gone, also when its destructor panics.
        struct Done<'a>(&'a AtomicUsize);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                // ORD(lent.state): Release; pairs with the Acquire in `take_back`: the effects of
                // the destructor are visible.
                self.0.store(GONE, Ordering::Release);
            }
        }
        // ORD(lent.state): Acquire; pairs with the Release in `take_back`. It only decides which
        // thread drops the value.
        if self.state.compare_exchange(LENT, DROPPING, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            let _done = Done(&self.state);
            // SAFETY: V1: the exchange made this thread the owner of the box, which came from
            // `Box::into_raw`.
            drop(unsafe { Box::from_raw(self.value.as_ptr()) });
        }
    }
}

/// The right to take a [`Lent`] value back.
pub(crate) struct Claim<T: ?Sized> {
    value: NonNull<T>,
    state: Arc<AtomicUsize>,
}

// SAFETY: it gives out the value itself, to one thread, and no reference to it.
unsafe impl<T: ?Sized + Send> Send for Claim<T> {}
// SAFETY: as above: by V1 one thread gets it.
unsafe impl<T: ?Sized + Send> Sync for Claim<T> {}

impl<T: ?Sized> Claim<T> {
    /// Takes the value back for the caller to drop, if it is still lent.
    ///
    /// Call it only when the holder uses the value no more: V2.
    pub(crate) fn take_back(&self) -> Option<Box<T>> {
        // ORD(lent.state): AcqRel; Acquire pairs with the Release in `Lent::drop`, Release with the
        // Acquire there.
        self.state.compare_exchange(LENT, GONE, Ordering::AcqRel, Ordering::Acquire).ok()?;
        // SAFETY: V1: the exchange made this thread the owner of the box; V2: the holder uses it no
        // more.
        Some(unsafe { Box::from_raw(self.value.as_ptr()) })
    }

    /// Returns whether the value was dropped or taken back.
    pub(crate) fn is_dropped(&self) -> bool {
        // ORD(lent.state): Acquire; pairs with the Release in `Lent::drop`: the effects of the
        // destructor are visible.
        self.state.load(Ordering::Acquire) == GONE
    }
}
