//! Bounds the waits of whatever is behind it.

use crate::error::{OutOfMemory, WriteError};
use crate::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::Disposition;
use crate::time::Deadline;
use crate::wait::context::WaitLimit;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Bounds the waits of whatever is behind it. Made by
/// [`SinkExt::timeout`](crate::SinkExt::timeout).
///
/// # Guarantees
/// - **What is bounded**: everything in this crate that waits on the writing thread: for room in a
///   full lane ([`Overflow::Block`](crate::Overflow::Block),
///   [`Overflow::BlockFor`](crate::Overflow::BlockFor)), for the end of a back-off, for the answer
///   to a request. Limits within limits: the earliest counts.
/// - **What is not**: a sink of yours that blocks. Nobody can call off a call on its own thread;
///   put a [`Queue`](crate::Queue) in front of it, and the timeout, if it still has a purpose, in
///   front of the queue.
/// - **Cost**: no thread, no timer, no allocation, and no clone of the event. The clock is read by
///   the first wait; a write that need not wait reads none.
/// - **Delivery**: with [`WriteError::Timeout`] the event comes back, and nobody holds another one.
///
/// # Examples
/// ```
/// use buslane::{Channel, Overflow, Sink, SinkExt, WriteError};
/// use std::time::Duration;
/// let (channel, _receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
/// let sink = channel.timeout(Duration::from_millis(1));
/// assert!(sink.write(1).is_ok());
/// assert!(matches!(sink.write(2), Err(WriteError::Timeout(2))));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[must_use = "a timeout does nothing until it is written to or added to a bus"]
pub struct Timeout<E, S> {
    inner: S,
    /// In an allocation of its own, which tells this sink from others.
    limit: Arc<Duration>,
    events: PhantomData<fn(E)>,
}

impl<E, S> Timeout<E, S> {
    pub(crate) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit: Arc::new(limit), events: PhantomData }
    }
}

impl<E: Send + 'static, S: Sink<E>> Sink<E> for Timeout<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let _limit = WaitLimit::begin(*self.limit);
        self.inner.offer(event)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        Ok(self.inner.lane()?.map(|inner| Lane::staged(TimeoutLane { inner, limit: *self.limit })))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.inner.has_lanes()
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.limit))
    }
}

impl<E, S: fmt::Debug> fmt::Debug for Timeout<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("inner", &self.inner).field("limit", &self.limit).finish()
    }
}

struct TimeoutLane<E> {
    inner: Lane<E>,
    limit: Duration,
}

impl<E: Send + 'static> LaneWrite<E> for TimeoutLane<E> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let _limit = WaitLimit::begin(self.limit);
        self.inner.offer(event, deadline)
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        Some(&self.inner)
    }
}
