//! A combinator that writes every event to two sinks.

mod side;

use crate::error::{OutOfMemory, WriteError};
use crate::sink::control::ledgers_of;
use crate::sink::lane::{InnerLane, Internal, Lane, LaneSealer, LaneWrite, Lanes, RoomWait};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{
    CloseReport, CountingStage, Disposition, FlushReport, Ledgers, SinkKind, SinkState, SinkStatus,
};
use crate::time::Deadline;
use crate::wait::context::{TaskPublish, cloned, discard};
use crate::wait::errand::{beside, close_together, flush_together};
use side::{Side, SideLane};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sink that writes every event to two sinks.
///
/// Made by [`SinkExt::tee`](crate::SinkExt::tee).
///
/// # Guarantees
/// - **Independence**: one side still gets an event that the other side refuses, or loses by a
///   panic. The write is `Ok` when at least one side accepted the event. If neither side did, the
///   event is returned, with the first side's error, or the second side's if the first side is
///   closed.
/// - **Closing**: a side that returns [`WriteError::Closed`] is skipped from then on. The tee is
///   `Closed` when both sides are. Closing the tee closes both.
/// - **Close and flush**: neither side uses up the other side's time. Called directly, they return
///   when both sinks have returned, even after the deadline, since both are
///   [borrowed](crate::Sink::close_by). A bus or a queue upstream still returns at its deadline.
/// - **Order**: that of each side by itself. A side that does not wait gets the event before one
///   that may.
/// - **Ledger**: the sum of the ledgers of both sides, so an event that both sides get is offered
///   twice. A stage upstream of the tee counts an event once: as delivered when one side accepted
///   it and did not drop it at once, otherwise with its outcome at a side. For a batch that a side
///   delivered in part, the larger of the two delivered parts counts.
/// - **Lanes**: the tee has lanes when both sides have them. If one side has none, a bus calls the
///   tee as it calls a sink of yours: no call inside waits, and a full `Block` lane on the other
///   side refuses the event. Put a [`Queue`](crate::Queue) upstream of the side without lanes, or
///   upstream of the tee.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, SinkExt};
/// let (left, mut one) = Channel::lossy(8)?;
/// let (right, other) = Channel::lossy(8)?;
/// let sink = left.tee(right);
/// drop(other); // closes that side only
/// sink.write(7)?;
/// assert_eq!(one.recv()?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a tee does nothing until it is written to or added to a bus"]
pub struct Tee<E, A, B> {
    first: A,
    second: B,
    sides: Arc<[Side; 2]>,
    events: PhantomData<fn(E)>,
}

impl<E, A, B> Tee<E, A, B> {
    pub(crate) fn new(first: A, second: B) -> Self {
        Self { first, second, sides: Arc::new([Side::new(), Side::new()]), events: PhantomData }
    }
}

impl<E, A, B> Tee<E, A, B> {
    /// Calls both sinks so that neither uses up the other one's time: a sink with lanes is only
    /// told, so it comes first.
    fn in_order<R: Send>(
        &self,
        deadline: Deadline,
        first: impl FnOnce() -> R + Send,
        second: impl FnOnce() -> R,
    ) -> (R, R)
    where
        A: Sink<E>,
        B: Sink<E>,
    {
        if self.first.has_lanes() {
            (first(), second())
        } else if self.second.has_lanes() {
            let told = second();
            (first(), told)
        } else {
            beside(deadline, first, second)
        }
    }
}

type Offered<E> = Result<Disposition, WriteError<E>>;

/// Combines the outcomes of both sides.
fn both<E>(first: Offered<E>, second: Offered<E>) -> Offered<E> {
    match (first, second) {
        (Err(first), Err(second)) => {
            let (kept, other) = if first.is_closed() { (second, first) } else { (first, second) };
            discard(other);
            Err(kept)
        }
        (Ok(first), Ok(second)) => Ok(first.or(second)),
        (one @ Ok(_), Err(refused)) | (Err(refused), one) => {
            discard(refused);
            alone(one)
        }
    }
}

/// Converts the outcome of one side into that of the tee, when the other side did not accept the
/// event: the chain of sinks branches here, and each branch counts for itself.
fn alone<E>(side: Offered<E>) -> Offered<E> {
    side.map(|disposition| disposition.or(Disposition::Filtered))
}

impl<E, A, B> Sink<E> for Tee<E, A, B>
where
    E: Clone + Send + 'static,
    A: Sink<E>,
    B: Sink<E>,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let [first, second] = &*self.sides;
        if first.is_closed() {
            alone(second.offer(&self.second, event))
        } else if second.is_closed() {
            alone(first.offer(&self.first, event))
        } else {
            let copy = cloned(&event);
            both(first.offer(&self.first, copy), second.offer(&self.second, event))
        }
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.first);
        visit.sink(&self.second);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        let [first, second] = &*self.sides;
        close_together(deadline, || {
            let (first, second) = self.in_order(
                deadline,
                || first.close(&self.first, deadline),
                || second.close(&self.second, deadline),
            );
            let mut report = CloseReport::done();
            report.note("first", first);
            report.note("second", second);
            report
        })
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        if !Lanes::<E>::has_lanes(self) {
            return Ok(None);
        }
        let (Some(first), Some(second)) = (self.first.lane()?, self.second.lane()?) else { return Ok(None) };
        let first = SideLane::new(first, 0, &self.sides);
        let second = SideLane::new(second, 1, &self.sides);
        // A side that may wait comes last: it must not delay the other one.
        let second_first = first.lane().may_wait() && !second.lane().may_wait();
        Ok(Some(Lane::staged(TeeLane { first, second, second_first, kept: None })))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.first.has_lanes() && self.second.has_lanes()
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        let [first, second] = &*self.sides;
        flush_together(deadline, report, |report| {
            let (first, second) = self.in_order(
                deadline,
                || first.flush(&self.first, deadline),
                || second.flush(&self.second, deadline),
            );
            report.absorb(first);
            report.absorb(second);
        });
    }

    fn reports_closed(&self) -> bool {
        let [first, second] = &*self.sides;
        first.reports_closed(&self.first) && second.reports_closed(&self.second)
    }

    fn describe(&self, state: &mut SinkState) {
        let [first, second] = &*self.sides;
        merge(state, first.describe(&self.first), second.describe(&self.second));
    }

    fn add_ledgers(&self, list: &mut Ledgers, _: Internal) {
        list.push(self.sides.clone());
        list.extend_shown(ledgers_of(&self.first));
        list.extend_shown(ledgers_of(&self.second));
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.sides))
    }
}

fn merge(state: &mut SinkState, first: SinkState, second: SinkState) {
    state.kind = SinkKind::Tee;
    state.status = match (first.status, second.status) {
        (SinkStatus::Drained, SinkStatus::Drained) => SinkStatus::Drained,
        (SinkStatus::Open, _) | (_, SinkStatus::Open) => SinkStatus::Open,
        _ => SinkStatus::Closed,
    };
    state.merge_work(&first);
    state.merge_work(&second);
    state.depth = first.depth + second.depth;
    state.high_water = first.high_water.max(second.high_water);
    state.capacity = match (first.capacity, second.capacity) {
        (0, limit) | (limit, 0) => limit,
        (one, other) => one.min(other),
    };
    state.lanes = first.lanes.max(second.lanes);
    state.ledger = first.ledger;
    state.ledger += second.ledger;
    state.last_error = first.last_error.or(second.last_error);
    state.backlog_for = first.backlog_for.max(second.backlog_for);
    state.retries = first.retries;
    state.retries.extend(second.retries);
}

impl CountingStage for [Side; 2] {
    fn show(&self, state: &mut SinkState) {
        self.iter().for_each(|side| state.add_shown(side.shown()));
    }
}

impl<E, A: fmt::Debug, B: fmt::Debug> fmt::Debug for Tee<E, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tee")
            .field("first", &self.first)
            .field("second", &self.second)
            .finish_non_exhaustive()
    }
}

struct TeeLane<E> {
    first: SideLane<E>,
    second: SideLane<E>,
    /// Whether the second side gets the event first: the first one may have to wait, and the second
    /// one does not.
    second_first: bool,
    /// The event of a task that one side has accepted, and the other side is owed: the index of that
    /// side.
    kept: Option<(usize, E)>,
}

impl<E: Clone + Send + 'static> TeeLane<E> {
    /// Combines the outcomes of both sides. If a task publishes, and one side is full, the lane keeps
    /// the event for that side.
    fn both(&mut self, first: Offered<E>, second: Offered<E>) -> Offered<E> {
        let (side, event, accepted) = match (first, second) {
            (accepted @ Ok(_), Err(WriteError::Full(event))) => (1, event, accepted),
            (Err(WriteError::Full(event)), accepted @ Ok(_)) => (0, event, accepted),
            (first, second) => return both(first, second),
        };
        if TaskPublish::is_here() {
            self.kept = Some((side, event));
        } else {
            discard(event);
        }
        alone(accepted)
    }

    fn side(&mut self, index: usize) -> &mut SideLane<E> {
        if index == 0 { &mut self.first } else { &mut self.second }
    }
}

impl<E: Clone + Send + 'static> LaneWrite<E> for TeeLane<E> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let Self { first, second, second_first, .. } = self;
        if first.is_closed() {
            return alone(second.offer(event, deadline));
        }
        if second.is_closed() {
            return alone(first.offer(event, deadline));
        }
        let copy = cloned(&event);
        let (first, second) = if *second_first {
            let done = second.offer(copy, deadline);
            (first.offer(event, deadline), done)
        } else {
            (first.offer(copy, deadline), second.offer(event, deadline))
        };
        self.both(first, second)
    }

    // Two lanes: the methods below answer for both.
    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }

    fn sealer(&self) -> Option<LaneSealer> {
        // A lane without a sealer ends its waits when the value that it is inside is detached
        // (`sync::guarded`). The other lane is sealed.
        match (self.first.lane().sealer(), self.second.lane().sealer()) {
            (Some(first), Some(second)) => Some(first.and(second)),
            (one, other) => one.or(other),
        }
    }

    fn may_wait(&self) -> bool {
        self.first.lane().may_wait() || self.second.lane().may_wait()
    }

    fn full(&self) -> Option<RoomWait> {
        // An event that one side has already waits for the other side alone.
        match &self.kept {
            Some((0, _)) => return self.first.lane().full(),
            Some(_) => return self.second.lane().full(),
            None => {}
        }
        self.first.lane().full().or_else(|| self.second.lane().full())
    }

    fn resume(&mut self) -> bool {
        if let Some((index, event)) = self.kept.take() {
            match self.side(index).offer(event, Deadline::NOW) {
                Err(WriteError::Full(event)) => self.kept = Some((index, event)),
                outcome => discard(outcome),
            }
        }
        // Both sides continue, also if one of them is not done.
        let (first, second) = (self.first.resume(), self.second.resume());
        self.kept.is_none() && first && second
    }

    fn give_up(&mut self) {
        discard(self.kept.take());
        self.first.give_up();
        self.second.give_up();
    }
}
