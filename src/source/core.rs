//! What the handles and the worker of a monitor share: its status, its token, its counters.
//!
//! Only the worker changes the status, under a lock in which no user code runs, and the token, which
//! has its own rules in `tokens.rs`. Threads wait on one list for a change of the status, and the worker notifies that list
//! after each change. So a thread sees the change, or is woken by it.

use super::output::WaitEnd;
use super::session::Session;
use super::state::{Count, Counts, MonitorSnapshot, MonitorState, NotLive, StopReason, StopReport};
use super::tokens::TokenCell;
use crate::stats::Finish;
use crate::sync::{Mutex, lock};
use crate::time::Deadline;
use crate::wait::context::{Crew, must_not_wait};
use crate::wait::{FencePair, WaitList};
use std::time::Instant;

pub(super) struct Core<T> {
    pub(super) session: Session,
    /// The worker, which must not wait for itself.
    pub(super) crew: Crew,
    pub(super) counts: Counts,
    status: Mutex<Status>,
    pub(super) token: TokenCell<T>,
    /// Where threads wait for a change of the status.
    changed: WaitList,
    wait_end: WaitEnd,
    stop_by: Mutex<Option<Deadline>>,
}

struct Status {
    phase: Phase,
    since: Instant,
    last_error: Option<String>,
    /// The number of connections that were live.
    lives: u64,
}

#[derive(Clone)]
pub(super) enum Phase {
    Connecting { attempt: u32 },
    Live,
    Waiting { failures: u32, until: Instant, error: String },
    Stopped(StopReason),
}

impl<T> Core<T> {
    pub(super) fn new(session: Session, token: TokenCell<T>, wait_end: WaitEnd) -> Self {
        let since = session.now();
        let phase = Phase::Connecting { attempt: 1 };
        Self {
            session,
            crew: Crew::new(),
            counts: Counts::new(),
            status: Mutex::new(Status { phase, since, last_error: None, lives: 0 }),
            token,
            changed: WaitList::new(FencePair::Symmetric),
            wait_end,
            stop_by: Mutex::new(None),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let since = self.session.now();
        let old = {
            let mut status = lock(&self.status);
            status.lives += u64::from(matches!(phase, Phase::Live));
            status.since = since;
            std::mem::replace(&mut status.phase, phase)
        };
        drop(old);
        self.changed.notify();
    }

    pub(super) fn set_error(&self, error: String) {
        let old = lock(&self.status).last_error.replace(error);
        drop(old);
    }

    /// Returns the token.
    pub(super) fn token(&self) -> Option<T>
    where
        T: Clone,
    {
        self.token.get()
    }

    pub(super) fn state(&self) -> MonitorState {
        let phase = lock(&self.status).phase.clone();
        self.shown(phase)
    }

    fn shown(&self, phase: Phase) -> MonitorState {
        match phase {
            Phase::Connecting { attempt } => MonitorState::Connecting { attempt },
            Phase::Live => MonitorState::Live,
            Phase::Waiting { failures, until, error } => {
                let retry_in = until.saturating_duration_since(self.session.now());
                MonitorState::Waiting { failures, retry_in, error }
            }
            Phase::Stopped(reason) => MonitorState::Stopped(reason),
        }
    }

    pub(super) fn snapshot(&self) -> MonitorSnapshot {
        let (phase, since, last_error) = {
            let status = lock(&self.status);
            (status.phase.clone(), status.since, status.last_error.clone())
        };
        let count = |count| self.counts.get(count);
        // The outcomes first: an event is counted as read before its outcome is.
        let [forwarded, refused, dropped, panicked] =
            [Count::Forwarded, Count::Refused, Count::Dropped, Count::Panicked].map(count);
        MonitorSnapshot {
            state: self.shown(phase),
            state_for: self.session.now().saturating_duration_since(since),
            attempts: count(Count::Attempts),
            connects: count(Count::Connects),
            failures: count(Count::Failures),
            events: count(Count::Read),
            forwarded,
            refused,
            dropped,
            panicked,
            duplicates: count(Count::Duplicates),
            undecodable: count(Count::Undecodable),
            gaps: count(Count::Gaps),
            source_panics: count(Count::SourcePanics),
            store_failures: count(Count::StoreFailures),
            last_error,
        }
    }

    /// Returns whether this thread must not wait for the worker.
    pub(super) fn is_inside(&self) -> bool {
        must_not_wait() || self.crew.is_here()
    }

    /// Waits until a connection is live, has been since the call, or the monitor has stopped.
    pub(super) fn wait_live(&self, deadline: Deadline) -> Result<(), NotLive> {
        let lives = lock(&self.status).lives;
        let attempt = || {
            let status = lock(&self.status);
            match &status.phase {
                Phase::Live => Some(true),
                _ if status.lives != lives => Some(true),
                Phase::Stopped(_) => Some(false),
                Phase::Connecting { .. } | Phase::Waiting { .. } => None,
            }
        };
        let deadline = if self.is_inside() { Deadline::NOW } else { deadline };
        match self.changed.wait_until(deadline, attempt) {
            Some(true) => Ok(()),
            Some(false) | None => Err(NotLive { state: self.state() }),
        }
    }

    fn stop_reason(&self) -> Option<StopReason> {
        match &lock(&self.status).phase {
            Phase::Stopped(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Tells the monitor to stop.
    pub(super) fn tell_stop(&self, deadline: Deadline) {
        lock(&self.stop_by).get_or_insert(deadline);
        self.session.stop();
    }

    /// Returns the deadline of the stop, once the monitor was told.
    pub(super) fn stop_by(&self) -> Option<Deadline> {
        *lock(&self.stop_by)
    }

    /// Waits for the end of the worker.
    pub(super) fn await_end(&self, deadline: Deadline) -> bool {
        self.changed.wait_until(deadline, || self.stop_reason()).is_some()
    }

    /// Stops the monitor, and waits for the end of the worker until the deadline.
    pub(super) fn stop(&self, deadline: Deadline) -> StopReport {
        self.tell_stop(deadline);
        if self.is_inside() {
            let finish = if self.stop_reason().is_some() { Finish::Done } else { Finish::Pending };
            return self.report(finish);
        }
        if self.await_end(deadline) {
            return self.report(Finish::Done);
        }
        self.end_wait_for_room();
        self.report(Finish::TimedOut)
    }

    /// Ends the worker's wait for room in a full sink: it gets the event back, and ends.
    pub(super) fn end_wait_for_room(&self) {
        self.wait_end.end();
    }

    fn report(&self, finish: Finish) -> StopReport {
        let count = |count| self.counts.get(count);
        let settled: u64 =
            [Count::Forwarded, Count::Refused, Count::Dropped, Count::Panicked].map(count).iter().sum();
        StopReport {
            finish,
            reason: self.stop_reason(),
            forwarded: count(Count::Forwarded),
            undelivered: count(Count::Read).saturating_sub(settled),
        }
    }
}
