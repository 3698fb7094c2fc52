//! A writer of a journal with a bias of its own, for a layer above that needs the position of each
//! event.

use super::Journal;
use super::core::{JournalCore, drop_overwritten};
use super::entry::Sequence;
use super::publish::publish;
use crate::error::WriteError;
use crate::ring::blocks::Bias;
use crate::time::Deadline;
use crate::wait::Sleepers;
use std::sync::Arc;

/// A writer that claims the journal for each event, or not at all while it is the only writer.
///
/// It does not keep the journal open.
pub(crate) struct BiasedWriter<E: Send + Sync + 'static> {
    bias: Bias<E>,
    sleepers: Arc<Sleepers>,
    shared: Arc<JournalCore<E>>,
}

impl<E: Send + Sync + 'static> Journal<E> {
    /// Creates a writer with a bias of its own.
    pub(crate) fn biased_writer(&self) -> BiasedWriter<E> {
        let shared = self.0.shared.clone();
        BiasedWriter { bias: Bias::new(&self.0.writer), sleepers: shared.sleepers.clone(), shared }
    }
}

impl<E: Send + Sync + 'static> BiasedWriter<E> {
    /// Publishes an event as [`Journal::publish`] does.
    #[inline(always)]
    pub(crate) fn publish(&mut self, event: E) -> Result<Sequence, WriteError<E>> {
        if let Some(turn) = self.bias.announce() {
            let sequence = Sequence::new(turn.position());
            let old = turn.put(event);
            self.sleepers.wake();
            drop_overwritten(old, None);
            return Ok(sequence);
        }
        self.publish_by_claim(&mut Some(event))
    }

    /// Publishes the event in `from` without a bias, or where a block begins.
    ///
    /// The event is passed in an `Option` of its own, so that only this path needs it in memory. An event
    /// whose address is passed on is made in memory, by one store for each field, and copied into its slot
    /// by wider loads, which have to wait until those stores have left the processor.
    #[cold]
    #[inline(never)]
    fn publish_by_claim(&mut self, from: &mut Option<E>) -> Result<Sequence, WriteError<E>> {
        let Some(event) = from.take() else { unreachable!("the caller has an event") };
        publish(self.bias.claiming(), &self.shared, event, Deadline::NEVER, None)
    }
}
