//! The reading half of a channel.

use super::kind::{Exclusive, Kind, Shared};
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::mailbox::intake::Intake;
use crate::mailbox::{End, Find};
use crate::stats::{SinkKind, SinkState};
use crate::time::Deadline;
use crate::wait::context::discard;
use crate::wait::turn::{self, Turn};
use std::fmt;
#[cfg(feature = "async")]
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The reading half of a [`Channel`](crate::Channel): blocking, polling, timed, iterating or async.
///
/// The receiver reads from the lanes of all publishers in turn, a quarter of a lane's capacity at a
/// time. Dropping the receiver closes the channel, so that a bus detaches it. Events left unread
/// then count as `receiver_dropped`.
///
/// `K` is [`Exclusive`] for the only receiver of a channel, and [`Shared`] for a
/// [`SharedReceiver`].
///
/// # Guarantees
/// - **Order**: the events of one publisher arrive in the order in which they were published.
/// - **Allocation**: reading allocates nothing.
/// - **End**: a method returns the error of an ended stream only after every accepted event has
///   been read.
/// - **Found**: a read finds every event whose write returned before the read began, unless the
///   event was dropped or evicted.
///
/// To find such an event, a read that does not wait for events may wait for a writer that is
/// putting an earlier event into the shared lane. That takes nanoseconds, or, if the writer is
/// preempted, until it runs again. A read that waits for events parks in this case, and that writer
/// wakes it. A pending [`poll_recv`](Self::poll_recv) therefore does not mean that no event is
/// there: the task is woken for events that were written earlier.
///
/// A thread may block on a receiver that a task has polled. The task is then no longer woken.
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
    /// The turn of the task that reads.
    pub(super) turn: Turn,
    #[cfg(feature = "async")]
    pub(super) stream: StreamState<E>,
}

/// What a receiver remembers as a stream.
#[cfg(feature = "async")]
pub(super) struct StreamState<E> {
    /// Whether the stream has returned its end.
    pub(super) is_terminated: bool,
    /// The number of lost events that were returned as entries.
    pub(super) lost: u64,
    /// An event that was taken, and that an entry of lost events precedes. In a box, so that a receiver
    /// of large events is small. The lock is taken for the length only; it keeps the receiver `Sync`
    /// whatever the event is, as it is without streams.
    held: Mutex<Option<Box<E>>>,
}

#[cfg(feature = "async")]
impl<E> StreamState<E> {
    fn new(is_terminated: bool, lost: u64) -> Self {
        Self { is_terminated, lost, held: Mutex::new(None) }
    }

    fn held(&mut self) -> &mut Option<Box<E>> {
        self.held.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds an event until the next read.
    pub(super) fn hold(&mut self, event: E) {
        *self.held() = Some(Box::new(event));
    }
}

/// A reading half of a [`Channel`](crate::Channel) that can be cloned: each event goes to one of
/// the receivers.
///
/// [`Channel::shared_lossy`](crate::Channel::shared_lossy),
/// [`Channel::shared_lossless`](crate::Channel::shared_lossless) and
/// [`ChannelBuilder::build_shared`](crate::channel::ChannelBuilder::build_shared) create it.
/// Dropping the last receiver closes the channel, so that a bus detaches it. Events left unread
/// then count as `receiver_dropped`.
///
/// # Guarantees
/// - **Delivery**: each accepted event that is not dropped or evicted is read once, by one
///   receiver. The stream ends for all receivers when every event has been read.
/// - **Order**: events are taken in the order in which they were accepted. Receivers on different
///   threads handle them in any order.
/// - **Progress**: no receiver waits for another receiver. An event wakes one parked receiver, not
///   all. No receiver stays parked while an event is unread, unless a woken receiver has not
///   resumed yet.
/// - **Found**: a read finds every event whose write returned before the read began, unless another
///   receiver took it, or it was dropped or evicted.
/// - **Allocation**: reading allocates nothing; a clone allocates.
///
/// To find such an event, a read that does not wait for events may wait for a writer that is
/// putting an earlier event in. That takes nanoseconds, or, if the writer is preempted, until it
/// runs again. A read that waits for events parks in this case, and that writer wakes it. A pending
/// [`poll_recv`](Self::poll_recv) therefore does not mean that no event is there.
///
/// Each receiver waits independently, by the channel's [`WaitStrategy`](crate::WaitStrategy). With
/// [`BusySpin`](crate::WaitStrategy::BusySpin) each receiver occupies a processor.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink};
/// let (channel, receiver) = Channel::shared_lossless(64)?;
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
        Self {
            intake,
            turn: Turn::new(),
            #[cfg(feature = "async")]
            stream: StreamState::new(false, 0),
        }
    }

    /// Takes the next event, waiting for it by the channel's [`WaitStrategy`](crate::WaitStrategy).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended, because the channel was closed or because it
    /// overflowed under [`Overflow::Close`](crate::Overflow::Close).
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
    #[inline]
    pub fn recv(&mut self) -> Result<E, RecvError> {
        if let Some(mut known) = self.intake.known() {
            return Ok(known.take());
        }
        self.find_or_wait()
    }

    /// Takes the next event, which no read has found yet, waiting for it.
    #[inline(never)]
    fn find_or_wait(&mut self) -> Result<E, RecvError> {
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

    /// Takes the next event if there is one, without waiting for events.
    ///
    /// While events arrive faster than one per 60 nanoseconds, the only receiver of a channel spins
    /// for up to a microsecond before it polls a lane that it has drained, as
    /// [`drain_with`](Receiver::drain_with) does.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when there is no event whose write has returned, the other variants
    /// when the stream has ended.
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
    #[inline]
    pub fn try_recv(&mut self) -> Result<E, TryRecvError> {
        if let Some(mut known) = self.intake.known() {
            return Ok(known.take());
        }
        self.find()
    }

    /// Takes the next event, which no read has found yet, if there is one.
    #[inline(never)]
    fn find(&mut self) -> Result<E, TryRecvError> {
        self.intake.linger_when_dry();
        let found = self.attempt(Find::Written);
        if found.is_err() {
            self.intake.found_nothing();
        }
        found
    }

    /// Takes the next event, waiting for at most `limit`.
    ///
    /// A limit of zero is the same as [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when no event arrived in time, the other variants when the
    /// stream has ended.
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
        self.recv_until(|| Deadline::after(limit))
    }

    /// Takes the next event, waiting at most until the given instant.
    ///
    /// An instant in the past is the same as [`try_recv`](Self::try_recv).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when no event arrived in time, the other variants when the
    /// stream has ended.
    ///
    /// # Examples
    /// One deadline for many events:
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
        self.recv_until(|| Deadline::at(moment))
    }

    /// Takes the next event, waiting until the deadline. An event that is there already is taken
    /// without a look at the clock, which takes longer than the read.
    #[inline]
    fn recv_until(&mut self, deadline: impl FnOnce() -> Deadline) -> Result<E, RecvTimeoutError> {
        if let Some(mut known) = self.intake.known() {
            return Ok(known.take());
        }
        self.find_until(deadline)
    }

    #[inline(never)]
    fn find_until(&mut self, deadline: impl FnOnce() -> Deadline) -> Result<E, RecvTimeoutError> {
        self.intake.linger_when_dry();
        if let Some(event) = self.take(Find::Filled) {
            return Ok(event);
        }
        let deadline = deadline();
        loop {
            // The clock is read before the attempt, so that a thread woken at its deadline still
            // polls once.
            let left = deadline.remaining();
            let over = left.is_some_and(|left| left.is_zero());
            // No wait follows the last attempt, so this attempt must find what a non-waiting read
            // finds.
            match self.attempt(if over { Find::Written } else { Find::Filled }) {
                Ok(event) => return Ok(event),
                Err(TryRecvError::Closed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Overflowed) => return Err(RecvTimeoutError::Overflowed),
                Err(TryRecvError::Empty) if over => {
                    self.intake.found_nothing();
                    return Err(RecvTimeoutError::Timeout);
                }
                Err(TryRecvError::Empty) => self.intake.wait(left, |_| false),
            }
        }
    }

    /// Takes the next event if `find` finds one, without waiting.
    #[inline]
    pub(super) fn attempt(&mut self, find: Find) -> Result<E, TryRecvError> {
        if let Some(event) = self.take(find) {
            return Ok(event);
        }
        Err(self.why_empty())
    }

    /// Takes the next event, when the reads before have left no known one.
    #[inline]
    pub(super) fn take(&mut self, find: Find) -> Option<E> {
        self.take_of(find, turn::MOST)
    }

    /// Takes the next event, when the reads before have left no known one. At most `most` events, with
    /// this one, are known to the reads that follow, and the turn is settled for them: these reads may
    /// be polls.
    #[inline]
    pub(super) fn take_of(&mut self, find: Find, most: usize) -> Option<E> {
        if let Some(event) = self.take_held() {
            return Some(event);
        }
        let event = self.intake.take_of(find, most)?;
        self.turn.took(1 + self.intake.known_len());
        Some(event)
    }

    /// Takes the event that a stream of [entries](Self::entries) holds.
    #[cfg(feature = "async")]
    #[inline]
    pub(super) fn take_held(&mut self) -> Option<E> {
        self.stream.held().take().map(|event| *event)
    }

    #[cfg(not(feature = "async"))]
    #[inline]
    pub(super) fn take_held(&mut self) -> Option<E> {
        None
    }

    /// Returns the number of events that a stream of [entries](Self::entries) holds: 0 or 1.
    #[cfg(feature = "async")]
    pub(super) fn held_len(&self) -> usize {
        usize::from(self.stream.held.lock().unwrap_or_else(PoisonError::into_inner).is_some())
    }

    #[cfg(not(feature = "async"))]
    fn held_len(&self) -> usize {
        0
    }

    /// Returns the reason why a read found no event.
    pub(super) fn why_empty(&mut self) -> TryRecvError {
        match self.intake.drained() {
            None => TryRecvError::Empty,
            Some(End::Overflowed) => TryRecvError::Overflowed,
            Some(_) => TryRecvError::Closed,
        }
    }

    /// Appends up to `max` events to `into`, waiting for the first, and returns their number.
    ///
    /// A `max` of zero returns at once, without an event. `into` grows only if its spare capacity
    /// is too small.
    ///
    /// While events arrive faster than one per 60 nanoseconds, the only receiver of a channel spins
    /// once for up to a microsecond before it returns fewer than `max` events.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may consume an
    /// `unpark` token meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
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
        let mut has_lingered = false;
        loop {
            count += self.intake.take_known_into(into, max - count);
            if count == max {
                break;
            }
            // Once: under a steady flow, each further spin would find more events.
            if !std::mem::replace(&mut has_lingered, true) {
                self.intake.linger_when_dry();
            }
            let Some(event) = self.take(Find::Written) else { break };
            into.push(event);
            count += 1;
        }
        Ok(count)
    }

    /// Returns the number of unread events in all lanes.
    ///
    /// Writers may add events at any time; only a read or an eviction removes one. An event counts
    /// while it is being written, although a read may not find it yet, and while another receiver
    /// is taking it. The number takes a few loads for each lane and is not an atomic snapshot.
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
        self.intake.len() as usize + self.held_len()
    }

    /// Returns `true` if no event is unread: [`len`](Self::len) is zero.
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

    /// Returns the number of accepted events that were lost: dropped because there was no room, or
    /// evicted.
    ///
    /// If several receivers share the events, the number is for all of them together. The call
    /// takes a few loads for each lane, under a lock that neither publishers nor readers take for
    /// an event.
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

    /// Closes the channel to new events; unread events stay readable by all receivers.
    ///
    /// This method waits for no receiver and so has no report to return. Closing a bus or a queue
    /// waits for the consumers and returns a report.
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
    /// The first state that shows a backlog starts the timer of [`SinkState::backlog_for`].
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
    /// Creates another receiver of the same stream.
    fn clone(&self) -> Self {
        Self {
            intake: self.intake.another(),
            turn: Turn::new(),
            #[cfg(feature = "async")]
            stream: StreamState::new(self.stream.is_terminated, self.stream.lost),
        }
    }
}

impl<E: Send + 'static, K: Kind> Drop for Receiver<E, K> {
    fn drop(&mut self) {
        self.intake.abandon();
        if let Some(event) = self.take_held() {
            discard(event);
        }
    }
}

impl<E: Send + 'static, K: Kind> fmt::Debug for Receiver<E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::RECEIVER).field("len", &self.len()).finish_non_exhaustive()
    }
}
