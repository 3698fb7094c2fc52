//! The state that a batch shares with the stages upstream of it, and how it counts for them.

use super::holding::Holding;
use crate::stats::{CountingStage, Downstream, Ledger, Ledgers, Scales, SinkState};
use crate::sync::{Mutex, lock};
use crate::time::Pause;
use crate::wait::context::Crew;
use std::any::TypeId;

/// The state of a batch, beside its inner sink and its limits. It outlives the batch, for the stages
/// upstream of it that count.
pub(super) struct BatchCore<E> {
    /// The ledgers of the downstream sinks.
    pub(super) inner: Ledgers,
    /// If events are batches themselves: the disposition of the events in them.
    pub(super) scales: Scales,
    pub(super) holding: Mutex<Holding<E>>,
    /// Where a flush and a close wait for the batch that is being forwarded.
    pub(super) changed: Pause,
    /// The thread that flushes or closes the inner sink for this batch: other threads wait for it
    /// here.
    pub(super) crew: Crew,
}

/// The disposition of the events of a batch, for stages upstream of it.
impl<E: Send + 'static> CountingStage for BatchCore<E> {
    fn deferred(&self) -> Ledger {
        let downstream = self.downstream(TypeId::of::<E>());
        lock(&self.holding).deferred(&downstream)
    }

    fn defers_all(&self) -> bool {
        true
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        self.scales.ended(unit, &self.downstream(unit))
    }

    fn show(&self, state: &mut SinkState) {
        let mut own = SinkState::default();
        self.describe(&mut own);
        state.add_shown(own);
    }
}

impl<E: 'static> BatchCore<E> {
    /// Returns what the downstream sinks report of events of this type.
    fn downstream(&self, unit: TypeId) -> Downstream {
        let settled = lock(&self.holding).settled();
        Downstream::read(&self.inner, unit, || lock(&self.holding).kept_at_most(settled))
    }

    pub(super) fn describe(&self, state: &mut SinkState) {
        let downstream = self.downstream(TypeId::of::<E>());
        lock(&self.holding).describe(state, &downstream);
    }
}
