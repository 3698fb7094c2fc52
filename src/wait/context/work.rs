//! Workers of queues, and turns at something that is done by one thread at a time.

use super::{UserCode, of_this_thread, user_code_depth};

/// This thread has its turn at something that is done by one thread at a time, until this is dropped.
#[must_use]
pub(crate) struct InTurn(());

impl InTurn {
    pub(crate) fn begin() -> Self {
        of_this_thread((), |context| context.turns.set(context.turns.get() + 1));
        Self(())
    }

    /// Whether the current thread has a turn. Two threads that each have one and wait for that of the other would wait for ever, so
    /// a thread that has one waits for no other.
    pub(crate) fn is_now() -> bool {
        of_this_thread(0, |context| context.turns.get()) > 0
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        of_this_thread((), |context| context.turns.set(context.turns.get().wrapping_sub(1)));
    }
}

/// The worker of a queue at its own work, until it is dropped: what it calls from here, and not what is called by a bus or a
/// hook further down.
///
/// There, and only there, it may wait for a turn ([`may_wait_for_a_turn`]), behind whoever is inside a delivery or carries
/// something ([`carrying`]). Those wait for nobody's room and at no other batch; so nobody waits for itself.
#[must_use]
pub(crate) struct AtWork {
    outer: Option<u32>,
}

impl AtWork {
    pub(crate) fn begin() -> Self {
        let here = Some(user_code_depth());
        Self { outer: of_this_thread(None, |context| context.work.replace(here)) }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        of_this_thread((), |context| context.work.set(self.outer));
    }
}

/// Whether the current thread is a worker at its own work.
pub(crate) fn may_wait_for_a_turn() -> bool {
    work().is_some_and(|level| user_code_depth() == level)
}

/// Whether the current thread is the worker of a queue. A call in progress may wait for room that this worker makes, so it waits
/// for no call.
pub(crate) fn is_worker() -> bool {
    work().is_some()
}

/// What a worker does with something in its hands that other workers wait for: it waits for nobody in turn, also in a flush.
pub(crate) fn carrying() -> Option<UserCode> {
    work().map(|_| UserCode::enter())
}

fn work() -> Option<u32> {
    of_this_thread(None, |context| context.work.get())
}
