//! An unbounded queue: [`Segments`](super::segments::Segments), or in a model a list with a count.
//!
//! The queue has its own models. In the models of its users it would add too many states, so a list
//! replaces it. The list orders a push before the pop that finds its value, and nothing else: a pop
//! that finds the list empty synchronizes with no push. The real queue orders more; no protocol of
//! this crate relies on that.

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
pub(crate) use super::segments::Segments as Unbounded;

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
pub(crate) struct Unbounded<T> {
    /// Under the standard library's lock, which adds no order to a model.
    values: std::sync::Mutex<std::collections::VecDeque<T>>,
    count: crate::sync::AtomicUsize,
}

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
impl<T> Unbounded<T> {
    pub(crate) fn new() -> Self {
        Self { values: std::sync::Mutex::default(), count: crate::sync::AtomicUsize::new(0) }
    }

    pub(crate) fn push(&self, value: T) {
        self.values.lock().unwrap().push_back(value);
        // ORD(unbounded.count): Release; pairs with the Acquire in `pop`.
        self.count.fetch_add(1, crate::sync::Ordering::Release);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        use crate::sync::Ordering::{Acquire, Relaxed};
        let mut count = self.count.load(Relaxed);
        while count > 0 {
            // ORD(unbounded.count): Acquire; pairs with the Release in `push`.
            match self.count.compare_exchange(count, count - 1, Acquire, Relaxed) {
                Ok(_) => return self.values.lock().unwrap().pop_front(),
                Err(other) => count = other,
            }
        }
        None
    }

    /// Pops a value like `pop`: in this list a value is counted once it is present.
    pub(crate) fn pop_filled(&self) -> Option<T> {
        self.pop()
    }

    pub(crate) fn has_filled(&self) -> bool {
        !self.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        // A Relaxed read-modify-write finds the newest value, and orders nothing. `pop` covers
        // stale values; here they would cost a model too many states.
        self.count.fetch_add(0, crate::sync::Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
