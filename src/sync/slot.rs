//! One slot of a ring: memory that may or may not hold a value, with the protocol kept by the ring
//! around it.
#![expect(unsafe_code, reason = "a ring's slots are written by one thread and read by another")]

use super::CachePadded;
use std::alloc::{Layout, alloc, dealloc};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;

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

// SAFETY: a slot is only reached through its unsafe methods, whose callers own it alone for the
// time of the call; the value itself moves between threads, hence `T: Send`.
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
    /// The caller owns the slot alone until it publishes it, and the slot is empty (or its old
    /// value was given up).
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
    /// From `first` on there are `count` slots that all hold values, and nobody writes to them as
    /// long as the result lives. Where `count` is 0, `first` is aligned and not null.
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline(always)]
    pub(crate) unsafe fn slice<'a>(first: *const Self, count: usize) -> &'a [T] {
        // SAFETY: a slot lies in memory as its value does, and the caller vouches for the values.
        unsafe { std::slice::from_raw_parts(first.cast::<T>(), count) }
    }
}

/// Things side by side, of which the first begins a line of memory: elsewhere, every other value of
/// half a line would lie across two of them, or none, as the allocator happened to place them.
///
/// The memory is asked for a little larger, not aligned: what an allocator cuts off in front of an
/// aligned piece may lie about unused for long where rings come and go.
///
/// # Invariant
/// - `memory` was allocated with `layout_of(count)`, and `first` points to `count` things in it;
///   both dangle where these have no size.
pub(crate) struct Aligned<T> {
    memory: NonNull<u8>,
    first: NonNull<T>,
    count: usize,
}

// SAFETY: it owns its things, as a box does.
unsafe impl<T: Send> Send for Aligned<T> {}
// SAFETY: shared, it gives out shared references only.
unsafe impl<T: Sync> Sync for Aligned<T> {}

/// Two lines, since some processors fetch them in pairs.
const LINES: usize = align_of::<CachePadded<()>>();

impl<T> Aligned<T> {
    /// Makes so many things; `None`, instead of an abort, when there is no memory for them.
    ///
    /// Every page is written to before this returns, so that the first events through a ring meet
    /// no page fault.
    pub(crate) fn try_new(count: usize, mut make: impl FnMut(usize) -> T) -> Option<Self> {
        let layout = Self::layout_of(count)?;
        let (memory, first) = if size_of::<T>() * count == 0 {
            (NonNull::dangling(), NonNull::dangling())
        } else {
            // SAFETY: the layout has a size.
            let memory = NonNull::new(unsafe { alloc(layout) })?;
            #[cfg(not(all(loom, feature = "loom")))]
            prefault(memory, layout.size());
            // SAFETY: `layout_of` has made room for moving on by less than `LINES`, or the memory
            // is aligned already.
            (memory, unsafe { memory.add(memory.align_offset(LINES.max(align_of::<T>()))) }.cast())
        };
        // Nothing is dropped if `make` unwinds, and the memory is lost.
        for index in 0..count {
            // SAFETY: the memory is there for `count` things, and nobody knows of it yet.
            unsafe { first.add(index).write(make(index)) };
        }
        Some(Self { memory, first, count })
    }

    fn layout_of(count: usize) -> Option<Layout> {
        let things = Layout::array::<T>(count).ok()?;
        let spare = LINES.saturating_sub(things.align());
        Layout::from_size_align(things.size().checked_add(spare)?, things.align()).ok()
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the invariant; the things live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T> Drop for Aligned<T> {
    fn drop(&mut self) {
        // SAFETY: the things are ours, and nobody looks at them any more.
        unsafe { NonNull::slice_from_raw_parts(self.first, self.count).drop_in_place() };
        if size_of::<T>() * self.count > 0
            && let Some(layout) = Self::layout_of(self.count)
        {
            // SAFETY: the invariant.
            unsafe { dealloc(self.memory.as_ptr(), layout) };
        }
    }
}

#[cfg(not(all(loom, feature = "loom")))]
fn prefault(first: NonNull<u8>, bytes: usize) {
    const PAGE: usize = 4096;
    for offset in (0..bytes).step_by(PAGE) {
        // SAFETY: `offset` lies inside memory that the caller has just allocated and shown to
        // nobody; a volatile write of a byte there is always allowed and cannot be optimised away.
        unsafe { first.add(offset).write_volatile(0) };
    }
}
