//! A slot of a ring: memory that may hold a value, as the ring's protocol decides.
#![expect(unsafe_code, reason = "a ring's slots are written by one thread and read by another")]

use super::CachePadded;
use std::alloc::{Layout, alloc, dealloc};
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;

#[cfg(all(loom, feature = "loom"))]
use loom::cell::UnsafeCell;

/// The standard cell with loom's closure interface.
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

/// A slot that holds one `T` or nothing. The ring's indices, not the slot, record which.
///
/// Outside the models it has the memory layout of its value.
#[repr(transparent)]
pub(crate) struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: a slot is reached only through its unsafe methods, whose callers own it exclusively for
// the call; the value itself moves between threads, hence `T: Send`.
unsafe impl<T: Send> Sync for Slot<T> {}
// SAFETY: as above; sending a slot sends at most its value.
unsafe impl<T: Send> Send for Slot<T> {}

impl<T> Slot<T> {
    /// Creates an empty slot.
    #[inline]
    pub(crate) fn empty() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Writes a value into the slot.
    ///
    /// # Safety
    /// The caller owns the slot exclusively until it publishes it, and the slot is empty (or its
    /// old value was given up).
    #[inline(always)]
    pub(crate) unsafe fn put(&self, value: T) {
        // SAFETY: the caller owns the slot exclusively.
        self.0.with_mut(|slot| unsafe { (*slot).write(value) });
    }

    /// Moves the value out and leaves the slot empty.
    ///
    /// # Safety
    /// The caller owns the slot exclusively, the slot holds a value, and the value is not taken a
    /// second time.
    #[inline(always)]
    pub(crate) unsafe fn take(&self) -> T {
        // SAFETY: the caller owns the slot, and it holds a value that is taken once.
        self.0.with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }

    /// Lends the value for a change in place.
    ///
    /// # Safety
    /// The caller owns the slot exclusively for the call, and the slot holds a value.
    #[inline(always)]
    pub(crate) unsafe fn with_mut<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller owns the slot exclusively, and it holds a value.
        self.0.with_mut(|slot| f(unsafe { (*slot).assume_init_mut() }))
    }

    /// Lends the value for reading.
    ///
    /// # Safety
    /// No thread writes to the slot during the call, and the slot holds a value.
    #[inline(always)]
    pub(crate) unsafe fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        // SAFETY: no thread writes to the slot meanwhile, and it holds a value.
        self.0.with(|slot| f(unsafe { (*slot).assume_init_ref() }))
    }

    /// Returns the values of adjacent slots as a slice.
    ///
    /// # Safety
    /// `first` begins `count` adjacent slots that all hold values, and no thread writes to them
    /// while the result lives. Where `count` is 0, `first` is aligned and not null.
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline(always)]
    pub(crate) unsafe fn slice<'a>(first: *const Self, count: usize) -> &'a [T] {
        // SAFETY: a slot has the layout of its value, and the caller guarantees the values.
        unsafe { std::slice::from_raw_parts(first.cast::<T>(), count) }
    }
}

impl<T> Slot<T> {
    /// Moves the values of these slots to the end of a vector, and leaves the slots empty. The
    /// vector has room for them.
    ///
    /// # Safety
    /// The caller owns the slots exclusively, they hold values, and no value is taken a second
    /// time.
    #[cfg(not(all(loom, feature = "loom")))]
    #[inline]
    pub(crate) unsafe fn move_all(slots: &[Self], into: &mut Vec<T>) {
        debug_assert!(into.capacity() - into.len() >= slots.len());
        let length = into.len();
        // SAFETY: a slot has the layout of its value, and the caller guarantees the values and the
        // room. The copies are the only owners of the values, since the slots now count as empty.
        unsafe {
            let end = into.as_mut_ptr().add(length);
            std::ptr::copy_nonoverlapping(slots.as_ptr().cast::<T>(), end, slots.len());
            into.set_len(length + slots.len());
        }
    }

    /// Does the same in models, which watch each slot.
    ///
    /// # Safety
    /// The same.
    #[cfg(all(loom, feature = "loom"))]
    pub(crate) unsafe fn move_all(slots: &[Self], into: &mut Vec<T>) {
        // SAFETY: the caller's.
        into.extend(slots.iter().map(|slot| unsafe { slot.take() }));
    }
}

/// Adjacent items, the first of which begins a cache line.
///
/// Otherwise every second item of half a cache line may straddle two lines, depending on where the
/// allocator placed them.
///
/// The allocation is slightly larger instead of aligned: what an allocator trims to align an
/// allocation may stay unused for long where rings come and go.
///
/// # Invariant
/// - `memory` was allocated with `layout_of(count)`, and `first` points to `count` items in it;
///   both dangle where these have no size.
pub(crate) struct Aligned<T> {
    memory: NonNull<u8>,
    first: NonNull<T>,
    count: usize,
}

// SAFETY: it owns its items, as a box does.
unsafe impl<T: Send> Send for Aligned<T> {}
// SAFETY: a shared reference gives out shared references only.
unsafe impl<T: Sync> Sync for Aligned<T> {}

/// Two cache lines, since some processors fetch them in pairs.
const LINES: usize = align_of::<CachePadded<()>>();

impl<T> Aligned<T> {
    /// Creates `count` items. Returns `None`, instead of aborting, when memory cannot be allocated.
    ///
    /// Writes to every page before it returns, so that the first events through a ring cause no
    /// page fault.
    pub(crate) fn try_new(count: usize, mut make: impl FnMut(usize) -> T) -> Option<Self> {
        let layout = Self::layout_of(count)?;
        let (memory, first) = if size_of::<T>() * count == 0 {
            (NonNull::dangling(), NonNull::dangling())
        } else {
            // SAFETY: the layout has a nonzero size.
            let memory = NonNull::new(unsafe { alloc(layout) })?;
            #[cfg(not(all(loom, feature = "loom")))]
            prefault(memory, layout.size());
            // SAFETY: `layout_of` added room for advancing by less than `LINES`, or the memory is
            // aligned already.
            (memory, unsafe { memory.add(memory.align_offset(LINES.max(align_of::<T>()))) }.cast())
        };
        // If `make` unwinds, nothing is dropped, and the memory leaks.
        for index in 0..count {
            // SAFETY: the memory has room for `count` items, and no other thread has its address
            // yet.
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
        // SAFETY: the invariant; the items live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T> Drop for Aligned<T> {
    fn drop(&mut self) {
        // SAFETY: the items are owned by `self`, and no reference to them remains.
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
        // SAFETY: `offset` lies inside memory that the caller has just allocated and not shared; a
        // volatile write of a byte there is always allowed and cannot be optimized away.
        unsafe { first.add(offset).write_volatile(0) };
    }
}
