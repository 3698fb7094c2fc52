//! What all handles to a journal share.

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

/// What all handles to a journal share.
pub(super) struct JournalCore<E> {
    pub(super) source: Source<E>,
    /// Where subscribers park.
    pub(super) sleepers: Sleepers,
    pub(super) seats: Seats,
    pub(super) gates: Gates,
    /// Gating subscribers while they show an event to user code: they are what a publisher would wait for.
    pub(super) crew: Crew,
    pub(super) time: TimeSource<E>,
    /// What was refused. What was accepted, the tail says.
    pub(super) entry: EntryCounters,
}

impl<E> JournalCore<E> {
    pub(super) fn capacity(&self) -> u64 {
        self.source.capacity() as u64
    }

    /// Something was published: whoever sleeps is woken.
    #[inline(always)]
    pub(super) fn published(&self) {
        self.sleepers.wake();
    }

    /// The journal is closed: each waiting thread checks again.
    pub(super) fn closed(&self) {
        self.published();
        self.seats.all().iter().for_each(|seat| seat.cell.wake_now());
        self.gates.closed();
    }

    /// A gating subscriber has moved, or has gone.
    #[inline]
    pub(super) fn gate_moved(&self) {
        self.gates.moved(|| self.has_room());
    }

    /// Whether an event could be put in now, as far as gates are concerned.
    fn has_room(&self) -> bool {
        let tail = self.source.tail();
        !tail.is_multiple_of(self.source.block_len() as u64) || !self.gates.bar_slowly(tail, self.capacity())
    }

    /// Waits for the subscribers that bar the way into the next block, until `attempt` succeeds; the reason when it did not, and the
    /// event is refused. The first wait of a publish sets the limit of all of them.
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
        let ended = || waiter.is_some_and(GateWaiter::is_ended);
        let attempt = || if ended() { Some(Err(Refusal::Closed)) } else { attempt().transpose() };
        let limit = *limit.get_or_insert_with(|| self.gates.deadline().min(deadline));
        let outcome = self.gates.wait(waiter, limit, attempt, || self.has_room());
        outcome.unwrap_or(Err(Refusal::Timeout))
    }

    /// Counts an event that was refused.
    #[cold]
    pub(super) fn refused<X>(&self, refusal: Refusal, event: X) -> WriteError<X> {
        self.count_refused(refusal, 1);
        refusal.with(event)
    }

    /// Counts events that were refused.
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
        state.status = if self.source.is_closed() { SinkStatus::Closed } else { SinkStatus::Open };
        let seats = self.seats.all();
        let tail = self.source.tail();
        self.entry.add_to(&mut state.ledger);
        // An event is delivered when it is in the journal; what becomes of it then is for each subscriber's books.
        state.ledger.offered += tail;
        state.ledger.accepted += tail;
        state.ledger.delivered += tail;
        state.subscribers = seats.iter().map(|seat| seat.state(tail)).collect();
        state.depth = state.subscribers.iter().map(|subscriber| subscriber.behind).max().unwrap_or(0);
    }
}

/// Drops what an event has pushed out of a journal, when everything else is done: the event that lay in its slot, and one that no
/// subscriber can read any more.
///
/// Their destructors are user code: it runs without the claim and without a lock, and as inside a delivery. The publisher may be a bus,
/// and what waits for that bus or for this publisher would wait for itself.
#[inline(always)]
pub(super) fn drop_overwritten<E>(old: Option<E>, stale: Option<E>) {
    if needs_drop::<E>() {
        discard_each(old.into_iter().chain(stale));
    }
}

/// Why an event does not get into a journal.
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
