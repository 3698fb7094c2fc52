//! The shared lane of a mailbox, and which of its events a read finds.

use super::progress::Progress;
use crate::error::BuildError;
use crate::ring::mpmc::{Pop, Ring, SoleConsumer};
use crate::ring::unbounded::Unbounded;
use crate::stats::EntryCounters;

/// Which events a read finds if there is a gap: a position that a writer has claimed and not filled
/// yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// The events before the gap. For a consumer that parks when it finds none: the writer that
    /// fills the gap wakes it.
    Filled,
    /// Each event whose write returned before the read began, so that the result `Empty` is true.
    /// If such an event follows a gap, the read waits for the writer of the gap: see
    /// [`Ring::has_written`].
    Written,
}

/// A lane from which other threads than its consumer may take the oldest event: an evicting ring,
/// or the shared lane.
pub(super) trait Source<E> {
    /// Returns the number of events in the lane, including those that are being written.
    fn len(&self) -> usize;

    /// Returns whether the oldest event can be taken now.
    fn has_filled(&self) -> bool;

    /// Returns whether [`pop`](Self::pop) may find an event; `false` means that the lane has no
    /// event that such a read has to find.
    fn may_have(&self, find: Find) -> bool;

    /// Takes the oldest event, with its position if the lane has positions. `None` also when
    /// another thread took the event first.
    fn pop(&self, find: Find) -> Option<(Option<u64>, E)>;

    /// As [`pop`](Self::pop), for the one consumer of the lane. If the lane has no positions, the
    /// consumer's progress gives one.
    fn pop_alone(&self, find: Find, progress: &Progress) -> Option<(u64, E)>;

    /// Returns whether a publisher may wait for the room that a pop makes.
    fn is_bounded(&self) -> bool;
}

impl<E> Source<E> for Ring<E> {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    #[inline]
    fn has_filled(&self) -> bool {
        self.has_filled()
    }

    #[inline]
    fn may_have(&self, find: Find) -> bool {
        match find {
            Find::Filled => self.has_filled(),
            Find::Written => self.has_written(),
        }
    }

    #[inline]
    fn pop(&self, _find: Find) -> Option<(Option<u64>, E)> {
        match self.pop_at() {
            Pop::Value((position, event)) => Some((Some(position), event)),
            Pop::Empty | Pop::Pending => None,
        }
    }

    // Not through `pop`: passing an event through one more result copies it.
    #[inline(always)]
    fn pop_alone(&self, _find: Find, _progress: &Progress) -> Option<(u64, E)> {
        if let Pop::Value(claimed) = self.pop_at() { Some(claimed) } else { None }
    }

    #[inline]
    fn is_bounded(&self) -> bool {
        true
    }
}

impl<E> Source<E> for Unbounded<E> {
    #[inline]
    fn len(&self) -> usize {
        self.len()
    }

    fn has_filled(&self) -> bool {
        self.has_filled()
    }

    /// Leaves finding a gap to the pop, which takes the lock in any case.
    #[inline]
    fn may_have(&self, _find: Find) -> bool {
        !self.is_empty()
    }

    #[inline]
    fn pop(&self, find: Find) -> Option<(Option<u64>, E)> {
        let event = match find {
            Find::Filled => self.pop_filled(),
            Find::Written => self.pop(),
        };
        event.map(|event| (None, event))
    }

    #[inline]
    fn pop_alone(&self, find: Find, progress: &Progress) -> Option<(u64, E)> {
        Source::pop(self, find).map(|(_, event)| (progress.handled(), event))
    }

    #[inline]
    fn is_bounded(&self) -> bool {
        false
    }
}

/// The events of a shared lane.
#[expect(clippy::large_enum_variant, reason = "the ring is inline, so that a write loads fewer cache lines")]
pub(super) enum Events<E> {
    Bounded(Ring<E>),
    /// In a box, so that a bounded lane, the usual one, needs only the memory of its ring.
    Unbounded(Box<Unbounded<E>>),
}

/// The lane of all writers that have no private ring.
pub(crate) struct SharedLane<E> {
    pub(super) events: Events<E>,
    /// The counters of its writers.
    pub(super) entry: EntryCounters,
    /// The progress of its consumer, if there is only one.
    pub(super) progress: Progress,
}

impl<E: Send> SharedLane<E> {
    /// Makes a ring with room for `capacity` events, from which several threads take events.
    pub(super) fn bounded(capacity: usize) -> Result<Self, BuildError> {
        Ok(Self::new(Events::Bounded(Ring::new(capacity)?), EntryCounters::shared_by_position()))
    }

    /// Makes a ring with room for `capacity` events, from which one consumer takes them.
    pub(super) fn bounded_for_one(capacity: usize) -> Result<(Self, SoleConsumer), BuildError> {
        let (ring, consumer) = Ring::with_sole_consumer(capacity)?;
        Ok((Self::new(Events::Bounded(ring), EntryCounters::shared_by_position()), consumer))
    }

    /// Makes a list of blocks that grows until memory is exhausted.
    pub(super) fn unbounded() -> Self {
        Self::new(Events::Unbounded(Box::new(Unbounded::new())), EntryCounters::shared())
    }

    fn new(events: Events<E>, entry: EntryCounters) -> Self {
        Self { events, entry, progress: Progress::default() }
    }

    /// Returns the position of the next write, if the lane has positions: a bounded lane has.
    pub(crate) fn position(&self) -> Option<u64> {
        match &self.events {
            Events::Bounded(ring) => Some(ring.position()),
            Events::Unbounded(_) => None,
        }
    }

    /// Returns the position up to which events were taken, if the lane has positions.
    pub(super) fn claimed(&self) -> Option<u64> {
        match &self.events {
            Events::Bounded(ring) => Some(ring.claimed()),
            Events::Unbounded(_) => None,
        }
    }

    /// Returns the position after the newest event, as the one consumer counts.
    pub(super) fn end_position(&self) -> u64 {
        self.position().unwrap_or_else(|| self.progress.handled() + self.len() as u64)
    }

    /// Returns the position up to which the one consumer has read.
    #[inline]
    pub(super) fn read_position(&self) -> u64 {
        self.claimed().unwrap_or_else(|| self.progress.handled())
    }

    /// Returns the number of events of a drained lane that the one consumer has not taken: those that
    /// were evicted after the last event that it took.
    pub(super) fn unread(&self) -> u64 {
        self.claimed().map_or(0, |claimed| claimed.saturating_sub(self.progress.handled()))
    }

    /// Returns whether every event that was written before this call has been taken. A lane without
    /// positions never has private lanes beside it.
    pub(super) fn is_read(&self) -> bool {
        match &self.events {
            // The head may be a mere number. What orders a later write into a private lane is that
            // lane: the consumer found the write by an Acquire load of the tail. If that came before
            // its store of the head, this load would have seen a store that happens after it.
            Events::Bounded(ring) => ring.is_empty(),
            Events::Unbounded(_) => true,
        }
    }

    /// Returns whether the one consumer has handled every event below `target`.
    pub(super) fn has_reached(&self, target: u64) -> bool {
        match &self.events {
            Events::Bounded(ring) if !ring.has_sole_consumer() => self.progress.has_reached(ring, target),
            _ => self.progress.handled() >= target,
        }
    }

    /// Returns the number of events that wait or are being handled, for one consumer.
    pub(super) fn pending(&self) -> u64 {
        match &self.events {
            // No other thread takes events, so the consumer's progress counts them all.
            Events::Bounded(ring) if ring.has_sole_consumer() => {
                let handled = self.progress.handled();
                ring.position().saturating_sub(handled)
            }
            _ => self.len() as u64 + self.progress.in_hand(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        matches!(&self.events, Events::Bounded(ring) if ring.has_room())
    }

    /// Returns whether the lane is bounded and a write would not find room, which is also so when it
    /// is closed.
    pub(super) fn is_full(&self) -> bool {
        matches!(&self.events, Events::Bounded(ring) if !ring.has_room())
    }

    /// Returns whether every event of a sealed mailbox was taken from the lane.
    pub(super) fn is_drained(&self) -> bool {
        match &self.events {
            Events::Bounded(ring) => ring.is_drained(),
            Events::Unbounded(queue) => queue.is_empty(),
        }
    }

    /// Returns whether the lane itself records that it was sealed and read to its end: only a
    /// bounded lane does.
    pub(super) fn shows_end(&self) -> bool {
        matches!(&self.events, Events::Bounded(ring) if ring.is_drained())
    }

    /// Closes a bounded lane to new events. In an unbounded one, the mailbox refuses them.
    pub(super) fn close(&self) {
        if let Events::Bounded(ring) = &self.events {
            ring.close();
        }
    }
}

impl<E> Source<E> for SharedLane<E> {
    #[inline]
    fn len(&self) -> usize {
        match &self.events {
            Events::Bounded(ring) => ring.len(),
            Events::Unbounded(queue) => queue.len(),
        }
    }

    #[inline]
    fn has_filled(&self) -> bool {
        match &self.events {
            Events::Bounded(ring) => ring.has_filled(),
            Events::Unbounded(queue) => queue.has_filled(),
        }
    }

    #[inline]
    fn may_have(&self, find: Find) -> bool {
        match &self.events {
            Events::Bounded(ring) => ring.may_have(find),
            Events::Unbounded(queue) => queue.may_have(find),
        }
    }

    #[inline]
    fn pop(&self, find: Find) -> Option<(Option<u64>, E)> {
        match &self.events {
            Events::Bounded(ring) => Source::pop(ring, find),
            Events::Unbounded(queue) => Source::pop(&**queue, find),
        }
    }

    #[inline]
    fn pop_alone(&self, find: Find, progress: &Progress) -> Option<(u64, E)> {
        match &self.events {
            Events::Bounded(ring) => ring.pop_alone(find, progress),
            Events::Unbounded(queue) => queue.pop_alone(find, progress),
        }
    }

    #[inline]
    fn is_bounded(&self) -> bool {
        matches!(self.events, Events::Bounded(_))
    }
}
