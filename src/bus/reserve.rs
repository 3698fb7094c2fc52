//! Publishing from a task: room is reserved without blocking the thread, and then the event is
//! published.

use super::publisher::Publisher;
use super::publisher::sending::Sending;
use crate::error::{Closed, WriteError};
use crate::sink::lane::RoomWait;
use crate::stats::Published;
use crate::time::Deadline;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Publishing from a task.
impl<E: Send + 'static> Publisher<E> {
    /// Returns a future that waits for room in every sink in which a publish would wait, and then
    /// returns the [`Permit`] for one event.
    ///
    /// The task waits, and its thread continues with other tasks. The future waits for the sinks
    /// whose policy is [`Overflow::Block`](crate::Overflow::Block) or
    /// [`Overflow::BlockFor`](crate::Overflow::BlockFor), and for
    /// [gating](crate::journal::Subscription::gating) subscribers of a journal. Sinks that drop,
    /// evict or refuse make nothing wait. A sink without a lane, such as a closure directly on the
    /// bus, does its work on the thread of the publish.
    ///
    /// The crate has no timers, so the limits of `BlockFor` and of a [journal's
    /// gates](crate::journal::JournalBuilder::gate_limit) do not apply here. Bound the future with
    /// the timer of the runtime.
    ///
    /// A future that has to wait may allocate.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time, as may the permit. It has published nothing, and other
    /// publishers get the room.
    ///
    /// # Errors
    /// [`Closed`] if the bus is closed.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// # fn block_on<F: Future>(task: F) -> F::Output {
    /// #     let mut task = pin!(task);
    /// #     loop {
    /// #         if let Poll::Ready(output) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) { return output }
    /// #     }
    /// # }
    /// let bus = Bus::new();
    /// let mut receiver = bus.subscribe_lossless(1)?;
    /// let mut publisher = bus.publisher();
    /// let permit = block_on(publisher.reserve())?;
    /// assert!(permit.publish("event")?.is_complete());
    /// assert_eq!(receiver.recv()?, "event");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&mut self) -> Reserve<'_, E> {
        Reserve { publisher: Some(self), wait: None }
    }
}

impl<E: Clone + Send + 'static> Publisher<E> {
    /// Returns a future that publishes an event, and waits for room as a task.
    ///
    /// It waits as [`reserve`](Self::reserve) does, and then publishes as
    /// [`publish`](Self::publish) does. Every sink that is open gets the event or applies its policy
    /// to it. If another publisher takes the room of a sink that both share, the event goes to the
    /// other sinks at once, and to that sink when it has room. The same holds for the inner sinks of a
    /// bus or a tee, also for those that were added since the future was made.
    ///
    /// # Cancel safety
    /// The event is gone with a future that is dropped before it is ready. No sink has it, except
    /// where a sink that several publishers share ran out of room meanwhile: then the other sinks
    /// may have it. To keep the event, [`reserve`](Self::reserve) first.
    ///
    /// # Errors
    /// [`Closed`] with the event if the bus is closed and no sink accepted it.
    ///
    /// # Panics
    /// As [`publish`](Self::publish) does, and if it is polled after it was ready.
    ///
    /// # Examples
    /// A publisher and a reader on one thread:
    /// ```
    /// use buslane::Bus;
    /// use futures::executor::block_on;
    /// let bus = Bus::new();
    /// let mut receiver = bus.subscribe_lossless(4)?;
    /// let mut publisher = bus.publisher();
    /// let publish = async {
    ///     for n in 0..100 {
    ///         publisher.publish_async(n).await.expect("the bus is open");
    ///     }
    /// };
    /// let read = async {
    ///     let mut sum = 0;
    ///     for _ in 0..100 {
    ///         sum += receiver.recv_async().await.expect("an event");
    ///     }
    ///     sum
    /// };
    /// assert_eq!(block_on(async { futures::join!(publish, read) }).1, 4950);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish_async(&mut self, event: E) -> PublishAsync<'_, E> {
        PublishAsync { publisher: self, wait: None, step: Step::Reserve(event) }
    }
}

/// The future of [`Publisher::reserve`].
#[must_use = "futures do nothing unless polled"]
pub struct Reserve<'a, E: Send + 'static> {
    /// Until the permit takes it over.
    publisher: Option<&'a mut Publisher<E>>,
    wait: Option<RoomWait>,
}

impl<'a, E: Send + 'static> Future for Reserve<'a, E> {
    type Output = Result<Permit<'a, E>, Closed<()>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { publisher, wait } = &mut *self;
        let Some(reserving) = publisher else { panic!("`Reserve` was polled after it was ready") };
        let outcome = ready!(reserving.poll_room(wait, context.waker()));
        let turn = wait.take();
        Poll::Ready(match (outcome, publisher.take()) {
            (Ok(()), Some(publisher)) => Ok(Permit { publisher, turn }),
            _ => Err(Closed(())),
        })
    }
}

impl<E: Send + 'static> fmt::Debug for Reserve<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserve")
    }
}

/// Room for one event in every sink of a [`Publisher`].
///
/// # Guarantees
/// [`publish`](Self::publish) does not wait. Private lanes, which most sinks have, keep the room
/// until then: only this publisher writes into them. What several publishers share is promised to
/// no single one of them:
/// - a queue or a channel with several workers or receivers;
/// - the gates of a journal, where another publisher may begin the next block;
/// - the sinks of a bus that is a sink of this bus.
///
/// If another publisher has taken the room there, the sink refuses the event, as with
/// [`try_publish`](Publisher::try_publish). [`publish_async`](Publisher::publish_async) waits again
/// instead. The same holds for a sink of that kind that was added since. A sink that was closed or
/// removed since does not get the event.
///
/// Dropping the permit gives the room back.
///
/// # Examples
/// The event is made when there is room for it:
/// ```
/// use buslane::Bus;
/// use futures::executor::block_on;
/// let bus = Bus::new();
/// let mut receiver = bus.subscribe_lossless(16)?;
/// let mut publisher = bus.publisher();
/// let permit = block_on(publisher.reserve())?;
/// permit.publish(format!("{} processors", std::thread::available_parallelism()?))?;
/// assert!(receiver.recv()?.ends_with("processors"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a permit is for one publish"]
pub struct Permit<'a, E: Send + 'static> {
    publisher: &'a mut Publisher<E>,
    /// Dropped last: what this permit leaves goes to the next publisher that waits.
    turn: Option<RoomWait>,
}

impl<E: Clone + Send + 'static> Permit<'_, E> {
    /// Publishes an event without waiting.
    ///
    /// # Errors
    /// [`WriteError`] with the event if every sink refused it, which a sink with a private lane does
    /// only when it is closed. [`WriteError::Closed`] if the bus is closed.
    ///
    /// # Panics
    /// As [`Publisher::publish`] does.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// use futures::executor::block_on;
    /// let bus = Bus::new();
    /// let _receiver = bus.subscribe_lossless(16)?;
    /// let mut publisher = bus.publisher();
    /// let permit = block_on(publisher.reserve())?;
    /// assert_eq!(permit.publish("event")?.accepted, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish(self, event: E) -> Result<Published, WriteError<E>> {
        let Self { publisher, turn } = self;
        let published = publisher.publish_by(event, Deadline::NOW);
        drop(turn);
        published
    }
}

impl<E: Send + 'static> fmt::Debug for Permit<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// The future of [`Publisher::publish_async`].
#[must_use = "futures do nothing unless polled"]
pub struct PublishAsync<'a, E: Send + 'static> {
    publisher: &'a mut Publisher<E>,
    wait: Option<RoomWait>,
    step: Step<E>,
}

enum Step<E> {
    Reserve(E),
    Send(Sending<E>),
    Done,
}

// The event is never pinned.
impl<E: Send + 'static> Unpin for PublishAsync<'_, E> {}

impl<E: Send + 'static> Drop for PublishAsync<'_, E> {
    fn drop(&mut self) {
        if let Step::Send(sending) = &self.step {
            sending.give_up(self.publisher);
        }
    }
}

impl<E: Clone + Send + 'static> Future for PublishAsync<'_, E> {
    type Output = Result<Published, Closed<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { publisher, wait, step } = &mut *self;
        loop {
            match step {
                Step::Reserve(_) => {
                    // Lanes of its own that have room are seen without a look at every sink.
                    let is_closed = (wait.is_some() || !publisher.has_room())
                        && ready!(publisher.poll_room(wait, context.waker())).is_err();
                    let Step::Reserve(event) = std::mem::replace(step, Step::Done) else { continue };
                    if is_closed {
                        return Poll::Ready(Err(Closed(event)));
                    }
                    match publisher.publish_into_room(event) {
                        Ok(published) => {
                            *wait = None;
                            return Poll::Ready(published);
                        }
                        Err(event) => *step = Step::Send(Sending::begin(publisher, event)),
                    }
                }
                Step::Send(sending) => {
                    ready!(sending.poll(publisher, wait, context.waker()));
                    let Step::Send(sending) = std::mem::replace(step, Step::Done) else { continue };
                    *wait = None;
                    return Poll::Ready(sending.end(publisher));
                }
                Step::Done => panic!("`PublishAsync` was polled after it was ready"),
            }
        }
    }
}

impl<E: Send + 'static> fmt::Debug for PublishAsync<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishAsync")
    }
}
