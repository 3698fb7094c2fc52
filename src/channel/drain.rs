//! Batched reads of the unread events, for the exclusive receiver of a channel.

use super::iter::Drain;
use super::receiver::Receiver;
use crate::mailbox::Mailbox;
use crate::mailbox::consume::With;
use crate::mailbox::counters::Handled;
use crate::mailbox::intake::Intake;

/// Methods that only an exclusive receiver has.
impl<E: Send + 'static> Receiver<E> {
    /// Returns an iterator over the events that are unread at the time of the call.
    ///
    /// The iterator does not wait, and ends after these events, even if more have arrived since.
    ///
    /// # Examples
    /// Handling an event writes another one, which the next read takes:
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// for n in receiver.drain() {
    ///     channel.write(n + 1)?;
    /// }
    /// assert_eq!(receiver.recv()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&mut self) -> Drain<'_, E> {
        self.intake.begin_drain();
        Drain { receiver: self, exhausted: false }
    }

    /// Takes the next event of the current drain.
    #[inline]
    pub(super) fn drain_one(&mut self) -> Option<E> {
        if let Some(mut known) = self.intake.known() {
            return Some(known.take());
        }
        self.drain_more()
    }

    #[inline(never)]
    fn drain_more(&mut self) -> Option<E> {
        if let Some(event) = self.take_held() {
            return Some(event);
        }
        let event = self.intake.drain_one()?;
        self.turn.took(1 + self.intake.known_len());
        Some(event)
    }

    /// Calls `handle` with each unread event, at most a quarter of a lane's capacity per lane, and
    /// returns the number of calls.
    ///
    /// The number is zero only if no event is there. An event whose `handle` call panics counts as
    /// delivered.
    ///
    /// This is the cheapest way to read: slots are returned, and events counted, sixteen at a time.
    /// The method does not wait for events. While events arrive faster than one per 60 nanoseconds,
    /// it spins for up to a microsecond before it polls again, so that reader and publisher do not
    /// contend for the same cache lines.
    ///
    /// An event counts as read only after `handle` returns. Hence, inside `handle`, as inside a
    /// delivery:
    /// - A flush, a close or a removal does not wait.
    /// - A write into this same channel does not wait for room.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(64)?;
    /// let mut publisher = bus.publisher();
    /// for n in 0..10 {
    ///     publisher.publish(n)?;
    /// }
    /// let mut seen = Vec::new();
    /// assert_eq!(receiver.drain_with(|n| seen.push(n)), 10);
    /// assert!(seen.into_iter().eq(0..10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain_with(&mut self, mut handle: impl FnMut(E)) -> usize {
        if let Some(event) = self.take_held() {
            return self.drain_held(event, handle);
        }
        self.intake.linger_when_dry();
        // The current event is not handled until `handle` returns. Nothing that `handle` calls may
        // wait for that, or for room that only this thread makes: it would wait forever.
        let _reading = self.intake.mailbox().crew.read();
        if !self.intake.mailbox().scales.is_empty() {
            return self.drain_batches(handle);
        }
        self.intake.scan_written(&mut With(|_: &Mailbox<E>, event| {
            handle(event);
            Handled::Delivered
        }))
    }

    /// Does the same if a stream of entries has left an event.
    #[cold]
    #[inline(never)]
    fn drain_held(&mut self, event: E, mut handle: impl FnMut(E)) -> usize {
        {
            let _reading = self.intake.mailbox().crew.read();
            handle(event);
        }
        1 + self.drain_with(handle)
    }

    /// Does the same for batches whose events are counted. Takes the closure by value: if its
    /// address escaped to this function, the caller would have to keep it in memory.
    #[cold]
    #[inline(never)]
    fn drain_batches(&mut self, mut handle: impl FnMut(E)) -> usize {
        self.intake.scan_written(&mut With(|mailbox: &Mailbox<E>, event| {
            mailbox.taken(&event);
            handle(event);
            Handled::Delivered
        }))
    }
}
