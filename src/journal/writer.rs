//! The only publisher of a journal.

use super::core::{JournalCore, Refusal, drop_overwritten};
use super::entry::Sequence;
use super::feed::Feed;
use super::gate::GateWaiter;
use crate::error::WriteError;
use crate::events::Events;
use crate::ring::blocks::Writer;
use crate::time::Deadline;
use std::fmt;
use std::sync::Arc;

/// The only publisher of a journal. Made by [`Journal::single`](crate::Journal::single).
///
/// It can be sent to another thread, but neither shared nor cloned. Dropping it closes the journal.
///
/// # Guarantees
/// - **Progress**: wait-free, but for [gating](crate::journal::Subscription::gating) subscribers: a publish costs a few plain stores, one
///   read-modify-write for each block of 64 events, and at most one system call, if subscribers sleep, however many.
/// - **Allocation**: none, save for a record that each thread makes once when it meets a gating subscriber. The event that is
///   overwritten is dropped here, as inside a delivery, where nothing waits.
///
/// # Examples
/// ```
/// let (mut writer, feed) = buslane::Journal::single(1024)?;
/// writer.publish("first")?;
/// let mut subscriber = feed.subscribe(buslane::journal::Start::Oldest)?;
/// assert_eq!(subscriber.recv()?.event(), Some("first"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JournalWriter<E: Send + Sync + 'static> {
    // In this order: dropping the writer closes the ring, and then each waiting thread is woken.
    writer: Writer<E>,
    shared: Bell<E>,
    waiter: GateWaiter,
}

/// Wakes each waiting thread when the ring is closed.
struct Bell<E>(Arc<JournalCore<E>>);

impl<E> Drop for Bell<E> {
    fn drop(&mut self) {
        self.0.closed();
    }
}

impl<E: Send + Sync + 'static> JournalWriter<E> {
    pub(super) fn new(writer: Writer<E>, shared: &Arc<JournalCore<E>>) -> Self {
        Self { writer, shared: Bell(shared.clone()), waiter: GateWaiter::new() }
    }

    /// Publishes an event; its place in the journal.
    ///
    /// # Errors
    /// [`WriteError::Timeout`] when a gating subscriber did not go on in time, and [`WriteError::Full`] when it is in the way
    /// inside a delivery, where nothing waits.
    ///
    /// # Panics
    /// When the `Drop` of the overwritten event does; the new event is published all the same.
    ///
    /// # Examples
    /// ```
    /// let (mut writer, feed) = buslane::Journal::single(16)?;
    /// assert_eq!(writer.publish("first")?.get(), 0);
    /// assert_eq!(writer.publish("second")?.get(), 1);
    /// assert_eq!(feed.next().get(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish(&mut self, event: E) -> Result<Sequence, WriteError<E>> {
        self.publish_until(event, Deadline::NEVER)
    }

    /// As [`publish`](Self::publish), without ever waiting.
    ///
    /// # Errors
    /// [`WriteError::Full`] when a gating subscriber is in the way.
    ///
    /// # Panics
    /// As for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Journal, WriteError};
    /// let (mut writer, feed) = Journal::single(64)?;
    /// let mut slow = feed.subscription().gating().subscribe()?;
    /// let refused = (0..).find_map(|n| writer.try_publish(n).err());
    /// let Some(WriteError::Full(next)) = refused else { unreachable!() };
    /// assert_eq!(slow.try_iter().count(), next); // it makes room
    /// writer.try_publish(next)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_publish(&mut self, event: E) -> Result<Sequence, WriteError<E>> {
        self.publish_until(event, Deadline::NOW)
    }

    #[inline(always)]
    fn publish_until(&mut self, event: E, deadline: Deadline) -> Result<Sequence, WriteError<E>> {
        let sequence = Sequence::new(self.writer.position());
        match self.writer.put_within(event) {
            Ok(old) => {
                self.finish(old);
                Ok(sequence)
            }
            Err(event) => self.publish_at_a_block(event, deadline),
        }
    }

    /// Shows what was written, wakes who sleeps, and drops what was overwritten.
    #[inline(always)]
    fn finish(&mut self, old: Option<E>) {
        self.writer.commit();
        self.shared.0.published();
        drop_overwritten(old, self.take_stale());
    }

    #[inline(always)]
    fn take_stale(&mut self) -> Option<E> {
        if self.writer.has_stale() { self.writer.take_stale() } else { None }
    }

    /// Publishes an event that begins a block, where subscribers may bar the way.
    #[cold]
    #[inline(never)]
    fn publish_at_a_block(&mut self, event: E, deadline: Deadline) -> Result<Sequence, WriteError<E>> {
        if let Some(refusal) = self.begin_block(deadline) {
            return Err(self.shared.0.refused(refusal, event));
        }
        let sequence = Sequence::new(self.writer.position());
        let old = self.writer.put(event);
        self.finish(old);
        Ok(sequence)
    }

    /// Publishes events in their order, and shows them together, block by block; the place of the first one.
    ///
    /// Takes a slice, an array or a vector, borrowed or owned: see [`Events`](crate::bus::Events). Owned events are moved into the
    /// journal, so they need not be `Clone`; each borrowed one is cloned when its turn comes.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish), with the events that were not published, which allocates.
    ///
    /// # Panics
    /// When a clone of a borrowed event does, or the `Drop` of an overwritten event: what was taken out until then is published.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::single(16)?;
    /// let first = writer.publish_batch(["one", "two", "three"])?;
    /// let mut subscriber = feed.subscribe(Start::At(first))?;
    /// let events: Vec<_> = subscriber.try_iter().filter_map(|entry| entry.event()).collect();
    /// assert_eq!(events, ["one", "two", "three"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_batch(&mut self, events: impl Events<E>) -> Result<Sequence, WriteError<Vec<E>>> {
        /// Shows what was written also when something unwinds.
        struct Commit<'a, E: Send + Sync + 'static>(&'a mut JournalWriter<E>);
        impl<E: Send + Sync + 'static> Drop for Commit<'_, E> {
            fn drop(&mut self) {
                self.0.writer.commit();
                self.0.shared.0.published();
            }
        }
        let first = Sequence::new(self.writer.position());
        let mut events = events.each();
        let commit = Commit(self);
        while let Some(event) = events.next() {
            let this = &mut *commit.0;
            let old = match this.writer.put_within(event) {
                Ok(old) => old,
                Err(event) => {
                    this.writer.commit();
                    if let Some(refusal) = this.begin_block(Deadline::NEVER) {
                        let left = std::iter::once(event).chain(events).collect();
                        return Err(this.shared.0.refused_all(refusal, left));
                    }
                    this.writer.put(event)
                }
            };
            drop_overwritten(old, this.take_stale());
        }
        Ok(first)
    }

    /// Goes on to the next block, and before that waits for gating subscribers, if they are in the way; the reason when they stay
    /// there.
    #[cold]
    fn begin_block(&mut self, deadline: Deadline) -> Option<Refusal> {
        let (shared, position) = (&*self.shared.0, self.writer.position());
        let mut limit = None;
        while shared.gates.bar(position, shared.capacity()) {
            // Who is in the way may be asleep, and not know yet what the batch has shown.
            shared.published();
            let passes = || Ok((!shared.gates.bar_slowly(position, shared.capacity())).then_some(()));
            let waited = shared.wait_for_gates(deadline, Some(&self.waiter), &mut limit, passes);
            if waited.is_err() {
                return waited.err();
            }
        }
        let stamp = shared.time.stamp();
        self.writer.begin_block(stamp);
        None
    }

    /// The handle through which others read the journal.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, _) = Journal::single(16)?;
    /// let mut subscriber = writer.feed().subscribe(Start::Now)?;
    /// writer.publish("event")?;
    /// assert_eq!(subscriber.recv()?.event(), Some("event"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn feed(&self) -> Feed<E> {
        Feed(self.shared.0.clone())
    }

    /// Closes the journal: subscribers read what is there, and then [`Closed`](crate::error::Closed).
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::single(16)?;
    /// writer.publish("event")?;
    /// writer.close();
    /// let mut late = feed.subscribe(Start::Oldest)?;
    /// assert_eq!(late.recv()?.event(), Some("event"));
    /// assert_eq!(late.recv(), Err(buslane::error::RecvError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(self) {
        drop(self);
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for JournalWriter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalWriter").field("next", &self.writer.position()).finish_non_exhaustive()
    }
}
