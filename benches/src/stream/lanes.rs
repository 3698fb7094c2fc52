//! The contenders of `buslane`.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Counter, InSlices, Report, Singly, Stream, spin};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::machine::on_consumer;
use buslane::ring::spsc;
use buslane::{Bus, Channel, Overflow, Publisher, Queue, Sink, SinkExt, WaitStrategy, WriteError, sink_fn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// Returns the publisher of a bus with one queue on it; the drop of the publisher closes the bus.
fn publisher(wait: WaitStrategy, overflow: Overflow, report: &Arc<Report>) -> Publisher<Event> {
    let mut counter = Counter::new(report);
    let builder = Queue::builder().capacity(CAPACITY).overflow(overflow).wait_strategy(wait);
    let queue = on_consumer(|| builder.spawn(move |event: Event| counter.see(&event))).expect(SETTINGS);
    let bus = Bus::new();
    bus.add(queue).expect(OPEN);
    bus.publisher()
}

/// A publisher and a queue, slice by slice.
#[must_use]
pub fn queue_in_slices<const N: usize>(wait: WaitStrategy) -> impl Stream {
    let report = Arc::default();
    let mut publisher = publisher(wait, Overflow::Block, &report);
    let send = move |events: &[Event]| {
        let _ = publisher.publish_batch(events).expect(OPEN);
    };
    InSlices::<N, _> { send, report, _consumer: None }
}

/// A publisher, a filter that accepts every event, a queue, and downstream of it batches of 64.
///
/// # Panics
/// If the settings are invalid, or the last batch is not flushed.
#[must_use]
pub fn filter_queue_batch() -> impl Stream {
    let report = Arc::default();
    let counter = Mutex::new(Counter::new(&report));
    let add_up = sink_fn(move |batch: &Vec<Event>| {
        let mut counter = counter.lock().unwrap_or_else(PoisonError::into_inner);
        batch.iter().for_each(|event| counter.see(event));
    });
    let builder = Queue::builder().capacity(CAPACITY).overflow(Overflow::Block);
    let queue = on_consumer(|| builder.spawn_sink(add_up.batch(64))).expect(SETTINGS);
    let bus = Bus::new();
    bus.add(queue.filter(|event: &Event| event.seq != u64::MAX)).expect(OPEN);
    let mut publisher = bus.publisher();
    let send = move |seed: Seed| {
        let event = seed.event();
        let _ = publisher.publish(event).expect(OPEN);
        if event.last != 0 {
            assert!(publisher.flush_timeout(Duration::from_secs(60)).is_done(), "the last batch");
        }
    };
    Singly::new(send, report, None)
}

/// A sink without a lock: what it counts are words that one thread writes, the worker of its queue.
struct Sums {
    report: Arc<Report>,
    handled: AtomicU64,
    sum: AtomicU64,
}

impl Sink<Event> for Sums {
    #[inline]
    fn write(&self, event: Event) -> Result<(), WriteError<Event>> {
        // Loads and stores: with one writer an addition need not be one locked instruction.
        let mut handled = self.handled.load(Ordering::Relaxed) + 1;
        let mut sum = self.sum.load(Ordering::Relaxed).wrapping_add(event.sum());
        if event.last != 0 {
            Counter { handled, sum, ..Counter::new(&self.report) }.hand_in();
            (handled, sum) = (0, 0);
        }
        self.handled.store(handled, Ordering::Relaxed);
        self.sum.store(sum, Ordering::Relaxed);
        Ok(())
    }
}

/// A publisher and a queue with a sink that takes no lock; all spin, and a publisher without room
/// tries again at once.
#[must_use]
pub fn sink() -> impl Stream {
    let report = Arc::default();
    let sums = Sums { report: Arc::clone(&report), handled: AtomicU64::new(0), sum: AtomicU64::new(0) };
    let builder = Queue::builder().capacity(CAPACITY).overflow(Overflow::Refuse);
    let builder = builder.wait_strategy(WaitStrategy::BusySpin);
    let queue = on_consumer(|| builder.spawn_sink(sums)).expect(SETTINGS);
    let bus = Bus::new();
    bus.add(queue).expect(OPEN);
    let mut publisher = bus.publisher();
    let send = move |seed: Seed| {
        while publisher.publish(seed.event()).expect(OPEN).accepted == 0 {
            std::hint::spin_loop();
        }
    };
    Singly::new(send, report, None)
}

/// A publisher and a channel whose receiver spins; a publisher without room tries again at once.
#[must_use]
pub fn channel() -> impl Stream {
    let report = Arc::default();
    let builder = Channel::builder().capacity(CAPACITY).overflow(Overflow::Refuse);
    let (channel, mut receiver) = builder.wait_strategy(WaitStrategy::BusySpin).build().expect(SETTINGS);
    let bus = Bus::new();
    bus.add(channel).expect(OPEN);
    let mut publisher = bus.publisher();
    let consumer = spin(&report, move |counter| receiver.drain_with(|event: Event| counter.see(&event)) > 0);
    let send = move |seed: Seed| {
        while publisher.publish(seed.event()).expect(OPEN).accepted == 0 {
            std::hint::spin_loop();
        }
    };
    Singly::new(send, report, Some(consumer))
}

/// The bare ring, drained in batches.
#[must_use]
pub fn ring() -> impl Stream {
    let report = Arc::default();
    let (mut producer, mut consumer) = spsc::ring::<Event>(CAPACITY).expect(SETTINGS);
    let consumer = spin(&report, move |counter| consumer.drain(CAPACITY, |event| counter.see(&event)) > 0);
    let send = move |seed: Seed| {
        while producer.push(seed.event()).is_err() {
            std::hint::spin_loop();
        }
    };
    Singly::new(send, report, Some(consumer))
}
