//! Journals: one stream of events with history in a shared ring buffer (SPMC, MPMC), for any number
//! of subscribers.
//!
//! | item | what it is |
//! |---|---|
//! | [`Journal`], [`JournalBuilder`] | a handle that publishes and subscribes, and its settings |
//! | [`JournalWriter`] | the only writer of a journal that has one |
//! | [`Feed`] | a handle that subscribes and cannot publish |
//! | [`Subscriber`], [`Subscription`] | a cursor into the stream, and its settings |
//! | [`Start`], [`Until`], [`OnLag`] | where a subscriber begins and ends, and what it does when it lags |
//! | [`Entry`], [`Sequence`] | an event with its position, or the number of events missed; a position |
//! | [`RecvEntry`] | the future of `recv_async` |
//! | [`Iter`], [`IntoIter`], [`TryIter`] | the iterators of a subscriber |
//!
//! # Examples
//! ```
//! use buslane::Journal;
//! use buslane::journal::Start;
//! let journal = Journal::new(1024)?;
//! journal.publish("started")?;
//! let mut late = journal.subscribe(Start::Oldest)?;
//! assert_eq!(late.recv()?.event(), Some("started"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounds;
mod builder;
mod core;
mod entry;
mod feed;
mod gate;
mod iter;
mod publish;
mod seat;
mod sink;
mod subscriber;
mod subscription;
mod time;
mod writer;

pub use crate::ring::blocks::OnLag;
pub use builder::JournalBuilder;
pub use entry::{Entry, Sequence, Start, Until};
pub use feed::Feed;
pub use iter::{IntoIter, Iter, TryIter};
pub use subscriber::{RecvEntry, Subscriber};
pub use subscription::Subscription;
pub use writer::JournalWriter;

use self::core::JournalCore;
use crate::error::{BuildError, SubscribeError, WriteError};
use crate::events::Events;
use crate::ring::blocks::SharedWriter;
use crate::stats::SinkState;
use crate::time::Deadline;
use publish::{publish, publish_batch};
use std::fmt;
use std::sync::Arc;

/// A stream of events in one total order that keeps the newest ones, for any number of subscribers.
///
/// Publishing costs the same for one subscriber or 10 000, also where some of them stall (gating
/// ones cost a load each, once in a block of 64 events). Each [`Subscriber`] has a place of its
/// own, begins where it likes, also in the past, and goes on from there without a gap. One that is
/// too slow is told how many events it has missed; nobody waits for it, unless it is asked for.
///
/// It is a [`Sink`](crate::Sink): on a bus it makes everything published replayable. Clones are
/// handles to the same journal; when the last one goes, the journal is closed.
///
/// # Guarantees
/// - **Order**: one total order, the same for every subscriber; every accepted event gets the next
///   [`Sequence`].
/// - **Delivery**: the newest [`capacity`](JournalBuilder::capacity) events are kept, closed or
///   not. What a subscriber misses is counted exactly, and told before it gets any event that is
///   kept.
/// - **Progress**: a subscriber that is slow, stands still or was forgotten holds nobody up, apart
///   from [gating](Subscription::gating) ones. Publishers take turns, a few nanoseconds each, by
///   one read-modify-write; one that loses its processor just then holds the other publishers up
///   until it runs again. Whoever must never wait for another publisher puts a
///   [`Queue`](crate::Queue) in front, or is the only one: [`single`](Self::single).
/// - **Allocation**: [`publish`](Self::publish) and [`try_publish`](Self::try_publish) allocate
///   nothing, save for a record that each thread makes once when it meets a gating subscriber, and
///   for a wait for one. [`publish_batch`](Self::publish_batch) allocates if events have
///   destructors. The event that is overwritten is dropped on the publisher's thread, when others
///   may publish again; its destructor runs as inside a delivery, where nothing waits, and a panic
///   of it is caught there ([the rule](crate::docs::protocols#destructors-that-panic)). Subscribing
///   allocates a block of 64 events when there are more subscribers than ever before.
/// - **Wake-ups**: none when nobody sleeps; else one system call per publish at most: those who
///   sleep wake each other.
///
/// # Examples
/// ```
/// use buslane::{Bus, Journal};
/// use buslane::journal::{Entry, Start};
/// let journal = Journal::new(65_536)?;
/// let bus = Bus::new();
/// bus.add(journal.clone())?;
/// bus.publish("before")?;
/// let mut late = journal.subscribe(Start::Last(64))?;
/// bus.publish("after")?;
/// bus.close();
/// let mut seen = Vec::new();
/// while let Ok(entry) = late.recv() {
///     match entry {
///         Entry::Event(sequence, event) => seen.push((sequence.get(), event)),
///         Entry::Lagged(missed) => eprintln!("{missed} missed"),
///         _ => {}
///     }
/// }
/// assert_eq!(seen, [(0, "before"), (1, "after")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Journal<E: Send + Sync + 'static>(Arc<JournalHandle<E>>);

/// Closes the journal when the last of them goes.
struct JournalHandle<E: Send + Sync + 'static> {
    writer: SharedWriter<E>,
    shared: Arc<JournalCore<E>>,
}

impl<E: Send + Sync + 'static> Journal<E> {
    /// Makes a journal that keeps the newest `capacity` events, with the default settings.
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid, or its memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(1024)?;
    /// journal.publish("event")?;
    /// let mut late = journal.subscribe(Start::Oldest)?;
    /// assert_eq!(late.recv()?.event(), Some("event"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(capacity: usize) -> Result<Self, BuildError> {
        Self::builder().capacity(capacity).build()
    }

    /// Makes a journal with one publisher, which needs no read-modify-write for each event, and the
    /// handle through which others read it.
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid, or its memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let (mut writer, feed) = Journal::single(1024)?;
    /// let mut subscriber = feed.subscribe(Start::Now)?;
    /// writer.publish("event")?;
    /// assert_eq!(subscriber.recv()?.event(), Some("event"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn single(capacity: usize) -> Result<(JournalWriter<E>, Feed<E>), BuildError> {
        Self::builder().capacity(capacity).build_single()
    }

    /// A builder with the default settings.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// use std::time::SystemTime;
    /// let journal = Journal::builder().capacity(256).sample_time().build()?;
    /// journal.publish("event")?;
    /// let mut all = journal.subscribe(Start::Since(SystemTime::UNIX_EPOCH))?;
    /// assert_eq!(all.recv()?.event(), Some("event"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> JournalBuilder<E> {
        JournalBuilder::new()
    }

    /// Publishes an event; its place in the journal.
    ///
    /// # Errors
    /// [`WriteError::Closed`] when the journal is closed, [`WriteError::Timeout`] when a gating
    /// subscriber did not go on in time, and [`WriteError::Full`] when it is in the way inside a
    /// delivery, where nothing waits.
    ///
    /// # Panics
    /// When the `Drop` of the overwritten event does; the new event is published all the same.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// let journal = Journal::new(16)?;
    /// assert_eq!(journal.publish("first")?.get(), 0);
    /// assert_eq!(journal.publish("second")?.get(), 1);
    /// journal.close();
    /// let back = journal.publish("third").unwrap_err();
    /// assert!(back.is_closed());
    /// assert_eq!(back.into_event(), "third");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish(&self, event: E) -> Result<Sequence, WriteError<E>> {
        publish(&self.0.writer, &self.0.shared, event, Deadline::NEVER, None)
    }

    /// As [`publish`](Self::publish), without ever waiting for a subscriber.
    ///
    /// # Errors
    /// [`WriteError::Closed`] when the journal is closed, and [`WriteError::Full`] when a gating
    /// subscriber is in the way.
    ///
    /// # Panics
    /// As for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Journal, WriteError};
    /// let journal = Journal::new(64)?;
    /// let mut slow = journal.subscription().gating().subscribe()?;
    /// let refused = (0..).find_map(|n| journal.try_publish(n).err());
    /// let Some(WriteError::Full(next)) = refused else { unreachable!() };
    /// assert_eq!(slow.try_iter().count(), next); // it makes room
    /// journal.try_publish(next)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_publish(&self, event: E) -> Result<Sequence, WriteError<E>> {
        publish(&self.0.writer, &self.0.shared, event, Deadline::NOW, None)
    }

    /// Publishes events in their order, with no other publisher's between them unless it has to
    /// wait for a gating subscriber; the place of the first one. Other publishers wait as long as
    /// it takes to move the events into the journal.
    ///
    /// Takes a slice, an array or a vector, borrowed or owned: see [`Events`]. Owned events are
    /// moved into the journal, so they need not be `Clone`; borrowed ones are cloned first.
    ///
    /// Allocates if events are borrowed, and if they have destructors, to keep what is overwritten
    /// until other publishers continue.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish), with the events that were not published. A
    /// [`Publisher`](crate::Publisher) gives none back, because each of its sinks may have another
    /// rest: its [`publish_batch`](crate::Publisher::publish_batch) fails with
    /// [`Closed`](crate::error::Closed) alone.
    ///
    /// # Panics
    /// As for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(16)?;
    /// journal.publish("one")?;
    /// let first = journal.publish_batch(["two", "three"])?;
    /// let mut subscriber = journal.subscribe(Start::At(first))?;
    /// let events: Vec<_> = subscriber.try_iter().filter_map(|entry| entry.event()).collect();
    /// assert_eq!(events, ["two", "three"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_batch(&self, events: impl Events<E>) -> Result<Sequence, WriteError<Vec<E>>> {
        publish_batch(&self.0.writer, &self.0.shared, events)
    }

    /// Makes a subscriber that begins at `start`, with the default settings. On a closed journal it
    /// reads what is kept, and then [`Closed`](crate::error::Closed).
    ///
    /// # Guarantees
    /// Copies nothing. History and what follows join without a gap and without a repetition.
    ///
    /// # Errors
    /// [`SubscribeError`] when it cannot begin there, or there is no memory for a block of 64
    /// events.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(16)?;
    /// for n in 0..5 {
    ///     journal.publish(n)?;
    /// }
    /// let mut last = journal.subscribe(Start::Last(2))?;
    /// journal.publish(5)?;
    /// let events: Vec<_> = last.try_iter().filter_map(|entry| entry.event()).collect();
    /// assert_eq!(events, [3, 4, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe(&self, start: Start) -> Result<Subscriber<E>, SubscribeError> {
        self.subscription().start(start).subscribe()
    }

    /// The settings of a subscriber.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(16)?;
    /// for n in 0..5 {
    ///     journal.publish(n)?;
    /// }
    /// let mut odd = journal.subscription().start(Start::Oldest).filter(|n| n % 2 == 1).subscribe()?;
    /// let events: Vec<_> = odd.try_iter().filter_map(|entry| entry.event()).collect();
    /// assert_eq!(events, [1, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscription(&self) -> Subscription<E> {
        Subscription::new(&self.0.shared)
    }

    /// The handle for those who only read.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(16)?;
    /// let feed = journal.feed();
    /// let reader = std::thread::spawn(move || {
    ///     let mut subscriber = feed.subscribe(Start::Oldest).ok()?;
    ///     subscriber.recv().ok()?.event()
    /// });
    /// journal.publish(7)?;
    /// assert_eq!(reader.join().unwrap(), Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn feed(&self) -> Feed<E> {
        Feed(self.0.shared.clone())
    }

    /// Closes the journal: it takes no more events; what it keeps stays readable.
    ///
    /// Returns nothing, because it waits for no consumer; the close of a bus or a queue waits for
    /// them, and returns a report.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// let journal = Journal::new(16)?;
    /// journal.publish("event")?;
    /// journal.close();
    /// let mut late = journal.subscribe(Start::Oldest)?;
    /// assert_eq!(late.recv()?.event(), Some("event"));
    /// assert_eq!(late.recv(), Err(buslane::error::RecvError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        self.0.close();
    }

    /// What the journal says about itself and its subscribers.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use buslane::journal::Start;
    /// use buslane::stats::SinkKind;
    /// let journal = Journal::new(16)?;
    /// let _late = journal.subscription().start(Start::Now).name("dashboard").subscribe()?;
    /// journal.publish("event")?;
    /// let state = journal.state();
    /// assert_eq!((state.kind, state.ledger.accepted), (SinkKind::Journal, 1));
    /// assert_eq!(state.subscribers[0].to_string(), "dashboard (next 0, behind 1): offered 1 = accepted 1; \
    ///     accepted 1 = delivered 0 + pending 1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SinkState {
        self.feed().state()
    }
}

impl<E: Send + Sync + 'static> JournalHandle<E> {
    fn close(&self) {
        if self.writer.close() {
            self.shared.closed();
        }
    }
}

impl<E: Send + Sync + 'static> Drop for JournalHandle<E> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<E: Send + Sync + 'static> Clone for Journal<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for Journal<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("state", &self.state()).finish()
    }
}
