//! One at a time, in the order of arrival.

use crate::error::WriteError;
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Mutex, lock};
use crate::time::Pause;
use crate::wait::context::{InTurn, WaitLimit};
use crate::wait::list::Want;
use std::collections::VecDeque;

/// Why a wait was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Closed,
    Timeout,
    Reentrant,
}

impl Cut {
    pub(crate) fn with<E>(self, event: E) -> WriteError<E> {
        match self {
            Self::Closed => WriteError::Closed(event),
            Self::Timeout => WriteError::Timeout(event),
            Self::Reentrant => WriteError::Reentrant(event),
        }
    }
}

/// One at a time, in the order of arrival. Whoever is first in the line has the turn.
pub(crate) struct Turns(Mutex<Line>);

struct Line {
    next: u64,
    tickets: VecDeque<(u64, ThreadId)>,
}

/// A turn, or the wait for it, until it is dropped; also when that happens by a panic.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    pause: &'a Pause,
    ticket: u64,
    /// Set while the thread has the turn.
    mark: Option<InTurn>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Line { next: 0, tickets: VecDeque::with_capacity(16) }))
    }

    /// Waits for its turn at this pause. A thread that has a turn elsewhere waits for no other: see [`InTurn`].
    pub(crate) fn take<'a>(&'a self, pause: &'a Pause) -> Result<Turn<'a>, Cut> {
        let this = thread::current().id();
        let (mut turn, first) = {
            let mut line = lock(&self.0);
            let is_mine = line.tickets.iter().any(|(_, thread)| *thread == this);
            if is_mine || (InTurn::is_now() && !line.tickets.is_empty()) {
                // It would wait for itself, or could.
                return Err(Cut::Reentrant);
            }
            let ticket = line.next;
            line.next += 1;
            line.tickets.push_back((ticket, this));
            (Turn { turns: self, pause, ticket, mark: None }, line.tickets.len() == 1)
        };
        let ticket = turn.ticket;
        let is_first = || self.is_first(ticket);
        if first || pause.wait_for(Want::turn(ticket), WaitLimit::deadline(), is_first) {
            turn.mark = Some(InTurn::begin());
            Ok(turn)
        } else if pause.is_interrupted() {
            Err(Cut::Closed)
        } else {
            Err(Cut::Timeout)
        }
    }

    fn is_first(&self, ticket: u64) -> bool {
        lock(&self.0).tickets.front().is_some_and(|(first, _)| *first == ticket)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let first = {
            let mut line = lock(&self.turns.0);
            line.tickets.retain(|(ticket, _)| *ticket != self.ticket);
            line.tickets.front().map(|(first, _)| *first)
        };
        // The others wait for those before them. One that gives up behind the first tells it in vain.
        if let Some(first) = first {
            self.pause.poke_one(Want::turn(first));
        }
    }
}
