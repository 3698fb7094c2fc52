//! The private lanes of a mailbox, and the counters of those that both sides have left.

use super::lane_reader::Arrival;
use super::view::LaneView;
use crate::stats::{FoldPace, Ledger};
use std::sync::Arc;

/// The private lanes of a mailbox. Its lock is held to seal them all, and never by a thread that waits or runs user code. A
/// publisher takes it to close a mailbox that overflowed and to leave its lane, and for nothing else.
pub(super) struct Registry<E> {
    pub(super) views: Vec<Arc<LaneView<E>>>,
    /// Lanes that the consumer has not picked up yet.
    pub(super) arrivals: Vec<Arrival<E>>,
    pub(super) folded: FoldedLanes,
    pub(super) pace: FoldPace,
    pub(super) sealed: bool,
}

/// A lane that both sides have left: its view, and its consumer's half where no consumer has picked it up.
type Left<E> = (Arc<LaneView<E>>, Option<Arrival<E>>);

impl<E> Registry<E> {
    pub(super) fn new() -> Self {
        Self {
            views: Vec::new(),
            arrivals: Vec::new(),
            folded: FoldedLanes::default(),
            pace: FoldPace::default(),
            sealed: false,
        }
    }

    /// As [`fold`](Self::fold), for a lane that one of its sides leaves. Returns what the registry has of it, to be dropped outside the
    /// lock. Nothing while the other side has something to do there.
    pub(super) fn fold_one(&mut self, view: &Arc<LaneView<E>>) -> Option<Left<E>> {
        if !view.is_final() {
            return None;
        }
        let at = self.views.iter().position(|other| Arc::ptr_eq(other, view))?;
        self.folded.take_in(view);
        // A consumer that has not picked it up has nothing to read there.
        let arrival = self.arrivals.iter().position(|arrival| arrival.lane.is_of(view));
        Some((self.views.swap_remove(at), arrival.map(|at| self.arrivals.remove(at))))
    }

    /// Takes over the counters of lanes whose publisher has left and whose events are handled.
    pub(super) fn fold(&mut self) {
        let folded = &mut self.folded;
        self.views.retain(|view| {
            let is_final = view.is_final();
            if is_final {
                folded.take_in(view);
            }
            !is_final
        });
        self.pace.walked(self.views.len());
    }
}

/// The sum of the counters of lanes that are off the registry.
#[derive(Default)]
pub(super) struct FoldedLanes(Ledger);

impl FoldedLanes {
    pub(super) fn ledger(&self) -> Ledger {
        self.0
    }

    /// Events that were accepted and lost for want of room.
    pub(super) fn lost(&self) -> u64 {
        self.0.dropped.full + self.0.dropped.evicted
    }

    /// Events that lanes without a ring of their own have brought in.
    pub(super) fn queued(&self) -> u64 {
        self.0.accepted
    }

    fn take_in<E>(&mut self, view: &LaneView<E>) {
        view.add_to(&mut self.0);
    }
}
