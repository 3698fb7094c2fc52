//! A value of the user whose destructor may panic, owned by what many threads let go of: whichever is the last, the panic ends here.
#![expect(unsafe_code, reason = "a value is dropped by hand, so that its panic can be caught")]

use crate::panics::dispose;
use std::mem::{ManuallyDrop, needs_drop};
use std::ops::{Deref, DerefMut};

/// # Invariant
/// - Q1: the value is there until `drop`, which drops it once.
pub(crate) struct Quiet<T>(ManuallyDrop<T>);

impl<T> Quiet<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
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
            // SAFETY: Q1; it is not looked at after this.
            dispose(unsafe { ManuallyDrop::take(&mut self.0) });
        }
    }
}
