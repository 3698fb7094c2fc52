//! Where a flush hands in its wish to have a handler flushed.

use crate::report::FlushReport;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::wait::Deadline;

/// Where flushes hand in their wish to have a handler flushed, and are told that it was. One for each handler: workers that
/// share a sink share the desk too, and one of them answers.
pub(super) struct FlushDesk {
    asked: AtomicU64,
    /// The last wish that a worker is about to fulfil, or has.
    taken: AtomicU64,
    answered: AtomicU64,
    /// Workers that may still answer.
    staff: AtomicU64,
    deadline: Mutex<Deadline>,
    /// How far the last flush of the handler came.
    outcome: Mutex<FlushReport>,
}

impl FlushDesk {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            asked: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            staff: AtomicU64::new(workers as u64),
            deadline: Mutex::new(Deadline::NEVER),
            outcome: Mutex::new(FlushReport::default()),
        }
    }

    /// Asks for a flush of the handler. The answer has the number returned, or a higher one.
    pub(super) fn ask(&self, deadline: Deadline) -> u64 {
        *lock(&self.deadline) = deadline;
        // ORD(desk.asked): Release; pairs with the Acquire in `is_asked` and `take`: the deadline is visible.
        self.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether a wish is there that no worker has taken.
    pub(super) fn is_asked(&self) -> bool {
        // ORD(desk.asked): Acquire; pairs with the Release in `ask`: the deadline is visible.
        self.asked.load(Ordering::Acquire) != self.taken.load(Ordering::Relaxed)
    }

    /// Takes all wishes that are there, unless another worker has: the number to answer, and the deadline.
    pub(super) fn take(&self) -> Option<(u64, Deadline)> {
        // ORD(desk.asked): Acquire; pairs with the Release in `ask`: what was handled before is visible to the handler.
        let asked = self.asked.load(Ordering::Acquire);
        let first = self.taken.fetch_max(asked, Ordering::Relaxed) < asked;
        first.then(|| (asked, *lock(&self.deadline)))
    }

    pub(super) fn answer(&self, asked: u64, outcome: FlushReport) {
        // Under the lock, so that the outcome is that of the newest wish answered, whichever worker ends first.
        let mut place = lock(&self.outcome);
        // ORD(desk.answered): Release; pairs with the Acquire in `has_answered`: the handler has flushed. The outcome is behind
        // the lock.
        if self.answered.fetch_max(asked, Ordering::Release) < asked {
            *place = outcome;
        }
    }

    /// Whether a wish was fulfilled, or nobody is left to do so: then the handler was closed.
    pub(super) fn has_answered(&self, ticket: u64) -> bool {
        // ORD(desk.answered): Acquire; pairs with the Release in `answer`.
        // ORD(desk.staff): Acquire; pairs with the Release in `leave`: the handler is closed.
        self.answered.load(Ordering::Acquire) >= ticket || self.staff.load(Ordering::Acquire) == 0
    }

    pub(super) fn outcome(&self) -> FlushReport {
        lock(&self.outcome).clone()
    }

    /// A worker has ended.
    pub(super) fn leave(&self) {
        // ORD(desk.staff): Release; pairs with the Acquire in `has_answered`.
        self.staff.fetch_sub(1, Ordering::AcqRel);
    }
}
