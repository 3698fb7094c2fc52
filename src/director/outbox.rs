//! Outboxes: the receiving side of a member that has no thread.

use super::core::detach;
use super::driver::{Driver, Step};
use super::key::Epoch;
use super::packet::Packet;
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::time::Deadline;
use crate::wait::context::UserCode;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The packets of one member, to be polled, waited for, or awaited.
///
/// Each packet is to be [acknowledged](Packet::ack). One that is dropped before that comes again,
/// unless a [ticket](Packet::ticket) of it is kept. The first packet is that of the
/// [state](super::PacketKind::State).
///
/// Dropping the outbox ends the session and keeps the member's place:
/// [`rejoin`](super::Director::rejoin_manual) continues there.
///
/// # Examples
/// ```
/// use buslane::director::Director;
/// let director = Director::new()?;
/// let (_bob, mut outbox) = director.join_manual("bob")?;
/// for n in 0..100 {
///     director.announce(n)?;
/// }
/// director.close();
/// let mut events = Vec::new();
/// while let Ok(packet) = outbox.packet() {
///     events.extend(packet.events().iter().map(|event| event.event));
///     packet.ack()?;
/// }
/// assert!(events.into_iter().eq(0..100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Outbox<E: Clone + Send + Sync + 'static>(Driver<E>);

impl<E: Clone + Send + Sync + 'static> Outbox<E> {
    pub(super) fn new(driver: Driver<E>) -> Self {
        Self(driver)
    }

    /// Takes the next packet if there is one, without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] when there is none now, [`TryRecvError::Closed`] when the session is
    /// over, or the director is closed and the member has got everything.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// use buslane::error::TryRecvError;
    /// let director = Director::<u32>::new()?;
    /// let (bob, mut outbox) = director.join_manual("bob")?;
    /// outbox.try_packet()?.ack()?; // the state
    /// assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Empty));
    /// drop(bob);
    /// assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Closed));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_packet(&mut self) -> Result<Packet<E>, TryRecvError> {
        match self.0.step() {
            Step::Deliver(packet) => Ok(packet),
            Step::Wait { .. } => Err(TryRecvError::Empty),
            Step::End => Err(TryRecvError::Closed),
        }
    }

    /// Takes the next packet, waiting for it.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when the session is over, or the director is closed and the member has
    /// got everything.
    pub fn packet(&mut self) -> Result<Packet<E>, RecvError> {
        loop {
            match self.0.step() {
                Step::Deliver(packet) => return Ok(packet),
                Step::Wait { for_events } => self.0.wait(for_events, None),
                Step::End => return Err(RecvError::Closed),
            }
        }
    }

    /// Takes the next packet, waiting at most `limit` for it.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`] when there was none in time, [`RecvTimeoutError::Closed`] as for
    /// [`packet`](Self::packet).
    pub fn packet_timeout(&mut self, limit: Duration) -> Result<Packet<E>, RecvTimeoutError> {
        let deadline = Deadline::after(limit);
        loop {
            // The clock is read before the step, so that a thread woken at its deadline still looks
            // once.
            let left = deadline.remaining();
            match self.0.step() {
                Step::Deliver(packet) => return Ok(packet),
                Step::End => return Err(RecvTimeoutError::Closed),
                Step::Wait { .. } if left.is_some_and(|left| left.is_zero()) => {
                    return Err(RecvTimeoutError::Timeout);
                }
                Step::Wait { for_events } => self.0.wait(for_events, left),
            }
        }
    }

    /// Takes the next packet, or registers the task to be woken when there may be one.
    ///
    /// # Errors
    /// [`RecvError::Closed`] as for [`packet`](Self::packet).
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// use std::task::{Context, Waker};
    /// let director = Director::new()?;
    /// let (_bob, mut outbox) = director.join_manual("bob")?;
    /// outbox.try_packet()?.ack()?; // the state
    /// let mut context = Context::from_waker(Waker::noop()); // a real task passes its own waker
    /// assert!(outbox.poll_packet(&mut context).is_pending());
    /// director.announce(7)?;
    /// assert!(outbox.poll_packet(&mut context).is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_packet(&mut self, context: &mut Context<'_>) -> Poll<Result<Packet<E>, RecvError>> {
        for _ in 0..2 {
            match self.0.step() {
                Step::Deliver(packet) => return Poll::Ready(Ok(packet)),
                Step::End => return Poll::Ready(Err(RecvError::Closed)),
                Step::Wait { for_events } => {
                    if !self.0.register(for_events, context.waker()) {
                        return Poll::Pending;
                    }
                }
            }
        }
        // News keep arriving, but none is for this member: yield to other tasks.
        let _user_code = UserCode::enter();
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes the next packet asynchronously.
    ///
    /// Dropping the future before it is ready loses nothing.
    ///
    /// # Examples
    /// ```
    /// use buslane::director::Director;
    /// let director = Director::<u32>::new()?;
    /// let (_bob, mut outbox) = director.join_manual("bob")?;
    /// pollster::block_on(outbox.packet_async())?.ack()?; // the state
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn packet_async(&mut self) -> NextPacket<'_, E> {
        NextPacket(self)
    }

    /// Returns the name of the member.
    #[must_use]
    pub fn member(&self) -> &str {
        &self.0.record.name
    }

    /// Returns the epoch of the session.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.0.epoch
    }
}

impl<E: Clone + Send + Sync + 'static> Drop for Outbox<E> {
    fn drop(&mut self) {
        detach(&self.0.record, self.0.epoch);
    }
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for Outbox<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("member", &self.member())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}

/// The future of [`Outbox::packet_async`].
#[must_use = "futures do nothing unless polled"]
pub struct NextPacket<'a, E: Clone + Send + Sync + 'static>(&'a mut Outbox<E>);

impl<E: Clone + Send + Sync + 'static> Future for NextPacket<'_, E> {
    type Output = Result<Packet<E>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_packet(context)
    }
}

impl<E: Clone + Send + Sync + 'static> Drop for NextPacket<'_, E> {
    fn drop(&mut self) {
        self.0.0.unregister();
    }
}

impl<E: Clone + Send + Sync + 'static> fmt::Debug for NextPacket<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextPacket")
    }
}
