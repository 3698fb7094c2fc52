//! Reading as a future.

use super::entry::Entry;
use super::subscriber::Subscriber;
use crate::error::RecvError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

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

impl<'a, E: Send + Sync + 'static> RecvEntry<'a, E> {
    pub(super) fn new(subscriber: &'a mut Subscriber<E>) -> Self {
        Self(subscriber)
    }
}

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
