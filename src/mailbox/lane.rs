//! A publisher's private lane into a mailbox, and what others see of it.

mod fast;
mod other;
mod reading;

use super::{Mailbox, Overflow, Patience, SharedLane, Signals};
use crate::error::{OutOfMemory, WriteError};
use crate::ring::mpmc::Ring;
use crate::ring::spsc;
use crate::stats::{Disposition, EntryCounters, Ledger};
use crate::sync::membarrier::{heavy_fence_or_wait, process_pair};
use crate::sync::{Arc, AtomicBool, AtomicU64, CachePadded, Ordering};
use crate::wait::list::{Waiter, Want};
pub(crate) use fast::FastLane;
pub(crate) use other::OtherLane;
pub(crate) use reading::{Arrival, LaneReader, settle_seal};

/// How far the consumer is in a lane, event by event. It lies in a line of its own, which publishers do not read: the slots
/// behind it are given back in chunks.
#[derive(Default)]
pub(crate) struct Progress {
    handled: AtomicU64,
    in_hand: AtomicU64,
}

impl Progress {
    /// The position below which everything was handled.
    pub(crate) fn handled(&self) -> u64 {
        // ORD(lane.handled): Acquire; pairs with `done`: what the handler did is visible to a flush.
        self.handled.load(Ordering::Acquire)
    }

    pub(crate) fn in_hand(&self) -> u64 {
        // ORD(lane.in_hand): Acquire; pairs with the Release in `done`: what the handler did is visible to a flush.
        self.in_hand.load(Ordering::Acquire)
    }

    /// Whether everything below `target` was handled or evicted. The position of the last event handled does not say so when
    /// later ones were pushed out by an event that then found the ring closed.
    pub(crate) fn is_past<E>(&self, ring: &Ring<E>, target: u64) -> bool {
        // In this order: the consumer announces what it takes in hand before it claims it.
        self.handled() >= target || (ring.claimed() >= target && self.in_hand() == 0)
    }

    pub(crate) fn take_in_hand(&self) {
        self.in_hand.store(1, Ordering::Relaxed);
    }

    pub(crate) fn nothing_in_hand(&self) {
        // ORD(lane.in_hand): Release; pairs with `in_hand`.
        self.in_hand.store(0, Ordering::Release);
    }

    /// Everything below `position` was handled, in a ring that is read in order.
    #[inline(always)]
    pub(crate) fn advance_to(&self, position: u64) {
        // ORD(lane.handled): Release; pairs with `handled`.
        self.handled.store(position, Ordering::Release);
    }

    /// One more event was taken, from a queue without positions that several read: then `handled` is how many were.
    pub(crate) fn claim(&self) {
        // ORD(lane.handled): Release; pairs with `handled`: a flush sees who announced that it would take one. Also those whose
        // claims came before, since an addition keeps what the ones before it have published.
        self.handled.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn done(&self, position: u64) {
        // ORD(lane.in_hand): Release; pairs with `in_hand`.
        self.in_hand.store(0, Ordering::Release);
        // ORD(lane.handled): Release; pairs with `handled`.
        self.handled.store(position + 1, Ordering::Release);
    }
}

/// The ring of a lane as third parties see it.
enum ViewOf<E> {
    Spsc(spsc::Sealer<E>),
    Evicting(Arc<Ring<E>>),
    /// Events go into the mailbox's shared lane, where the publisher may wait for room.
    Shared(Waiter),
}

/// What everybody but its publisher and its consumer sees of a lane.
pub(crate) struct LaneView<E> {
    ring: ViewOf<E>,
    progress: CachePadded<Progress>,
    entry: EntryCounters,
    signals: std::sync::Arc<Signals>,
    /// The publisher has let go of the lane.
    released: AtomicU64,
    /// A lane without a ring of its own takes nothing more.
    cancelled: AtomicBool,
}

impl<E> LaneView<E> {
    /// Begins to seal the lane.
    pub(crate) fn mark(&self) {
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                sealer.mark();
            }
            ViewOf::Evicting(ring) => {
                ring.close();
            }
            // ORD(lane.cancelled): Release; pairs with `is_cancelled`.
            ViewOf::Shared(_) => self.cancelled.store(true, Ordering::Release),
        }
    }

    /// Whether a lane without a ring of its own was sealed. A push that has not seen it yet is waited for by whoever needs to.
    fn is_cancelled(&self) -> bool {
        // ORD(lane.cancelled): Acquire; pairs with `mark`.
        self.cancelled.load(Ordering::Acquire)
    }

    /// Ends the seal, behind a heavy fence.
    pub(crate) fn fix(&self) {
        if let ViewOf::Spsc(sealer) = &self.ring {
            sealer.fix();
        }
    }

    /// Seals this lane alone.
    pub(crate) fn seal_now(&self) {
        self.mark();
        // ORD(spsc.fin): heavy fence; pairs with the light ones of the publisher and of `Consumer::refresh`.
        heavy_fence_or_wait(process_pair());
        self.fix();
    }

    /// Ends a seal that another thread has begun, which may have lost its processor or wait for publishers before it goes on. A
    /// reader that has seen the mark, and then fences, knows as well as that thread what may be proposed.
    #[cold]
    pub(crate) fn end_seal(&self) {
        // ORD(spsc.fin): heavy fence; pairs with the light one of the publisher.
        heavy_fence_or_wait(process_pair());
        self.fix();
    }

    /// What the lane's publisher waits for when its own ring is full.
    #[inline]
    pub(crate) fn room(&self) -> Want {
        Want::room_in(self)
    }

    /// After a seal: wakes the consumer to end the lane, the lane's publisher if it waits for room, and flushes, whose goals may be
    /// nearer than they were. Publishers with other lanes, and closes, have nothing to do: lanes are sealed many at a time.
    pub(crate) fn wake_all(&self) {
        self.signals.cell.wake_now();
        match &self.ring {
            ViewOf::Shared(waiter) => self.signals.blocked.notify_waiter(waiter),
            ViewOf::Spsc(_) | ViewOf::Evicting(_) => self.signals.blocked.notify_one(self.room()),
        }
        self.signals.blocked.notify_progress();
    }

    pub(crate) fn entry(&self) -> &EntryCounters {
        &self.entry
    }

    pub(crate) fn accepted(&self) -> u64 {
        match &self.ring {
            ViewOf::Spsc(sealer) => sealer.accepted(),
            ViewOf::Evicting(ring) => ring.position(),
            ViewOf::Shared(_) => 0,
        }
    }

    /// Whether everything accepted below `target` was handled, or pushed out.
    pub(crate) fn is_past(&self, target: u64) -> bool {
        match &self.ring {
            ViewOf::Evicting(ring) => self.progress.is_past(ring, target),
            // The target is a tail that was seen before the lane was sealed: the end may have been fixed below it, and the publisher
            // has taken back what lies between.
            ViewOf::Spsc(sealer) => {
                let handled = self.progress.handled();
                handled >= target || sealer.end().is_some_and(|end| handled >= end)
            }
            ViewOf::Shared(_) => true,
        }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the publisher has let go and everything in the lane was handled: its counters are final.
    pub(crate) fn is_over(&self) -> bool {
        // ORD(lane.released): Acquire; pairs with the Release in `let_go`: its counters are visible.
        self.released.load(Ordering::Acquire) == 1
            && match &self.ring {
                // A receiver gives the slot back first, and then enters the event.
                ViewOf::Spsc(sealer) => sealer.is_ended() && self.progress.handled() >= sealer.accepted(),
                ViewOf::Evicting(ring) => ring.is_ended() && self.progress.in_hand() == 0,
                ViewOf::Shared(_) => true,
            }
    }

    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        self.entry.add_to(ledger);
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                let handled = self.progress.handled();
                let accepted = sealer.accepted();
                ledger.offered += accepted;
                ledger.accepted += accepted;
                ledger.pending += accepted.saturating_sub(handled);
            }
            ViewOf::Evicting(ring) => {
                ledger.accepted += ring.position();
                ledger.pending += ring.len() as u64 + self.progress.in_hand();
            }
            ViewOf::Shared(_) => {}
        }
    }
}

/// A publisher's own way into a mailbox.
pub(crate) enum PrivateLane<E> {
    /// A ring with one producer and one consumer.
    Fast(FastLane<E>),
    /// Anything else.
    Other(OtherLane<E>),
}

impl<E: Send + 'static> PrivateLane<E> {
    pub(super) fn new(mailbox: &Arc<Mailbox<E>>) -> Result<(Self, Option<LaneReader<E>>), OutOfMemory> {
        let view = |ring, entry| {
            std::sync::Arc::new(LaneView {
                ring,
                progress: CachePadded::default(),
                entry,
                signals: mailbox.signals.clone(),
                released: AtomicU64::new(0),
                cancelled: AtomicBool::new(false),
            })
        };
        let shared = |entry| {
            let waiter = Waiter::wanting(Want::SHARED_ROOM);
            let view = view(ViewOf::Shared(waiter.clone()), entry);
            (Self::Other(OtherLane::new(None, view, waiter, mailbox)), None)
        };
        Ok(if matches!(mailbox.shared, SharedLane::Unbounded(_)) {
            shared(EntryCounters::private())
        } else if mailbox.signals.crowd.is_some() {
            shared(EntryCounters::private_by_position())
        } else if mailbox.overflow == Overflow::DropOldest {
            let ring = Ring::new(mailbox.capacity).map_err(|error| error.of_checked(mailbox.capacity))?;
            let ring = Arc::new(ring);
            let view = view(ViewOf::Evicting(ring.clone()), EntryCounters::private());
            let reader = LaneReader::Evicting(ring.clone(), view.clone());
            let waiter = Waiter::wanting(Want::SHARED_ROOM);
            (Self::Other(OtherLane::new(Some(ring), view, waiter, mailbox)), Some(reader))
        } else {
            let ring = spsc::ring(mailbox.capacity);
            let (producer, consumer) = ring.map_err(|error| error.of_checked(mailbox.capacity))?;
            let view = view(ViewOf::Spsc(producer.sealer()), EntryCounters::private_by_position());
            let reader = LaneReader::Spsc(consumer, view.clone());
            (Self::Fast(FastLane::new(producer, view, mailbox)), Some(reader))
        })
    }

    pub(crate) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        match self {
            Self::Fast(lane) => lane.view(),
            Self::Other(lane) => lane.view(),
        }
    }

    /// Whether the lane has an end that can be fixed from outside.
    pub(crate) fn is_sealable(&self) -> bool {
        match self {
            Self::Fast(_) => true,
            Self::Other(lane) => lane.is_sealable(),
        }
    }

    /// Whether the lane has no ring of its own, so that a removal has to wait for a push in progress.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Other(lane) if lane.is_shared())
    }

    /// Whether a push may call a hook of the mailbox, so that a removal has to wait for a push in progress.
    pub(crate) fn has_hook(&self) -> bool {
        match self {
            Self::Fast(lane) => lane.has_hook(),
            Self::Other(lane) => lane.has_hook(),
        }
    }

    /// Whether a push may have to wait.
    pub(crate) fn may_wait(&self) -> bool {
        match self {
            Self::Fast(lane) => lane.may_wait(),
            Self::Other(lane) => lane.may_wait(),
        }
    }

    /// Puts an event in, settles with whoever seals the lane, and wakes the consumer if it sleeps.
    #[inline]
    pub(crate) fn push(&mut self, event: E, patience: Patience) -> Result<Disposition, WriteError<E>> {
        match self {
            Self::Fast(lane) => lane.push(event, patience),
            Self::Other(lane) => lane.push(event, patience),
        }
    }
}

/// The publisher lets go of its lane, whose end is fixed by now: its counters are final.
fn let_go<E>(view: &LaneView<E>) {
    // ORD(lane.released): Release; pairs with `LaneView::is_over`.
    view.released.store(1, Ordering::Release);
    // A sleeping consumer would keep the empty lane.
    view.signals.cell.wake_now();
}
