//! Channels: a sink whose events a consumer of yours reads, polling, blocking, iterating or awaiting.
//!
//! | item | what it is |
//! |---|---|
//! | [`Channel`], [`ChannelBuilder`] | the writing half, which is a [`Sink`], and its settings |
//! | [`Receiver`] | the reading half |
//! | [`SharedReceiver`] | one of several receivers, of which each event reaches one (MPMC) |
//! | [`Kind`], [`Exclusive`], [`Shared`] | what tells a receiver from a shared one, for code that takes both |
//! | [`Recv`] | the future of `recv_async` |
//! | [`Iter`], [`IntoIter`], [`TryIter`], [`Drain`] | the iterators of a receiver |
//!
//! # Examples
//! ```
//! use buslane::Bus;
//! let bus = Bus::new();
//! let mut receiver = bus.subscribe_lossy(256)?;
//! bus.publish("started")?;
//! bus.publish("stopped")?;
//! bus.close(); // what was accepted stays readable
//! assert_eq!(receiver.iter().collect::<Vec<_>>(), ["started", "stopped"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod drain;
mod iter;
mod kind;
mod polling;
mod receiver;

pub use builder::ChannelBuilder;
pub use iter::{Drain, IntoIter, Iter, TryIter};
pub use kind::{Exclusive, Kind, Shared};
pub use polling::Recv;
pub use receiver::{Receiver, SharedReceiver};

use crate::error::{BuildError, OutOfMemory, WriteError};
use crate::mailbox::overflow::Overflow;
use crate::mailbox::{End, Goal, Mailbox};
use crate::sink::lane::{Internal, Lane};
use crate::sink::{Sink, SinkKey};
use crate::stats::{
    CloseReport, Disposition, Finish, FlushReport, Flushing, Ledgers, SinkKind, SinkState, Weight,
};
use crate::sync;
use crate::time::Deadline;
use crate::wait::context::{must_not_wait, waits_are_deferred};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The writing half of a mailbox whose reading half, the [`Receiver`], the user polls, blocks on, iterates or awaits.
///
/// Cloning makes another handle to the same channel; when the last one goes, the channel is closed. A channel may also have
/// many readers, of which each event reaches one: [`shared`](Self::shared).
///
/// # Guarantees
/// As for a [`Queue`](crate::Queue), with the reader in place of the worker: wait-free publishing through private lanes,
/// first in first out for each publisher, nothing lost that is not counted. Closing does not wait for the reader: what
/// is left stays readable, and then the reader is told [`RecvError::Closed`](crate::error::RecvError::Closed).
///
/// `Ok` from [`write`](Sink::write) means accepted: under [`Overflow::DropNewest`], the default, a
/// full channel has dropped the event all the same. [`offer`](Sink::offer) returns which.
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

/// Closes the channel when the last of them goes.
struct ChannelHandle<E: Send + 'static>(sync::Arc<Mailbox<E>>);

impl<E: Send + 'static> Channel<E> {
    /// Makes a channel that drops the newest event when it is full, with room for `capacity` events per publisher.
    ///
    /// A write into a full channel answers `Ok`; the event is dropped and counted. [`Receiver::lost`] returns how many were.
    /// [`lossless`](Self::lossless) waits for room instead, and [`builder`](Self::builder) has the other policies.
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(2)?;
    /// for n in 0..3 {
    ///     channel.write(n)?; // there is no room for the last one: it is dropped, and counted
    /// }
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 1]);
    /// assert_eq!(receiver.lost(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lossy(capacity: usize) -> Result<(Self, Receiver<E>), BuildError> {
        Self::builder().capacity(capacity).build()
    }

    /// Makes a channel that blocks its writers when it is full, with room for `capacity` events per publisher.
    ///
    /// A write into a full channel waits until the reader makes room or the channel is closed: [`Overflow::Block`]. It does not wait
    /// inside a delivery, where a full channel refuses the event. A reader that stalls stops its publishers.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
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
    ///     channel.write(n)?; // waits for the reader where it has to
    /// }
    /// channel.close();
    /// assert_eq!(reader.join().unwrap(), 5050);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lossless(capacity: usize) -> Result<(Self, Receiver<E>), BuildError> {
        Self::builder().capacity(capacity).overflow(Overflow::Block).build()
    }

    /// Makes a channel with room for `capacity` events in all, the default settings, and a receiver that can be cloned: each
    /// event goes to one of the receivers.
    ///
    /// # Errors
    /// [`BuildError`] when the capacity is invalid, or its memory cannot be allocated.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel};
    /// let (channel, mut one) = Channel::shared(16)?;
    /// let mut other = one.clone();
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// (0..4).for_each(|n| { let _ = bus.publish(n); });
    /// bus.close();
    /// assert_eq!((one.recv()?, other.recv()?), (0, 1));
    /// assert_eq!(one.iter().chain(other.iter()).collect::<Vec<_>>(), [2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shared(capacity: usize) -> Result<(Self, SharedReceiver<E>), BuildError> {
        Self::builder().capacity(capacity).build_shared()
    }

    /// A builder with the default settings.
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

    /// Closes the channel: it takes no more events; what is left stays readable.
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

    /// Waits until everything that was accepted before this call was read.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
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

    /// What the channel says about itself.
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

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        // Asked by the reader's own function: in time it cannot be done, and without any it is too late.
        let too_late = deadline.is_over() && self.0.0.crew.is_here();
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

    // Only the reader waits here, and what is left is the reader's.
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

/// A flush that was begun: what has to be read before it is done.
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
