//! Routes: from any number of publishers to one busy consumer on a separate thread.
//!
//! A [`Peer`] has two routes: [`Spinning`], where a side that cannot proceed tries again at once,
//! and [`Waiting`], where both sides wait as the crate does. [`calls`] has routes by a peer's other
//! calls. Those of `buslane` are in [`lanes`], others with their own thread in [`others`] and [`ticklog`].
//!
//! The thread that opens a route decides the processors of its consumer.

pub mod calls;
pub mod lanes;
pub mod others;
pub mod ticklog;

use crate::event::{Event, Seed};
use crate::peer::{Peer, Waits};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A way for events from publishers to a consumer.
pub trait Route: Send + 'static {
    /// Whether events that are not handled in time are lost.
    const LOSSY: bool = false;

    /// Starts the consumer, which calls `handle` for each event, and returns it with `count`
    /// sending halves.
    fn open(
        self,
        publishers: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static>;
}

/// An open route. The sending halves are dropped first, so that a waiting consumer is released.
#[derive(Debug)]
pub struct Line<S> {
    /// The sending halves, one for each publisher.
    pub senders: Vec<S>,
    /// The consumer.
    pub consumer: Consumer,
}

impl<S> Line<S> {
    /// Returns the consumer, and the sending half of the only publisher: two variables in this
    /// order are dropped in reverse.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn single(mut self) -> (Consumer, S) {
        (self.consumer, self.senders.pop().expect("one was asked for"))
    }
}

/// A consumer's thread. The drop tells it to end, and joins it; drop the sending halves first.
pub struct Consumer {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// An object that must live as long as the consumer.
    _held: Option<Box<dyn Send>>,
}

impl Consumer {
    /// Runs `body`, which ends when the sending halves are dropped.
    pub fn spawn(body: impl FnOnce() + Send + 'static) -> Self {
        let thread = std::thread::spawn(body);
        Self { over: Arc::default(), thread: Some(thread), _held: None }
    }

    /// Calls `take` in a loop; it handles the available events, and returns whether there were any.
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

    /// Returns a consumer that ends when `by` is dropped.
    #[must_use]
    pub fn held(by: impl Send + 'static) -> Self {
        Self { over: Arc::default(), thread: None, _held: Some(Box::new(by)) }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // A meter that has detected an error panics at once, and does not wait for sending halves
        // that are still alive.
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

/// A peer whose sender and receiver wait as the crate does.
pub struct Waiting<P>(PhantomData<fn(P)>);

/// Returns a [`Spinning`] route.
#[must_use]
pub fn spinning<P: Peer>() -> Spinning<P> {
    Spinning(PhantomData)
}

/// Returns a [`Waiting`] route.
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
        let (sender, mut receiver) = P::open_for(publishers);
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
        let (sender, mut receiver) = P::open_for(publishers);
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
    use super::calls::{Async, Batch, Iter, Reads as PeerReads, Timeout, reading, refusing};
    use super::lanes::{ByBatch, ByBus, ByLocal, ByLossyBatch, ByPublisher, Called, Queues, Reads};
    use super::lanes::{Journaled, Queued, Received, Shared};
    use super::others::{Appender, Disruptor, DisruptorMulti};
    use super::{Route, spinning, waiting};
    use crate::merge;
    use crate::peer::{
        ArrayQueue, AsyncBroadcast, BareRing, Crossbeam, Crossfire, CrossfireSpsc, EACH, Fanring, Flume,
        JonhooBus, Kanal, NexusMpsc, NexusSpsc, PhotonBounded, Rapidfire, Rtrb, Std, TOGETHER, Thingbuf,
        TokioBroadcast, TokioMpsc, Yring,
    };
    use crate::{latency, stream};
    use buslane::Overflow;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(3);

    /// Asserts that the meters panic when an event is lost, duplicated, changed or out of order.
    fn single<R: Route>(make: impl Fn() -> R) {
        let mut meter = stream::Meter::new(stream::pinned(make()));
        assert!(meter.transfer(10_000).handled == 10_000 || R::LOSSY);
        meter.hand_over(3);
        let late = latency::run(make(), 100_000, SHORT).histogram.len();
        assert!(late == 300 || R::LOSSY, "{late}");
    }

    fn several<R: Route>(make: impl Fn() -> R) {
        single(&make);
        let merged = merge::run(make(), 3, SHORT);
        assert_eq!(merged.handled, merged.sent.iter().sum::<u64>());
    }

    #[test]
    fn buslane_routes_carry_every_event() {
        several(|| Queued::DEFAULT);
        several(|| Received::DEFAULT);
        several(|| Shared);
        single(|| Queued::SPINNING);
        single(|| Journaled::SPINNING);
        single(|| Journaled::DEFAULT);
        single(spinning::<BareRing>);
    }

    #[test]
    fn each_way_to_consume_carries_every_event() {
        for queue in [Queues::Closure, Queues::Handler, Queues::Sink] {
            several(|| Called::waiting(ByPublisher, queue).together());
            single(|| Called::spinning(ByPublisher, queue));
        }
        for call in [
            Reads::Recv,
            Reads::TryRecv,
            Reads::RecvTimeout,
            Reads::Iter,
            Reads::RecvBatch,
            Reads::DrainWith,
            Reads::RecvAsync,
        ] {
            several(|| Called::waiting(ByPublisher, call).together());
            single(|| Called::spinning(ByPublisher, call));
        }
    }

    #[test]
    fn each_way_to_publish_carries_every_event() {
        several(|| Called::waiting(ByBus, Reads::Recv));
        several(|| Called::waiting(ByLocal, Queues::Closure));
        several(|| Called::waiting(ByPublisher, Queues::Closure).overflow(Overflow::Refuse));
        single(|| Called::spinning(ByBus, Queues::Closure));
        single(|| Called::spinning(ByLocal, Reads::Recv));
        // It publishes when a batch is full: no latency.
        let batches = || Called::waiting(ByBatch::<16>, Queues::Closure);
        let mut meter = stream::Meter::new(stream::pinned(batches()));
        assert_eq!(meter.transfer(10_000).handled, 10_000);
        let merged = merge::run(batches(), 3, SHORT);
        assert_eq!(merged.handled, merged.sent.iter().sum::<u64>());
        // The meter checks that what was refused is missing, and nothing else.
        let lossy = Called::spinning(ByLossyBatch::<16>, Queues::Closure);
        let handled = stream::Meter::new(stream::pinned(lossy)).transfer(10_000).handled;
        assert!((1..=10_000).contains(&handled), "{handled}");
    }

    #[test]
    fn other_calls_of_peers_carry_every_event() {
        fn read<P: PeerReads<C>, C: 'static>() {
            several(reading::<P, C>);
        }
        read::<Crossbeam, Iter>();
        read::<Fanring<EACH>, Iter>();
        read::<Flume, Iter>();
        read::<Kanal, Iter>();
        read::<Std, Iter>();
        read::<Crossbeam, Timeout>();
        read::<Crossfire, Timeout>();
        read::<Fanring<EACH>, Timeout>();
        read::<Flume, Timeout>();
        read::<Kanal, Timeout>();
        read::<Std, Timeout>();
        read::<Thingbuf, Timeout>();
        read::<Fanring<EACH>, Batch>();
        read::<Flume, Batch>();
        read::<Kanal, Batch>();
        read::<Rapidfire, Batch>();
        read::<TokioMpsc, Batch>();
        read::<AsyncBroadcast, Async>();
        read::<Crossfire, Async>();
        read::<Fanring<EACH>, Async>();
        read::<Flume, Async>();
        read::<Kanal, Async>();
        read::<Rapidfire, Async>();
        read::<TokioMpsc, Async>();
        several(refusing::<Crossfire>);
        several(refusing::<Fanring<EACH>>);
    }

    #[test]
    fn spinning_peers_carry_every_event() {
        several(|| DisruptorMulti);
        several(spinning::<ArrayQueue>);
        several(spinning::<Crossbeam>);
        several(spinning::<Crossfire>);
        several(spinning::<Fanring<EACH>>);
        several(spinning::<Fanring<TOGETHER>>);
        several(spinning::<NexusMpsc>);
        several(spinning::<Rapidfire>);
        single(|| Disruptor);
        single(spinning::<CrossfireSpsc>);
        single(spinning::<NexusSpsc>);
        single(spinning::<Yring>);
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
        several(waiting::<Crossfire>);
        several(waiting::<Fanring<EACH>>);
        several(waiting::<Fanring<TOGETHER>>);
        several(waiting::<Rapidfire>);
        single(waiting::<CrossfireSpsc>);
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
