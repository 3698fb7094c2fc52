//! The lane into a journal: a writer that may hold the bias of the journal's ring.
//!
//! This layer is below the journal. It knows the ring and the parking place, which is all that a
//! publish under the bias needs, so that publish is neither a virtual call nor user code.
//! Everything else is the [`BiasedStage`], which the journal supplies.

use crate::error::WriteError;
use crate::ring::blocks::Bias;
use crate::stats::Disposition;
use crate::time::Deadline;
use crate::wait::Sleepers;
use crate::wait::context::discard;
use crate::wait::list::task::TaskWait;
use std::sync::Arc;

/// The events that a publish took out of a journal, for the publisher to discard: the overwritten
/// one, and a stale one that no subscriber can read.
pub(crate) type Overwritten<E> = (Option<E>, Option<E>);

/// The lane of one publisher into a journal.
pub(crate) struct BiasedLane<E> {
    bias: Bias<E>,
    /// Where subscribers park.
    sleepers: Arc<Sleepers>,
    stage: Box<dyn BiasedStage<E>>,
}

/// What a publish does that does not hold the bias.
pub(crate) trait BiasedStage<E>: Send {
    /// Returns the wait of a task for room, if a publish would wait at a gate now.
    fn full(&self) -> Option<TaskWait>;

    /// Publishes an event by a claim, and may take the bias. Returns an event that begins a block,
    /// or finds the journal closed, as an error. Runs no user code, and waits for a claim only.
    fn put(&mut self, bias: &mut Bias<E>, event: E) -> Result<Overwritten<E>, E>;

    /// Publishes an event by a claim, may take the bias, and may wait at a gate.
    fn offer(
        &mut self,
        bias: &mut Bias<E>,
        event: E,
        deadline: Deadline,
    ) -> Result<Disposition, WriteError<E>>;
}

impl<E> BiasedLane<E> {
    pub(crate) fn new(bias: Bias<E>, sleepers: Arc<Sleepers>, stage: impl BiasedStage<E> + 'static) -> Self {
        Self { bias, sleepers, stage: Box::new(stage) }
    }

    /// Publishes an event that does not begin a block, and returns what the caller has to
    /// [`discard`](crate::wait::context::discard). Otherwise returns the event as an error. Runs no
    /// user code, and waits for a claim only.
    #[inline(always)]
    pub(crate) fn put(&mut self, event: E) -> Result<Overwritten<E>, E> {
        if let Some(turn) = self.bias.announce() {
            let old = turn.put(event);
            self.sleepers.wake();
            return Ok((old, None));
        }
        let mut from = Some(event);
        match (self.put_by_claim(&mut from), from) {
            (None, Some(event)) => Err(event),
            (overwritten, _) => Ok(overwritten.unwrap_or((None, None))),
        }
    }

    /// Publishes the event in `from`, and leaves it there if it begins a block or finds the journal
    /// closed.
    ///
    /// The event is in an `Option` of its own, so that only this path needs it in memory. An event whose
    /// address is passed on is made in memory, by one store for each field, and copied into its slot by
    /// wider loads, which have to wait until those stores have left the processor.
    #[cold]
    #[inline(never)]
    fn put_by_claim(&mut self, from: &mut Option<E>) -> Option<Overwritten<E>> {
        if self.bias.is_at_a_block() {
            return None;
        }
        match self.stage.put(&mut self.bias, from.take()?) {
            Ok(overwritten) => Some(overwritten),
            Err(event) => {
                *from = Some(event);
                None
            }
        }
    }

    /// Returns the wait of a task for room, if a publish would wait at a gate now.
    pub(crate) fn full(&self) -> Option<TaskWait> {
        self.stage.full()
    }

    /// Ends the bias, because the publisher has left the lane.
    pub(crate) fn rest(&mut self) {
        self.bias.rest();
    }

    /// Publishes an event.
    pub(crate) fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        if let Some(turn) = self.bias.announce() {
            let old = turn.put(event);
            self.sleepers.wake();
            discard(old);
            return Ok(Disposition::Delivered);
        }
        self.stage.offer(&mut self.bias, event, deadline)
    }
}
