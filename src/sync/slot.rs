//! One slot of a ring: memory that may or may not hold a value, with the protocol kept by the ring around it.
#![expect(unsafe_code, reason = "a ring's slots are written by one thread and read by another")]

use std::mem::MaybeUninit;

#[cfg(all(loom, feature = "loom"))]
use loom::cell::UnsafeCell;

/// The standard cell, in the shape of loom's closure interface.
#[cfg(not(all(loom, feature = "loom")))]
#[repr(transparent)]
struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(all(loom, feature = "loom")))]
impl<T> UnsafeCell<T> {
    #[inline]
    const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// A slot that holds one `T` or nothing. It does not know which: the ring's indices do.
///
/// Outside the models it lies in memory as its value does.
#[repr(transparent)]
pub(crate) struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: a slot is only reached through its unsafe methods, whose callers own it alone for the time of the call;
// the value itself moves between threads, hence `T: Send`.
unsafe impl<T: Send> Sync for Slot<T> {}
// SAFETY: as above; sending a slot sends at most its value.
unsafe impl<T: Send> Send for Slot<T> {}

impl<T> Slot<T> {
    /// An empty slot.
    #[inline]
    pub(crate) fn empty() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Puts a value in.
    ///
    /// # Safety
    /// The caller owns the slot alone until it publishes it, and the slot is empty (or its old value was given up).
    #[inline(always)]
    pub(crate) unsafe fn put(&self, value: T) {
        // SAFETY: the caller owns the slot alone.
        self.0.with_mut(|slot| unsafe { (*slot).write(value) });
    }

    /// Moves the value out and leaves the slot empty.
    ///
    /// # Safety
    /// The caller owns the slot alone, the slot holds a value, and nobody takes it a second time.
    #[inline(always)]
    pub(crate) unsafe fn take(&self) -> T {
        // SAFETY: the caller owns the slot, and it holds a value that is taken once.
        self.0.with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// Lends the value for a change in place.
    ///
    /// # Safety
    /// The caller owns the slot alone for the time of the call, and the slot holds a value.
    #[inline(always)]
    pub(crate) unsafe fn with_mut<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller owns the slot alone, and it holds a value.
        self.0.with_mut(|slot| f(unsafe { (*slot).assume_init_mut() }))
    }

    /// Lends the value for a look.
    ///
    /// # Safety
    /// Nobody writes to the slot for the time of the call, and the slot holds a value.
    #[inline(always)]
    pub(crate) unsafe fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: nobody writes to the slot meanwhile, and it holds a value.
        self.0.with(|slot| f(unsafe { (*slot).assume_init_ref() }))
    }

    /// The values of slots that lie side by side.
    ///
    /// # Safety
    /// From `first` on there are `count` slots that all hold values, and nobody writes to them as long as the result lives.
    /// Where `count` is 0, `first` is aligned and not null.
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline(always)]
    pub(crate) unsafe fn slice<'a>(first: *const Self, count: usize) -> &'a [T] {
        // SAFETY: a slot lies in memory as its value does, and the caller vouches for the values.
        unsafe { std::slice::from_raw_parts(first.cast::<T>(), count) }
    }
}

/// Allocates `count` things, and says so when the memory is not to be had instead of aborting.
///
/// Every page is written to before this returns, so that the first events through a ring meet no page fault.
pub(crate) fn try_boxed<T>(count: usize, mut make: impl FnMut(usize) -> T) -> Option<Box<[T]>> {
    let mut items = Vec::new();
    items.try_reserve_exact(count).ok()?;
    #[cfg(not(all(loom, feature = "loom")))]
    prefault(items.spare_capacity_mut());
    for index in 0..count {
        items.push(make(index));
    }
    Some(items.into_boxed_slice())
}

#[cfg(not(all(loom, feature = "loom")))]
fn prefault<T>(spare: &mut [MaybeUninit<T>]) {
    const PAGE: usize = 4096;
    let bytes = std::mem::size_of_val(spare);
    let start = spare.as_mut_ptr().cast::<u8>();
    let mut offset = 0;
    while offset < bytes {
        // SAFETY: `offset` lies inside the uninitialised memory of `spare`, which we hold exclusively; a volatile
        // write of a byte there is always allowed and cannot be optimised away.
        unsafe { start.add(offset).write_volatile(0) };
        offset += PAGE;
    }
}
