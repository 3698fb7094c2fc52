//! Reading as a task.

use super::Subscriber;
use crate::error::{RecvError, TryRecvError};
use crate::journal::entry::Entry;
use crate::journal::recv::RecvEntry;
use crate::sync::recheck;
use crate::wait::context::UserCode;
use std::task::{Context, Poll};

impl<E: Send + Sync + 'static> Subscriber<E> {
    /// Takes the next event, as a future.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when nothing follows.
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
        RecvEntry::new(self)
    }

    /// Takes the next event, or registers the task to be woken when there is one.
    ///
    /// # Errors
    /// [`RecvError::Closed`] when nothing follows.
    ///
    /// # Examples
    /// ```
    /// use std::task::{Context, Waker};
    /// let journal = buslane::Journal::new(16)?;
    /// let mut subscriber = journal.subscribe(buslane::journal::Start::Now)?;
    /// let mut context = Context::from_waker(Waker::noop()); // that of a task, which is woken
    /// assert!(subscriber.poll_recv(&mut context).is_pending());
    /// journal.publish(7)?;
    /// assert!(subscriber.poll_recv(&mut context).is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Result<Entry<E>, RecvError>>
    where
        E: Clone,
    {
        for _ in 0..2 {
            match self.try_recv() {
                Ok(entry) => return Poll::Ready(Ok(entry)),
                Err(TryRecvError::Closed | TryRecvError::Overflowed) => {
                    return Poll::Ready(Err(RecvError::Closed));
                }
                Err(TryRecvError::Empty) => {}
            }
            self.shared.sleepers.register(&mut self.berth, context.waker());
            if !recheck(|| self.reader.has_news()) {
                return Poll::Pending;
            }
        }
        // Events keep coming, and none of them is wanted: other tasks get their turn.
        let _user_code = UserCode::enter();
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// The task that polled last waits no more.
    pub(in crate::journal) fn cancel(&mut self) {
        self.shared.sleepers.cancel(&mut self.berth);
    }
}
