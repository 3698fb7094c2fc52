//! A publisher's private lane into an inbox, and what others see of it.

use super::{Inbox, Overflow, Patience, SharedLane, Signals};
use crate::error::{InvalidConfig, WriteError};
use crate::inbox::reader::LaneReader;
use crate::ledger::{EntryCounters, Ledger, Outcome};
use crate::ring::mpmc::{PushError, Ring};
use crate::ring::spsc;
use crate::sync::membarrier::{FencePair, heavy_fence_or_wait, process_pair};
use crate::sync::{Arc, AtomicU64, Ordering};

/// How far the consumer is in a lane whose ring does not say so itself.
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
        self.in_hand.load(Ordering::Relaxed)
    }

    pub(crate) fn take_in_hand(&self) {
        self.in_hand.store(1, Ordering::Relaxed);
    }

    pub(crate) fn nothing_in_hand(&self) {
        self.in_hand.store(0, Ordering::Relaxed);
    }

    pub(crate) fn done(&self, position: u64) {
        self.in_hand.store(0, Ordering::Relaxed);
        // ORD(lane.handled): Release; pairs with `handled`.
        self.handled.store(position + 1, Ordering::Release);
    }
}

/// The ring of a lane as third parties see it.
enum ViewOf<E> {
    Spsc(spsc::Sealer<E>),
    Evicting(Arc<Ring<E>>, Progress),
    /// Events go to the inbox's one unbounded queue.
    Unbounded,
}

/// What everybody but its publisher and its consumer sees of a lane.
pub(crate) struct LaneView<E> {
    ring: ViewOf<E>,
    entry: EntryCounters,
    signals: std::sync::Arc<Signals>,
    /// The publisher has let go of the lane.
    released: AtomicU64,
}

impl<E> LaneView<E> {
    /// Begins to seal the lane.
    pub(crate) fn mark(&self) {
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                sealer.mark();
            }
            ViewOf::Evicting(ring, _) => {
                ring.close();
            }
            ViewOf::Unbounded => {}
        }
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
        heavy_fence_or_wait(process_pair());
        self.fix();
    }

    /// Wakes whoever waits at this lane's inbox: after a seal, the consumer to end the lane, and blocked publishers.
    pub(crate) fn wake_all(&self) {
        self.signals.cell.wake_now();
        self.signals.blocked.notify();
    }

    pub(crate) fn accepted(&self) -> u64 {
        match &self.ring {
            ViewOf::Spsc(sealer) => sealer.accepted(),
            ViewOf::Evicting(ring, _) => ring.position(),
            ViewOf::Unbounded => 0,
        }
    }

    pub(crate) fn handled(&self) -> u64 {
        match &self.ring {
            ViewOf::Spsc(sealer) => sealer.handled(),
            ViewOf::Evicting(_, progress) => progress.handled(),
            ViewOf::Unbounded => 0,
        }
    }

    pub(crate) fn progress(&self) -> Option<&Progress> {
        match &self.ring {
            ViewOf::Evicting(_, progress) => Some(progress),
            ViewOf::Spsc(_) | ViewOf::Unbounded => None,
        }
    }

    /// Whether the publisher has let go and everything in the lane was handled: its counters are final.
    pub(crate) fn is_over(&self) -> bool {
        // ORD(lane.released): Acquire; pairs with the Release in `PrivateLane::drop`: its counters are visible.
        self.released.load(Ordering::Acquire) == 1
            && match &self.ring {
                ViewOf::Spsc(sealer) => sealer.is_ended(),
                ViewOf::Evicting(ring, progress) => ring.is_ended() && progress.in_hand() == 0,
                ViewOf::Unbounded => true,
            }
    }

    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        self.entry.add_to(ledger);
        match &self.ring {
            ViewOf::Spsc(sealer) => {
                let handled = sealer.handled();
                let accepted = sealer.accepted();
                ledger.accepted += accepted;
                ledger.pending += accepted.saturating_sub(handled);
            }
            ViewOf::Evicting(ring, progress) => {
                ledger.accepted += ring.position();
                ledger.pending += ring.len() as u64 + progress.in_hand();
            }
            ViewOf::Unbounded => {}
        }
    }
}

enum Way<E> {
    Spsc(spsc::Producer<E>),
    Evicting(Arc<Ring<E>>),
    Unbounded,
}

/// A publisher's own way into an inbox.
///
/// A publish goes through three steps, so that one fence serves all lanes of a publisher: [`put`](Self::put) or
/// [`overflow`](Self::overflow), the fence, [`finish`](Self::finish). [`push`](Self::push) is all three.
pub(crate) struct PrivateLane<E> {
    way: Way<E>,
    view: std::sync::Arc<LaneView<E>>,
    signals: std::sync::Arc<Signals>,
    inbox: Arc<Inbox<E>>,
}

impl<E: Send + 'static> PrivateLane<E> {
    pub(super) fn new(inbox: &Arc<Inbox<E>>) -> Result<(Self, Option<LaneReader<E>>), InvalidConfig> {
        let (way, ring, consumer) = if matches!(inbox.shared, SharedLane::Unbounded(_)) {
            (Way::Unbounded, ViewOf::Unbounded, None)
        } else if inbox.overflow == Overflow::DropOldest {
            let ring = Arc::new(Ring::new(inbox.capacity)?);
            (Way::Evicting(ring.clone()), ViewOf::Evicting(ring, Progress::default()), None)
        } else {
            let (producer, consumer) = spsc::ring(inbox.capacity)?;
            let sealer = producer.sealer();
            (Way::Spsc(producer), ViewOf::Spsc(sealer), Some(consumer))
        };
        let view = std::sync::Arc::new(LaneView {
            ring,
            entry: EntryCounters::private(),
            signals: inbox.signals.clone(),
            released: AtomicU64::new(0),
        });
        let reader = match (&way, consumer) {
            (Way::Spsc(_), Some(consumer)) => Some(LaneReader::Spsc(consumer)),
            (Way::Evicting(ring), _) => Some(LaneReader::Evicting(ring.clone(), view.clone())),
            _ => None,
        };
        let signals = inbox.signals.clone();
        Ok((Self { way, view, signals, inbox: inbox.clone() }, reader))
    }

    pub(crate) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        &self.view
    }

    pub(crate) fn pair(&self) -> FencePair {
        self.signals.cell.pair()
    }

    /// Whether a publish may have to wait here.
    pub(crate) fn may_wait(&self) -> bool {
        matches!(self.inbox.overflow, Overflow::Block | Overflow::BlockFor(_))
    }

    /// Whether [`put`](Self::put) will find room. Where it does not apply, `true`.
    #[inline(always)]
    pub(crate) fn is_ready(&mut self) -> bool {
        match &mut self.way {
            Way::Spsc(producer) => producer.has_room(),
            Way::Evicting(_) | Way::Unbounded => true,
        }
    }

    /// Whether the lane is a ring with one producer, so that [`put_ready`](Self::put_ready) is all that there is to it.
    pub(crate) fn is_fast(&self) -> bool {
        matches!(self.way, Way::Spsc(_))
    }

    /// Puts an event into a fast lane that [`is_ready`](Self::is_ready).
    #[inline(always)]
    pub(crate) fn put_ready(&mut self, event: E) {
        let outcome = self.put(event);
        debug_assert!(outcome.is_ok());
    }

    /// Puts an event in; only when [`is_ready`](Self::is_ready).
    #[inline(always)]
    pub(crate) fn put(&mut self, event: E) -> Result<(), WriteError<E>> {
        self.view.entry.offered_by_owner(1);
        match &mut self.way {
            Way::Spsc(producer) => {
                producer.write(event);
                producer.commit();
                Ok(())
            }
            Way::Evicting(_) | Way::Unbounded => self.put_elsewhere(event),
        }
    }

    #[inline(never)]
    fn put_elsewhere(&mut self, event: E) -> Result<(), WriteError<E>> {
        let (inbox, entry) = (&self.inbox, &self.view.entry);
        let pushed = match &self.way {
            Way::Evicting(ring) => inbox.push_ring(ring, event, entry),
            Way::Unbounded | Way::Spsc(_) => match &inbox.shared {
                SharedLane::Unbounded(queue) => inbox.push_unbounded(queue, event, entry),
                SharedLane::Bounded(ring) => inbox.push_ring(ring, event, entry),
            },
        };
        // Neither an evicting nor an unbounded lane waits for room.
        pushed.or_else(|error| {
            inbox.overflowed(error, entry, Patience::Now, |event| Err(PushError::Full(event)))
        })
    }

    /// Puts as many events of a slice in as there is room for, and shows them at once; returns how many.
    pub(crate) fn put_slice(&mut self, events: &[E]) -> usize
    where
        E: Clone,
    {
        /// Commits what was written also when a clone unwinds.
        struct Commit<'a, E>(&'a mut spsc::Producer<E>, &'a EntryCounters, usize);
        impl<E> Drop for Commit<'_, E> {
            fn drop(&mut self) {
                self.0.commit();
                self.1.offered_by_owner(self.2 as u64);
            }
        }
        let Way::Spsc(producer) = &mut self.way else { return 0 };
        let count = producer.room().min(events.len());
        let mut commit = Commit(producer, &self.view.entry, 0);
        for event in &events[..count] {
            commit.0.write(event.clone());
            commit.2 += 1;
        }
        count
    }

    /// Applies the policy to an event for which there was no room. May wait, so every lane's wake-ups come first.
    #[cold]
    pub(crate) fn overflow(&mut self, event: E, patience: Patience) -> Result<(), WriteError<E>> {
        let Self { way, view, inbox, .. } = self;
        let Way::Spsc(producer) = way else { return self.put(event) };
        view.entry.offered(1);
        let mut attempt = |event: E| {
            if producer.has_room() {
                producer.write(event);
                producer.commit();
                Ok(())
            } else if producer.settle(drop) {
                Err(PushError::Full(event))
            } else {
                Err(PushError::Closed(event))
            }
        };
        match attempt(event) {
            Ok(()) => Ok(()),
            Err(error) => inbox.overflowed(error, &view.entry, patience, attempt),
        }
    }

    /// Behind the fence: whether [`finish`](Self::finish) has something to do.
    #[inline(always)]
    pub(crate) fn needs_finish(&self) -> bool {
        self.signals.cell.is_parked()
            || match &self.way {
                Way::Spsc(producer) => !producer.is_open(),
                Way::Evicting(_) | Way::Unbounded => false,
            }
    }

    /// Behind the fence: settles with whoever seals the lane, and wakes the consumer. Events that turn out not to be
    /// accepted go to `taken_back`; `true` while the lane takes more.
    #[cold]
    pub(crate) fn finish(&mut self, mut taken_back: impl FnMut(E)) -> bool {
        self.signals.cell.wake();
        match &mut self.way {
            Way::Spsc(producer) => {
                let entry = &self.view.entry;
                producer.settle(|event| {
                    entry.count(Outcome::RefusedClosed, 1);
                    taken_back(event);
                })
            }
            Way::Evicting(_) | Way::Unbounded => true,
        }
    }

    /// All steps at once, with a fence of its own.
    #[inline]
    pub(crate) fn push(&mut self, event: E, patience: Patience) -> Result<(), WriteError<E>> {
        if self.is_ready() {
            self.put(event)?
        } else {
            self.overflow(event, patience)?
        }
        // The seal's fence is the process's, the wake's the inbox's; the symmetric one is the stronger of the two.
        self.signals.cell.fence();
        if self.needs_finish() {
            let mut back = None;
            self.finish(|event| back = Some(event));
            if let Some(event) = back {
                return Err(WriteError::Closed(event));
            }
        }
        Ok(())
    }
}

impl<E> Drop for PrivateLane<E> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.way, Way::Unbounded) {
            // Seals the lane at what was committed.
            Way::Spsc(producer) => drop(producer),
            Way::Evicting(ring) => {
                ring.close();
            }
            Way::Unbounded => {}
        }
        // ORD(lane.released): Release; pairs with `LaneView::is_over`.
        self.view.released.store(1, Ordering::Release);
        // A sleeping consumer would keep the empty lane.
        self.signals.cell.wake_now();
    }
}
