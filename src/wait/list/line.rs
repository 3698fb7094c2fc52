//! The waiting threads of a list in the order of arrival, and the choice of those that a
//! notification wakes.

use super::WaitList;
use super::paid::{OwnWaits, Pays};
use super::waiter::{Waiter, WaiterEntry, Want};
use crate::sync::parking::Unparker;
use crate::sync::{AtomicBool, Ordering, lock};
use crate::wait::Sleeper;
use std::ops::Range;
use std::sync::Arc;

/// One thread that waits for progress, in units of the count.
pub(super) const FOR_PROGRESS: u64 = 1 << 32;

/// The waiting threads, in the order of their arrival.
pub(super) struct Line {
    pub(super) next: u64,
    pub(super) listed: Vec<Listed>,
    /// The number of threads that wait for progress, or for a goal.
    pub(super) for_progress: usize,
    /// The number of tasks that wait for a goal.
    pub(super) goals_of_tasks: usize,
    /// The ticket of the thread that was called to check goals and has not begun.
    pub(super) scout: Option<u64>,
    pub(super) own_waits: OwnWaits,
}

pub(super) struct Listed {
    pub(super) ticket: u64,
    pub(super) want: Want,
    pub(super) entry: Arc<WaiterEntry>,
}

/// The threads that a notification wakes.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) all: bool,
    pub(super) progress: bool,
    pub(super) one: Option<Want>,
}

impl Line {
    /// Takes off the first thread in this range of tickets that the call wakes.
    pub(super) fn take_first(&mut self, tickets: Range<u64>, call: Call) -> Option<Listed> {
        let first = self.listed.partition_point(|listed| listed.ticket < tickets.start);
        let mut rest = self.listed.get(first..)?.iter().take_while(|listed| listed.ticket < tickets.end);
        let at = first
            + rest.position(|listed| {
                let progress = match listed.want {
                    // A task may never be polled again: it is no scout.
                    Want::GOAL => self.scout.is_none(),
                    want => want == Want::PROGRESS,
                };
                call.all || call.one == Some(listed.want) || call.progress && progress
            })?;
        let listed = self.remove(at);
        if listed.want == Want::GOAL && !call.all {
            self.scout = Some(listed.ticket);
        }
        Some(listed)
    }

    /// Returns the first waiter for a goal in this range of tickets.
    pub(super) fn first_goal(&self, tickets: Range<u64>) -> Option<&Listed> {
        let first = self.listed.partition_point(|listed| listed.ticket < tickets.start);
        let mut rest = self.listed.get(first..)?.iter().take_while(|listed| listed.ticket < tickets.end);
        rest.find(|listed| listed.want.is_goal())
    }

    pub(super) fn remove(&mut self, at: usize) -> Listed {
        let listed = self.listed.remove(at);
        self.for_progress -= usize::from(listed.want.is_progress());
        self.goals_of_tasks -= usize::from(listed.want == Want::GOAL_OF_TASK);
        listed
    }

    pub(super) fn count(&self) -> u64 {
        let others = (self.listed.len() - self.for_progress) as u64 | self.own_waits.bits();
        others + self.for_progress as u64 * FOR_PROGRESS
    }
}

/// The position of one thread or task on a list, from its first attempt to its last.
#[derive(Default)]
pub(super) struct Position {
    ticket: Option<u64>,
    on_list: bool,
    /// The number of the wait, among those that use the entry of the waiter.
    begun: u64,
    /// The waiter was taken off the list, and has made no attempt since.
    pub(super) called: bool,
    /// The waiter was called as the scout, and has not checked the goals of others since.
    pub(super) scouts: bool,
}

impl Position {
    /// Enters the list, at the previous position if there was one. Returns the fence that follows.
    pub(super) fn enter(&mut self, list: &WaitList, waiter: &Waiter, sleeper: Sleeper) -> Pays {
        let is_task = matches!(sleeper, Sleeper::Task(_));
        let (entry, begun) = waiter.begin(sleeper);
        self.begun = begun;
        let mut line = lock(&list.line);
        let pays = if is_task { list.task_begins(waiter, &mut line.own_waits) } else { Pays::Heavy };
        let ticket = *self.ticket.get_or_insert_with(|| {
            line.next += 1;
            line.next - 1
        });
        let at = line.listed.partition_point(|listed| listed.ticket < ticket);
        let listed = Listed { ticket, want: waiter.wants(), entry: entry.clone() };
        line.for_progress += usize::from(listed.want.is_progress());
        line.goals_of_tasks += usize::from(listed.want == Want::GOAL_OF_TASK);
        line.listed.insert(at, listed);
        list.count.store(line.count(), Ordering::Relaxed);
        self.on_list = true;
        pays
    }

    /// Leaves the list, if it was not taken off. Returns whether it was still there.
    pub(super) fn leave(&mut self, list: &WaitList) -> bool {
        let Some(ticket) = self.ticket.filter(|_| std::mem::take(&mut self.on_list)) else { return false };
        let listed = {
            let mut line = lock(&list.line);
            let at = line.listed.binary_search_by_key(&ticket, |listed| listed.ticket).ok();
            let listed = at.map(|at| line.remove(at));
            if line.scout == Some(ticket) {
                // A4.
                line.scout = None;
                self.scouts = true;
            }
            list.count.store(line.count(), Ordering::Relaxed);
            listed
        };
        self.called = listed.is_none();
        !self.called
    }

    /// Takes the sleeper of this wait out of the entry of its waiter.
    pub(super) fn end(&self, waiter: &Waiter) -> Option<Sleeper> {
        waiter.end(self.begun)
    }

    /// Returns whether the waiter has been on the list.
    pub(super) fn has_entered(&self) -> bool {
        self.ticket.is_some()
    }
}

/// The position of one thread on a list.
pub(super) struct Place<'a> {
    list: &'a WaitList,
    pub(super) waiter: &'a Waiter,
    pub(super) position: Position,
}

impl<'a> Place<'a> {
    pub(super) fn new(list: &'a WaitList, waiter: &'a Waiter) -> Self {
        Self { list, waiter, position: Position::default() }
    }

    /// Enters the list, and returns the word that is set by a wake-up.
    pub(super) fn enter(&mut self, thread: &Unparker) -> &'a AtomicBool {
        let _heavy = self.position.enter(self.list, self.waiter, Sleeper::Thread(thread.clone()));
        &self.waiter.0.woken
    }

    /// Leaves the list, if it was not taken off.
    pub(super) fn leave(&mut self) {
        if self.position.leave(self.list) {
            drop(self.position.end(self.waiter));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
        // Both marks are set here only if the attempt unwinds.
        if self.position.scouts {
            // A4.
            self.list.call(Call { all: false, progress: true, one: None });
        } else if self.position.called && !self.waiter.wants().is_progress() {
            // A1.
            self.list.pass_on(self.waiter.wants());
        }
    }
}
