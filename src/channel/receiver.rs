//! The reading half of a channel.

use super::kind::{Exclusive, Kind, Shared};
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::mailbox::intake::Intake;
use crate::mailbox::{End, Find};
use crate::stats::{SinkKind, SinkState};
use crate::time::Deadline;
use std::fmt;
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
        self.intake.linger_when_dry();
        loop {
            match self.attempt(Find::Filled) {
                Ok(event) => return Ok(event),
                Err(TryRecvError::Empty) => self.intake.wait(None, |_| false),
                Err(TryRecvError::Closed) => return Err(RecvError::Closed),
                Err(TryRecvError::Overflowed) => return Err(RecvError::Overflowed),
            }
        }
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
        self.attempt(Find::Written)
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
        self.recv_until(Deadline::after(limit))
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
        self.recv_until(Deadline::at(moment))
    }

    fn recv_until(&mut self, deadline: Deadline) -> Result<E, RecvTimeoutError> {
        self.intake.linger_when_dry();
        loop {
            // Asked first, so that whoever was woken at the last moment still looks.
            let left = deadline.remaining();
            let over = left.is_some_and(|left| left.is_zero());
            // No wait follows the last attempt, so it finds what a read finds that does not wait.
            match self.attempt(if over { Find::Written } else { Find::Filled }) {
                Ok(event) => return Ok(event),
                Err(TryRecvError::Closed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Overflowed) => return Err(RecvTimeoutError::Overflowed),
                Err(TryRecvError::Empty) if over => return Err(RecvTimeoutError::Timeout),
                Err(TryRecvError::Empty) => self.intake.wait(left, |_| false),
            }
        }
    }

    /// Takes the next event if `find` finds one, without waiting.
    #[inline]
    pub(super) fn attempt(&mut self, find: Find) -> Result<E, TryRecvError> {
        if let Some(event) = self.intake.take(find) {
            return Ok(event);
        }
        Err(match self.intake.ended() {
            None => TryRecvError::Empty,
            Some(End::Overflowed) => TryRecvError::Overflowed,
            Some(_) => TryRecvError::Closed,
        })
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
