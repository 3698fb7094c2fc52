//! The waiting threads of a list in the order of arrival, and the choice of those that a
//! notification wakes.

use super::WaitList;
use super::waiter::{Waiter, WaiterEntry, Want};
use crate::sync::parking::Unparker;
use crate::sync::{AtomicBool, Ordering, lock};
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
    /// The ticket of the thread that was called to check goals and has not begun.
    pub(super) scout: Option<u64>,
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

    pub(super) fn remove(&mut self, at: usize) -> Listed {
        let listed = self.listed.remove(at);
        self.for_progress -= usize::from(listed.want.is_progress());
        listed
    }

    pub(super) fn count(&self) -> u64 {
        (self.listed.len() - self.for_progress) as u64 + self.for_progress as u64 * FOR_PROGRESS
    }
}

/// The position of one thread on the list, from its first attempt to its last.
pub(super) struct Place<'a> {
    list: &'a WaitList,
    pub(super) waiter: &'a Waiter,
    ticket: Option<u64>,
    on_list: bool,
    /// The thread was taken off the list, and has made no attempt since.
    pub(super) called: bool,
    /// The thread was called as the scout, and has not checked the goals of others since.
    pub(super) scouts: bool,
}

impl<'a> Place<'a> {
    pub(super) fn new(list: &'a WaitList, waiter: &'a Waiter) -> Self {
        Self { list, waiter, ticket: None, on_list: false, called: false, scouts: false }
    }

    /// Enters the list, at its previous position if it had one, and returns the word that is set by
    /// a wake-up.
    pub(super) fn enter(&mut self, thread: &Unparker) -> &'a AtomicBool {
        let entry = self.waiter.begin(thread);
        let mut line = lock(&self.list.line);
        let ticket = *self.ticket.get_or_insert_with(|| {
            line.next += 1;
            line.next - 1
        });
        let at = line.listed.partition_point(|listed| listed.ticket < ticket);
        line.listed.insert(at, Listed { ticket, want: self.waiter.wants(), entry: entry.clone() });
        line.for_progress += usize::from(self.waiter.wants().is_progress());
        self.list.count.store(line.count(), Ordering::Relaxed);
        self.on_list = true;
        &entry.woken
    }

    /// Leaves the list, if it was not taken off.
    pub(super) fn leave(&mut self) {
        let Some(ticket) = self.ticket.filter(|_| std::mem::take(&mut self.on_list)) else { return };
        let listed = {
            let mut line = lock(&self.list.line);
            let at = line.listed.binary_search_by_key(&ticket, |listed| listed.ticket).ok();
            let listed = at.map(|at| line.remove(at));
            if line.scout == Some(ticket) {
                // A4.
                line.scout = None;
                self.scouts = true;
            }
            self.list.count.store(line.count(), Ordering::Relaxed);
            listed
        };
        self.called = listed.is_none();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
        // Both marks are set here only if the attempt unwinds.
        if self.scouts {
            // A4.
            self.list.call(Call { all: false, progress: true, one: None });
        } else if self.called && !self.waiter.wants().is_progress() {
            // A1.
            self.list.pass_on(self.waiter.wants());
        }
    }
}
