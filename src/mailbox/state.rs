//! The state of a mailbox: its ledger, for snapshots and for stages upstream.

use super::core::Mailbox;
use super::counters::BacklogMark;
use super::end::End;
use super::shared_lane::Source;
use crate::stats::{CountingStage, Downstream, Ledger, SinkState, SinkStatus};
use crate::sync::{self, Mutex, lock};
use std::any::TypeId;
use std::time::Instant;

impl<E: Send + 'static> Mailbox<E> {
    /// Fills in all fields but the kind. Returns the number of events that were dropped at once
    /// because a lane was full, of which their writers learned.
    pub(crate) fn describe(&self, state: &mut SinkState) -> u64 {
        let mut ledger = Ledger::default();
        // The consumer's counters first: an event that is handled during this call then counts as
        // pending rather than twice.
        self.consumer.add_to(&mut ledger);
        let members = self.members.add_to(&mut ledger);
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
        state.backlog_for = self.backlog_for(ledger.pending, self.consumer.emptied() + members.emptied);
        ledger.dropped.full - full_behind
    }

    /// Returns the number of events that were discarded by an abort.
    pub(crate) fn aborted(&self) -> u64 {
        self.consumer.aborted() + self.members.aborted() + self.shared.entry.aborted()
    }

    /// Returns the number of events that handlers forwarded to a sink that decides later.
    pub(crate) fn passed(&self) -> u64 {
        self.consumer.passed() + self.members.passed()
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
    pub(crate) fn lost(&self) -> u64 {
        let registry = lock(&self.registry);
        let private = registry.views.iter().map(|view| view.entry.lost()).sum::<u64>();
        registry.folded.lost() + private + self.shared.entry.lost()
    }

    /// Returns the time since a snapshot first saw the backlog that the consumer has not drained
    /// since. `emptied` counts how often the consumers found nothing.
    fn backlog_for(&self, depth: u64, emptied: u64) -> Option<std::time::Duration> {
        let mark: &Mutex<BacklogMark> = &self.backlog;
        let mut mark = lock(mark);
        if depth == 0 {
            mark.0 = None;
            return None;
        }
        let now = Instant::now();
        match mark.0 {
            Some((seen, since)) if seen == emptied => Some(now.saturating_duration_since(since)),
            _ => {
                mark.0 = Some((emptied, now));
                Some(std::time::Duration::ZERO)
            }
        }
    }
}

/// The disposition of the events of a mailbox is decided later, except for those dropped at once.
impl<E: Send + 'static> CountingStage for sync::Arc<Mailbox<E>> {
    fn deferred(&self) -> Ledger {
        let mut state = SinkState::default();
        let mut at_once = Ledger::default();
        at_once.dropped.full = self.describe(&mut state);
        at_once.accepted = at_once.dropped.full;
        state.ledger.without(&at_once)
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        self.scales.ended(unit, &Downstream::default())
    }

    fn show(&self, _state: &mut SinkState) {}
}
