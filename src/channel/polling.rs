//! Reading in an async task: polling, and a future.

use super::kind::{Exclusive, Kind};
use super::receiver::Receiver;
use crate::error::{RecvError, TryRecvError};
use crate::mailbox::Find;
use crate::mailbox::intake::Intake;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<E: Send + 'static, K: Kind> Receiver<E, K> {
    /// Returns a future that takes the next event.
    ///
    /// The task is woken through the same cell in which threads park.
    ///
    /// After 128 events in a row the future is pending once, and wakes its task at once, so that
    /// other tasks of the same thread run.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event. If several receivers share the events and this future's
    /// task was already woken for an event, another waiting receiver is woken for it instead.
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
        Recv { receiver: self, was_known: false }
    }

    /// Takes the next event, or registers the task to be woken when an event arrives.
    ///
    /// While events arrive faster than one per 60 nanoseconds, the only receiver of a channel spins
    /// for up to a microsecond before it polls a lane that it has drained, as
    /// [`try_recv`](Self::try_recv) does.
    ///
    /// After 128 events in a row the poll is pending once, and wakes the task at once, so that other
    /// tasks of the same thread run.
    ///
    /// A task that registered with a [`SharedReceiver`](super::SharedReceiver) may be the task that
    /// an event wakes. If it does not poll again, no other receiver is woken for that event until
    /// this receiver is used again or dropped. The future of [`recv_async`](Self::recv_async)
    /// unregisters the task when it is dropped.
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use std::task::{Context, Poll, Waker};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let mut context = Context::from_waker(Waker::noop()); // a real task passes its own waker
    /// assert!(receiver.poll_recv(&mut context).is_pending());
    /// channel.write(7)?;
    /// assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Ok(7)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<E, RecvError>> {
        if let Some(mut known) = self.intake.known() {
            return Poll::Ready(Ok(known.take()));
        }
        self.find_or_register(context)
    }

    /// Takes the next event, which no read has found yet, or registers the task.
    #[inline(never)]
    pub(super) fn find_or_register(&mut self, context: &mut Context<'_>) -> Poll<Result<E, RecvError>> {
        if let Some(event) = self.take_held() {
            return Poll::Ready(Ok(event));
        }
        if self.turn.is_over(context.waker()) {
            return Poll::Pending;
        }
        self.intake.linger_when_dry();
        loop {
            // A pending task is parked: the writer that fills the oldest position wakes it.
            if let Some(event) = self.take_of(Find::Filled, self.turn.left()) {
                return Poll::Ready(Ok(event));
            }
            match self.why_empty() {
                TryRecvError::Closed => return Poll::Ready(Err(RecvError::Closed)),
                TryRecvError::Overflowed => return Poll::Ready(Err(RecvError::Overflowed)),
                TryRecvError::Empty => {}
            }
            if self.intake.register(context.waker()) {
                self.turn.begin();
                return Poll::Pending;
            }
        }
    }
}

/// The future of [`Receiver::recv_async`].
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use std::{pin::pin, task::{Context, Poll, Waker}};
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let mut context = Context::from_waker(Waker::noop());
/// let mut next = pin!(receiver.recv_async());
/// assert!(next.as_mut().poll(&mut context).is_pending());
/// channel.write(7)?;
/// assert_eq!(next.poll(&mut context), Poll::Ready(Ok(7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Recv<'a, E: Send + 'static, K: Kind = Exclusive> {
    receiver: &'a mut Receiver<E, K>,
    /// Whether the future took an event that an earlier read had found. It registered no task then,
    /// and its drop has nothing to do: no load of the wait cell for each event.
    was_known: bool,
}

impl<E: Send + 'static, K: Kind> Future for Recv<'_, E, K> {
    type Output = Result<E, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, was_known } = &mut *self;
        if let Some(mut known) = receiver.intake.known() {
            *was_known = true;
            return Poll::Ready(Ok(known.take()));
        }
        *was_known = false;
        receiver.find_or_register(context)
    }
}

impl<E: Send + 'static, K: Kind> Drop for Recv<'_, E, K> {
    #[inline]
    fn drop(&mut self) {
        if !self.was_known {
            self.receiver.intake.unregister();
        }
    }
}

impl<E: Send + 'static, K: Kind> fmt::Debug for Recv<'_, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recv")
    }
}
