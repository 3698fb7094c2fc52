//! The goal of a flush: a position in each lane of a mailbox.

use super::core::Mailbox;
use super::view::LaneView;
use crate::sync::{Arc, lock};
use crate::time::Deadline;
use crate::wait::list::Waiter;

/// The positions that the consumers have to reach, one in each lane.
pub(crate) struct Goal<E> {
    shared: u64,
    lanes: Vec<(std::sync::Arc<LaneView<E>>, u64)>,
}

impl<E: Send + 'static> Mailbox<E> {
    /// Returns the goal that is reached when every event accepted before this call was handled.
    pub(crate) fn goal(&self) -> Goal<E> {
        let (lanes, unbounded) = {
            let registry = lock(&self.registry);
            let lanes: Vec<_> = registry.views.iter().map(|view| (view.clone(), view.accepted())).collect();
            // See `push_unbounded`: this sum may briefly be too high, and it is never too low.
            let views = registry.views.iter().map(|view| view.entry().queued()).sum::<u64>();
            (lanes, views + registry.folded.queued() + self.shared.entry.queued())
        };
        self.tell_of_pending(&lanes);
        Goal { shared: self.shared.position().unwrap_or(unbounded), lanes }
    }

    /// Tells the consumer of every lane that has not reached its target. A publisher that has to do so
    /// may have been preempted, and the flush must not wait for it. The consumer then makes the lane
    /// active: if this thread did, the publisher would find it so, and return before the consumer is
    /// told.
    fn tell_of_pending(&self, lanes: &[(std::sync::Arc<LaneView<E>>, u64)]) {
        if self.signals.active.is_used() {
            let pending = lanes.iter().filter(|(view, target)| !view.has_reached(*target));
            pending.for_each(|(view, _)| view.tell_consumer());
        }
    }

    /// Waits until a goal is reached or the deadline has passed. Returns whether it is reached.
    pub(crate) fn wait_reached(this: &Arc<Self>, goal: &std::sync::Arc<Goal<E>>, deadline: Deadline) -> bool {
        let (mailbox, to) = (this.clone(), goal.clone());
        let waiter = Waiter::for_goal(move || mailbox.has_reached(&to));
        // Wakes a napping consumer, which does not know that a flush waits. A consumer that starts
        // to nap later first sees the events that are in the lanes now.
        this.signals.blocked.wait_for_goal(&waiter, deadline, || this.signals.wake_now())
    }

    /// Returns whether a goal is reached. A lane's target may be higher than its final end, since a
    /// seal can take accepted positions back. So each lane decides for itself.
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
