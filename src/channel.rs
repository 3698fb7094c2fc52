//! Channels: a sink whose events the user's code reads by polling, blocking, iterating or awaiting.
//!
//! | item | what it is |
//! |---|---|
//! | [`Channel`], [`ChannelBuilder`] | the writing half, which is a [`Sink`], and its settings |
//! | [`Receiver`] | the reading half |
//! | [`SharedReceiver`] | one of several receivers that share the events: each event goes to one of them (MPMC) |
//! | [`Kind`], [`Exclusive`], [`Shared`] | the type parameter of a receiver, for code that takes both kinds |
//! | [`Recv`] | the future of `recv_async` |
//! | [`Iter`], [`IntoIter`], [`TryIter`], [`Drain`] | the iterators of a receiver |
#![cfg_attr(
    feature = "async",
    doc = "| [`Entries`], [`Entry`] | the events of a receiver and what was lost, as a `Stream` (feature `async`) |"
)]
//!
//! # Examples
//! ```
//! use buslane::Bus;
//! let bus = Bus::new();
//! let mut receiver = bus.subscribe_lossy(256)?;
//! bus.publish("started")?;
//! bus.publish("stopped")?;
//! bus.close(); // accepted events stay readable
//! assert_eq!(receiver.iter().collect::<Vec<_>>(), ["started", "stopped"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod drain;
mod iter;
mod kind;
mod polling;
mod receiver;
#[cfg(feature = "async")]
mod stream;

pub use builder::ChannelBuilder;
pub use iter::{Drain, IntoIter, Iter, TryIter};
pub use kind::{Exclusive, Kind, Shared};
pub use polling::Recv;
pub use receiver::{Receiver, SharedReceiver};
#[cfg(feature = "async")]
pub use stream::{Entries, Entry};

use crate::error::{BuildError, OutOfMemory, WriteError};
use crate::mailbox::overflow::Overflow;
use crate::mailbox::shared_push::SharedPush;
use crate::mailbox::{End, Goal, Mailbox};
use crate::sink::lane::{Internal, Lane, RoomWait, SharedAccess};
use crate::sink::{AsyncWrite, FlushAsync, Sink, SinkKey, UntilClosed, WriteAsync};
use crate::stats::{
    Awaited, CloseReport, Disposition, Finish, FlushReport, Flushing, Ledgers, SinkKind, SinkState, Weight,
};
use crate::sync;
use crate::time::Deadline;
use crate::wait::WaitList;
use crate::wait::context::{must_not_wait, waits_are_deferred};
use crate::wait::list::task::{Condition, TaskWait};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The writing half of a channel, whose [`Receiver`] the user polls, blocks on, iterates or awaits.
///
/// A clone is another handle to the same channel. Dropping the last handle closes the channel. A
/// channel may also have several receivers, where each event goes to one of them:
/// [`shared_lossy`](Self::shared_lossy), [`shared_lossless`](Self::shared_lossless).
///
/// # Guarantees
/// As for a [`Queue`](crate::Queue), with the reader in place of the worker:
/// - Publishing through a private lane is wait-free.
/// - The events of each publisher arrive in first-in-first-out order.
/// - Every lost event is counted.
/// - Closing does not wait for the reader. Unread events stay readable; after them the reader gets
///   [`RecvError::Closed`](crate::error::RecvError::Closed).
///
/// `Ok` from [`write`](Sink::write) means accepted, but under [`Overflow::DropNewest`], the
/// default, a full channel has dropped the event. [`offer`](Sink::offer) returns whether it did.
///
/// # Examples
/// ```
/// use buslane::{Bus, Channel};
/// use buslane::error::RecvError;
/// let (channel, mut receiver) = Channel::lossy(16)?;
/// let bus = Bus::new();
/// bus.add(channel)?;
/// bus.publish("hello")?;
/// bus.close();
/// assert_eq!(receiver.recv(), Ok("hello"));
/// assert_eq!(receiver.recv(), Err(RecvError::Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Channel<E: Send + 'static>(Arc<ChannelHandle<E>>);

/// Closes the channel when the last [`Channel`] is dropped.
struct ChannelHandle<E: Send + 'static>(sync::Arc<Mailbox<E>>);

impl<E: Send + 'static> Channel<E> {
    /// Creates a channel for `capacity` events per publisher that drops the newest event when it is
    /// full.
    ///
    /// A write into a full channel returns `Ok`; the event is dropped and counted.
    /// [`Receiver::lost`] returns the number of lost events. A [`lossless`](Self::lossless) channel
    /// waits for room instead, and [`builder`](Self::builder) offers the other policies.
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(2)?;
    /// for n in 0..3 {
    ///         channel.write(n)?; // there is no room for the last event: it is dropped and counted
    /// }
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 1]);
    /// assert_eq!(receiver.lost(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lossy(capacity: usize) -> Result<(Self, Receiver<E>), BuildError> {
        Self::builder().capacity(capacity).build()
    }

    /// Creates a channel for `capacity` events per publisher that blocks its writers when it is
    /// full.
    ///
    /// A write into a full channel waits until the reader makes room or the channel is closed:
    /// [`Overflow::Block`]. Inside a delivery the write does not wait: a full channel refuses the
    /// event. A reader that stalls blocks its publishers.
    ///
    /// A waiting write [blocks the thread](crate::docs::async_code), also in an async task, and may
    /// consume an `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid, or its memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossless(2)?;
    /// let reader = std::thread::spawn(move || receiver.iter().sum::<u32>());
    /// for n in 1..=100 {
    ///         channel.write(n)?; // waits for room when the channel is full
    /// }
    /// channel.close();
    /// assert_eq!(reader.join().unwrap(), 5050);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lossless(capacity: usize) -> Result<(Self, Receiver<E>), BuildError> {
        Self::builder().capacity(capacity).overflow(Overflow::Block).build()
    }

    /// Creates a channel for `capacity` events in all that drops the newest event when it is full,
    /// and whose receiver can be cloned.
    ///
    /// Each event goes to one of the receivers. A write into a full channel returns `Ok`; the event
    /// is dropped and counted, as in a [`lossy`](Self::lossy) channel.
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid, or its memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel};
    /// let (channel, mut one) = Channel::shared_lossy(16)?;
    /// let mut other = one.clone();
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// (0..4).for_each(|n| { let _ = bus.publish(n); });
    /// bus.close();
    /// assert_eq!((one.recv()?, other.recv()?), (0, 1));
    /// assert_eq!(one.iter().chain(other.iter()).collect::<Vec<_>>(), [2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shared_lossy(capacity: usize) -> Result<(Self, SharedReceiver<E>), BuildError> {
        Self::builder().capacity(capacity).build_shared()
    }

    /// Creates a channel for `capacity` events in all that blocks its writers when it is full, and
    /// whose receiver can be cloned.
    ///
    /// Each event goes to one of the receivers. A write into a full channel waits, as in a
    /// [`lossless`](Self::lossless) channel, until one of the receivers makes room or the channel
    /// is closed.
    ///
    /// A waiting write [blocks the thread](crate::docs::async_code), also in an async task, and may
    /// consume an `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid, or its memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::shared_lossless(2)?;
    /// let readers = [receiver.clone(), receiver].map(|mut receiver| {
    ///         std::thread::spawn(move || receiver.iter().sum::<u32>())
    /// });
    /// for n in 1..=100 {
    ///         channel.write(n)?; // waits for room when the channel is full
    /// }
    /// channel.close();
    /// assert_eq!(readers.map(|reader| reader.join().unwrap()).iter().sum::<u32>(), 5050);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shared_lossless(capacity: usize) -> Result<(Self, SharedReceiver<E>), BuildError> {
        Self::builder().capacity(capacity).overflow(Overflow::Block).build_shared()
    }

    /// Returns a builder with the default settings.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Overflow};
    /// let (channel, receiver) = Channel::<u32>::builder().capacity(64).overflow(Overflow::Block).build()?;
    /// assert_eq!(channel.state().capacity, 64);
    /// # drop(receiver);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn builder() -> ChannelBuilder<E> {
        ChannelBuilder::new()
    }

    /// Closes the channel to new events; unread events stay readable.
    ///
    /// This method does not wait for the reader and so has no report to return. Closing a bus or a
    /// queue waits for the consumers and returns a report.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvError;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// channel.close();
    /// assert!(channel.write(2).is_err_and(|error| error.is_closed()));
    /// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        self.0.0.seal(End::Closed);
    }

    /// Waits until every event that was accepted before this call has been read, for at most
    /// `limit`.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::stats::Finish;
    /// use std::time::Duration;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// assert_eq!(channel.flush_timeout(Duration::ZERO).finish, Finish::TimedOut);
    /// assert_eq!(receiver.recv()?, 1);
    /// assert!(channel.flush_timeout(Duration::ZERO).is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_timeout(&self, limit: Duration) -> FlushReport {
        let mut report = FlushReport::default();
        let deadline = Deadline::after(limit);
        self.flush_by(deadline, &mut report);
        report.settle(deadline);
        report
    }

    /// Returns a future that waits until every event that was accepted before its first poll has been
    /// read.
    ///
    /// It has no limit: bound it with the timer of the runtime. Inside a delivery it is ready at once,
    /// with [`Finish::Pending`].
    ///
    /// # Cancel safety
    /// The future may be dropped at any time, and the channel flushed again.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use futures::{executor::block_on, join};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// let (report, event) = block_on(async { join!(channel.flush_async(), receiver.recv_async()) });
    /// assert!(report.is_done() && event == Ok(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_async(&self) -> FlushAsync {
        // Does not keep the channel open.
        let mailbox = self.0.0.clone();
        FlushAsync::new(move || {
            let mut report = FlushReport::default();
            if must_not_wait() {
                report.note(Finish::Pending);
            } else {
                let goal = Arc::new(mailbox.goal());
                report.tell(Arc::new(ChannelFlush { mailbox, goal }));
            }
            report
        })
    }

    /// Returns a future that writes an event, and waits for room as a task.
    ///
    /// It waits where [`write`](Sink::write) would block the thread, without a limit: bound it with
    /// the timer of the runtime. A channel that drops, evicts or refuses makes it wait for nothing.
    ///
    /// # Cancel safety
    /// The event is gone with a future that is dropped before it is ready. It is not in the channel.
    ///
    /// # Errors
    /// Those of [`write`](Sink::write), with the event.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::Channel;
    /// use futures::{executor::block_on, join};
    /// let (channel, mut receiver) = Channel::lossless(1)?;
    /// let write = async {
    ///     for n in 0..10 {
    ///         channel.write_async(n).await?;
    ///     }
    ///     channel.close();
    ///     Ok::<(), buslane::WriteError<u32>>(())
    /// };
    /// let read = async {
    ///     let mut sum = 0;
    ///     while let Ok(n) = receiver.recv_async().await {
    ///         sum += n;
    ///     }
    ///     sum
    /// };
    /// assert_eq!(block_on(async { join!(write, read) }).1, 45);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn write_async(&self, event: E) -> WriteAsync<'_, E> {
        WriteAsync::new(self, event)
    }

    /// Returns a future that is ready when the channel is closed: by [`close`](Self::close), by an
    /// overflow, or because the receiver was dropped.
    ///
    /// The future does not keep the channel open. It may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use buslane::Channel;
    /// use futures::executor::block_on;
    /// let (channel, receiver) = Channel::<u32>::lossy(8)?;
    /// let closed = channel.closed();
    /// drop(receiver);
    /// block_on(closed);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn closed(&self) -> UntilClosed {
        UntilClosed::new(Mailbox::until_sealed(&self.0.0))
    }

    /// Returns the state of the channel.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::stats::SinkKind;
    /// let (channel, receiver) = Channel::lossy(8)?;
    /// channel.write("one")?;
    /// channel.write("two")?;
    /// let state = channel.state();
    /// assert_eq!((state.kind, state.depth, state.ledger.accepted), (SinkKind::Channel, 2, 2));
    /// # drop(receiver);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SinkState {
        let mut state = SinkState::default();
        self.describe(&mut state);
        state
    }
}

impl<E: Send + 'static> Sink<E> for Channel<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    #[inline]
    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        self.0.0.write(event, Deadline::NEVER)
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.0.0.seal(End::Closed);
        CloseReport::done()
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        Mailbox::lane(&self.0.0).map(|lane| Some(Lane::private(lane)))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }

    fn shared_access(&self, _: Internal) -> Option<SharedAccess<E>> {
        Some(SharedAccess(SharedPush::new(&self.0.0)))
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        // The reader's own callback flushes and the deadline has passed: the flush cannot finish,
        // and reports a timeout rather than `Pending`.
        let too_late = deadline.has_passed() && self.0.0.crew.is_here();
        if must_not_wait() && !too_late {
            report.note(Finish::Pending);
            return;
        }
        let begun = ChannelFlush { mailbox: self.0.0.clone(), goal: Arc::new(self.0.0.goal()) };
        if waits_are_deferred() && !too_late {
            report.tell(Arc::new(begun));
        } else {
            begun.settle(deadline, report);
        }
    }

    // Only the reader waits on a channel, and the unread events belong to the reader.
    fn abort_now(&self) {
        self.0.0.seal(End::Closed);
    }

    fn reports_closed(&self) -> bool {
        self.0.0.end() != End::Open
    }

    fn describe(&self, state: &mut SinkState) {
        self.0.0.describe(state);
        state.kind = SinkKind::Channel;
    }

    fn add_ledgers(&self, list: &mut Ledgers, _: Internal) {
        list.push(Arc::new(self.0.0.clone()));
    }

    fn weigh(&self, weight: &Weight, _: Internal) {
        self.0.0.scales.add::<E>(weight);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.0))
    }
}

impl<E: Send + 'static> AsyncWrite<E, ()> for Channel<E> {
    fn attempt(&self, event: E) -> Result<(), WriteError<E>> {
        self.0.0.write(event, Deadline::NOW).map(drop)
    }

    fn may_wait(&self) -> bool {
        self.0.0.may_make_wait()
    }

    fn full(&self, _event: &E) -> Option<RoomWait> {
        Mailbox::full(&self.0.0).map(RoomWait::new)
    }
}

/// A flush in progress, with the positions that the reader has to reach.
struct ChannelFlush<E> {
    mailbox: sync::Arc<Mailbox<E>>,
    goal: Arc<Goal<E>>,
}

impl<E: Send + 'static> Flushing for ChannelFlush<E> {
    fn settle(&self, deadline: Deadline, report: &mut FlushReport) {
        if !Mailbox::wait_reached(&self.mailbox, &self.goal, deadline) {
            report.note(Finish::TimedOut);
        }
    }

    fn until_flushed(self: Arc<Self>) -> Option<Box<dyn Awaited>> {
        Some(Box::new(TaskWait::for_goal(self)))
    }

    fn advance(self: Arc<Self>, _report: &mut FlushReport) -> Option<Arc<dyn Flushing>> {
        None
    }
}

impl<E: Send + 'static> Condition for ChannelFlush<E> {
    fn list(&self) -> &WaitList {
        &self.mailbox.signals.blocked
    }

    fn holds(&self) -> bool {
        self.mailbox.has_reached(&self.goal)
    }

    fn hurry(&self) {
        self.mailbox.signals.wake_now();
    }
}

impl<E: Send + 'static> Clone for Channel<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Send + 'static> fmt::Debug for Channel<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("len", &self.0.0.len()).finish_non_exhaustive()
    }
}

impl<E: Send + 'static> Drop for ChannelHandle<E> {
    fn drop(&mut self) {
        self.0.seal(End::Closed);
    }
}
