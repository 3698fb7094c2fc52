//! The state that all handles to a journal share.

use super::gate::{GateWaiter, Gates};
use super::seat::Seats;
use super::time::TimeSource;
use crate::error::WriteError;
use crate::ring::blocks::Source;
use crate::stats::{EntryCounters, EntryOutcome, SinkKind, SinkState, SinkStatus};
use crate::time::Deadline;
use crate::wait::Sleepers;
use crate::wait::context::{Crew, discard_each, may_wait_for_room};
use std::mem::needs_drop;
use std::sync::Arc;

/// The state that all handles to a journal share.
pub(super) struct JournalCore<E> {
    pub(super) source: Source<E>,
    /// Where subscribers park.
    pub(super) sleepers: Arc<Sleepers>,
    pub(super) seats: Seats,
    pub(super) gates: Gates,
    /// The threads of gating subscribers that are running user code with an event. A publish from
    /// such a thread would wait for itself.
    pub(super) crew: Crew,
    pub(super) time: TimeSource<E>,
    /// The counters of refused events. The tail itself counts the accepted events.
    pub(super) entry: EntryCounters,
}

impl<E> JournalCore<E> {
    pub(super) fn capacity(&self) -> u64 {
        self.source.capacity() as u64
    }

    /// Wakes the parked subscribers after a publish.
    #[inline(always)]
    pub(super) fn published(&self) {
        self.sleepers.wake();
    }

    /// Wakes each waiting thread after the journal was closed, so that it checks again.
    pub(super) fn closed(&self) {
        self.published();
        self.seats.all().iter().for_each(|seat| seat.cell.wake_now());
        self.gates.closed();
    }

    /// Wakes a waiting publisher after a gating subscriber advanced or was dropped, if there is
    /// room.
    #[inline]
    pub(super) fn gate_moved(&self) {
        self.gates.moved(|| self.has_room());
    }

    /// Returns `true` if the gates leave room for the next event.
    pub(super) fn has_room(&self) -> bool {
        let tail = self.source.tail();
        !tail.is_multiple_of(self.source.block_len() as u64) || !self.gates.bar_slowly(tail, self.capacity())
    }

    /// Waits until `attempt` succeeds, while gating subscribers block the next block. Returns the
    /// reason for the refusal if it does not. The first wait of a publish sets the deadline of all
    /// its waits.
    #[cold]
    pub(super) fn wait_for_gates<R>(
        &self,
        deadline: Deadline,
        waiter: Option<&GateWaiter>,
        limit: &mut Option<Deadline>,
        mut attempt: impl FnMut() -> Result<Option<R>, Refusal>,
    ) -> Result<R, Refusal> {
        if deadline == Deadline::NOW || !may_wait_for_room() || self.crew.is_here() {
            return Err(Refusal::Full);
        }
        let cancelled = || waiter.is_some_and(GateWaiter::is_cancelled);
        let attempt = || if cancelled() { Some(Err(Refusal::Closed)) } else { attempt().transpose() };
        let limit = *limit.get_or_insert_with(|| self.gates.deadline().min(deadline));
        let outcome = self.gates.wait(waiter, limit, attempt, || self.has_room());
        outcome.unwrap_or(Err(Refusal::Timeout))
    }

    /// Counts a refused event and returns the error with it.
    #[cold]
    pub(super) fn refused<X>(&self, refusal: Refusal, event: X) -> WriteError<X> {
        self.count_refused(refusal, 1);
        refusal.with(event)
    }

    /// Counts refused events and returns the error with them.
    #[cold]
    pub(super) fn refused_all<X>(&self, refusal: Refusal, events: Vec<X>) -> WriteError<Vec<X>> {
        self.count_refused(refusal, events.len() as u64);
        refusal.with(events)
    }

    fn count_refused(&self, refusal: Refusal, count: u64) {
        self.entry.count(EntryOutcome::refused(&refusal.with(())), count);
    }

    pub(super) fn describe(&self, state: &mut SinkState) {
        state.kind = SinkKind::Journal;
        state.capacity = self.capacity();
        state.status = if self.source.is_closed() { SinkStatus::Drained } else { SinkStatus::Open };
        let seats = self.seats.all();
        let tail = self.source.tail();
        self.entry.add_to(&mut state.ledger);
        // An event counts as delivered once it is in the journal. The ledger of each subscriber
        // counts what happens after that.
        state.ledger.offered += tail;
        state.ledger.accepted += tail;
        state.ledger.delivered += tail;
        state.subscribers = seats.iter().map(|seat| seat.state(tail)).collect();
        state.depth = state.subscribers.iter().map(|subscriber| subscriber.behind).max().unwrap_or(0);
    }
}

/// Drops the events that a publish took out of the journal: the overwritten one, and a stale one
/// that no subscriber can read.
///
/// Their destructors are user code. They run after the claim was released, without a lock, and as
/// inside a delivery: the publisher may be a bus, and a destructor that waits for that bus or for
/// this publisher would wait for itself. Their panics are caught.
#[inline(always)]
pub(super) fn drop_overwritten<E>(old: Option<E>, stale: Option<E>) {
    if needs_drop::<E>() {
        discard_each(old.into_iter().chain(stale));
    }
}

/// The reason why a journal refused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Timeout,
    Closed,
}

impl Refusal {
    fn with<X>(self, refused: X) -> WriteError<X> {
        match self {
            Self::Full => WriteError::Full(refused),
            Self::Timeout => WriteError::Timeout(refused),
            Self::Closed => WriteError::Closed(refused),
        }
    }
}
