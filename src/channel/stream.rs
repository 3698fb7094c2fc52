//! A receiver as a `Stream` of the crate `futures`.

use super::kind::{Exclusive, Kind};
use super::receiver::Receiver;
use crate::error::RecvError;
use crate::mailbox::intake::Intake;
use futures_core::stream::{FusedStream, Stream};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The stream of a receiver's events, which ends when the channel is closed and read to its end.
///
/// The stream leaves out what was lost: [`Receiver::lost`] counts it, and [`Receiver::entries`] has
/// it as values. A poll hands out at most 128 events in a row, as
/// [`recv_async`](Receiver::recv_async) does.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use futures::{StreamExt, executor::block_on};
/// let bus = Bus::new();
/// let receiver = bus.subscribe_lossy(16)?;
/// for n in 1..=4 {
///     bus.publish(n)?;
/// }
/// bus.close();
/// let even = receiver.filter(|n| std::future::ready(n % 2 == 0));
/// assert_eq!(block_on(even.collect::<Vec<_>>()), [2, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<E: Send + 'static, K: Kind> Stream for Receiver<E, K> {
    type Item = E;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<E>> {
        let outcome = ready!(self.poll_recv(context));
        self.stream.is_terminated |= outcome.is_err();
        Poll::Ready(outcome.ok())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.intake.known_len() + self.held_len(), self.stream.is_terminated.then_some(0))
    }
}

impl<E: Send + 'static, K: Kind> FusedStream for Receiver<E, K> {
    fn is_terminated(&self) -> bool {
        self.stream.is_terminated
    }
}

// No event is pinned in a receiver: it owns none.
impl<E: Send + 'static, K: Kind> Unpin for Receiver<E, K> {}

impl<E: Send + 'static, K: Kind> Receiver<E, K> {
    /// Returns the stream of the events together with what was lost.
    ///
    /// The number of lost events is an [`Entry::Lagged`], and an overflow that closed the channel an
    /// [`Entry::Overflowed`].
    ///
    /// # Examples
    /// ```
    /// use buslane::channel::Entry;
    /// use buslane::{Channel, Overflow, Sink};
    /// use futures::{StreamExt, executor::block_on};
    /// let (channel, mut receiver) = Channel::builder().capacity(2).overflow(Overflow::DropOldest).build()?;
    /// (0..5).try_for_each(|n| channel.write(n))?;
    /// channel.close();
    /// let entries: Vec<_> = block_on(receiver.entries().collect());
    /// assert_eq!(entries, [Entry::Lagged(3), Entry::Event(3), Entry::Event(4)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&mut self) -> Entries<'_, E, K> {
        Entries(self)
    }

    /// Returns the number of events that were lost since the last call, if there are any.
    fn newly_lost(&mut self) -> Option<u64> {
        let lost = self.intake.mailbox().lost_before_the_next();
        let new = lost.saturating_sub(std::mem::replace(&mut self.stream.lost, lost));
        (new > 0).then_some(new)
    }
}

/// An item of [`Receiver::entries`].
///
/// # Examples
/// ```
/// use buslane::channel::Entry;
/// assert_eq!(Entry::Event("event").event(), Some("event"));
/// assert_eq!(Entry::<&str>::Lagged(3).event(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry<E> {
    /// An event.
    Event(E),
    /// The number of events that were lost since the last entry of this kind: dropped because a lane
    /// was full, or evicted.
    ///
    /// Each lost event is in exactly one such entry. Evicted events are reported before the next
    /// event of their lane, and after the events before them. Events that were dropped because a lane
    /// was full are reported after events that were read before the loss, and may be reported before
    /// events that were accepted before it.
    ///
    /// If several receivers share the channel, each of them gets the losses of the whole channel, and
    /// an eviction that happens while a receiver reads may be reported an event later.
    Lagged(u64),
    /// The channel overflowed under [`Overflow::Close`](crate::Overflow::Close), and is closed. This
    /// is the last entry.
    Overflowed,
}

impl<E> Entry<E> {
    /// Returns the event, or `None` if this entry is not an event.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(buslane::channel::Entry::Event(7).event(), Some(7));
    /// ```
    pub fn event(self) -> Option<E> {
        match self {
            Self::Event(event) => Some(event),
            Self::Lagged(_) | Self::Overflowed => None,
        }
    }
}

/// The stream of a receiver's events and losses: [`Receiver::entries`].
///
/// Dropping it loses nothing; a later one continues, and so does every other read.
///
/// # Examples
/// ```
/// use buslane::Channel;
/// use buslane::channel::Entry;
/// use futures::{StreamExt, executor::block_on};
/// let (channel, mut receiver) = Channel::<u32>::lossy(8)?;
/// channel.close();
/// assert_eq!(block_on(receiver.entries().next()), None);
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Entries<'a, E: Send + 'static, K: Kind = Exclusive>(&'a mut Receiver<E, K>);

impl<E: Send + 'static, K: Kind> Stream for Entries<'_, E, K> {
    type Item = Entry<E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Entry<E>>> {
        let receiver = &mut *self.0;
        if receiver.stream.is_terminated {
            return Poll::Ready(None);
        }
        if let Some(event) = receiver.take_held() {
            return Poll::Ready(Some(Entry::Event(event)));
        }
        if let Some(mut known) = receiver.intake.known() {
            return Poll::Ready(Some(Entry::Event(known.take())));
        }
        let evicts = receiver.intake.mailbox().evicts();
        // Once for the events that the following reads know of.
        if !evicts && let Some(lost) = receiver.newly_lost() {
            return Poll::Ready(Some(Entry::Lagged(lost)));
        }
        let end = match ready!(receiver.find_or_register(context)) {
            Ok(event) => {
                // Only now is it known which evicted events precede it: others may have been evicted
                // since the last read, and until this one.
                if evicts && let Some(lost) = receiver.newly_lost() {
                    receiver.stream.hold(event);
                    return Poll::Ready(Some(Entry::Lagged(lost)));
                }
                return Poll::Ready(Some(Entry::Event(event)));
            }
            Err(end) => end,
        };
        if let Some(lost) = receiver.newly_lost() {
            return Poll::Ready(Some(Entry::Lagged(lost)));
        }
        receiver.stream.is_terminated = true;
        Poll::Ready((end == RecvError::Overflowed).then_some(Entry::Overflowed))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<E: Send + 'static, K: Kind> FusedStream for Entries<'_, E, K> {
    fn is_terminated(&self) -> bool {
        self.0.is_terminated()
    }
}

impl<E: Send + 'static, K: Kind> Drop for Entries<'_, E, K> {
    fn drop(&mut self) {
        self.0.intake.unregister();
    }
}

impl<E: Send + 'static, K: Kind> fmt::Debug for Entries<'_, E, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entries")
    }
}
