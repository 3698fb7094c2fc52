//! A subscriber as a `Stream` of the crate `futures`.

use super::Subscriber;
use crate::journal::entry::Entry;
use futures_core::stream::{FusedStream, Stream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The stream of a subscriber's entries, which ends with the subscription or the journal.
///
/// What was missed is an item, [`Entry::Lagged`]. A poll hands out at most 128 entries in a row, as
/// [`recv_async`](Subscriber::recv_async) does.
///
/// # Examples
/// ```
/// use buslane::Journal;
/// use buslane::journal::{Entry, Start};
/// use futures::{StreamExt, executor::block_on};
/// let journal = Journal::new(16)?;
/// journal.publish_batch(["one", "two"])?;
/// journal.close();
/// let events = journal.subscribe(Start::Oldest)?.filter_map(|entry| async move { entry.event() });
/// assert_eq!(block_on(events.collect::<Vec<_>>()), ["one", "two"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<E: Clone + Send + Sync + 'static> Stream for Subscriber<E> {
    type Item = Entry<E>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Entry<E>>> {
        Poll::Ready(ready!(self.poll_recv(context)).ok())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, self.ended.then_some(0))
    }
}

impl<E: Clone + Send + Sync + 'static> FusedStream for Subscriber<E> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

// No event is pinned in a subscriber: it owns none.
impl<E: Send + Sync + 'static> Unpin for Subscriber<E> {}
