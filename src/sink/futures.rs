//! Futures for what otherwise blocks a thread: a write, a flush, a close, and the wait for a close.

use super::lane::RoomWait;
use crate::error::WriteError;
use crate::stats::{Awaited, CloseReport, FlushReport, Identity, Settling};
use crate::wait::list::task::TaskWait;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How often an event is offered to a sink that is full and does not report what it waits for.
const OFFERS: u32 = 64;

/// A sink into which a task may write. A write returns `R`.
pub(crate) trait AsyncWrite<E, R>: Sync {
    /// Writes an event without waiting.
    fn attempt(&self, event: E) -> Result<R, WriteError<E>>;

    /// Returns whether the policy is to wait for room.
    fn may_wait(&self) -> bool;

    /// Returns the wait for room for this event, if a write would wait now.
    fn full(&self, event: &E) -> Option<RoomWait>;
}

/// The future of a write into a queue or a channel, or of a publish in a journal, that waits for room
/// as a task.
///
/// [`Channel::write_async`](crate::Channel::write_async),
/// [`Queue::write_async`](crate::Queue::write_async) and
/// [`Journal::publish_async`](crate::Journal::publish_async) return it.
#[must_use = "futures do nothing unless polled"]
pub struct WriteAsync<'a, E, R = ()> {
    sink: &'a dyn AsyncWrite<E, R>,
    event: Option<E>,
    wait: Option<RoomWait>,
}

impl<'a, E, R> WriteAsync<'a, E, R> {
    pub(crate) fn new(sink: &'a dyn AsyncWrite<E, R>, event: E) -> Self {
        Self { sink, event: Some(event), wait: None }
    }
}

// The event is never pinned.
impl<E, R> Unpin for WriteAsync<'_, E, R> {}

impl<E, R> Future for WriteAsync<'_, E, R> {
    type Output = Result<R, WriteError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sink, event: place, wait } = &mut *self;
        let mut offers = 0;
        loop {
            if let Some(wait) = wait {
                ready!(wait.poll(context.waker()));
            }
            let Some(event) = place.take() else { panic!("`WriteAsync` was polled after it was ready") };
            if let Some(next) = sink.full(&event) {
                *place = Some(event);
                // If another writer took the room, this one keeps its position on the list.
                if wait.as_ref().is_none_or(|wait| !wait.is_same(&next)) {
                    *wait = Some(next);
                }
                continue;
            }
            offers += 1;
            match sink.attempt(event) {
                Err(WriteError::Full(event)) if sink.may_wait() && offers < OFFERS => *place = Some(event),
                outcome => {
                    // What is left goes to the next writer that waits.
                    *wait = None;
                    return Poll::Ready(outcome);
                }
            }
        }
    }
}

impl<E, R> fmt::Debug for WriteAsync<'_, E, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteAsync")
    }
}

type Begin<R> = Box<dyn FnOnce() -> R + Send>;

/// The future of a flush.
///
/// [`Bus::flush_async`](crate::Bus::flush_async), [`Queue::flush_async`](crate::Queue::flush_async)
/// and [`Channel::flush_async`](crate::Channel::flush_async) return it. The flush begins with the
/// first poll.
#[must_use = "futures do nothing unless polled"]
pub struct FlushAsync {
    begin: Option<Begin<FlushReport>>,
    settling: Option<Settling>,
}

impl FlushAsync {
    /// Makes the future of the flush that `begin` begins.
    pub(crate) fn new(begin: impl FnOnce() -> FlushReport + Send + 'static) -> Self {
        Self { begin: Some(Box::new(begin)), settling: None }
    }
}

impl Future for FlushAsync {
    type Output = FlushReport;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<FlushReport> {
        if let Some(begin) = self.begin.take() {
            self.settling = Some(Settling::new(begin()));
        }
        let Some(settling) = &mut self.settling else { panic!("`FlushAsync` was polled after it was ready") };
        let report = ready!(settling.poll(context.waker()));
        self.settling = None;
        Poll::Ready(report)
    }
}

impl fmt::Debug for FlushAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FlushAsync")
    }
}

/// The future of a close that waits until every accepted event was handled.
///
/// [`Bus::close_async`](crate::Bus::close_async) and
/// [`Queue::close_async`](crate::Queue::close_async) return it. The close begins with the first poll.
#[must_use = "futures do nothing unless polled"]
pub struct CloseAsync {
    begin: Option<Begin<CloseReport>>,
    /// The objects that were told to end.
    told: Option<CloseReport>,
    wait: Option<Box<dyn Awaited>>,
    /// Makes the report when they have ended.
    end: Option<Begin<CloseReport>>,
}

impl CloseAsync {
    /// Makes the future of the close that `begin` begins. `end` returns the report without waiting.
    pub(crate) fn new(
        begin: impl FnOnce() -> CloseReport + Send + 'static,
        end: impl FnOnce() -> CloseReport + Send + 'static,
    ) -> Self {
        Self { begin: Some(Box::new(begin)), told: None, wait: None, end: Some(Box::new(end)) }
    }
}

impl Future for CloseAsync {
    type Output = CloseReport;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CloseReport> {
        let Self { begin, told, wait, end } = &mut *self;
        if let Some(begin) = begin.take() {
            let report = begin();
            if !report.is_told() {
                // Inside a delivery nothing is waited for, and nothing is closed a second time.
                *end = None;
                return Poll::Ready(report);
            }
            *told = Some(report);
        }
        // No object that was told has an identity of its own here.
        let this = Identity::new();
        loop {
            if let Some(waiting) = wait {
                ready!(waiting.poll(context.waker()));
            }
            *wait =
                told.as_ref().and_then(|told| told.first_open(&this)).and_then(|ending| ending.until_ended());
            if wait.is_none() {
                break;
            }
        }
        *told = None;
        let Some(end) = end.take() else { panic!("`CloseAsync` was polled after it was ready") };
        Poll::Ready(end())
    }
}

impl fmt::Debug for CloseAsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloseAsync")
    }
}

/// The future of the close of a bus, a queue, a channel or a journal.
///
/// Their method `closed` returns it. It may be dropped at any time, does not keep anything open, and
/// is ready for ever once it is ready.
///
/// # Examples
/// ```
/// use futures::executor::block_on;
/// let bus = buslane::Bus::<u32>::new();
/// let closed = bus.closed();
/// drop(bus);
/// block_on(closed);
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct UntilClosed(TaskWait);

impl UntilClosed {
    pub(crate) fn new(wait: TaskWait) -> Self {
        Self(wait)
    }
}

impl Future for UntilClosed {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll(context.waker())
    }
}

impl fmt::Debug for UntilClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UntilClosed")
    }
}
