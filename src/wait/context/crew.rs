//! The threads that others wait for at one object, where they must not wait themselves.

use super::of_this_thread;
use super::visit::{Purpose, Visit, is_on_the_way};
use std::sync::Arc;

/// A mark: this thread shows events to user code, until it is dropped.
///
/// Flushes and removals wait for these events, and this thread is the one that makes room. It has
/// the effect of [`WaitedFor`](super::WaitedFor) and [`Crew::enter`] together, for a few
/// instructions.
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

/// The threads that read from a mailbox, or close an object. Others wait for them there, so they
/// must not wait there.
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

    /// Marks this thread as a member, until the visit is dropped. Returns `None` if it is one
    /// already.
    pub(crate) fn enter(&self) -> Option<Visit> {
        Visit::begin(self.address(), Purpose::Work)
    }

    /// Marks this thread as a member that shows what it reads to user code.
    #[inline]
    pub(crate) fn read(&self) -> Reading {
        let outer = of_this_thread(0, |context| context.reading.replace(self.address()));
        // Rare: one read is inside another.
        let visit = if outer == 0 { None } else { Visit::begin(outer, Purpose::Work) };
        Reading { outer, _visit: visit }
    }

    /// Returns whether this thread is a member.
    pub(crate) fn is_here(&self) -> bool {
        of_this_thread(0, |context| context.reading.get()) == self.address()
            || is_on_the_way(self.address(), Purpose::Work)
    }
}
