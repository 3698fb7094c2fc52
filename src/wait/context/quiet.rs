//! A user value whose destructor may panic, and which an unrelated thread may drop.
//!
//! Such a thread is the last of several owners, a caller whose event needs the value no more, or a
//! thread that unwinds. The panic is caught here.
#![expect(unsafe_code, reason = "the value is dropped manually, so that its panic can be caught")]

use crate::wait::context::dispose;
use std::mem::{ManuallyDrop, needs_drop};
use std::ops::{Deref, DerefMut};

/// A value whose drop catches a panic of its destructor.
///
/// # Invariant
/// - Q1: the value is there until `drop`, which drops it once, or until `into_inner`, which no drop
///   follows.
pub(crate) struct Quiet<T>(ManuallyDrop<T>);

impl<T> Quiet<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }

    /// Returns the value to an owner that drops it itself.
    pub(crate) fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: Q1: `this` is not dropped, nor used after this.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T> Deref for Quiet<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Quiet<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        if needs_drop::<T>() {
            // SAFETY: Q1; the value is not used after this.
            dispose(unsafe { ManuallyDrop::take(&mut self.0) });
        }
    }
}
