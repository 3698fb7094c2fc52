//! The ways to consume.

use super::{OPEN, SETTINGS, Settings};
use crate::event::Event;
use crate::route::Consumer;
use buslane::error::TryRecvError;
use buslane::queue::Handler;
use buslane::{BoxError, Bus, Channel, Queue, Receiver, WaitStrategy, sink_fn};
use pollster::block_on;
use std::future::Future;
use std::hint::spin_loop;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The limit of a wait for an event: longer than any pause of a bench.
const LIMIT: Duration = Duration::from_secs(60);
/// The most events of a batch.
const BATCH: usize = 64;

/// A way to consume.
pub trait Consume: Copy + Send + 'static {
    /// The default wait strategy.
    const WAIT: WaitStrategy;

    /// Starts a consumer of this bus, which calls `handle` for each event.
    fn start(
        self,
        bus: &Bus<Event>,
        settings: Settings,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Consumer;
}

/// A queue with its worker thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queues {
    /// `QueueBuilder::spawn`: the worker calls a closure.
    Closure,
    /// `QueueBuilder::spawn_handler`: the worker calls a handler.
    Handler,
    /// `QueueBuilder::spawn_sink`: the worker writes into a sink. The sink has a lock of its own,
    /// because a sink is shared. No load passes a locked instruction, so the cache line of the next
    /// event is not loaded before this one is handled: see [`stream::sink`](crate::stream::sink) for
    /// a sink without a lock.
    Sink,
}

struct Handling<H>(H);

impl<H: FnMut(&Event) + Send + 'static> Handler<Event> for Handling<H> {
    #[inline]
    fn handle(&mut self, event: Event) -> Result<(), BoxError> {
        (self.0)(&event);
        Ok(())
    }
}

impl Consume for Queues {
    const WAIT: WaitStrategy = WaitStrategy::nap();

    fn start(
        self,
        bus: &Bus<Event>,
        settings: Settings,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Consumer {
        let Settings { wait, overflow, capacity } = settings;
        let builder = Queue::builder().capacity(capacity).overflow(overflow).wait_strategy(wait);
        let queue = match self {
            Self::Closure => builder.spawn(move |event: Event| handle(&event)),
            Self::Handler => builder.spawn_handler(Handling(handle)),
            Self::Sink => {
                let handle = Mutex::new(handle);
                builder.spawn_sink(sink_fn(move |event: &Event| {
                    let mut handle = handle.lock().unwrap_or_else(PoisonError::into_inner);
                    handle(event);
                }))
            }
        };
        bus.add(queue.expect(SETTINGS)).expect(OPEN);
        Consumer::held(bus.clone())
    }
}

/// A channel with a thread that calls its receiver until the channel is closed and empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// `Receiver::recv`.
    Recv,
    /// `Receiver::try_recv`, again and again.
    TryRecv,
    /// `Receiver::recv_timeout`.
    RecvTimeout,
    /// `Receiver::iter`.
    Iter,
    /// `Receiver::recv_batch` of at most 64 events.
    RecvBatch,
    /// `Receiver::drain_with`, after `Receiver::recv` has waited for the first event.
    DrainWith,
    /// `Receiver::recv_async`, on a thread that blocks on the future; if the wait strategy is to
    /// spin, the thread polls again at once.
    RecvAsync,
}

impl Consume for Reads {
    const WAIT: WaitStrategy = WaitStrategy::SpinPark;

    fn start(
        self,
        bus: &Bus<Event>,
        settings: Settings,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Consumer {
        let Settings { wait, overflow, capacity } = settings;
        let builder = Channel::builder().capacity(capacity).overflow(overflow).wait_strategy(wait);
        let (channel, receiver) = builder.build().expect(SETTINGS);
        bus.add(channel).expect(OPEN);
        let spins = matches!(wait, WaitStrategy::BusySpin);
        Consumer::spawn(move || match self {
            Self::Recv => recv(receiver, handle),
            Self::TryRecv => try_recv(receiver, handle),
            Self::RecvTimeout => recv_timeout(receiver, handle),
            Self::Iter => iter(receiver, handle),
            Self::RecvBatch => recv_batch(receiver, handle),
            Self::DrainWith => drain_with(receiver, handle),
            Self::RecvAsync if spins => spin_on(recv_async(receiver, handle)),
            Self::RecvAsync => block_on(recv_async(receiver, handle)),
        })
    }
}

// A function for each call, so that the compiler optimizes each as the only one.

fn recv(mut receiver: Receiver<Event>, mut handle: impl FnMut(&Event)) {
    while let Ok(event) = receiver.recv() {
        handle(&event);
    }
}

fn try_recv(mut receiver: Receiver<Event>, mut handle: impl FnMut(&Event)) {
    loop {
        match receiver.try_recv() {
            Ok(event) => handle(&event),
            Err(TryRecvError::Empty) => spin_loop(),
            Err(_) => return,
        }
    }
}

fn recv_timeout(mut receiver: Receiver<Event>, mut handle: impl FnMut(&Event)) {
    while let Ok(event) = receiver.recv_timeout(LIMIT) {
        handle(&event);
    }
}

fn iter(mut receiver: Receiver<Event>, mut handle: impl FnMut(&Event)) {
    for event in receiver.iter() {
        handle(&event);
    }
}

fn recv_batch(mut receiver: Receiver<Event>, mut handle: impl FnMut(&Event)) {
    let mut events = Vec::with_capacity(BATCH);
    while receiver.recv_batch(&mut events, BATCH).is_ok() {
        events.drain(..).for_each(|event| handle(&event));
    }
}

fn drain_with(mut receiver: Receiver<Event>, mut handle: impl FnMut(&Event)) {
    while let Ok(event) = receiver.recv() {
        handle(&event);
        while receiver.drain_with(|event| handle(&event)) > 0 {}
    }
}

async fn recv_async(mut receiver: Receiver<Event>, mut handle: impl FnMut(&Event)) {
    while let Ok(event) = receiver.recv_async().await {
        handle(&event);
    }
}

/// Polls the future until it is ready, without a pause.
fn spin_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => spin_loop(),
        }
    }
}
