//! The reading half of a channel with many readers.

use super::reading;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::mailbox::member::Member;
use crate::mailbox::{End, Find};
use crate::stats::{SinkKind, SinkState};
use crate::time::Deadline;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A reading half of a [`Channel`](crate::Channel) that many may have: a clone reads the same stream, and each event goes to
/// one of them. Made by [`Channel::shared`](crate::Channel::shared) and
/// [`ChannelBuilder::build_shared`](crate::channel::ChannelBuilder::build_shared).
///
/// When the last of them goes, the channel is closed, so that a bus forgets it; events left unread then count as
/// `disconnected`.
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
pub struct SharedReceiver<E: Send + 'static> {
    member: Member<E>,
}

impl<E: Send + 'static> SharedReceiver<E> {
    pub(super) fn new(member: Member<E>) -> Self {
        Self { member }
    }

    /// Takes the next event, waiting for one as the channel's [`WaitStrategy`](crate::WaitStrategy) says.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended: closed, or cut off because it overflowed.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvError;
    /// let (channel, mut one) = Channel::shared(8)?;
    /// let mut other = one.clone();
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!((one.recv(), other.recv()), (Ok(1), Ok(2)));
    /// assert_eq!((one.recv(), other.recv()), (Err(RecvError::Closed), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv(&mut self) -> Result<E, RecvError> {
        reading::recv(&mut self.member)
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
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// channel.write(7)?;
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<E, TryRecvError> {
        reading::try_recv(&mut self.member)
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
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// channel.write(7)?;
    /// assert_eq!(receiver.recv_timeout(Duration::from_secs(1)), Ok(7));
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<E, RecvTimeoutError> {
        reading::recv_until(&mut self.member, Deadline::after(limit))
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
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvTimeoutError;
    /// use std::time::Instant;
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// channel.write(7)?;
    /// let over = Instant::now();
    /// assert_eq!(receiver.recv_deadline(over), Ok(7));
    /// assert_eq!(receiver.recv_deadline(over), Err(RecvTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_deadline(&mut self, moment: Instant) -> Result<E, RecvTimeoutError> {
        reading::recv_until(&mut self.member, Deadline::at(moment))
    }

    /// Takes events, waiting for each, until the stream ends.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// let mut other = receiver.clone();
    /// let reader = std::thread::spawn(move || other.iter().sum::<u32>());
    /// channel.write(40)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!(receiver.iter().sum::<u32>() + reader.join().unwrap(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> impl Iterator<Item = E> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Takes what is there now, without waiting.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_iter(&mut self) -> impl Iterator<Item = E> + '_ {
        std::iter::from_fn(|| self.member.take(Find::Written))
    }

    /// Takes the next event, as a future.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event; one for which its task was woken goes to another receiver that waits.
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::channel::SharedReceiver;
    /// async fn sum(mut receiver: SharedReceiver<u32>) -> u32 {
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
    /// let (channel, receiver) = Channel::shared(8)?;
    /// let other = receiver.clone();
    /// channel.write(40)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!(block_on(async { sum(receiver).await + sum(other).await }), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_async(&mut self) -> SharedRecv<'_, E> {
        SharedRecv { receiver: self }
    }

    /// Takes the next event, or registers the task to be woken when there is one.
    ///
    /// A task that was registered and will not poll again keeps an event's wake-up for itself until the receiver is used
    /// again or dropped; [`recv_async`](Self::recv_async) sees to that.
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use std::task::{Context, Poll, Waker};
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// let mut context = Context::from_waker(Waker::noop()); // that of a task, which is woken
    /// assert!(receiver.poll_recv(&mut context).is_pending());
    /// channel.write(7)?;
    /// assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Ok(7)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<E, RecvError>> {
        reading::poll_recv(&mut self.member, context)
    }

    /// How many events wait, for whichever receiver; also those that others are just taking.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::shared(8)?;
    /// (0..3).try_for_each(|n| channel.write(n))?;
    /// assert_eq!((receiver.len(), receiver.clone().len()), (3, 3)); // whoever takes them
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().depth as usize
    }

    /// Whether no event waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// channel.write("event")?;
    /// let other = receiver.clone();
    /// assert!(!other.is_empty());
    /// receiver.recv()?;
    /// assert!(other.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events were accepted and lost, for all receivers: dropped because there was no room, or evicted.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::shared(1)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// assert_eq!((receiver.len(), receiver.lost()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn lost(&self) -> u64 {
        let dropped = self.state().ledger.dropped;
        dropped.full + dropped.evicted
    }

    /// Closes the channel: it takes no more events; what is left stays readable, by all receivers.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvError;
    /// let (channel, mut receiver) = Channel::shared(8)?;
    /// channel.write(1)?;
    /// receiver.clone().close(); // for all of them
    /// assert!(channel.write(2).is_err_and(|error| error.is_closed()));
    /// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&mut self) {
        self.member.mailbox().seal(End::Closed);
    }

    /// What the channel says about itself.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut one) = Channel::shared(8)?;
    /// let other = one.clone();
    /// channel.write(1)?;
    /// one.recv()?;
    /// assert_eq!((other.state().capacity, other.state().ledger.delivered), (8, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SinkState {
        let mut state = SinkState { kind: SinkKind::Channel, ..SinkState::default() };
        self.member.mailbox().describe(&mut state);
        state
    }
}

impl<E: Send + 'static> Clone for SharedReceiver<E> {
    /// One more reader of the same stream.
    fn clone(&self) -> Self {
        Self { member: self.member.another() }
    }
}

impl<E: Send + 'static> Drop for SharedReceiver<E> {
    fn drop(&mut self) {
        self.member.abandon();
    }
}

impl<E: Send + 'static> fmt::Debug for SharedReceiver<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReceiver").field("state", &self.state()).finish()
    }
}

/// The future of [`SharedReceiver::recv_async`].
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use std::{pin::pin, task::{Context, Poll, Waker}};
/// let (channel, mut receiver) = Channel::shared(8)?;
/// let mut context = Context::from_waker(Waker::noop());
/// let mut next = pin!(receiver.recv_async());
/// assert!(next.as_mut().poll(&mut context).is_pending());
/// channel.write(7)?;
/// assert_eq!(next.poll(&mut context), Poll::Ready(Ok(7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct SharedRecv<'a, E: Send + 'static> {
    receiver: &'a mut SharedReceiver<E>,
}

impl<E: Send + 'static> Future for SharedRecv<'_, E> {
    type Output = Result<E, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_recv(context)
    }
}

impl<E: Send + 'static> Drop for SharedRecv<'_, E> {
    fn drop(&mut self) {
        self.receiver.member.unregister();
    }
}

impl<E: Send + 'static> fmt::Debug for SharedRecv<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRecv")
    }
}
