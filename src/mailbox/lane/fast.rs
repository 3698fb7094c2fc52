//! The fast lane of most publishes: a ring with one producer and one consumer.

use super::{Reuse, leftovers};
use crate::error::WriteError;
use crate::mailbox::core::Mailbox;
use crate::mailbox::registry::let_go;
use crate::mailbox::signals::Signals;
use crate::mailbox::view::LaneView;
use crate::ring::mpmc::PushError;
use crate::ring::spsc;
use crate::stats::{Disposition, EntryOutcome};
use crate::sync::Arc;
use crate::sync::membarrier::{FencePair, light_fence};
use crate::time::Deadline;
use crate::wait::WaitCell;
use crate::wait::context::discard;
use crate::wait::list::task::{Condition, TaskWait};

/// The private lane of a publisher into a mailbox with one consumer.
///
/// A publish has three steps, so that one fence serves all lanes of a publisher:
/// 1. [`room`](Self::room) and its push, or [`overflow`](Self::overflow);
/// 2. the fence;
/// 3. [`settle_and_wake`](Self::settle_and_wake).
///
/// [`push`](Self::push) does all three.
#[repr(C)]
pub(crate) struct FastLane<E> {
    producer: spsc::Producer<E>,
    signals: std::sync::Arc<Signals>,
    view: std::sync::Arc<LaneView<E>>,
    mailbox: Arc<Mailbox<E>>,
}

/// Room for one event in a lane.
pub(crate) struct Room<'a, E> {
    vacant: spsc::Vacant<'a, E>,
    cell: &'a WaitCell,
}

impl<E> Room<'_, E> {
    #[inline(always)]
    pub(crate) fn push(self, event: E) {
        self.vacant.push(event);
    }

    /// Pushes the event and returns at once what [`FastLane::attention`] returns. Uses the fence of
    /// the asymmetric pair, which costs nothing and so may follow each event.
    #[inline(always)]
    pub(crate) fn push_and_look(self, event: E) -> u64 {
        let written = self.vacant.push_into(event);
        // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of
        // consumers that park.
        light_fence(FencePair::Asymmetric);
        self.cell.attention() | written.attention()
    }

    /// Puts the event into its slot, and pushes it there after `complete` has changed it. Returns what
    /// [`push_and_look`](Self::push_and_look) returns, or the event as an error if `complete` returns
    /// `false`. If `complete` unwinds, nothing is pushed.
    #[inline(always)]
    pub(crate) fn complete_and_look(self, event: E, complete: impl FnOnce(&mut E) -> bool) -> Result<u64, E> {
        let written = self.vacant.push_completed(event, complete)?;
        // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of
        // consumers that park.
        light_fence(FencePair::Asymmetric);
        Ok(self.cell.attention() | written.attention())
    }
}

impl<E: Send + 'static> FastLane<E> {
    pub(super) fn new(
        producer: spsc::Producer<E>,
        view: std::sync::Arc<LaneView<E>>,
        mailbox: &Arc<Mailbox<E>>,
    ) -> Self {
        Self { producer, view, signals: mailbox.signals.clone(), mailbox: mailbox.clone() }
    }

    pub(crate) fn view(&self) -> &std::sync::Arc<LaneView<E>> {
        &self.view
    }

    pub(super) fn mailbox(&self) -> &Mailbox<E> {
        &self.mailbox
    }

    /// Returns whether [`overflow`](Self::overflow) may call a hook of the mailbox.
    pub(crate) fn has_hook(&self) -> bool {
        self.mailbox.has_hook()
    }

    /// Returns whether a publish may have to wait here.
    pub(crate) fn may_wait(&self) -> bool {
        self.mailbox.overflow.may_wait()
    }

    /// Returns the wait of a task for room, if a publish would wait here now.
    pub(crate) fn full(&self) -> Option<TaskWait> {
        let is_full = self.may_wait() && !self.view.holds();
        is_full.then(|| TaskWait::new(self.view.clone(), self.view.waiter().clone()))
    }

    /// Returns whether no thread has begun to seal the lane.
    pub(crate) fn is_open(&self) -> bool {
        self.producer.is_open()
    }

    /// Returns whether the lane can serve another publisher.
    pub(crate) fn reuse(&mut self) -> Reuse {
        let free = self.mailbox.capacity() - leftovers(self.mailbox.capacity());
        let Self { producer, mailbox, .. } = self;
        Reuse::of(producer.is_open(), || producer.room_for(free) == free && mailbox.shared.is_read())
    }

    /// Returns room for one event, if there is any.
    #[inline(always)]
    pub(crate) fn room(&mut self) -> Option<Room<'_, E>> {
        let vacant = self.producer.vacant()?;
        Some(Room { vacant, cell: &self.signals.cell })
    }

    /// Pushes as many events of a slice as there is room for, and makes them visible with one
    /// store. Returns their number.
    pub(crate) fn put_slice(&mut self, events: &[E]) -> usize
    where
        E: Clone,
    {
        self.producer.push_slice(events)
    }

    /// Applies the overflow policy to an event for which there was no room. It may wait, so the
    /// caller wakes the consumers of all lanes first.
    #[cold]
    pub(crate) fn overflow(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let Self { producer, view, mailbox, .. } = self;
        let mut attempt = |event: E| {
            if let Some(vacant) = producer.vacant() {
                vacant.push(event);
                Ok(())
            } else if producer.settle(discard) {
                Err(PushError::Full(event))
            } else {
                Err(PushError::Closed(event))
            }
        };
        match attempt(event) {
            Ok(()) => Ok(Disposition::Pending),
            Err(error) => mailbox.overflowed(error, &view.entry, deadline, Some(view.waiter()), attempt),
        }
    }

    /// After the light fence: returns nonzero if the lane [asks for a full
    /// fence](Self::asks_for_fence), or [`settle_and_wake`](Self::settle_and_wake) has something to
    /// do.
    #[inline(always)]
    pub(crate) fn attention(&self) -> u64 {
        self.signals.cell.attention() | self.producer.attention()
    }

    /// As [`attention`](Self::attention), for a publish that has pushed nothing into the lane: a
    /// dormant lane then needs no attention.
    #[inline]
    pub(crate) fn attention_without_event(&self) -> u64 {
        self.signals.cell.attention() | u64::from(!self.producer.is_open())
    }

    /// Returns whether the consumer asks publishers for a full fence.
    #[inline]
    pub(crate) fn asks_for_fence(&self) -> bool {
        self.signals.cell.asks_for_fence()
    }

    /// After the full fence, if the lane asks for one: returns whether
    /// [`settle_and_wake`](Self::settle_and_wake) has something to do.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.signals.cell.is_marked() || self.producer.attention() != 0
    }

    /// After the full fence, if the lane asks for one: settles with the thread that seals the lane,
    /// and wakes the consumer. Passes events that turn out not to be accepted to `taken_back`.
    /// Returns `true` while the lane accepts events.
    #[cold]
    pub(crate) fn settle_and_wake(&mut self, mut taken_back: impl FnMut(E)) -> bool {
        // The thread that seals a dormant lane may not have told the consumer yet, and this push is
        // about to return.
        if self.producer.make_active() || !self.producer.is_open() {
            self.view.tell_consumer();
            // ORD(cell.state): full fence; pairs with the heavy one of a consumer that parks: the
            // consumer was told before the load of its word.
            light_fence(FencePair::Symmetric);
        }
        self.signals.cell.wake_marked();
        let entry = &self.view.entry;
        self.producer.settle(|event| {
            entry.count(EntryOutcome::RefusedClosed, 1);
            taken_back(event);
        })
    }

    /// Makes a dormant lane active, as a publisher does that stalls before it tells the consumer.
    #[cfg(test)]
    pub(crate) fn make_active_and_stall(&self) {
        self.producer.make_active();
    }

    /// Does all three steps, with its own fence.
    #[inline]
    pub(crate) fn push(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let mut disposition = Disposition::Pending;
        match self.room() {
            Some(room) => room.push(event),
            None => disposition = self.overflow(event, deadline)?,
        }
        // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of
        // the consumer that parks. Both use the process's pair.
        light_fence(self.signals.cell.pair());
        if self.attention() == 0 { Ok(disposition) } else { self.settle_push(disposition) }
    }

    #[cold]
    fn settle_push(&mut self, disposition: Disposition) -> Result<Disposition, WriteError<E>> {
        let mut back = None;
        self.signals.cell.fence_if_asked();
        self.settle_and_wake(|event| back = Some(event));
        back.map_or(Ok(disposition), |event| Err(WriteError::Closed(event)))
    }
}

impl<E> Drop for FastLane<E> {
    fn drop(&mut self) {
        if self.producer.end_as_found() {
            self.view.tell_consumer();
        }
        let_go(&self.view, &self.mailbox.registry);
    }
}
