//! The reading half of a channel.

use super::iter::{IntoIter, Iter, TryIter};
use super::kind::{Exclusive, Kind, Shared};
use super::reading;
use super::recv::Recv;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::mailbox::intake::Intake;
use crate::mailbox::{End, Find};
use crate::stats::{SinkKind, SinkState};
use crate::time::Deadline;
use std::fmt;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The reading half of a [`Channel`](crate::Channel): blocking, polling, timed, iterating or async.
///
/// It reads from the lanes of all publishers in turn, a quarter of a lane's capacity at a time. Dropping it closes the
/// channel, so that a bus forgets it; events left unread then count as `receiver_dropped`.
///
/// # Guarantees
/// The events of one publisher come in the order in which they were published. Reading allocates nothing. Every method
/// that returns an error for an ended stream does so only after everything that was accepted has been read.
///
/// An event whose write returned before a read began is found by that read, or has been evicted: no method that does not wait for
/// events answers that none is there while one is. For that, such a read waits for a writer that is just putting an earlier
/// event into the shared lane: nanoseconds, or, when the system has taken that writer's processor away, until it runs again. A method
/// that waits for events parks in this case, and that writer wakes it. So a pending [`poll_recv`](Self::poll_recv) does not report that
/// nothing is there: the task is woken for what was written before.
///
/// A thread may block on a receiver that was polled before as a task. The task is then not woken any more.
///
/// `K` says how many receivers share the events of the channel: one, unless it is a [`SharedReceiver`].
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane::error::TryRecvError;
/// let bus = Bus::new();
/// let mut receiver = bus.subscribe_lossy(16)?;
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// bus.publish(1)?;
/// bus.publish(2)?;
/// assert_eq!(receiver.recv()?, 1);
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Receiver<E: Send + 'static, K: Kind = Exclusive> {
    pub(super) intake: K::Intake<E>,
}

/// A reading half of a [`Channel`](crate::Channel) that many may have: a clone reads the same stream, and each event goes to
/// one of them. Made by [`Channel::shared`](crate::Channel::shared) and
/// [`ChannelBuilder::build_shared`](crate::channel::ChannelBuilder::build_shared).
///
/// When the last of them goes, the channel is closed, so that a bus forgets it; events left unread then count as
/// `receiver_dropped`.
///
/// # Guarantees
/// - **Delivery**: each accepted event is read once, by one receiver, and the stream ends for all of them when everything
///   was read.
/// - **Order**: events are taken in the order in which they were accepted; what receivers on different threads do with them
///   happens in any order.
/// - **Progress**: no receiver waits for another one. An event wakes one sleeping receiver, not all, and none is left
///   asleep while an event waits, unless one that was woken has not come back yet.
/// - **Found**: an event whose write returned before a read began is found by that read, unless another receiver took it or it
///   was evicted. For that, a read that does not wait for events waits for a writer that is just putting an earlier event in:
///   nanoseconds, or, when the system has taken that writer's processor away, until it runs again. A read that waits for events parks
///   in this case, and that writer wakes it. So a pending [`poll_recv`](Self::poll_recv) does not report that nothing is there.
/// - **Allocation**: reading allocates nothing; a clone does.
///
/// The channel's [`WaitStrategy`](crate::WaitStrategy) says how each receiver waits, by itself. With
/// [`BusySpin`](crate::WaitStrategy::BusySpin) each takes a processor.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, receiver) = Channel::shared(64)?;
/// let readers: Vec<_> = (0..3)
///     .map(|_| {
///         let mut receiver = receiver.clone();
///         std::thread::spawn(move || receiver.iter().sum::<u64>())
///     })
///     .collect();
/// for n in 1..=10 {
///     channel.write(n)?;
/// }
/// channel.close();
/// let sum: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
/// assert_eq!(sum, 55);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type SharedReceiver<E> = Receiver<E, Shared>;

impl<E: Send + 'static, K: Kind> Receiver<E, K> {
    pub(super) fn new(intake: K::Intake<E>) -> Self {
        Self { intake }
    }

    /// Takes the next event, waiting for one as the channel's [`WaitStrategy`](crate::WaitStrategy) says.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended: closed, or closed because it overflowed: [`Overflow::Close`](crate::Overflow::Close).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvError;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let reader = std::thread::spawn(move || (receiver.recv(), receiver.recv()));
    /// channel.write(7)?;
    /// channel.close();
    /// assert_eq!(reader.join().unwrap(), (Ok(7), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv(&mut self) -> Result<E, RecvError> {
        reading::recv(&mut self.intake)
    }

    /// Takes the next event if there is one now.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when nothing is there whose write has returned, the others when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::TryRecvError;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// channel.write(7)?;
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// channel.close();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<E, TryRecvError> {
        reading::try_recv(&mut self.intake)
    }

    /// Takes the next event, waiting so long at most. A limit of zero is [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when nothing came, the others when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvTimeoutError;
    /// use std::time::Duration;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(7)?;
    /// assert_eq!(receiver.recv_timeout(Duration::from_secs(1)), Ok(7));
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<E, RecvTimeoutError> {
        reading::recv_until(&mut self.intake, Deadline::after(limit))
    }

    /// Takes the next event, waiting until this moment at most. A moment in the past is [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when nothing came, the others when the stream has ended.
    ///
    /// # Examples
    /// One limit for many events:
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvTimeoutError;
    /// use std::time::{Duration, Instant};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// let mut sum = 0;
    /// while let Ok(n) = receiver.recv_deadline(deadline) {
    ///     sum += n;
    /// }
    /// assert_eq!(sum, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_deadline(&mut self, moment: Instant) -> Result<E, RecvTimeoutError> {
        reading::recv_until(&mut self.intake, Deadline::at(moment))
    }

    /// Takes up to `max` events at once and appends them to `into`, waiting for the first; returns how many.
    ///
    /// A `max` of zero takes nothing and returns at once. `into` grows only if its spare capacity does not do.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(16)?;
    /// for n in 0..5 {
    ///     bus.publish(n)?;
    /// }
    /// let mut batch = Vec::with_capacity(4);
    /// assert_eq!(receiver.recv_batch(&mut batch, 4)?, 4);
    /// assert_eq!(batch, [0, 1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_batch(&mut self, into: &mut Vec<E>, max: usize) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        into.push(self.recv()?);
        let mut count = 1;
        while count < max {
            let Some(event) = self.intake.take(Find::Written) else { break };
            into.push(event);
            count += 1;
        }
        Ok(count)
    }

    /// Takes what is there now, without waiting.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// assert_eq!(receiver.try_iter().next(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_iter(&mut self) -> TryIter<'_, E, K> {
        TryIter { receiver: self }
    }

    /// Takes events, waiting for each, until the stream ends.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let reader = std::thread::spawn(move || receiver.iter().sum::<u32>());
    /// channel.write(40)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!(reader.join().unwrap(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> Iter<'_, E, K> {
        Iter { receiver: self, exhausted: false }
    }

    /// Takes the next event, as a future. Wakes the task through the same cell in which threads park.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event. Where several receivers share the events, one for which its task was woken goes to another
    /// receiver that waits.
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Receiver, Sink};
    /// async fn sum(mut receiver: Receiver<u32>) -> u32 {
    ///     let mut sum = 0;
    ///     while let Ok(n) = receiver.recv_async().await {
    ///         sum += n;
    ///     }
    ///     sum
    /// }
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # fn block_on<F: Future>(task: F) -> F::Output {
    /// #     let mut task = pin!(task);
    /// #     loop {
    /// #         if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) { return output }
    /// #     }
    /// # }
    /// let (channel, receiver) = Channel::lossy(8)?;
    /// channel.write(40)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!(block_on(sum(receiver)), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_async(&mut self) -> Recv<'_, E, K> {
        Recv::new(self)
    }

    /// Takes the next event, or registers the task to be woken when there is one.
    ///
    /// A task that was registered at a [`SharedReceiver`] and will not poll again keeps an event's wake-up for itself until the receiver is
    /// used again or dropped; [`recv_async`](Self::recv_async) sees to that.
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use std::task::{Context, Poll, Waker};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let mut context = Context::from_waker(Waker::noop()); // that of a task, which is woken
    /// assert!(receiver.poll_recv(&mut context).is_pending());
    /// channel.write(7)?;
    /// assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Ok(7)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<E, RecvError>> {
        reading::poll_recv(&mut self.intake, context)
    }

    /// Returns how many events wait, over all lanes.
    ///
    /// More may come at any time; only a read or an eviction takes one away. An event that is just being written counts already, though
    /// a read may not find it yet; so does one that another receiver is just taking. A few loads for each lane: it is no snapshot.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// (0..3).try_for_each(|n| channel.write(n))?;
    /// receiver.recv()?;
    /// assert_eq!(receiver.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.intake.len() as usize
    }

    /// Returns `true` if no event waits: [`len`](Self::len) is zero.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::lossy(8)?;
    /// assert!(receiver.is_empty());
    /// channel.write("event")?;
    /// assert!(!receiver.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many events were accepted and lost: dropped because there was no room, or evicted.
    ///
    /// Where several receivers share the events, the number is that of all of them. A few loads for each lane, under a lock that
    /// neither publishers nor readers take for an event.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::lossy(1)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// assert_eq!((receiver.len(), receiver.lost()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.intake.mailbox().lost()
    }

    /// Closes the channel. What is left stays readable, by all receivers.
    ///
    /// Returns nothing, because it waits for no consumer; the close of a bus or a queue waits for them, and returns a report.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvError;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// receiver.close();
    /// assert!(channel.write(2).is_err_and(|error| error.is_closed()));
    /// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&mut self) {
        self.intake.mailbox().seal(End::Closed);
    }

    /// Returns the state of the channel.
    ///
    /// The first state that shows a backlog begins to time it: [`SinkState::backlog_for`].
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// receiver.recv()?;
    /// let state = receiver.state();
    /// assert_eq!((state.capacity, state.depth, state.ledger.delivered), (8, 1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SinkState {
        let mut state = SinkState { kind: SinkKind::Channel, ..SinkState::default() };
        self.intake.mailbox().describe(&mut state);
        state
    }
}

impl<E: Send + 'static> Clone for SharedReceiver<E> {
    /// One more reader of the same stream.
    fn clone(&self) -> Self {
        Self { intake: self.intake.another() }
    }
}

impl<E: Send + 'static, K: Kind> IntoIterator for Receiver<E, K> {
    type Item = E;
    type IntoIter = IntoIter<E, K>;

    /// Takes events, waiting for each, until the stream ends.
    fn into_iter(self) -> IntoIter<E, K> {
        IntoIter { receiver: self, exhausted: false }
    }
}

impl<'a, E: Send + 'static, K: Kind> IntoIterator for &'a mut Receiver<E, K> {
    type Item = E;
    type IntoIter = Iter<'a, E, K>;

    /// As [`Receiver::iter`].
    fn into_iter(self) -> Iter<'a, E, K> {
        self.iter()
    }
}

impl<E: Send + 'static, K: Kind> Drop for Receiver<E, K> {
    fn drop(&mut self) {
        self.intake.abandon();
    }
}

impl<E: Send + 'static, K: Kind> fmt::Debug for Receiver<E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::RECEIVER).field("len", &self.len()).finish_non_exhaustive()
    }
}
