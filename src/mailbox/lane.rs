//! A publisher's private lane into a mailbox, and its interface for the sink layer.

mod evicting;
mod fast;
mod shared_writer;

use super::core::Mailbox;
use super::overflow::Overflow;
use super::registry::{Arrival, LaneReader};
use super::shared_lane::Source;
use super::shared_push::SharedPush;
use super::view::{LaneView, ViewOf};
use crate::error::{OutOfMemory, WriteError};
use crate::ring::mpmc::Ring;
use crate::ring::spsc;
use crate::sink::lane::{Mailboxes, PlainLane, PlainLanes, Seal};
use crate::stats::{Disposition, EntryCounters};
use crate::sync::{Arc, Ordering, lock};
use crate::time::Deadline;
use crate::wait::list::task::TaskWait;
use evicting::EvictingLane;
pub(crate) use fast::{FastLane, Room};
use shared_writer::SharedLaneWriter;

/// The private lane of one publisher into a mailbox.
pub(crate) enum PrivateLane<E> {
    /// A ring with one producer and one consumer.
    Fast(FastLane<E>),
    /// A ring that evicts its oldest event when it is full.
    Evicting(EvictingLane<E>),
    /// The shared lane, with separate counters for this publisher.
    Shared(SharedLaneWriter<E>),
}

impl<E: Send + 'static> PrivateLane<E> {
    fn new(mailbox: &Arc<Mailbox<E>>) -> Result<(Self, Option<LaneReader<E>>), OutOfMemory> {
        let view = |ring, entry| LaneView::new(ring, entry, &mailbox.signals);
        let several = mailbox.signals.crowd.is_some();
        Ok(if several || !mailbox.shared.is_bounded() {
            let by_position = mailbox.shared.is_bounded();
            let entry =
                if by_position { EntryCounters::private_by_position() } else { EntryCounters::private() };
            (Self::Shared(SharedLaneWriter::new(view(ViewOf::Shared, entry), mailbox)), None)
        } else if mailbox.overflow == Overflow::DropOldest {
            let ring = Ring::new(mailbox.capacity()).map_err(|error| error.of_checked(mailbox.capacity()))?;
            let ring = Arc::new(ring);
            let view = view(ViewOf::Evicting(ring.clone()), EntryCounters::private());
            let reader = LaneReader::Evicting(ring.clone(), view.clone());
            (Self::Evicting(EvictingLane::new(ring, view, mailbox)), Some(reader))
        } else {
            let ring = spsc::ring(mailbox.capacity());
            let (producer, consumer) = ring.map_err(|error| error.of_checked(mailbox.capacity()))?;
            let view = view(ViewOf::Spsc(producer.sealer()), EntryCounters::private_by_position());
            let reader = LaneReader::Spsc(consumer, view.clone());
            (Self::Fast(FastLane::new(producer, view, mailbox)), Some(reader))
        })
    }

    pub(crate) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        match self {
            Self::Fast(lane) => lane.view(),
            Self::Evicting(lane) => lane.view(),
            Self::Shared(lane) => lane.view(),
        }
    }

    fn mailbox(&self) -> &Mailbox<E> {
        match self {
            Self::Fast(lane) => lane.mailbox(),
            Self::Evicting(lane) => lane.mailbox(),
            Self::Shared(lane) => lane.mailbox(),
        }
    }

    /// Returns whether another thread can fix the end of the lane.
    pub(crate) fn is_sealable(&self) -> bool {
        !self.is_shared() || self.mailbox().shared.is_bounded()
    }

    /// Returns whether the lane has no ring of its own. A removal then waits for a push in
    /// progress.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Returns whether a push may call a hook of the mailbox. A removal then waits for a push in
    /// progress.
    pub(crate) fn has_hook(&self) -> bool {
        self.mailbox().has_hook()
    }

    /// Returns whether a push may have to wait.
    pub(crate) fn may_wait(&self) -> bool {
        let mailbox = self.mailbox();
        mailbox.overflow.may_wait() && mailbox.shared.is_bounded()
    }

    /// Returns the wait of a task for room, if a push would wait here now.
    pub(crate) fn full(&self) -> Option<TaskWait> {
        match self {
            Self::Fast(lane) => lane.full(),
            Self::Evicting(_) => None,
            Self::Shared(lane) => lane.full(),
        }
    }

    /// Pushes an event, settles with a thread that seals the lane, and wakes the consumer if it is
    /// parked.
    #[inline]
    pub(crate) fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        match self {
            Self::Fast(lane) => lane.push(event, deadline),
            Self::Evicting(lane) => lane.push(event, deadline),
            Self::Shared(lane) => lane.push(event, deadline),
        }
    }

    /// Returns whether the lane can serve another publisher. See [`Reuse`].
    pub(crate) fn reuse(&mut self) -> Reuse {
        match self {
            Self::Fast(lane) => lane.reuse(),
            Self::Evicting(lane) => lane.reuse(),
            Self::Shared(lane) => lane.reuse(),
        }
    }
}

/// Whether a lane that its publisher has left can serve another publisher.
///
/// The answer may be out of date when the caller gets it, and nothing depends on that: a publish
/// into a lane that was sealed meanwhile settles with the sealer, and a lane gains room only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reuse {
    /// The lane is nearly empty, and the consumer has read the shared lane of the mailbox.
    ///
    /// The second condition keeps the order of a thread that moves from the shared lane to this
    /// one: see [`Arrival`](super::registry::Arrival). The consumer took what the thread wrote into
    /// the shared lane before the thread writes here, and it handles events as it takes them.
    Now,
    /// Too many events wait.
    Later,
    /// The lane was sealed.
    Never,
}

impl Reuse {
    fn of(is_open: bool, is_free: impl FnOnce() -> bool) -> Self {
        match is_open {
            false => Self::Never,
            true if is_free() => Self::Now,
            true => Self::Later,
        }
    }
}

/// Returns the most events of former publishers that a reused lane may hold: a quarter of its
/// capacity, as much as a consumer lets accumulate while it naps. With less, lanes would seldom be
/// reused upstream of a napping consumer; with more, the new publisher would lack the room.
fn leftovers(capacity: usize) -> usize {
    capacity / 4
}

impl<E: Send + 'static> Mailbox<E> {
    /// Makes a lane for one publisher. On a sealed mailbox the lane refuses every event.
    pub(crate) fn lane(this: &Arc<Self>) -> Result<PrivateLane<E>, OutOfMemory> {
        let (lane, mut reader) = PrivateLane::new(this)?;
        let view = lane.view().clone();
        // The caller's earlier events in the shared lane are below this position.
        let after = this.shared.position().unwrap_or(0);
        // Dropped outside the lock: lanes of publishers that have left, and the events in them.
        let mut left = Vec::new();
        {
            let mut registry = lock(&this.registry);
            if registry.sealed {
                view.seal_now();
                // No event will pass through this lane, and the consumer may have been dropped.
                left.extend(reader.take());
            }
            if registry.pace.is_due(registry.views.len()) {
                registry.fold();
                let drained = registry.arrivals.extract_if(.., |arrival| arrival.lane.is_drained());
                left.extend(drained.map(|arrival| arrival.lane));
            }
            registry.views.push(view);
            registry.arrivals.extend(reader.map(|lane| Arrival { after, lane }));
            // ORD(mailbox.generation): Release; pairs with the Acquire in `Reader::pick_up`,
            // `Reader::has_work`.
            this.generation.fetch_add(1, Ordering::Release);
        }
        drop(left);
        Ok(lane)
    }
}

impl<E> PlainLanes<E> for Mailboxes {
    type Lane = PrivateLane<E>;
    type Shared = SharedPush<E>;
}

impl<E: Send + 'static> PlainLane<E> for PrivateLane<E> {
    #[inline]
    fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        Self::push(self, event, deadline)
    }

    fn may_wait(&self) -> bool {
        Self::may_wait(self)
    }

    fn full(&self) -> Option<TaskWait> {
        Self::full(self)
    }

    fn has_user_code(&self) -> bool {
        self.is_shared() || self.has_hook()
    }

    fn seal(&self) -> Option<std::sync::Arc<dyn Seal>> {
        self.is_sealable().then(|| self.view().clone() as std::sync::Arc<dyn Seal>)
    }
}
