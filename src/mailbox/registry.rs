//! The private lanes of a mailbox: the consumer's half of each, the list of all lanes, and the
//! counters of those that were removed.

use super::view::LaneView;
use crate::ring::mpmc::Ring;
use crate::ring::spsc;
use crate::stats::{FoldPace, Ledger, Lost};
use crate::sync::{Arc, Mutex, lock};

/// The private lanes of a mailbox.
///
/// A seal holds the lock while it seals all lanes. No thread holds the lock while it waits or runs
/// user code. A publisher takes it only to close a mailbox that overflowed and to leave its lane.
pub(super) struct LaneRegistry<E> {
    pub(super) views: Vec<std::sync::Arc<LaneView<E>>>,
    /// The lanes that the consumer has not picked up yet.
    pub(super) arrivals: Vec<Arrival<E>>,
    pub(super) folded: FoldedLanes,
    pub(super) pace: FoldPace,
    pub(super) sealed: bool,
}

/// A lane that both sides have left: its view, and its consumer's half if no consumer picked it up.
type Left<E> = (std::sync::Arc<LaneView<E>>, Option<Arrival<E>>);

impl<E> LaneRegistry<E> {
    pub(super) fn new() -> Self {
        Self {
            views: Vec::new(),
            arrivals: Vec::new(),
            folded: FoldedLanes::default(),
            pace: FoldPace::default(),
            sealed: false,
        }
    }

    /// As [`fold`](Self::fold), for a lane that one of its sides leaves. Returns the registry's
    /// parts of the lane, to be dropped outside the lock, or `None` while the other side still uses
    /// the lane.
    pub(super) fn fold_one(&mut self, view: &std::sync::Arc<LaneView<E>>) -> Option<Left<E>> {
        if !view.is_final() {
            return None;
        }
        let at = self.views.iter().position(|other| std::sync::Arc::ptr_eq(other, view))?;
        self.folded.take_in(view);
        // A consumer that has not picked the lane up has nothing to read there.
        let arrival = self.arrivals.iter().position(|arrival| arrival.lane.is_of(view));
        Some((self.views.swap_remove(at), arrival.map(|at| self.arrivals.remove(at))))
    }

    /// Adds the counters of lanes that their publisher has released, and whose events were handled,
    /// to one sum, and removes these lanes.
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

/// The sum of the counters of lanes that were removed from the registry.
#[derive(Default)]
pub(super) struct FoldedLanes(Ledger);

impl FoldedLanes {
    pub(super) fn ledger(&self) -> Ledger {
        self.0
    }

    /// Returns the events that were accepted and lost because a lane was full.
    pub(super) fn lost(&self) -> Lost {
        Lost { on_entry: self.0.dropped.full, evicted: self.0.dropped.evicted }
    }

    /// Returns the number of events that were written through lanes without their own ring.
    pub(super) fn queued(&self) -> u64 {
        self.0.accepted
    }

    fn take_in<E>(&mut self, view: &LaneView<E>) {
        view.add_to(&mut self.0);
    }
}

/// Removes a lane from the registry when both sides have left it: the registry keeps its counters,
/// and the last side frees the ring. The publisher calls this when it drops the lane, and the
/// consumer when it has read the lane to its end. The lock orders the two calls, so the second side
/// sees what the first one did.
fn leave<E>(view: &std::sync::Arc<LaneView<E>>, registry: &Mutex<LaneRegistry<E>>) {
    let left = lock(registry).fold_one(view);
    // Outside the lock: this frees the ring.
    drop(left);
}

/// Releases a lane for its publisher, after the lane's end was fixed.
pub(super) fn let_go<E>(view: &std::sync::Arc<LaneView<E>>, registry: &Mutex<LaneRegistry<E>>) {
    view.release();
    leave(view, registry);
    view.wake_consumer();
}

/// The consumer's half of one lane.
pub(crate) enum LaneReader<E> {
    Spsc(spsc::Consumer<E>, std::sync::Arc<LaneView<E>>),
    Evicting(Arc<Ring<E>>, std::sync::Arc<LaneView<E>>),
}

impl<E> LaneReader<E> {
    pub(crate) fn is_drained(&self) -> bool {
        match self {
            Self::Spsc(consumer, _) => consumer.is_drained(),
            Self::Evicting(ring, _) => ring.is_drained(),
        }
    }

    fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        match self {
            Self::Spsc(_, view) | Self::Evicting(_, view) => view,
        }
    }

    /// Returns whether this is the consumer's half of the lane of `view`.
    pub(super) fn is_of(&self, view: &std::sync::Arc<LaneView<E>>) -> bool {
        std::sync::Arc::ptr_eq(self.view(), view)
    }

    /// Returns whether the consumer still reads the lane. Retires a lane that was read to its end:
    /// if its publisher has left too, the registry removes it.
    pub(super) fn stays(&self, registry: &Mutex<LaneRegistry<E>>) -> bool {
        let is_drained = self.is_drained();
        if is_drained {
            leave(self.view(), registry);
        }
        !is_drained
    }

    /// Returns the number of events that the lane has accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.view().accepted()
    }

    /// Returns the number of accepted events that were not handled.
    pub(crate) fn pending(&self) -> u64 {
        self.view().pending()
    }

    /// Returns the number of accepted events that were taken or evicted.
    pub(crate) fn position(&self) -> u64 {
        match self {
            Self::Spsc(consumer, _) => consumer.position(),
            Self::Evicting(ring, _) => ring.claimed(),
        }
    }

    /// Returns the number of events at the end of a drained lane that were evicted, and not taken.
    pub(super) fn evicted_at_end(&self) -> u64 {
        match self {
            Self::Spsc(..) => 0,
            Self::Evicting(ring, view) => ring.claimed().saturating_sub(view.progress().handled()),
        }
    }

    /// Returns the group of the lane.
    pub(super) fn group(&self) -> usize {
        self.view().group()
    }

    /// Returns whether the lane had no event since the last call.
    pub(super) fn was_idle(&self) -> bool {
        match self {
            Self::Spsc(consumer, view) => view.was_idle_at(consumer.position()) && consumer.known() == 0,
            // Such a ring has no handshake for dormancy.
            Self::Evicting(..) => false,
        }
    }

    /// Begins to make the lane dormant: see `ring::spsc`. Returns whether it did.
    pub(super) fn make_dormant(&self) -> bool {
        matches!(self, Self::Spsc(consumer, _) if consumer.make_dormant())
    }

    /// After the heavy fence: returns whether the lane is dormant, and otherwise makes it active.
    pub(super) fn stays_dormant(&self) -> bool {
        matches!(self, Self::Spsc(consumer, _) if consumer.stays_dormant())
    }

    pub(super) fn make_active(&self) {
        if let Self::Spsc(consumer, _) = self {
            consumer.make_active();
        }
    }

    pub(crate) fn has_work(&mut self) -> bool {
        match self {
            Self::Spsc(consumer, _) => consumer.has_next() || consumer.is_drained(),
            Self::Evicting(ring, _) => ring.has_filled() || ring.is_drained(),
        }
    }
}

/// A new lane, and the position in the shared lane up to which the consumer reads first.
///
/// This keeps the order of a thread that moves from the shared lane to a private one. What the
/// thread wrote into the shared lane is below the position that the shared lane had when the
/// private one was made. So the events of the private lane are read after those. The cost is on the
/// consumer, which starts to read the new lane a little later; the publish path does nothing for
/// it.
pub(crate) struct Arrival<E> {
    pub(crate) after: u64,
    pub(crate) lane: LaneReader<E>,
}

/// Returns whether the ring is sealed, for a reader that found it empty. While the seal is in
/// progress, events pushed before its mark are not visible; after this call they are.
#[inline]
pub(crate) fn settle_seal<E>(consumer: &spsc::Consumer<E>, view: &LaneView<E>) -> bool {
    let sealed = consumer.is_sealed();
    if sealed && !consumer.is_drained() {
        view.end_seal();
    }
    sealed
}
