//! Waiting in a task: for the end of the bus, and for room; and the publish where there is room.

use super::Publisher;
use crate::bus::core::CLOSED;
use crate::bus::lanes::Pushed;
use crate::bus::tally::PublishTally;
use crate::error::Closed;
use crate::sink::UntilClosed;
use crate::sink::lane::RoomWait;
use crate::stats::{Published, SinkId};
use crate::sync::Ordering;
use crate::time::Deadline;
use std::task::{Poll, Waker, ready};

impl<E: Send + 'static> Publisher<E> {
    /// Returns a future that is ready when the bus is closed.
    ///
    /// A publisher keeps its bus open, so that is after a call of [`Bus::close`](crate::Bus::close).
    /// The future does not keep the bus open. It may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use futures::executor::block_on;
    /// let bus = buslane::Bus::<u32>::new();
    /// let publisher = bus.publisher();
    /// let closed = publisher.closed();
    /// assert!(bus.close().is_done());
    /// block_on(closed);
    /// ```
    pub fn closed(&self) -> UntilClosed {
        UntilClosed::new(self.core.until_closed())
    }

    /// Returns ready when every sink in which a publish would wait has room. Otherwise the task is
    /// woken when that may be so.
    ///
    /// `wait` keeps the wait from poll to poll. Its owner drops it after it has used the room, or
    /// will not: see [`TaskWait`](crate::wait::list::task::TaskWait).
    pub(in crate::bus) fn poll_room(
        &mut self,
        wait: &mut Option<RoomWait>,
        task: &Waker,
    ) -> Poll<Result<(), Closed<()>>> {
        loop {
            if let Some(wait) = wait {
                ready!(wait.poll(task));
            }
            match self.full() {
                Ok(None) => return Poll::Ready(Ok(())),
                // Another publisher took the room: this one keeps its position on the list.
                Ok(Some(next)) if wait.as_ref().is_some_and(|wait| wait.is_same(&next)) => {}
                Ok(Some(next)) => *wait = Some(next),
                Err(closed) => {
                    *wait = None;
                    return Poll::Ready(Err(closed));
                }
            }
        }
    }

    /// Returns the wait of a task for room in the first sink in which a publish would wait now.
    fn full(&mut self) -> Result<Option<RoomWait>, Closed<()>> {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.front.version.load(Ordering::Acquire);
        if version & CLOSED != 0 {
            return Err(Closed(()));
        }
        // A sink that was added has room; one that was removed makes no publisher wait.
        self.is_current(version);
        Ok(self.full_sink())
    }

    /// Returns the same, for the sinks that the publisher knows of.
    pub(in crate::bus) fn full_sink(&self) -> Option<RoomWait> {
        match &self.table {
            Some(table) => table.value.full(&self.lanes, &self.scene(&Deadline::NOW), &self.core.removals),
            None => self.core.full_shared(),
        }
    }

    /// Returns the wait of a task for room in this sink, if a publish would wait there now: in its
    /// shared lane, or in the publisher's own.
    pub(in crate::bus) fn full_at(&self, id: SinkId, is_shared: bool) -> Option<RoomWait> {
        match &self.table {
            Some(table) if !is_shared => {
                table.value.full_at(id, &self.scene(&Deadline::NOW), &self.core.removals)
            }
            _ => self.core.full_shared_at(id),
        }
    }
}

impl<E: Clone + Send + 'static> Publisher<E> {
    /// Returns whether a publish would be a plain push now, into lanes that all have room.
    ///
    /// The room stays: the lanes have no other writer.
    #[inline]
    pub(in crate::bus) fn has_room(&mut self) -> bool {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`.
        let version = self.core.front.version.load(Ordering::Acquire);
        version == self.lanes.seen && self.lanes.have_room()
    }

    /// Publishes an event by a plain push into lanes that all have room. Returns the event as an error
    /// if that is not possible.
    #[inline]
    pub(in crate::bus) fn publish_into_room(&mut self, event: E) -> Result<Result<Published, Closed<E>>, E> {
        if !self.has_room() {
            return Err(event);
        }
        let mut back = None;
        let tally = match self.lanes.push(event) {
            Pushed::Done(accepted) => PublishTally::accepted(accepted),
            Pushed::Attention(count) => self.settle_and_wake(count, &mut back),
            // A lane was sealed meanwhile, which makes no publish wait.
            Pushed::Full(done, event) => {
                back = Some(event);
                self.publish_slowly(&mut back, done, self.seen, &Deadline::NOW)
            }
        };
        Ok(tally.or_closed(back, || self.core.is_closed()))
    }
}
