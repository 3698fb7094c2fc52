//! Reading in an async task: polling, and a future.

use super::Subscriber;
use crate::error::{RecvError, TryRecvError};
use crate::journal::entry::Entry;
use crate::sync::recheck;
use crate::wait::turn;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

impl<E: Send + Sync + 'static> Subscriber<E> {
    /// Returns a future that takes the next entry.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Journal, Subscriber};
    /// use buslane::journal::Start;
    /// async fn sum(mut subscriber: Subscriber<u32>) -> u32 {
    ///     let mut sum = 0;
    ///     while let Ok(entry) = subscriber.recv_async().await {
    ///         sum += entry.event().unwrap_or(0);
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
    /// let journal = Journal::new(16)?;
    /// journal.publish_batch(vec![40, 2])?;
    /// journal.close();
    /// assert_eq!(block_on(sum(journal.subscribe(Start::Oldest)?)), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_async(&mut self) -> RecvEntry<'_, E>
    where
        E: Clone,
    {
        RecvEntry(self)
    }

    /// Takes the next entry, or registers the task to be woken when an event is published.
    ///
    /// After 128 events in a row, with those that the filter held back, the poll is pending once, and
    /// wakes the task at once, so that other tasks of the same thread run.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when the stream has ended.
    ///
    /// # Examples
    /// ```
    /// use std::task::{Context, Waker};
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// let mut context = Context::from_waker(Waker::noop()); // a real task passes its own waker
    /// assert!(subscriber.poll_recv(&mut context).is_pending());
    /// journal.publish(7)?;
    /// assert!(subscriber.poll_recv(&mut context).is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Entry<E>, RecvError>>
    where
        E: Clone,
    {
        // Events that the filter holds back are part of the turn: judging them takes time, too.
        let end = self.turn_began.saturating_add(turn::MOST as u64);
        if self.reader.position() >= end {
            return self.yield_to_others(context);
        }
        for _ in 0..2 {
            match self.try_recv_before(end) {
                Ok(entry) => return Poll::Ready(Ok(entry)),
                Err(TryRecvError::Closed | TryRecvError::Overflowed) => {
                    return Poll::Ready(Err(RecvError::Closed));
                }
                Err(TryRecvError::Empty) if self.reader.position() >= end => {
                    return self.yield_to_others(context);
                }
                Err(TryRecvError::Empty) => {}
            }
            self.shared.sleepers.register(&mut self.berth, context.waker());
            if !recheck(|| self.reader.has_news()) {
                self.turn_began = self.reader.position();
                return Poll::Pending;
            }
        }
        // Events keep arriving, but none is wanted.
        self.yield_to_others(context)
    }

    /// Lets other tasks run: this one is pending, and polled again after them.
    #[cold]
    fn yield_to_others<R>(&mut self, context: &mut Context<'_>) -> Poll<R> {
        self.turn_began = self.reader.position();
        turn::yield_to_others(context.waker());
        Poll::Pending
    }

    /// Registers a task that the next event wakes. The caller checks for
    /// [news](Self::has_news) afterwards.
    pub(crate) fn register(&mut self, task: &Waker) {
        self.shared.sleepers.register(&mut self.berth, task);
    }

    /// Returns whether there is an event after the subscriber's position, or the journal is closed.
    pub(crate) fn has_news(&self) -> bool {
        self.reader.has_news()
    }

    /// Unregisters the task that polled last.
    pub(crate) fn cancel(&mut self) {
        self.shared.sleepers.cancel(&mut self.berth);
    }
}

/// The future of [`Subscriber::recv_async`].
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Start};
/// use std::{pin::pin, task::{Context, Poll, Waker}};
/// let journal = Journal::new(16)?;
/// let mut subscriber = journal.subscribe(Start::Now)?;
/// let mut context = Context::from_waker(Waker::noop());
/// let mut next = pin!(subscriber.recv_async());
/// assert!(next.as_mut().poll(&mut context).is_pending());
/// let sequence = journal.publish(7)?;
/// assert_eq!(next.poll(&mut context), Poll::Ready(Ok(Entry::Event(sequence, 7))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct RecvEntry<'a, E: Send + Sync + 'static>(&'a mut Subscriber<E>);

impl<E: Clone + Send + Sync + 'static> Future for RecvEntry<'_, E> {
    type Output = Result<Entry<E>, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_recv(context)
    }
}

impl<E: Send + Sync + 'static> Drop for RecvEntry<'_, E> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl<E: Send + Sync + 'static> fmt::Debug for RecvEntry<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecvEntry")
    }
}
