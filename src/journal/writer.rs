//! The single writer of a journal.

use super::core::{JournalCore, Refusal, drop_overwritten};
use super::entry::Sequence;
use super::feed::Feed;
use super::gate::GateWaiter;
use crate::error::WriteError;
use crate::events::Events;
use crate::ring::blocks::Writer;
use crate::time::Deadline;
use crate::wait::Sleepers;
use std::fmt;
use std::sync::Arc;

/// The single writer of a journal, created by [`Journal::single`](crate::Journal::single).
///
/// The writer can be sent to another thread, but neither shared nor cloned. Dropping it closes the
/// journal.
///
/// # Guarantees
/// - **Progress**: publishing is wait-free unless there are
///   [gating](crate::journal::Subscription::gating) subscribers. A publish costs a few plain stores
///   and one read-modify-write per block of 64 events. If subscribers are parked, however many, it
///   makes at most one system call.
/// - **Allocation**: none, except for one record that each thread allocates the first time it meets
///   a gating subscriber.
/// - **Destructors**: the overwritten event is dropped on the writer's thread. Its destructor runs
///   as inside a delivery, where nothing waits, and its panic is caught ([the
///   rule](crate::docs::protocols#destructors-that-panic)).
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
    // The order of fields matters: dropping the writer closes the ring, and only then is each
    // waiting thread woken.
    writer: Writer<E>,
    shared: Bell<E>,
    waiter: GateWaiter,
    /// As in `shared`, one load nearer.
    sleepers: Arc<Sleepers>,
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
        let sleepers = shared.sleepers.clone();
        Self { writer, shared: Bell(shared.clone()), waiter: GateWaiter::new(), sleepers }
    }

    /// Publishes an event and returns its position in the journal.
    ///
    /// # Errors
    /// [`WriteError::Timeout`] when a gating subscriber did not make room in time, and
    /// [`WriteError::Full`] when a gating subscriber blocks the publish inside a delivery, where
    /// nothing waits.
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

    /// Publishes an event like [`publish`](Self::publish), but never waits.
    ///
    /// # Errors
    /// [`WriteError::Full`] when a gating subscriber has not read the events to be overwritten.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Journal, WriteError};
    /// let (mut writer, feed) = Journal::single(64)?;
    /// let mut slow = feed.subscription().gating().subscribe()?;
    /// let refused = (0..).find_map(|n| writer.try_publish(n).err());
    /// let Some(WriteError::Full(next)) = refused else { unreachable!() };
    /// assert_eq!(slow.try_iter().count(), next); // reading makes room
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
                self.show(old);
                Ok(sequence)
            }
            Err(event) => self.publish_at_a_block(event, deadline),
        }
    }

    /// Makes the written events visible, wakes parked subscribers, and drops what was overwritten.
    #[inline(always)]
    fn show(&mut self, old: Option<E>) {
        self.writer.commit();
        self.sleepers.wake();
        drop_overwritten(old, self.take_stale());
    }

    #[inline(always)]
    fn take_stale(&mut self) -> Option<E> {
        if self.writer.has_stale() { self.writer.take_stale() } else { None }
    }

    /// Publishes an event that begins a block, where gating subscribers may block it.
    #[cold]
    #[inline(never)]
    fn publish_at_a_block(&mut self, event: E, deadline: Deadline) -> Result<Sequence, WriteError<E>> {
        if let Some(refusal) = self.begin_block(deadline) {
            return Err(self.shared.0.refused(refusal, event));
        }
        let sequence = Sequence::new(self.writer.position());
        let old = self.writer.put(event);
        self.show(old);
        Ok(sequence)
    }

    /// Publishes events in their order and returns the position of the first one.
    ///
    /// The events become visible one block of 64 at a time. `events` is a slice, an array or a
    /// vector, borrowed or owned: see [`Events`](crate::bus::Events). Owned events are moved into
    /// the journal, so they need not be `Clone`. Each borrowed event is cloned right before it is
    /// written.
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), with the events that were not published;
    /// collecting them allocates. The [`publish_batch`](crate::Publisher::publish_batch) of a
    /// [`Publisher`](crate::Publisher) returns no events, because each of its sinks may have
    /// refused different ones: it fails only with [`Closed`](crate::error::Closed).
    ///
    /// # Panics
    /// When the `clone` of a borrowed event panics. The events before it are published.
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
        /// Makes the written events visible even if a clone unwinds.
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

    /// Begins the next block, after waiting for the gating subscribers that block it. Returns the
    /// reason for a refusal if they do not advance.
    #[cold]
    fn begin_block(&mut self, deadline: Deadline) -> Option<Refusal> {
        let (shared, position) = (&*self.shared.0, self.writer.position());
        let mut limit = None;
        while shared.gates.bar(position, shared.capacity()) {
            // A gating subscriber may be parked, without having seen the events of this batch.
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

    /// Returns a handle that can subscribe but not publish.
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

    /// Closes the journal: subscribers read the kept events, and then
    /// [`RecvError::Closed`](crate::error::RecvError::Closed).
    ///
    /// This method waits for no subscriber and so has no report to return. Closing a bus or a queue
    /// waits for the consumers and returns a report.
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
