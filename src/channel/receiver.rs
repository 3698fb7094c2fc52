//! The reading half of a channel.

use super::reading;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::mailbox::handled::{Handled, With};
use crate::mailbox::reader::Reader;
use crate::mailbox::{End, Find, Mailbox};
use crate::stats::{SinkKind, SinkState};
use crate::time::Deadline;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The reading half of a [`Channel`](crate::Channel): blocking, polling, timed, iterating or async.
///
/// It reads from the lanes of all publishers in turn, a quarter of a lane's capacity at a time. Dropping it closes the
/// channel, so that a bus forgets it; events left unread then count as `disconnected`.
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
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane::error::TryRecvError;
/// let bus = Bus::new();
/// let mut receiver = bus.subscribe(16)?;
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// bus.publish(1)?;
/// bus.publish(2)?;
/// assert_eq!(receiver.recv()?, 1);
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Receiver<E: Send + 'static> {
    reader: Reader<E>,
}

impl<E: Send + 'static> Receiver<E> {
    pub(super) fn new(reader: Reader<E>) -> Self {
        Self { reader }
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
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// let reader = std::thread::spawn(move || (receiver.recv(), receiver.recv()));
    /// channel.write(7)?;
    /// channel.close();
    /// assert_eq!(reader.join().unwrap(), (Ok(7), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv(&mut self) -> Result<E, RecvError> {
        reading::recv(&mut self.reader)
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
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// channel.write(7)?;
    /// assert_eq!(receiver.try_recv(), Ok(7));
    /// channel.close();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&mut self) -> Result<E, TryRecvError> {
        reading::try_recv(&mut self.reader)
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
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// channel.write(7)?;
    /// assert_eq!(receiver.recv_timeout(Duration::from_secs(1)), Ok(7));
    /// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<E, RecvTimeoutError> {
        reading::recv_until(&mut self.reader, Deadline::after(limit))
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
    /// let (channel, mut receiver) = Channel::bounded(8)?;
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
        reading::recv_until(&mut self.reader, Deadline::at(moment))
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
    /// let mut receiver = bus.subscribe(16)?;
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
            let Some(event) = self.reader.take(Find::Written) else { break };
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
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// channel.write(1)?;
    /// channel.write(2)?;
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// assert_eq!(receiver.try_iter().next(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_iter(&mut self) -> impl Iterator<Item = E> + '_ {
        std::iter::from_fn(|| self.reader.take(Find::Written))
    }

    /// Takes what was there when this was called, without waiting; ends although more may have come.
    ///
    /// # Examples
    /// Handling an event makes another one, which the next turn takes:
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// channel.write(1)?;
    /// for n in receiver.drain() {
    ///     channel.write(n + 1)?;
    /// }
    /// assert_eq!(receiver.recv()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&mut self) -> impl Iterator<Item = E> + '_ {
        self.reader.begin_drain();
        std::iter::from_fn(|| self.reader.drain_one())
    }

    /// Takes events, waiting for each, until the stream ends.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// let reader = std::thread::spawn(move || receiver.iter().sum::<u32>());
    /// channel.write(40)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!(reader.join().unwrap(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> impl Iterator<Item = E> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Takes the next event, as a future. Wakes the task through the same cell in which threads park.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
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
    /// let (channel, receiver) = Channel::bounded(8)?;
    /// channel.write(40)?;
    /// channel.write(2)?;
    /// channel.close();
    /// assert_eq!(block_on(sum(receiver)), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_async(&mut self) -> Recv<'_, E> {
        Recv { receiver: self }
    }

    /// Takes the next event, or registers the task to be woken when there is one.
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use std::task::{Context, Poll, Waker};
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// let mut context = Context::from_waker(Waker::noop()); // that of a task, which is woken
    /// assert!(receiver.poll_recv(&mut context).is_pending());
    /// channel.write(7)?;
    /// assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Ok(7)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<E, RecvError>> {
        reading::poll_recv(&mut self.reader, context)
    }

    /// How many events wait, over all lanes; more may come at any time, but none goes. An event that is just being written counts
    /// already, though a read may not find it yet.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// (0..3).try_for_each(|n| channel.write(n))?;
    /// receiver.recv()?;
    /// assert_eq!(receiver.len(), 2);
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
    /// let (channel, receiver) = Channel::bounded(8)?;
    /// assert!(receiver.is_empty());
    /// channel.write("event")?;
    /// assert!(!receiver.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events were accepted for this reader and lost: dropped because there was no room, or evicted.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, receiver) = Channel::bounded(1)?;
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

    /// Closes the channel: it takes no more events; what is left stays readable.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// use buslane::error::RecvError;
    /// let (channel, mut receiver) = Channel::bounded(8)?;
    /// channel.write(1)?;
    /// receiver.close();
    /// assert!(channel.write(2).is_err_and(|error| error.is_closed()));
    /// assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&mut self) {
        self.reader.mailbox().seal(End::Closed);
    }

    /// What the channel says about itself.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink};
    /// let (channel, mut receiver) = Channel::bounded(8)?;
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
        self.reader.mailbox().describe(&mut state);
        state
    }

    /// Hands each event that waits, at most a quarter of a lane's capacity per lane, to `handle`, and returns how many: zero only when
    /// nothing is there.
    ///
    /// The cheapest way to read: slots are given back, and the books kept, sixteen events at a time. An event whose
    /// handling panics counts as delivered. It does not wait for events; but while they come faster than one in 60
    /// nanoseconds it spins for up to a microsecond before it looks again, so that reader and publisher do not fight for
    /// the same lines of memory.
    ///
    /// While `handle` runs its event is not read yet: a flush, a close or a removal that `handle` asks for does not wait (as inside
    /// a delivery), and a write into this very channel does not wait for room.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe(64)?;
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
        self.reader.linger_when_dry();
        // The event in hand is not handled before `handle` returns: nothing there may wait for that, or for room that only this
        // thread makes.
        let _reading = self.reader.mailbox().crew.read();
        if !self.reader.mailbox().scales.is_empty() {
            return self.drain_batches(handle);
        }
        self.reader.scan_written(&mut With(|_: &Mailbox<E>, event| {
            handle(event);
            Handled::Delivered
        }))
    }

    /// The same for batches whose events are counted. By value: a closure whose address is known here would live in memory above.
    #[cold]
    #[inline(never)]
    fn drain_batches(&mut self, mut handle: impl FnMut(E)) -> usize {
        self.reader.scan_written(&mut With(|mailbox: &Mailbox<E>, event| {
            mailbox.taken(&event);
            handle(event);
            Handled::Delivered
        }))
    }
}

impl<E: Send + 'static> Drop for Receiver<E> {
    fn drop(&mut self) {
        self.reader.abandon();
    }
}

impl<E: Send + 'static> fmt::Debug for Receiver<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("state", &self.state()).finish()
    }
}

/// The future of [`Receiver::recv_async`].
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// use std::{pin::pin, task::{Context, Poll, Waker}};
/// let (channel, mut receiver) = Channel::bounded(8)?;
/// let mut context = Context::from_waker(Waker::noop());
/// let mut next = pin!(receiver.recv_async());
/// assert!(next.as_mut().poll(&mut context).is_pending());
/// channel.write(7)?;
/// assert_eq!(next.poll(&mut context), Poll::Ready(Ok(7)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Recv<'a, E: Send + 'static> {
    receiver: &'a mut Receiver<E>,
}

impl<E: Send + 'static> Future for Recv<'_, E> {
    type Output = Result<E, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.receiver.poll_recv(context)
    }
}

impl<E: Send + 'static> Drop for Recv<'_, E> {
    fn drop(&mut self) {
        self.receiver.reader.unregister();
    }
}

impl<E: Send + 'static> fmt::Debug for Recv<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recv")
    }
}
