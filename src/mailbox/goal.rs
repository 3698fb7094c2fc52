//! What a flush waits for: a position in each lane of a mailbox.

use super::core::Mailbox;
use super::view::LaneView;
use crate::sync::{Arc, lock};
use crate::time::Deadline;
use crate::wait::list::Waiter;

/// How far the consumers have to come in each lane.
pub(crate) struct Goal<E> {
    shared: u64,
    lanes: Vec<(std::sync::Arc<LaneView<E>>, u64)>,
}

impl<E: Send + 'static> Mailbox<E> {
    /// What has to be handled so that everything accepted by now is.
    pub(crate) fn goal(&self) -> Goal<E> {
        let (lanes, unbounded) = {
            let registry = lock(&self.registry);
            let lanes: Vec<_> = registry.views.iter().map(|view| (view.clone(), view.accepted())).collect();
            // See `push_unbounded`: for a moment this sum may be too high, and it is never too low.
            let views = registry.views.iter().map(|view| view.entry().queued()).sum::<u64>();
            (lanes, views + registry.folded.queued() + self.shared.entry.queued())
        };
        Goal { shared: self.shared.position().unwrap_or(unbounded), lanes }
    }

    /// Waits until a goal is reached; whether it is.
    pub(crate) fn wait_reached(this: &Arc<Self>, goal: &std::sync::Arc<Goal<E>>, deadline: Deadline) -> bool {
        let (mailbox, to) = (this.clone(), goal.clone());
        let waiter = Waiter::for_goal(move || mailbox.has_reached(&to));
        // A consumer that naps does not know that a flush waits. One that begins to nap later sees
        // first what is there by now.
        this.signals.blocked.wait_for_goal(&waiter, deadline, || this.signals.wake_now())
    }

    /// Whether a goal is reached. The goal was taken from numbers that may have been lowered since:
    /// each lane says how far it goes.
    pub(crate) fn has_reached(&self, goal: &Goal<E>) -> bool {
        self.is_drained()
            || (self.shared_has_reached(goal.shared)
                && goal.lanes.iter().all(|(view, target)| view.has_reached(*target)))
    }

    fn shared_has_reached(&self, target: u64) -> bool {
        match &self.signals.crowd {
            Some(_) => self.members.have_reached(target, || self.claimed()),
            None => self.shared.has_reached(target),
        }
    }
}
