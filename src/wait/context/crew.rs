//! The threads that others wait for at one object: they must not wait there themselves.

use super::of_this_thread;
use super::visit::{Purpose, Visit, is_on_the_way};
use std::sync::Arc;

/// This thread shows events to user code, until this is dropped: it holds what flushes and removals
/// wait for, and it is the one that makes room. As [`WaitedFor`](super::WaitedFor) and
/// [`Crew::enter`] together, for a few instructions.
#[must_use]
pub(crate) struct Reading {
    outer: usize,
    _visit: Option<Visit>,
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        of_this_thread((), |context| context.reading.set(self.outer));
    }
}

/// Those who read from a mailbox, or end an object: others wait for them there, so they must not.
///
/// Clones name the same crew.
#[derive(Clone)]
pub(crate) struct Crew(Arc<u8>);

impl Crew {
    pub(crate) fn new() -> Self {
        Self(Arc::new(0))
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// This thread is one of them, until the visit is dropped. `None` when it is already.
    pub(crate) fn enter(&self) -> Option<Visit> {
        Visit::begin(self.address(), Purpose::Work)
    }

    /// This thread is one of them, and shows what it reads to user code.
    #[inline]
    pub(crate) fn read(&self) -> Reading {
        let outer = of_this_thread(0, |context| context.reading.replace(self.address()));
        // Seldom: one read is inside another.
        let visit = if outer == 0 { None } else { Visit::begin(outer, Purpose::Work) };
        Reading { outer, _visit: visit }
    }

    /// Whether this thread is one of them.
    pub(crate) fn is_here(&self) -> bool {
        of_this_thread(0, |context| context.reading.get()) == self.address()
            || is_on_the_way(self.address(), Purpose::Work)
    }
}
