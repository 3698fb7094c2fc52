//! Journals: one stream of events with history in a shared ring buffer (SPMC, MPMC), for any number
//! of subscribers.
//!
//! | item | what it is |
//! |---|---|
//! | [`Journal`], [`JournalBuilder`] | a handle that publishes and subscribes, and its settings |
//! | [`JournalWriter`] | the only writer of a journal that has one |
//! | [`Feed`] | a handle that subscribes and cannot publish |
//! | [`Subscriber`], [`Subscription`] | a cursor into the stream, and its settings |
//! | [`Start`], [`Until`], [`OnLag`] | where a subscriber begins and ends, and where it continues after a lag |
//! | [`Entry`], [`Sequence`] | an event with its position, or the number of missed events; a position |
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

mod biased;
mod bounds;
mod builder;
mod core;
mod entry;
mod feed;
mod gate;
mod iter;
mod publish;
mod room;
mod seat;
mod sink;
mod subscriber;
mod subscription;
mod time;
mod writer;

pub use crate::ring::blocks::OnLag;
pub(crate) use biased::BiasedWriter;
pub use builder::JournalBuilder;
pub use entry::{Entry, Sequence, Start, Until};
pub use feed::Feed;
pub use iter::{IntoIter, Iter, TryIter};
pub(crate) use subscriber::OpenGate;
pub use subscriber::{RecvEntry, Subscriber};
pub use subscription::Subscription;
pub use writer::JournalWriter;

use self::core::JournalCore;
use crate::error::{BuildError, SubscribeError, WriteError};
use crate::events::Events;
use crate::ring::blocks::SharedWriter;
use crate::sink::lane::RoomWait;
use crate::sink::{AsyncWrite, UntilClosed, WriteAsync};
use crate::stats::SinkState;
use crate::time::Deadline;
use publish::{publish, publish_batch};
use std::fmt;
use std::sync::Arc;

/// A totally ordered stream of events that keeps the newest ones, for any number of subscribers.
///
/// Publishing costs the same for one subscriber as for 10 000, even if some of them stall. Only
/// gating subscribers cost more: one load each per block of 64 events.
///
/// Each [`Subscriber`] has its own position. It begins at the next event or at an earlier one, and
/// continues from there without a gap. A slow subscriber learns how many events it missed.
/// Publishers wait only for [gating](Subscription::gating) subscribers.
///
/// A journal is a [`Sink`](crate::Sink): on a bus it makes every published event replayable. A
/// clone is another handle to the same journal. Dropping the last handle closes the journal.
///
/// # Guarantees
/// - **Order**: one total order, the same for every subscriber. Every accepted event gets the next
///   [`Sequence`].
/// - **Delivery**: the newest [`capacity`](JournalBuilder::capacity) events are kept, also after a
///   close. A subscriber learns the exact number of events that it missed before it gets the next
///   kept event.
/// - **Progress**: a slow, stalled or leaked subscriber delays no publisher and no other
///   subscriber, unless it is [gating](Subscription::gating). Publishers take turns of a few
///   nanoseconds each, by one read-modify-write. A [`Publisher`](crate::Publisher) of a bus that is
///   the only writer for a while pays that once in 64 events. A publisher that is preempted during
///   its turn delays the others until it runs again. To avoid that wait, put a
///   [`Queue`](crate::Queue) upstream of the journal, or use a single publisher:
///   [`single`](Self::single).
/// - **Allocation**: [`publish`](Self::publish) and [`try_publish`](Self::try_publish) do not
///   allocate, with two exceptions: each thread allocates one record the first time it meets a
///   gating subscriber, and a wait for a gating subscriber allocates.
///   [`publish_batch`](Self::publish_batch) allocates if events are borrowed or have destructors.
///   Subscribing allocates a block of 64 events when there are more subscribers than ever before.
/// - **Destructors**: the overwritten event is dropped on the publisher's thread, after other
///   publishers may continue. Its destructor runs as inside a delivery, where nothing waits, and
///   its panic is caught ([the rule](crate::docs::protocols#destructors-that-panic)).
/// - **Wake-ups**: no system call if no subscriber is parked, else at most one per publish. Woken
///   subscribers wake the others.
/// - **Other system calls**: the first publish beside a publisher of a bus that was the only writer
///   interrupts the threads of the process once or twice
///   ([why](crate::docs::protocols#the-journal)).
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

/// Closes the journal when the last [`Journal`] is dropped.
struct JournalHandle<E: Send + Sync + 'static> {
    writer: SharedWriter<E>,
    shared: Arc<JournalCore<E>>,
}

impl<E: Send + Sync + 'static> Journal<E> {
    /// Creates a journal that keeps the newest `capacity` events, with the default settings.
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

    /// Creates a journal with a single publisher, and a handle for subscribing to it.
    ///
    /// The single publisher needs no read-modify-write per event.
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

    /// Returns a builder with the default settings.
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

    /// Publishes an event and returns its position in the journal.
    ///
    /// # Errors
    /// - [`WriteError::Closed`] when the journal is closed.
    /// - [`WriteError::Timeout`] when a gating subscriber did not make room in time.
    /// - [`WriteError::Full`] when a gating subscriber blocks the publish inside a delivery, where
    ///   nothing waits.
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

    /// Publishes an event like [`publish`](Self::publish), but never waits for a subscriber.
    ///
    /// # Errors
    /// [`WriteError::Closed`] when the journal is closed, and [`WriteError::Full`] when a gating
    /// subscriber has not read the events to be overwritten.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Journal, WriteError};
    /// let journal = Journal::new(64)?;
    /// let mut slow = journal.subscription().gating().subscribe()?;
    /// let refused = (0..).find_map(|n| journal.try_publish(n).err());
    /// let Some(WriteError::Full(next)) = refused else { unreachable!() };
    /// assert_eq!(slow.try_iter().count(), next); // reading makes room
    /// journal.try_publish(next)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn try_publish(&self, event: E) -> Result<Sequence, WriteError<E>> {
        publish(&self.0.writer, &self.0.shared, event, Deadline::NOW, None)
    }

    /// Returns a future that publishes an event, and waits as a task while a gating subscriber has not
    /// read the events to be overwritten.
    ///
    /// The [gate limit](JournalBuilder::gate_limit) does not apply, since the crate has no timers:
    /// bound the future with the timer of the runtime. Without a gating subscriber the first poll is
    /// ready.
    ///
    /// # Cancel safety
    /// The event is gone with a future that is dropped before it is ready. It is not in the journal.
    ///
    /// # Errors
    /// [`WriteError::Closed`] when the journal is closed.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use futures::{executor::block_on, join};
    /// let journal = Journal::new(64)?;
    /// let mut slow = journal.subscription().gating().subscribe()?;
    /// let publish = async {
    ///     for n in 0..200 {
    ///         journal.publish_async(n).await.expect("the journal is open");
    ///     }
    ///     journal.close();
    /// };
    /// let read = async {
    ///     let mut sum = 0;
    ///     while let Ok(entry) = slow.recv_async().await {
    ///         sum += entry.event().expect("a gating subscriber misses nothing");
    ///     }
    ///     sum
    /// };
    /// assert_eq!(block_on(async { join!(publish, read) }).1, 19_900);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_async(&self, event: E) -> WriteAsync<'_, E, Sequence> {
        WriteAsync::new(self, event)
    }

    /// Publishes events in their order and returns the position of the first one.
    ///
    /// The events are contiguous, unless the call has to wait for a gating subscriber: then events
    /// of other publishers may come between. Other publishers wait while the events are moved into
    /// the journal.
    ///
    /// `events` is a slice, an array or a vector, borrowed or owned: see [`Events`]. Owned events
    /// are moved into the journal, so they need not be `Clone`. Borrowed events are all cloned
    /// first.
    ///
    /// The call allocates if events are borrowed. It also allocates if events have destructors, to
    /// keep the overwritten events until other publishers may continue.
    ///
    /// # Errors
    /// The errors of [`publish`](Self::publish), with the events that were not published. The
    /// [`publish_batch`](crate::Publisher::publish_batch) of a [`Publisher`](crate::Publisher)
    /// returns no events, because each of its sinks may have refused different ones: it fails only
    /// with [`Closed`](crate::error::Closed).
    ///
    /// # Panics
    /// When the `clone` of a borrowed event panics. No event is published then.
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

    /// Creates a subscriber that begins at `start`, with the default settings.
    ///
    /// On a closed journal the subscriber reads the kept events, and then
    /// [`RecvError::Closed`](crate::error::RecvError::Closed).
    ///
    /// # Guarantees
    /// Subscribing copies no event. History and live events join without a gap or a repetition.
    ///
    /// # Errors
    /// [`SubscribeError`] when the subscriber cannot begin at `start`, or the memory for a block of
    /// 64 events cannot be allocated.
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

    /// Returns the settings of a new subscriber.
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

    /// Returns a handle that can subscribe but not publish.
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

    /// Closes the journal to new events; kept events stay readable.
    ///
    /// This method waits for no subscriber and so has no report to return. Closing a bus or a queue
    /// waits for the consumers and returns a report.
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

    /// Returns a future that is ready when the journal is closed.
    ///
    /// The future does not keep the journal open. It may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use buslane::Journal;
    /// use futures::executor::block_on;
    /// let journal = Journal::<u32>::new(16)?;
    /// let closed = journal.closed();
    /// drop(journal);
    /// block_on(closed);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn closed(&self) -> UntilClosed {
        self.feed().closed()
    }

    /// Returns the state of the journal and of its subscribers.
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

impl<E: Send + Sync + 'static> AsyncWrite<E, Sequence> for Journal<E> {
    fn attempt(&self, event: E) -> Result<Sequence, WriteError<E>> {
        self.try_publish(event)
    }

    fn may_wait(&self) -> bool {
        true
    }

    fn full(&self, _event: &E) -> Option<RoomWait> {
        JournalCore::full(&self.0.shared, None).map(RoomWait::new)
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
