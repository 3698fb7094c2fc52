//! The private lanes of a mailbox: the consumer's half of each, all of them, and the counters of
//! those that are gone.

use super::view::LaneView;
use crate::ring::mpmc::Ring;
use crate::ring::spsc;
use crate::stats::{FoldPace, Ledger};
use crate::sync::{Arc, Mutex, lock};

/// The private lanes of a mailbox. Its lock is held to seal them all, and never by a thread that
/// waits or runs user code. A publisher takes it to close a mailbox that overflowed and to leave
/// its lane, and for nothing else.
pub(super) struct Registry<E> {
    pub(super) views: Vec<std::sync::Arc<LaneView<E>>>,
    /// Lanes that the consumer has not picked up yet.
    pub(super) arrivals: Vec<Arrival<E>>,
    pub(super) folded: FoldedLanes,
    pub(super) pace: FoldPace,
    pub(super) sealed: bool,
}

/// A lane that both sides have left: its view, and its consumer's half where no consumer has picked
/// it up.
type Left<E> = (std::sync::Arc<LaneView<E>>, Option<Arrival<E>>);

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

    /// As [`fold`](Self::fold), for a lane that one of its sides leaves. Returns what the registry
    /// has of it, to be dropped outside the lock. Nothing while the other side has something to do
    /// there.
    pub(super) fn fold_one(&mut self, view: &std::sync::Arc<LaneView<E>>) -> Option<Left<E>> {
        if !view.is_final() {
            return None;
        }
        let at = self.views.iter().position(|other| std::sync::Arc::ptr_eq(other, view))?;
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

/// Takes a lane off the registry when both sides are done with it: the registry keeps its counters,
/// and the ring is freed with the last side. The publisher calls this when it drops the lane, and
/// the consumer when it has read it to its end. The lock orders the two, so the second one finds
/// what the first one has done.
fn leave<E>(view: &std::sync::Arc<LaneView<E>>, registry: &Mutex<Registry<E>>) {
    let left = lock(registry).fold_one(view);
    // Outside the lock: it takes the ring with it.
    drop(left);
}

/// The publisher lets go of its lane, whose end is fixed by now.
pub(super) fn let_go<E>(view: &std::sync::Arc<LaneView<E>>, registry: &Mutex<Registry<E>>) {
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

    /// Whether this is the consumer's half of the lane that `view` shows.
    pub(super) fn is_of(&self, view: &std::sync::Arc<LaneView<E>>) -> bool {
        std::sync::Arc::ptr_eq(self.view(), view)
    }

    /// Whether the consumer still reads the lane. One that was read to its end is retired: when its
    /// publisher has left, too, the registry lets go of it.
    pub(super) fn stays(&self, registry: &Mutex<Registry<E>>) -> bool {
        let is_drained = self.is_drained();
        if is_drained {
            leave(self.view(), registry);
        }
        !is_drained
    }

    /// How many events the lane has accepted.
    pub(crate) fn accepted(&self) -> u64 {
        self.view().accepted()
    }

    /// How many of them wait.
    pub(crate) fn pending(&self) -> u64 {
        self.view().pending()
    }

    /// How many of them were taken out, or evicted.
    pub(crate) fn position(&self) -> u64 {
        match self {
            Self::Spsc(consumer, _) => consumer.position(),
            Self::Evicting(ring, _) => ring.claimed(),
        }
    }

    pub(crate) fn has_work(&mut self) -> bool {
        match self {
            Self::Spsc(consumer, _) => consumer.has_next() || consumer.is_drained(),
            Self::Evicting(ring, _) => ring.has_filled() || ring.is_drained(),
        }
    }
}

/// A new lane, and the position in the shared lane before which it is not read.
///
/// A thread that moves from the shared lane to one of its own has its order kept: what it put into
/// the shared lane lies below the position that this lane had when the thread's own was made. So
/// what it then puts into its own lane comes after that, at the expense of the consumer, which
/// walks the new lane a little later, and of nothing on the way of the publisher.
pub(crate) struct Arrival<E> {
    pub(crate) after: u64,
    pub(crate) lane: LaneReader<E>,
}

/// Whether the ring is sealed, for a reader that found it empty: while the seal is in progress,
/// what was pushed before its mark can not be seen. Afterwards it can.
#[cold]
pub(crate) fn settle_seal<E>(consumer: &spsc::Consumer<E>, view: &LaneView<E>) -> bool {
    let sealed = consumer.is_sealed();
    if sealed && !consumer.is_drained() {
        view.end_seal();
    }
    sealed
}
