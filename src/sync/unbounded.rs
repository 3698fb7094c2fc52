//! An unbounded queue: `crossbeam_queue::SegQueue`, or, in a model, a locked list in its place.
//!
//! No model sees into `SegQueue`, and a lock adds an order that the real queue may not have; no protocol of this
//! crate rests on either, which is why the unbounded lane does not promise an exact close.

#[cfg(not(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle"))))]
pub(crate) use crossbeam_queue::SegQueue as Unbounded;

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
pub(crate) struct Unbounded<T>(super::Mutex<std::collections::VecDeque<T>>);

#[cfg(any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")))]
impl<T> Unbounded<T> {
    pub(crate) fn new() -> Self {
        Self(super::Mutex::new(std::collections::VecDeque::new()))
    }

    pub(crate) fn push(&self, value: T) {
        super::lock(&self.0).push_back(value);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        super::lock(&self.0).pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        super::lock(&self.0).len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
