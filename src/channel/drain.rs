//! Reading at once what is there: what only the one receiver of a channel can do.

use super::iter::Drain;
use super::receiver::Receiver;
use crate::mailbox::Mailbox;
use crate::mailbox::consume::With;
use crate::mailbox::counters::Handled;
use crate::mailbox::intake::Intake;

/// What only the one receiver of a channel can do.
impl<E: Send + 'static> Receiver<E> {
    /// Takes what was there when this was called, without waiting; ends although more may have
    /// come.
    ///
    /// # Examples
    /// Handling an event makes another one, which the next turn takes:
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

    /// Hands each event that waits, at most a quarter of a lane's capacity per lane, to `handle`,
    /// and returns how many: zero only when nothing is there.
    ///
    /// The cheapest way to read: slots are given back, and the books kept, sixteen events at a
    /// time. An event whose handling panics counts as delivered. It does not wait for events; but
    /// while they come faster than one in 60 nanoseconds it spins for up to a microsecond before it
    /// looks again, so that reader and publisher do not fight for the same lines of memory.
    ///
    /// While `handle` runs its event is not read yet: a flush, a close or a removal that `handle`
    /// asks for does not wait (as inside a delivery), and a write into this very channel does not
    /// wait for room.
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
        self.intake.linger_when_dry();
        // The event in hand is not handled before `handle` returns: nothing there may wait for
        // that, or for room that only this thread makes.
        let _reading = self.intake.mailbox().crew.read();
        if !self.intake.mailbox().scales.is_empty() {
            return self.drain_batches(handle);
        }
        self.intake.scan_written(&mut With(|_: &Mailbox<E>, event| {
            handle(event);
            Handled::Delivered
        }))
    }

    /// The same for batches whose events are counted. By value: a closure whose address is known
    /// here would live in memory above.
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
