//! Routes: from any number of publishers to one consumer that is at work on a thread of its own.
//!
//! A [`Peer`] makes two: [`Spinning`], where whoever cannot go on tries again at once, and
//! [`Waiting`], where both sides wait as the crate sees fit. `buslane`'s stand in [`lanes`], others
//! that bring a thread of their own in [`others`].
//!
//! A route is opened by the thread on whose processors its consumer is to run.

pub mod lanes;
pub mod others;

use crate::event::{Event, Seed};
use crate::peer::{Peer, Waits};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// How events get from publishers to a consumer.
pub trait Route: Send + 'static {
    /// Whether events that are not handled in time are lost.
    const LOSSY: bool = false;

    /// Starts the consumer, which calls `handle` for each event, and returns it with so many
    /// sending halves.
    fn open(
        self,
        publishers: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static>;
}

/// An open route. The sending halves go first, so that a consumer that waits is let go.
#[derive(Debug)]
pub struct Line<S> {
    /// One for each publisher.
    pub senders: Vec<S>,
    /// The consumer.
    pub consumer: Consumer,
}

impl<S> Line<S> {
    /// The consumer, and the sending half of the only publisher: variables in this order are
    /// dropped the other way round.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn single(mut self) -> (Consumer, S) {
        (self.consumer, self.senders.pop().expect("one was asked for"))
    }
}

/// A consumer's thread; told to end, and joined, when dropped, after the sending halves.
pub struct Consumer {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// What else must be there as long as the consumer is.
    _held: Option<Box<dyn Send>>,
}

impl Consumer {
    /// Runs `body`, which ends by itself when the sending halves are gone.
    pub fn spawn(body: impl FnOnce() + Send + 'static) -> Self {
        let thread = std::thread::spawn(body);
        Self { over: Arc::default(), thread: Some(thread), _held: None }
    }

    /// Calls `take` over and over; it handles what is there, and says whether that was anything.
    pub fn spin(mut take: impl FnMut() -> bool + Send + 'static) -> Self {
        let over = Arc::<AtomicBool>::default();
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            loop {
                if !take() {
                    if seen.load(Ordering::Relaxed) {
                        return;
                    }
                    std::hint::spin_loop();
                }
            }
        });
        Self { over, thread: Some(thread), _held: None }
    }

    /// A consumer that ends when this is dropped.
    #[must_use]
    pub fn held(by: impl Send + 'static) -> Self {
        Self { over: Arc::default(), thread: None, _held: Some(Box::new(by)) }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A meter that has found something wrong says so, rather than wait for sending halves that
        // are still about.
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}

/// A peer whose sender and receiver try again at once.
pub struct Spinning<P>(PhantomData<fn(P)>);

/// A peer whose sender and receiver wait as the crate has it.
pub struct Waiting<P>(PhantomData<fn(P)>);

/// [`Spinning`].
#[must_use]
pub fn spinning<P: Peer>() -> Spinning<P> {
    Spinning(PhantomData)
}

/// [`Waiting`].
#[must_use]
pub fn waiting<P: Waits>() -> Waiting<P> {
    Waiting(PhantomData)
}

fn senders<P: Peer>(sender: P::Sender, count: usize) -> Vec<P::Sender> {
    let mut senders = vec![sender];
    (1..count).for_each(|_| senders.push(P::share(&senders[0])));
    senders
}

impl<P: Peer> Route for Spinning<P> {
    const LOSSY: bool = P::LOSSY;

    fn open(
        self,
        publishers: usize,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let (sender, mut receiver) = P::open();
        let consumer = Consumer::spin(move || {
            P::try_recv(&mut receiver).is_some_and(|event| {
                handle(&event);
                true
            })
        });
        let senders = senders::<P>(sender, publishers).into_iter().map(|mut sender| {
            move |seed| {
                while !P::try_send(&mut sender, seed) {
                    std::hint::spin_loop();
                }
            }
        });
        Line { senders: senders.collect(), consumer }
    }
}

impl<P: Waits> Route for Waiting<P> {
    const LOSSY: bool = P::LOSSY;

    fn open(
        self,
        publishers: usize,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let (sender, mut receiver) = P::open();
        let consumer = Consumer::spawn(move || {
            while let Some(event) = P::recv(&mut receiver) {
                handle(&event);
            }
        });
        let senders = senders::<P>(sender, publishers).into_iter();
        Line { senders: senders.map(|mut sender| move |seed| P::send(&mut sender, seed)).collect(), consumer }
    }
}

impl<P> fmt::Debug for Spinning<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spinning").finish()
    }
}

impl<P> fmt::Debug for Waiting<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").finish()
    }
}

#[cfg(test)]
mod tests {
    use super::lanes::{Queued, Received, Shared};
    use super::others::{Appender, Disruptor, DisruptorMulti};
    use super::{Route, spinning, waiting};
    use crate::merge::{self, Processors};
    use crate::peer::{
        ArrayQueue, AsyncBroadcast, BareRing, Crossbeam, Flume, JonhooBus, Kanal, PhotonBounded, Rtrb, Std,
        Thingbuf, TokioBroadcast, TokioMpsc,
    };
    use crate::{latency, stream};
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(3);

    /// The meters panic when an event is lost, doubled, changed or out of order.
    fn single<R: Route>(make: impl Fn() -> R) {
        let mut meter = stream::Meter::new(stream::pinned(make()));
        assert!(meter.transfer(10_000).handled == 10_000 || R::LOSSY);
        meter.hand_over(3);
        let late = latency::run(make(), 100_000, SHORT).histogram.len();
        assert!(late == 300 || R::LOSSY, "{late}");
    }

    fn several<R: Route>(make: impl Fn() -> R) {
        single(&make);
        let merged = merge::run(make(), 3, Processors::All, SHORT);
        assert_eq!(merged.handled, merged.sent.iter().sum::<u64>());
    }

    #[test]
    fn buslane_routes_carry_every_event() {
        several(|| Queued::DEFAULT);
        several(|| Received::DEFAULT);
        several(|| Shared);
        single(|| Queued::SPINNING);
        single(spinning::<BareRing>);
    }

    #[test]
    fn spinning_peers_carry_every_event() {
        several(|| DisruptorMulti);
        several(spinning::<ArrayQueue>);
        several(spinning::<Crossbeam>);
        single(|| Disruptor);
        single(spinning::<Rtrb>);
        single(spinning::<PhotonBounded>);
        single(spinning::<Flume>);
        single(spinning::<Kanal>);
        single(spinning::<Std>);
        single(spinning::<Thingbuf>);
        single(spinning::<TokioMpsc>);
        single(spinning::<TokioBroadcast>);
        single(spinning::<AsyncBroadcast>);
        single(spinning::<JonhooBus>);
    }

    #[test]
    fn waiting_peers_carry_every_event() {
        several(|| Appender);
        several(waiting::<Crossbeam>);
        several(waiting::<Flume>);
        several(waiting::<Kanal>);
        several(waiting::<Std>);
        several(waiting::<Thingbuf>);
        several(waiting::<TokioMpsc>);
        several(waiting::<AsyncBroadcast>);
        single(waiting::<TokioBroadcast>);
        single(waiting::<JonhooBus>);
    }
}
