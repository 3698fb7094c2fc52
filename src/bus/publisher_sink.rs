//! A publisher as a `Sink` of the crate `futures`.

use super::publisher::Publisher;
use super::publisher::sending::Sending;
use crate::error::Closed;
use crate::sink::lane::RoomWait;
use crate::wait::context::discard;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

impl<E: Send + 'static> Publisher<E> {
    /// Returns this publisher as a [`Sink`](futures_sink::Sink) of the crate `futures`.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// use futures::{SinkExt, executor::block_on};
    /// let bus = Bus::new();
    /// let mut receiver = bus.subscribe_lossless(16)?;
    /// let mut sink = bus.publisher().into_sink();
    /// block_on(async {
    ///     sink.send("one").await?;
    ///     sink.feed("two").await
    /// })?;
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), ["one", "two"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_sink(self) -> PublisherSink<E> {
        PublisherSink { wait: None, publisher: Some(self), sending: None }
    }
}

/// A [`Publisher`] as a [`Sink`](futures_sink::Sink) of the crate `futures`:
/// [`Publisher::into_sink`].
///
/// | method | what it does |
/// |---|---|
/// | `poll_ready` | waits until every sink has room, as [`Publisher::reserve`] does |
/// | `start_send` | publishes the event, which needs no wait in private lanes |
/// | `poll_flush` | waits until every sink has the event, or has refused it: events are in the sinks, and not necessarily handled |
/// | `poll_close` | does the same, and then drops the publisher: this sink accepts no further events; a bus with other handles stays open |
///
/// An event that a sink refuses is counted in that sink's [ledger](crate::stats::Ledger).
///
/// # Cancel safety
/// The futures of `futures::SinkExt` may be dropped at any time. `send` and `feed` take the event
/// along if they are dropped before there was room for it; `send_all` takes along the event that it
/// holds. An event that was accepted by `start_send` reaches every sink with the next poll of any
/// kind, unless this sink is dropped first.
///
/// If such a future was woken for room that several publishers share, and is then dropped, this sink
/// keeps the wake-up until it sends again, or is closed or dropped. To give the room to another
/// publisher at once, drop the sink.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use futures::{SinkExt, StreamExt, executor::block_on, stream};
/// let bus = Bus::new();
/// let mut receiver = bus.subscribe_lossless(4)?;
/// let mut sink = bus.publisher().into_sink();
/// let send = async { sink.send_all(&mut stream::iter(0..100).map(Ok)).await };
/// let read = async {
///     for n in 0..100 {
///         assert_eq!(receiver.recv_async().await, Ok(n));
///     }
/// };
/// block_on(async { futures::join!(send, read) }).0?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PublisherSink<E: Send + 'static> {
    /// Before the publisher, so that it is dropped first: the next publisher may get the lane, and
    /// with it the entry of this wait.
    wait: Option<RoomWait>,
    /// `None` once the sink is closed.
    publisher: Option<Publisher<E>>,
    /// The event that a shared sink has not accepted yet.
    sending: Option<Sending<E>>,
}

impl<E: Send + 'static> PublisherSink<E> {
    /// Returns the publisher, or `None` if this sink was closed.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let sink = bus.publisher().into_sink();
    /// assert!(sink.into_publisher().is_some());
    /// ```
    pub fn into_publisher(mut self) -> Option<Publisher<E>> {
        self.wait = None;
        let mut publisher = self.publisher.take();
        if let (Some(publisher), Some(sending)) = (&mut publisher, &self.sending) {
            sending.give_up(publisher);
        }
        publisher
    }
}

impl<E: Clone + Send + 'static> PublisherSink<E> {
    /// Waits until every sink has the last event.
    fn poll_sent(&mut self, task: &Waker) -> Poll<Result<(), Closed<()>>> {
        let Self { publisher, wait, sending } = self;
        let (Some(publisher), Some(event)) = (publisher.as_mut(), sending.as_mut()) else {
            return Poll::Ready(Ok(()));
        };
        ready!(event.poll(publisher, wait, task));
        *wait = None;
        let outcome = sending.take().map(|sending| sending.end(publisher));
        Poll::Ready(match outcome {
            Some(Err(Closed(event))) => {
                discard(event);
                Err(Closed(()))
            }
            Some(Ok(_)) | None => Ok(()),
        })
    }
}

// The event is never pinned.
impl<E: Send + 'static> Unpin for PublisherSink<E> {}

impl<E: Clone + Send + 'static> futures_sink::Sink<E> for PublisherSink<E> {
    type Error = Closed<()>;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Closed<()>>> {
        ready!(self.poll_sent(context.waker()))?;
        let Self { publisher, wait, .. } = &mut *self;
        match publisher {
            Some(publisher) => publisher.poll_room(wait, context.waker()),
            None => Poll::Ready(Err(Closed(()))),
        }
    }

    fn start_send(mut self: Pin<&mut Self>, event: E) -> Result<(), Closed<()>> {
        let Self { publisher, wait, sending } = &mut *self;
        let Some(publisher) = publisher else {
            discard(event);
            return Err(Closed(()));
        };
        let mut event = Sending::begin(publisher, event);
        let is_sent = event.offer_now(publisher);
        *sending = Some(event);
        // What is left of the room goes to the next publisher that waits.
        *wait = None;
        // Does not wait, since no sink is owed the event.
        match is_sent.then(|| self.poll_sent(Waker::noop())) {
            Some(Poll::Ready(outcome)) => outcome,
            Some(Poll::Pending) | None => Ok(()),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Closed<()>>> {
        self.poll_sent(context.waker())
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Closed<()>>> {
        let outcome = ready!(self.poll_sent(context.waker()));
        self.wait = None;
        self.publisher = None;
        Poll::Ready(outcome)
    }
}

impl<E: Send + 'static> fmt::Debug for PublisherSink<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherSink").field("closed", &self.publisher.is_none()).finish_non_exhaustive()
    }
}
