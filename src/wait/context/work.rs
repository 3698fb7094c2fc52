//! Workers of queues.

use super::of_this_thread;

/// The worker of a queue, until it is dropped.
#[must_use]
pub(crate) struct AtWork {
    outer: bool,
}

impl AtWork {
    pub(crate) fn begin() -> Self {
        Self { outer: of_this_thread(false, |context| context.works.replace(true)) }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        of_this_thread((), |context| context.works.set(self.outer));
    }
}

/// Whether the current thread is the worker of a queue. A call in progress may wait for room that this worker makes, so it waits
/// for no call.
pub(crate) fn is_worker() -> bool {
    of_this_thread(false, |context| context.works.get())
}
