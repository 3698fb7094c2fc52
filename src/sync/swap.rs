//! The copy-on-write list: readers take a snapshot without a lock, the control plane replaces it.
//!
//! Outside the models this is [`arc_swap::ArcSwap`]. loom cannot see into it, so in a model a
//! pointer and a read-modify-write replace it. The reader always gets the newest value (as
//! `ArcSwap` promises) and synchronizes with the writer that stored it. It gives the writer no
//! ordering in return until it releases the snapshot. Under shuttle `ArcSwap` would work, since it
//! never blocks, but shuttle would never switch threads right before a load or a swap.

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
mod imp {
    use arc_swap::{ArcSwap, Guard};
    use std::ptr::NonNull;
    use std::sync::Arc;

    pub(crate) struct Swap<T>(ArcSwap<T>);

    /// A snapshot of the value, which stays valid while it is held.
    pub(crate) struct Snapshot<T>(Guard<Arc<T>>);

    impl<T> std::ops::Deref for Snapshot<T> {
        type Target = T;

        #[inline]
        fn deref(&self) -> &T {
            &self.0
        }
    }

    /// A value that was replaced.
    pub(crate) struct Replaced<T>(Arc<T>);

    impl<T> Swap<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(ArcSwap::from_pointee(value))
        }

        /// Creates a cell, and returns the address of the value too.
        pub(crate) fn new_at(value: T) -> (Self, NonNull<T>) {
            let value = Arc::new(value);
            let address = NonNull::from(&*value);
            (Self(ArcSwap::new(value)), address)
        }

        /// Returns a snapshot. Lock-free.
        #[inline]
        pub(crate) fn load(&self) -> Snapshot<T> {
            Snapshot(self.0.load())
        }

        /// Replaces the value and returns the old one.
        pub(crate) fn swap(&self, value: T) -> Replaced<T> {
            self.swap_at(value).0
        }

        /// Replaces the value, and returns the old one, and the address of the new one.
        pub(crate) fn swap_at(&self, value: T) -> (Replaced<T>, NonNull<T>) {
            let value = Arc::new(value);
            let address = NonNull::from(&*value);
            (Replaced(self.0.swap(value)), address)
        }
    }

    impl<T> Replaced<T> {
        /// Returns the address of the value.
        pub(crate) fn address(&self) -> usize {
            Arc::as_ptr(&self.0).addr()
        }

        /// Returns whether no reader holds the value any more. No later reader gets it, since it
        /// was replaced.
        pub(crate) fn is_unread(&mut self) -> bool {
            Arc::get_mut(&mut self.0).is_some()
        }
    }
}

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
mod imp {
    #![expect(unsafe_code, reason = "a stand-in for arc-swap that a model can see")]

    use super::super::checker::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
    use std::ptr::NonNull;
    use std::sync::Arc;

    struct Counted<T> {
        value: T,
        /// Changed by each reader that drops its snapshot: the ordering of the real reference
        /// count, which a model does not see.
        let_go: AtomicUsize,
    }

    pub(crate) struct Swap<T>(AtomicPtr<Counted<T>>);

    pub(crate) struct Replaced<T>(Arc<Counted<T>>);

    /// A snapshot of the value.
    pub(crate) struct Snapshot<T>(Arc<Counted<T>>);

    impl<T> std::ops::Deref for Snapshot<T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0.value
        }
    }

    impl<T> Drop for Snapshot<T> {
        fn drop(&mut self) {
            // ORD(swap.let_go): Release; pairs with the Acquire in `is_unread`: the reads of this
            // snapshot are over.
            self.0.let_go.fetch_add(1, Ordering::Release);
        }
    }

    impl<T> Swap<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(AtomicPtr::new(Self::pointer(value)))
        }

        pub(crate) fn new_at(value: T) -> (Self, NonNull<T>) {
            let pointer = Self::pointer(value);
            // SAFETY: the pointer is new, and the cell below keeps its count.
            (Self(AtomicPtr::new(pointer)), NonNull::from(unsafe { &(*pointer).value }))
        }

        fn pointer(value: T) -> *mut Counted<T> {
            Arc::into_raw(Arc::new(Counted { value, let_go: AtomicUsize::new(0) })).cast_mut()
        }

        pub(crate) fn load(&self) -> Snapshot<T> {
            let mut seen = self.0.load(Ordering::Relaxed);
            // ORD(swap.value): Acquire; pairs with the Release in `swap`. A read-modify-write reads
            // the newest value; a plain load in a model may read a freed one.
            while let Err(newer) = self.0.compare_exchange(seen, seen, Ordering::Acquire, Ordering::Relaxed) {
                seen = newer;
            }
            // SAFETY: `seen` is the newest pointer, its count is still held by the cell, and a
            // model switches threads only at its own operations, of which there is none between the
            // exchange and this line.
            unsafe { Arc::increment_strong_count(seen) };
            // SAFETY: the count taken above belongs to this `Arc`.
            Snapshot(unsafe { Arc::from_raw(seen) })
        }

        pub(crate) fn swap(&self, value: T) -> Replaced<T> {
            self.swap_at(value).0
        }

        pub(crate) fn swap_at(&self, value: T) -> (Replaced<T>, NonNull<T>) {
            let pointer = Self::pointer(value);
            // SAFETY: the pointer is new, and no other thread has it.
            let address = NonNull::from(unsafe { &(*pointer).value });
            // ORD(swap.value): AcqRel; Release pairs with the Acquire in `load`, Acquire with an
            // earlier `swap`.
            let old = self.0.swap(pointer, Ordering::AcqRel);
            // SAFETY: the cell's own count moves to the caller.
            (Replaced(unsafe { Arc::from_raw(old) }), address)
        }
    }

    impl<T> Replaced<T> {
        pub(crate) fn address(&self) -> usize {
            std::ptr::from_ref(&self.0.value).addr()
        }

        pub(crate) fn is_unread(&mut self) -> bool {
            let unread = Arc::get_mut(&mut self.0).is_some();
            // ORD(swap.let_go): Acquire; pairs with the Release in `Snapshot::drop`. A
            // read-modify-write, since a plain load may read an older value.
            self.0.let_go.fetch_add(0, Ordering::Acquire);
            unread
        }
    }

    impl<T> Drop for Swap<T> {
        fn drop(&mut self) {
            let last = self.0.load(Ordering::Relaxed);
            // SAFETY: `&mut self`: the newest pointer, and its count is the cell's own.
            drop(unsafe { Arc::from_raw(last) });
        }
    }
}

pub(crate) use imp::{Replaced, Snapshot, Swap};
