//! The consumer's half of a lane, and when the consumer begins to read it.

use super::view::{LaneView, Reading};
use crate::ring::mpmc::Ring;
use crate::ring::spsc;
use crate::sync::Arc;

/// The consumer's half of one lane.
pub(crate) enum LaneReader<E> {
    Spsc(spsc::Consumer<E>, Reading<E>),
    Evicting(Arc<Ring<E>>, Reading<E>),
}

impl<E> LaneReader<E> {
    pub(crate) fn is_drained(&self) -> bool {
        match self {
            Self::Spsc(consumer, _) => consumer.is_drained(),
            Self::Evicting(ring, _) => ring.is_drained(),
        }
    }

    fn view(&self) -> &Reading<E> {
        match self {
            Self::Spsc(_, view) | Self::Evicting(_, view) => view,
        }
    }

    /// Whether this is the consumer's half of the lane that `view` shows.
    pub(super) fn is_of(&self, view: &std::sync::Arc<LaneView<E>>) -> bool {
        self.view().is_of(view)
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
/// A thread that moves from the shared lane to one of its own has its order kept: what it put into the shared lane lies below the
/// position that this lane had when the thread's own was made. So what it then puts into its own lane comes after that, at the expense
/// of the consumer, which walks the new lane a little later, and of nothing on the way of the publisher.
pub(crate) struct Arrival<E> {
    pub(crate) after: u64,
    pub(crate) lane: LaneReader<E>,
}

/// Whether the ring is sealed, for a reader that found it empty: while the seal is in progress, what was pushed before its mark can
/// not be seen. Afterwards it can.
#[cold]
pub(crate) fn settle_seal<E>(consumer: &spsc::Consumer<E>, view: &LaneView<E>) -> bool {
    let sealed = consumer.is_sealed();
    if sealed && !consumer.is_drained() {
        view.end_seal();
    }
    sealed
}
