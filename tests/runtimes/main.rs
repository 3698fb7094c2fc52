//! Async code: streams, permits, sinks of `futures`, and the futures of a flush, a close and an end,
//! polled by hand and under several runtimes.

mod branches;
mod cancellation;
mod cancelled;
mod cancelled_streams;
mod closes;
mod ends;
mod fairness;
mod permits;
mod publisher_sink;
mod removals;
mod schedulers;
mod streams;
mod timers;
mod writes;

use buslane::journal::Start;
use buslane::testing::Gate;
use buslane::{Bus, Channel, Journal, Overflow, Publisher, Queue, Sink, SinkExt};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use test_support::{WakeCount, wait_for};

/// A bus with one sink for which a publisher may have to wait, and a function that takes the next
/// event from it.
struct Lossless {
    name: &'static str,
    bus: Bus<u64>,
    take: Box<dyn FnMut() -> Option<u64>>,
    /// Whether a publisher shares the room with others.
    is_shared: bool,
}

impl Lossless {
    fn new(
        name: &'static str,
        sink: impl Sink<u64> + 'static,
        take: impl FnMut() -> Option<u64> + 'static,
    ) -> Self {
        let bus = Bus::new();
        bus.add(sink).unwrap();
        Self { name, bus, take: Box::new(take), is_shared: false }
    }

    fn shared(self) -> Self {
        Self { is_shared: true, ..self }
    }

    /// Returns every kind of sink that may make a publisher wait.
    fn all() -> Vec<Self> {
        let block = || Channel::builder().capacity(2).overflow(Overflow::Block);
        let (private, mut reader) = block().build().unwrap();
        let private = Self::new("private", private, move || reader.try_recv().ok());
        let (filtered, mut reader) = block().build().unwrap();
        let filtered = Self::new("filtered", filtered.filter(|_| true), move || reader.try_recv().ok());
        let (staged, mut reader) = block().build().unwrap();
        let staged = Self::new("staged", staged.map(|n: &u64| *n), move || reader.try_recv().ok());
        let (several, mut reader) = block().build_shared().unwrap();
        let several = Self::new("several receivers", several, move || reader.try_recv().ok()).shared();
        let (one, mut reader) = block().build().unwrap();
        let (other, mut second) = block().build().unwrap();
        let take = move || second.try_recv().ok().and(reader.try_recv().ok());
        let tee = Self::new("tee", one.tee(other), take);
        let (inner, mut reader) = block().build().unwrap();
        let nested = Bus::new();
        nested.add(inner).unwrap();
        let nested = Self::new("nested", nested, move || reader.try_recv().ok());
        let journal = Journal::new(64).unwrap();
        let mut gating = journal.subscription().start(Start::Now).gating().subscribe().unwrap();
        let take = move || gating.try_recv().ok().and_then(|entry| entry.event());
        let journal = Self::new("journal", journal, take).shared();
        vec![private, filtered, staged, several, tee, nested, journal]
    }

    /// Publishes numbers from 0 until there is no room. Returns how many there were.
    fn fill(&self, publisher: &mut Publisher<u64>) -> u64 {
        let mut count = 0;
        while let Poll::Ready(permit) = poll(std::pin::pin!(publisher.reserve()), Waker::noop()) {
            assert!(permit.unwrap().publish(count).unwrap().is_complete(), "{}", self.name);
            count += 1;
            assert!(count < 1000, "{}: there is always room", self.name);
        }
        count
    }

    /// Takes everything that is there.
    fn drain(&mut self) -> Vec<u64> {
        std::iter::from_fn(&mut self.take).collect()
    }
}

/// Polls once with a waker.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Polls until the task was woken and is ready.
fn woken<F: Future + ?Sized>(mut future: Pin<&mut F>, count: &WakeCount, waker: &Waker) -> F::Output {
    loop {
        let polled = count.get();
        if let Poll::Ready(output) = poll(future.as_mut(), waker) {
            return output;
        }
        wait_for(|| count.get() > polled);
    }
}

/// Returns a queue whose handler stops at a gate.
fn gated_queue(overflow: Overflow, capacity: usize) -> (Gate, Queue<u64>) {
    let gate = Gate::closed();
    let handler = gate.clone();
    let queue = Queue::builder().capacity(capacity).overflow(overflow);
    (gate, queue.spawn(move |_: u64| handler.pass()).unwrap())
}

/// Returns a future in a box that is polled by hand, and the counter of its wake-ups.
fn by_hand<'a, F: Future + 'a>(future: F) -> (Pin<Box<F>>, Arc<WakeCount>, Waker) {
    let (count, waker) = WakeCount::waker();
    (Box::pin(future), count, waker)
}
