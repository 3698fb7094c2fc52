//! The state of a mailbox: its ledger, for snapshots and for stages upstream.

use super::activity::Work;
use super::core::Mailbox;
use super::end::End;
use super::shared_lane::Source;
use crate::stats::{CountingStage, Downstream, Ledger, Lost, SinkState, SinkStatus};
use crate::sync::{self, lock};
use std::any::TypeId;
use std::ops::Add;
use std::time::Duration;

/// What a ledger does not tell apart.
#[derive(Clone, Copy, Default)]
pub(crate) struct Details {
    /// The dropped events whose writers learned at once that a lane was full.
    pub(crate) full_at_once: u64,
    /// The delivered events that handlers forwarded to a sink that decides later.
    pub(crate) passed: u64,
}

impl<E: Send + 'static> Mailbox<E> {
    /// Fills in all fields but the kind. Returns what the ledger does not tell apart, from the same
    /// read of the counters.
    pub(crate) fn describe(&self, state: &mut SinkState) -> Details {
        let mut ledger = Ledger::default();
        // The consumer's counters first: an event that is handled during this call then counts as
        // pending rather than twice.
        let mut passed = self.consumer.add_to(&mut ledger);
        let (members, passed_by_members) = self.members.add_to(&mut ledger);
        passed += passed_by_members;
        let full_behind = ledger.dropped.full;
        {
            let mut registry = lock(&self.registry);
            registry.fold();
            ledger += registry.folded.ledger();
            for view in &registry.views {
                view.add_to(&mut ledger);
            }
            state.lanes = registry.views.len();
        }
        self.shared.entry.add_to(&mut ledger);
        if let Some(position) = self.shared.position() {
            ledger.offered += position;
            ledger.accepted += position;
            state.capacity = self.capacity() as u64;
        } else {
            state.capacity = 0;
        }
        ledger.pending += self.shared_len();
        state.depth = ledger.pending;
        state.ledger = ledger;
        state.high_water = self.consumer.high_water().max(members.high_water);
        state.status = match self.end() {
            End::Open => SinkStatus::Open,
            End::Closed | End::Overflowed if ledger.pending > 0 => SinkStatus::Closed,
            End::Closed | End::Overflowed => SinkStatus::Drained,
        };
        state.last_error = self.consumer.last_error();
        let full_at_once = ledger.dropped.full - full_behind;
        let in_hand = self.describe_work(state, ledger.pending > 0);
        let emptied = self.consumer.emptied() + members.emptied;
        // An event that was dropped on entry never was pending.
        let entered = ledger.accepted.saturating_sub(full_at_once);
        let seen = lock(&self.backlog).see(emptied, (entered, ledger.pending));
        state.backlog_for = seen.map(|(backlog, _)| backlog);
        // What a worker has in hand is pending, too.
        state.oldest_for = seen.map(|(_, age)| age.max(in_hand.unwrap_or_default()));
        Details { full_at_once, passed }
    }

    /// Fills in what the workers are doing, and their batches. Returns for how long an event has been
    /// in hand, at least.
    fn describe_work(&self, state: &mut SinkState, is_pending: bool) -> Option<Duration> {
        let mut work = Work::default();
        self.consumer.add_work(&mut work, is_pending);
        self.members.add_work(&mut work, is_pending);
        state.in_handler_for = work.in_handler_for;
        state.batches = work.batches;
        state.largest_batch = work.largest_batch;
        state.batch_time = work.batch_time;
        work.in_hand_for
    }

    /// Returns the number of events that were discarded by an abort.
    pub(crate) fn aborted(&self) -> u64 {
        self.consumer.aborted() + self.members.aborted() + self.shared.entry.aborted()
    }

    /// Returns the number of events that wait or are being handled, over all lanes. Costs a few
    /// loads for each lane, under the registry's lock.
    pub(crate) fn len(&self) -> u64 {
        let private = lock(&self.registry).views.iter().map(|view| view.pending()).sum::<u64>();
        private + self.shared_len()
    }

    /// Returns the number of events of the shared lane that wait or are being handled.
    pub(super) fn shared_len(&self) -> u64 {
        match &self.signals.crowd {
            None => self.shared.pending(),
            Some(_) => self.shared.len() as u64 + self.members.in_hand(),
        }
    }

    /// Returns the number of events that were accepted and lost because a lane was full: dropped on
    /// entry, or evicted. Costs a few loads for each lane, under the registry's lock, which the
    /// data plane does not take.
    ///
    /// Unlike `Intake::len`, this also needs lanes that the consumer no longer reads. Without the
    /// lock, a lane that is folded meanwhile might count twice, or not at all.
    ///
    /// An evicted event is included once its thread has counted it or the consumer has passed it,
    /// whichever is first.
    pub(crate) fn lost(&self) -> u64 {
        let lost = self.lost_by_cause();
        lost.on_entry + lost.evicted.max(self.consumer.evicted())
    }

    /// As [`lost`](Self::lost), but without the evicted events that the one consumer has not passed:
    /// they follow the event that it has taken last.
    #[cfg(feature = "async")]
    pub(crate) fn lost_before_the_next(&self) -> u64 {
        let lost = self.lost_by_cause();
        // Several consumers take events between each other's, so that positions tell none of them.
        lost.on_entry + if self.signals.crowd.is_some() { lost.evicted } else { self.consumer.evicted() }
    }

    fn lost_by_cause(&self) -> Lost {
        let registry = lock(&self.registry);
        let private = registry.views.iter().map(|view| view.entry.lost());
        private.fold(registry.folded.lost() + self.shared.entry.lost(), Lost::add)
    }
}

/// The disposition of the events of a mailbox is decided later, except for those dropped at once.
impl<E: Send + 'static> CountingStage for sync::Arc<Mailbox<E>> {
    fn deferred(&self) -> Ledger {
        let mut state = SinkState::default();
        let mut at_once = Ledger::default();
        at_once.dropped.full = self.describe(&mut state).full_at_once;
        at_once.accepted = at_once.dropped.full;
        state.ledger.without(&at_once)
    }

    fn defers_all(&self) -> bool {
        true
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        self.scales.ended(unit, &Downstream::default())
    }

    fn show(&self, _state: &mut SinkState) {}
}
