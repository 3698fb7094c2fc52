//! Fairness between the tasks of one thread: how many items a task reads in a row.
//!
//! A runtime cannot see how much work one of its tasks still has. A reader that always finds an item
//! ready would return from no poll, and the other tasks of its thread would not run. So a read that
//! has handed out a number of items in a row is pending once, and wakes its own task.

use crate::wait::context::UserCode;
use std::task::Waker;

/// The most items that a task reads in a row.
pub(crate) const MOST: usize = 128;

/// The rest of a task's turn, in items.
#[derive(Clone, Debug)]
pub(crate) struct Turn(usize);

impl Turn {
    pub(crate) const fn new() -> Self {
        Self(MOST)
    }

    /// Returns how many items are left, at least one unless the turn [is over](Self::is_over).
    pub(crate) fn left(&self) -> usize {
        self.0
    }

    /// Records items that the task gets without another check of the turn. Reads that are no polls
    /// count, too: a task that reads both ways lets other tasks run as often.
    pub(crate) fn took(&mut self, items: usize) {
        self.0 = self.0.saturating_sub(items);
    }

    /// Begins a new turn: the task is pending.
    pub(crate) fn begin(&mut self) {
        self.0 = MOST;
    }

    /// Returns whether the turn is over. Then the read is pending: a new turn has begun, and the task
    /// will be polled again, after other tasks of its thread.
    pub(crate) fn is_over(&mut self, task: &Waker) -> bool {
        if self.0 > 0 {
            return false;
        }
        self.begin();
        yield_to_others(task);
        true
    }
}

/// Wakes the calling task, which is about to be pending.
#[cold]
pub(crate) fn yield_to_others(task: &Waker) {
    let _user_code = UserCode::enter();
    task.wake_by_ref();
}

#[cfg(test)]
mod tests {
    use super::{MOST, Turn};
    use crate::docs::default_of;
    use std::task::Waker;

    #[test]
    fn page_of_defaults_has_the_turn() {
        assert_eq!(default_of(&["events in a row before a task"]), MOST.to_string());
    }

    #[test]
    fn turn_is_over_once_after_its_items() {
        let mut turn = Turn::new();
        for _ in 0..3 {
            assert!(!turn.is_over(Waker::noop()));
            turn.took(MOST - 1);
            assert!(!turn.is_over(Waker::noop()) && turn.left() == 1);
            turn.took(1);
            assert!(turn.is_over(Waker::noop()));
        }
        turn.took(2 * MOST);
        turn.begin();
        assert!(!turn.is_over(Waker::noop()));
    }
}
