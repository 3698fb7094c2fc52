//! The shared lane of a mailbox, and which of its events a read finds.

use crate::ring::mpmc::{Pop, Ring};
use crate::ring::unbounded::Unbounded;

/// Which events a read finds beside a gap: a position that a writer has claimed and not filled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// Those before the gap. For a consumer that parks when it finds nothing: the writer that fills the gap wakes it.
    Filled,
    /// Each event whose write returned before the read began, so that `Empty` is true. The read waits for the writer of a gap that
    /// such an event follows: see [`Ring::has_written`].
    Written,
}

impl Find {
    #[inline]
    pub(crate) fn is_there<E>(self, ring: &Ring<E>) -> bool {
        match self {
            Self::Filled => ring.has_filled(),
            Self::Written => ring.has_written(),
        }
    }
}

/// The lane of all publishers that have no lane of their own.
#[cfg_attr(
    any(all(loom, feature = "loom"), all(shuttle, feature = "shuttle")),
    expect(clippy::large_enum_variant, reason = "only the model's stand-in is small")
)]
pub(crate) enum SharedLane<E> {
    Bounded(Ring<E>),
    Unbounded(Unbounded<E>),
}

impl<E> SharedLane<E> {
    /// Whether the oldest event can be taken now.
    pub(crate) fn has_filled(&self) -> bool {
        match self {
            Self::Bounded(ring) => ring.has_filled(),
            Self::Unbounded(queue) => queue.has_filled(),
        }
    }

    /// Whether [`pop`](Self::pop) may find an event. `false` means that there is none that such a read has to find.
    #[inline]
    pub(super) fn may_have(&self, find: Find) -> bool {
        match self {
            Self::Bounded(ring) => find.is_there(ring),
            Self::Unbounded(queue) => !queue.is_empty(),
        }
    }

    /// Takes the oldest event, with its position where the lane knows positions. `None` also when another consumer took it.
    #[inline]
    pub(super) fn pop(&self, find: Find) -> Option<(Option<u64>, E)> {
        match self {
            Self::Bounded(ring) => match ring.pop_at() {
                Pop::Value((position, event)) => Some((Some(position), event)),
                Pop::Empty | Pop::Pending => None,
            },
            Self::Unbounded(queue) => pop_unbounded(queue, find).map(|event| (None, event)),
        }
    }

    /// The number of events in the lane, those included that are just being written.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bounded(ring) => ring.len(),
            Self::Unbounded(queue) => queue.len(),
        }
    }

    /// Whether every event of a sealed mailbox was taken from the lane.
    pub(super) fn is_used_up(&self) -> bool {
        match self {
            Self::Bounded(ring) => ring.is_ended(),
            Self::Unbounded(queue) => queue.is_empty(),
        }
    }
}

/// Takes the oldest event out of the queue of an unbounded lane.
pub(super) fn pop_unbounded<E>(queue: &Unbounded<E>, find: Find) -> Option<E> {
    match find {
        Find::Filled => queue.pop_filled(),
        Find::Written => queue.pop(),
    }
}
