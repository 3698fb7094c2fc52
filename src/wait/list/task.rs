//! A task that waits on a list, from poll to poll.
//!
//! | poll | steps |
//! |---|---|
//! | each | leave the list · attempt; ready if it succeeds · wake a napping consumer · enter with the waker, at the previous position · heavy fence, or the one that [notifiers pay for](super::paid) · attempt again; leave and be ready if it succeeds |
//! | drop | leave the list · if something that serves one waiter is there, wake the next waiter |
//!
//! The invariants of the [list](super) hold with *poll* for *return from a park*:
//! - A1: a task that was taken off the list was woken, so it is polled or dropped. A poll makes an
//!   attempt, and a drop passes on.
//! - A2: an attempt only finds that there is something. The owner of the wait takes it, or does not,
//!   and then drops the wait, which checks whether there is more.
//! - A3: a pending poll has failed after its entry and the fence.
//! - A4, A5: a task is never the scout. Its goal is checked by a scout or by the thread that reports
//!   progress, and the task is woken when the goal is reached.
//!
//! A task that is never polled again after it was woken, and never dropped, keeps what it was woken
//! for, as a thread does that is stopped.

use super::line::Position;
use super::{WaitList, Waiter, Want};
use crate::stats::Awaited;
use crate::sync::recheck;
use crate::wait::Sleeper;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// What a task waits for.
pub(crate) trait Condition: Send + Sync {
    /// Returns the list on which a change is reported.
    fn list(&self) -> &WaitList;

    /// Returns whether what the task waits for is there. Any thread may call it, and it is not user
    /// code.
    fn holds(&self) -> bool;

    /// Returns the address of a room for which any task waits alike. Two waits for it are the same,
    /// so a task that finds the room taken keeps its position on the list.
    fn common_room(&self) -> Option<usize> {
        None
    }

    /// Wakes the thread that brings it about, if that thread may be napping.
    fn hurry(&self) {}
}

/// The wait of one task. It stays valid from poll to poll, also with different wakers.
pub(crate) struct TaskWait {
    condition: Arc<dyn Condition>,
    waiter: Waiter,
    position: Position,
}

impl TaskWait {
    /// Makes a wait as `waiter`.
    pub(crate) fn new(condition: Arc<dyn Condition>, waiter: Waiter) -> Self {
        Self { condition, waiter, position: Position::default() }
    }

    /// Makes a wait for an end, of which [`WaitList::notify`] tells.
    pub(crate) fn for_end(condition: Arc<dyn Condition>) -> Self {
        Self::new(condition, Waiter::wanting(Want::END))
    }

    /// Makes a wait for a goal, which reports of progress bring nearer.
    pub(crate) fn for_goal(condition: Arc<dyn Condition>) -> Self {
        let goal = condition.clone();
        Self::new(condition, Waiter::for_goal_of_task(move || goal.holds()))
    }

    /// Returns whether what the task waits for is there now.
    pub(crate) fn is_over(&self) -> bool {
        self.condition.holds()
    }

    /// Returns whether both are waits of the same waiter, or for the same room that no lane has of its
    /// own.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let common = self.condition.common_room();
        self.waiter.is_same(&other.waiter) || common.is_some() && common == other.condition.common_room()
    }

    /// Returns ready if what the task waits for is there. Otherwise the task is woken when it may be.
    ///
    /// A wait that was ready may be polled again.
    pub(crate) fn poll(&mut self, task: &Waker) -> Poll<()> {
        self.leave();
        if self.condition.holds() {
            return Poll::Ready(());
        }
        // Before the entry: a thread that begins to nap after this has seen that there is work, since
        // the attempt above has failed.
        self.condition.hurry();
        // User code, before anything is entered.
        let sleeper = Sleeper::task(task);
        let list = self.condition.list();
        let pays = self.position.enter(list, &self.waiter, sleeper);
        list.fence_after_entry(pays);
        if !recheck(|| self.condition.holds()) {
            return Poll::Pending;
        }
        self.leave();
        Poll::Ready(())
    }

    /// Leaves the list, if the wait was not taken off.
    fn leave(&mut self) {
        // A position that was taken off has left its waker to the notification. The entry may be that
        // of another publisher's wait by now, since a lane that was kept serves the next one. That wait
        // keeps its waker.
        if self.position.leave(self.condition.list()) {
            // Bound, so that the waker is dropped outside the lock.
            let sleeper = self.position.end(&self.waiter);
            drop(sleeper);
        }
    }
}

impl Awaited for TaskWait {
    fn poll(&mut self, task: &Waker) -> Poll<()> {
        Self::poll(self, task)
    }
}

impl Drop for TaskWait {
    fn drop(&mut self) {
        if !self.position.has_entered() {
            return;
        }
        self.leave();
        let want = self.waiter.wants();
        if want.is_for_one() && self.condition.holds() {
            // A1, A2.
            self.condition.list().pass_on(want);
        }
    }
}
