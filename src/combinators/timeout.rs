//! A combinator that limits the waits inside its inner sink.

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

/// A sink that limits the waits inside its inner sink.
///
/// Made by [`SinkExt::timeout`](crate::SinkExt::timeout).
///
/// # Guarantees
/// - **What is limited**: every wait of this crate on the writing thread: for room in a full lane
///   ([`Overflow::Block`](crate::Overflow::Block),
///   [`Overflow::BlockFor`](crate::Overflow::BlockFor)), for the end of a backoff, for the answer
///   to a request. Of nested limits, the earliest applies.
/// - **What is not limited**: a sink of yours that blocks, since no thread can cancel a call on its
///   own thread. Put a [`Queue`](crate::Queue) upstream of that sink, and the timeout, if it is
///   still useful, upstream of the queue.
/// - **Cost**: no thread, no timer, no allocation, and no clone of the event. The first wait reads
///   the clock; a write that does not wait reads none.
/// - **Delivery**: [`WriteError::Timeout`] returns the event, and no sink has kept a copy.
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
    /// In a separate allocation, whose address identifies this sink.
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

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        Some(&mut self.inner)
    }
}
