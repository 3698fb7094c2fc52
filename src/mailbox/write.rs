//! Writing events into a mailbox, and the overflow policy for an event that finds no room.

use super::core::Mailbox;
use super::end::End;
use super::overflow::Overflow;
use super::shared_lane::Events;
use crate::error::WriteError;
use crate::ring::mpmc::{PushError, Ring};
use crate::ring::unbounded::Unbounded;
use crate::stats::{Disposition, DropReason, EntryCounters, EntryOutcome};
use crate::sync::{Ordering, cold_path, fence};
use crate::time::Deadline;
use crate::wait::context::{WaitLimit, may_wait_for_room};
use crate::wait::linger::look_ever_less;
use crate::wait::list::{Waiter, Want};

impl<E: Send + 'static> Mailbox<E> {
    /// Pushes an event into the shared lane, from any thread.
    #[inline]
    pub(crate) fn write(&self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        self.shared.entry.offered(1);
        match self.push_shared(event) {
            Ok(()) => {
                self.signals.wake();
                Ok(Disposition::Pending)
            }
            Err(error) => {
                self.overflowed(error, &self.shared.entry, deadline, None, |event| self.push_shared(event))
            }
        }
    }

    #[inline]
    pub(crate) fn push_shared(&self, event: E) -> Result<(), PushError<E>> {
        self.push_shared_as(event, &self.shared.entry)
    }

    /// Pushes an event into the shared lane, and counts it in `entry`.
    #[inline]
    pub(super) fn push_shared_as(&self, event: E, entry: &EntryCounters) -> Result<(), PushError<E>> {
        match &self.shared.events {
            Events::Bounded(ring) => self.push_ring(ring, event, entry),
            Events::Unbounded(queue) => self.push_unbounded(queue, event, entry),
        }
    }

    /// Pushes into a ring of this mailbox; with [`Overflow::DropOldest`] evicts the oldest event
    /// from a full one.
    #[inline]
    pub(super) fn push_ring(
        &self,
        ring: &Ring<E>,
        event: E,
        entry: &EntryCounters,
    ) -> Result<(), PushError<E>> {
        if self.evicts() { self.push_evicting(ring, event, entry) } else { ring.push(event) }
    }

    #[inline(never)]
    fn push_evicting(&self, ring: &Ring<E>, event: E, entry: &EntryCounters) -> Result<(), PushError<E>> {
        let mut evicts = false;
        let outcome = ring.push_evicting(event, |oldest| {
            evicts = true;
            entry.count(EntryOutcome::Evicted, 1);
            self.dropped(oldest, DropReason::Evicted);
        });
        if evicts && matches!(outcome, Err(PushError::Closed(_))) {
            cold_path();
            // The evicted event may have been the last one, and then no consumer reports progress
            // to the flushes.
            self.signals.wake_at_end();
            self.signals.blocked.notify_progress();
        }
        outcome
    }

    #[inline(never)]
    fn push_unbounded(
        &self,
        queue: &Unbounded<E>,
        event: E,
        entry: &EntryCounters,
    ) -> Result<(), PushError<E>> {
        if self.end() != End::Open {
            return Err(PushError::Closed(event));
        }
        // Counted before the push, since a flush takes its goal from this count: counted later, the
        // count could miss an event that precedes one that it includes. And counted after the
        // check, so that the count is never lowered again.
        entry.count(EntryOutcome::Queued, 1);
        queue.push(event);
        // ORD(mailbox.drained): full fence; pairs with that in `set_drained`: the publisher sweeps
        // an event that the last sweep missed.
        fence(Ordering::SeqCst);
        if self.drained.load(Ordering::Relaxed) {
            self.sweep();
        }
        Ok(())
    }

    /// Drops the events left in an unbounded lane after the last read.
    pub(super) fn sweep(&self) {
        let Events::Unbounded(queue) = &self.shared.events else { return };
        while let Some(late) = queue.pop() {
            self.shared.entry.count(EntryOutcome::Aborted, 1);
            self.dropped(late, DropReason::Aborted);
        }
    }

    /// Applies the overflow policy to an event for which `attempt` found a full or a closed lane.
    #[cold]
    pub(super) fn overflowed(
        &self,
        error: PushError<E>,
        entry: &EntryCounters,
        deadline: Deadline,
        waiter: Option<&Waiter>,
        mut attempt: impl FnMut(E) -> Result<(), PushError<E>>,
    ) -> Result<Disposition, WriteError<E>> {
        let event = match error {
            PushError::Closed(event) => return Err(Self::refused_closed(event, entry)),
            PushError::Full(event) => event,
        };
        let deadline = match self.overflow {
            Overflow::DropNewest | Overflow::DropOldest => {
                entry.count(EntryOutcome::DroppedFull, 1);
                self.dropped(event, DropReason::Full);
                return Ok(Disposition::Dropped(DropReason::Full));
            }
            Overflow::Close => {
                self.seal(End::Overflowed);
                entry.count(EntryOutcome::RefusedClosed, 1);
                return Err(WriteError::Closed(event));
            }
            Overflow::Block if deadline != Deadline::NOW && self.may_wait() => {
                deadline.min(WaitLimit::deadline())
            }
            Overflow::BlockFor(limit) if deadline != Deadline::NOW && self.may_wait() => {
                Deadline::after(limit).min(deadline).min(WaitLimit::deadline())
            }
            Overflow::Refuse | Overflow::Block | Overflow::BlockFor(_) => {
                entry.count(EntryOutcome::RefusedFull, 1);
                return Err(WriteError::Full(event));
            }
        };
        let mut event = Some(event);
        // A running consumer makes room soon, and parking costs both sides more than a short spin.
        self.signals.wake_for_room();
        let mut once = || match attempt(event.take()?) {
            Ok(()) => Some(Ok(())),
            Err(PushError::Closed(back)) => Some(Err(back)),
            Err(PushError::Full(back)) => {
                event = Some(back);
                None
            }
        };
        let outcome = look_ever_less(deadline, || self.shared.claimed(), &mut once).or_else(|| {
            // A publisher's lane has its own waiter; a shared write that has to wait may allocate
            // one.
            let own;
            let waiter = match waiter {
                Some(waiter) => waiter,
                None => {
                    own = Waiter::wanting(Want::SHARED_ROOM);
                    &own
                }
            };
            let attempt = || {
                // A napping consumer does not wake for a full lane by itself.
                self.signals.wake_for_room();
                once()
            };
            // A private ring has one publisher, so there is no other publisher to wake for more
            // room.
            let more = || waiter.wants() == Want::SHARED_ROOM && self.shared.has_room();
            self.signals.blocked.wait_for(waiter, deadline, attempt, more)
        });
        match (outcome, event) {
            (Some(Ok(())), _) => {
                self.signals.wake();
                Ok(Disposition::Pending)
            }
            (Some(Err(event)), _) => Err(Self::refused_closed(event, entry)),
            (None, Some(event)) => {
                entry.count(EntryOutcome::RefusedTimeout, 1);
                Err(WriteError::Timeout(event))
            }
            (None, None) => unreachable!("a failed attempt returns the event"),
        }
    }

    /// Refuses an event whose lane is closed. The writer sees everything that happened before the
    /// close.
    #[cold]
    fn refused_closed(event: E, entry: &EntryCounters) -> WriteError<E> {
        // ORD(mpmc.tail): Acquire fence, after the load of the closed bit; pairs with the Release
        // in `close`.
        fence(Ordering::Acquire);
        entry.count(EntryOutcome::RefusedClosed, 1);
        WriteError::Closed(event)
    }

    /// Returns whether this thread may wait for room here. It may not in user code, nor if it is a
    /// consumer of this mailbox, which makes the room itself.
    fn may_wait(&self) -> bool {
        may_wait_for_room() && !self.crew.is_here()
    }

    /// Returns whether a write into a full lane evicts its oldest event.
    pub(crate) fn evicts(&self) -> bool {
        self.overflow == Overflow::DropOldest
    }

    /// Returns whether there is a hook for dropped events. If so, a write may run user code.
    pub(crate) fn has_hook(&self) -> bool {
        self.on_drop.is_some()
    }

    /// Calls the hook with an event that was accepted and dropped.
    pub(crate) fn dropped(&self, event: E, reason: DropReason) {
        // Not counted here: an event that found no room, since its writer learned of it, and an
        // event that failed in the inner sink, since the worker counts it.
        if !matches!(reason, DropReason::Full | DropReason::Failed) && !self.scales.is_empty() {
            self.scales.count(&event, Disposition::Dropped(reason));
        }
        // The event's destructor is user code, as is the hook.
        crate::wait::context::quietly(|| match &self.on_drop {
            Some(hook) => hook(event, reason),
            None => drop(event),
        });
    }

    /// Counts an event that a reader took as delivered, if events are batches.
    #[inline]
    pub(crate) fn taken(&self, event: &E) {
        if !self.scales.is_empty() {
            self.scales.count(event, Disposition::Delivered);
        }
    }
}
