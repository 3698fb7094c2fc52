//! All links of one publisher to sinks, as one value that passes from a dropped publisher to the
//! next one.

use super::lanes::FastLanes;
use super::link::Change;
use super::table::{Slow, Table};
use crate::mailbox::lane::Reuse;
use crate::sink::lane::LaneKind;
use crate::sync::guarded::Hazard;
use crate::sync::handoff::{Chain, Node};
use crate::sync::membarrier::process_pair;
use crate::wait::context::dispose;

/// The fast lanes of a publisher, and its table of all other links.
pub(super) struct Links<E: Send + 'static> {
    pub(super) lanes: FastLanes<E>,
    pub(super) table: Box<Node<Table<E>>>,
}

impl<E: Send + 'static> Links<E> {
    /// Makes the links of a new publisher from its first changes, for which the table has room.
    pub(super) fn new(mut table: Box<Node<Table<E>>>, changes: Chain<Change<E>>) -> Self {
        let mut lanes = FastLanes::none();
        table.value.begin(&mut lanes);
        table.value.apply(&mut lanes, changes);
        Self { lanes, table }
    }

    /// Prepares links without a publisher for an idle time. Returns `false` if they must not be
    /// kept:
    ///
    /// - A lane with user code that ends with its publisher: a stage. The lanes after a stage are out
    ///   of reach, too.
    /// - A sealed lane is of no use.
    /// - A sink with lanes is called directly where its lane could not be made. The next publisher
    ///   tries again.
    /// - A sink was removed. The lane into a journal is only used under the guard of the sink, since
    ///   a removal takes it back.
    pub(super) fn rest(&mut self, hazard: &Hazard) -> bool {
        let Self { lanes, table } = self;
        let Table { slow, direct, .. } = &mut table.value;
        let can_be_kept =
            lanes.iter().all(|fast| !fast.closed && fast.info.is_lasting() && fast.lane.is_open())
                && slow.iter().all(|slow| !slow.closed && slow.info.is_lasting())
                && direct.iter().all(|direct| !direct.info.has_lanes);
        can_be_kept
            && slow.iter_mut().all(|Slow { lane, guard, .. }| match &mut lane.kind {
                LaneKind::Biased(sealable) => guard.as_ref().is_some_and(|guard| {
                    guard.enter(hazard, process_pair()).map(|_entered| sealable.lane.rest()).is_some()
                }),
                LaneKind::Private(_) | LaneKind::Staged(_) => true,
            })
    }

    /// Returns whether another publisher can use the links now. Records the sinks that sealed their
    /// lanes as closed.
    pub(super) fn reuse(&mut self) -> Reuse {
        let Self { lanes, table } = self;
        let mut all = Reuse::Now;
        for fast in lanes.iter_mut() {
            let one = fast.lane.reuse();
            if one == Reuse::Never {
                fast.info.mark_closed();
            }
            all = all.max(one);
        }
        for slow in &mut table.value.slow {
            if let LaneKind::Private(lane) = &mut slow.lane.kind {
                let one = lane.reuse();
                if one == Reuse::Never {
                    slow.info.mark_closed();
                }
                all = all.max(one);
            }
        }
        all
    }

    /// Drops the links one by one. Lanes hold user code of the sinks, whose panics must not reach
    /// the caller.
    pub(super) fn dispose(mut self) {
        self.lanes.dispose_entries();
        self.table.value.dispose_entries();
        dispose(self.table);
    }
}
