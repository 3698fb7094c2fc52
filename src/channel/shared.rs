//! The reading half of a channel with many readers.

use super::reading;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::inbox::End;
use crate::inbox::member::Member;
use crate::ledger::SinkState;
use crate::wait::Deadline;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A reading half of a [`Channel`](crate::Channel) that many may have: a clone reads the same stream, and each event goes to
/// one of them. Made by [`Channel::shared`](crate::Channel::shared) and
/// [`ChannelBuilder::build_shared`](crate::ChannelBuilder::build_shared).
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
    /// # Errors
    /// [`RecvError`] when the stream has ended: closed, or cut off because it overflowed.
    pub fn recv(&mut self) -> Result<E, RecvError> {
        reading::recv(&mut self.member)
    }

    /// Takes the next event if there is one now.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when nothing is there, the others when the stream has ended.
    pub fn try_recv(&mut self) -> Result<E, TryRecvError> {
        reading::try_recv(&mut self.member)
    }

    /// Takes the next event, waiting so long at most. A limit of zero is [`try_recv`](Self::try_recv).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when nothing came, the others when the stream has ended.
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<E, RecvTimeoutError> {
        reading::recv_until(&mut self.member, Deadline::after(limit))
    }

    /// Takes the next event, waiting until this moment at most. A moment in the past is [`try_recv`](Self::try_recv).
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when nothing came, the others when the stream has ended.
    pub fn recv_deadline(&mut self, moment: Instant) -> Result<E, RecvTimeoutError> {
        reading::recv_until(&mut self.member, Deadline::at(moment))
    }

    /// Takes events, waiting for each, until the stream ends.
    pub fn iter(&mut self) -> impl Iterator<Item = E> + '_ {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Takes what is there now, without waiting.
    pub fn try_iter(&mut self) -> impl Iterator<Item = E> + '_ {
        std::iter::from_fn(|| self.member.take_one())
    }

    /// Takes the next event, as a future.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event; one for which its task was woken goes to another receiver that waits.
    ///
    /// # Errors
    /// [`RecvError`] when the stream has ended.
    pub fn recv_async(&mut self) -> SharedRecv<'_, E> {
        SharedRecv { receiver: self }
    }

    /// Takes the next event, or registers the task to be woken when there is one.
    ///
    /// A task that was registered and will not poll again keeps an event's wake-up for itself until the receiver is used
    /// again or dropped; [`recv_async`](Self::recv_async) sees to that.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<E, RecvError>> {
        reading::poll_recv(&mut self.member, context)
    }

    /// How many events wait, for whichever receiver; also those that others are just taking.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().depth as usize
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events were accepted and lost, for all receivers: dropped because there was no room, or evicted.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let dropped = self.state().ledger.dropped;
        dropped.full + dropped.evicted
    }

    /// Closes the channel: it takes no more events; what is left stays readable, by all receivers.
    pub fn close(&mut self) {
        self.member.inbox().seal(End::Closed);
    }

    /// What the channel says about itself.
    #[must_use]
    pub fn state(&self) -> SinkState {
        let mut state = SinkState { kind: "channel", ..SinkState::default() };
        self.member.inbox().describe(&mut state);
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
