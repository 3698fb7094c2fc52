//! An unbounded queue: `crossbeam_queue::SegQueue`, or, under loom, a locked list in its place.
//!
//! loom cannot see into `SegQueue`, and a lock adds an order that the real queue may not have; no protocol of this
//! crate rests on either, which is why the unbounded lane does not promise an exact close.

#[cfg(not(all(loom, feature = "loom")))]
pub(crate) use crossbeam_queue::SegQueue as Unbounded;

#[cfg(all(loom, feature = "loom"))]
pub(crate) struct Unbounded<T>(loom::sync::Mutex<std::collections::VecDeque<T>>);

#[cfg(all(loom, feature = "loom"))]
impl<T> Unbounded<T> {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(std::collections::VecDeque::new()))
    }

    pub(crate) fn push(&self, value: T) {
        self.0.lock().unwrap().push_back(value);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().unwrap().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
