//! The cost of one publish for its thread, while the consumer is awake and there is always room.
//!
//! One thread does everything: it publishes a block of events, which is timed, and then drains all
//! receivers and compares every event with the published one, which is not. So the figure contains
//! the instructions of the publishing thread for each event, and neither a transfer between
//! processors nor a wait: those are in [`stream`](crate::stream). Two clock reads are spread over a
//! block of 512 events; the contender [`base`] shows their cost and that of creating an event.
//!
//! Events without a destructor are created where they are published. Those of [`moved`] are created
//! before the timed part and moved in.

mod appender;
pub mod combinators;
pub mod journal;
mod lanes;
pub mod logging;
pub mod members;
pub mod moved;
mod peers;

use crate::event::{Event, Seed};
use crate::statistics::median;
use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use std::fmt;
use std::hint::black_box;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

pub use appender::{appender, ticklog};
pub use lanes::{bus_shared, filtered, lane_with, lanes, lanes_in_slices, local};
pub use peers::{
    async_broadcast, bus, disruptor, disruptor_in_slices, disruptor_multi, peer, peers, photon,
    photon_bounded, photon_in_slices, photon_shared, rtrb_in_slices, tokio, yring_in_slices,
};

/// The number of events between two clock reads: half of the capacity.
pub const BLOCK: u64 = crate::CAPACITY as u64 / 2;

/// The number of events before those that are sampled, which also give the first estimate of the
/// cost of one.
pub const WARM_UP: u64 = 20 * crate::CAPACITY as u64;

/// A contender to publish into, with all its receivers.
pub trait Cost {
    /// Returns the number of receivers of each event.
    fn receivers(&self) -> usize;

    /// Prepares the events of the next block.
    fn prepare(&mut self, _first: u64, _count: u64) {}

    /// Publishes `count` events, starting with number `first`. This is the timed part.
    fn publish(&mut self, first: u64, count: u64);

    /// Takes all events out of every receiver and passes each to `see`, with the receiver's index.
    fn drain(&mut self, see: &mut dyn FnMut(usize, Event));
}

impl<C: Cost + ?Sized> Cost for Box<C> {
    fn receivers(&self) -> usize {
        (**self).receivers()
    }

    fn prepare(&mut self, first: u64, count: u64) {
        (**self).prepare(first, count);
    }

    fn publish(&mut self, first: u64, count: u64) {
        (**self).publish(first, count);
    }

    fn drain(&mut self, see: &mut dyn FnMut(usize, Event)) {
        (**self).drain(see);
    }
}

/// A contender that publishes event by event.
struct Singly<P, D> {
    receivers: usize,
    publish: P,
    drain: D,
}

impl<P: FnMut(Seed), D: FnMut(&mut dyn FnMut(usize, Event))> Cost for Singly<P, D> {
    fn receivers(&self) -> usize {
        self.receivers
    }

    #[inline(always)]
    fn publish(&mut self, first: u64, count: u64) {
        for seq in first..first + count {
            (self.publish)(Seed::new(seq, false));
        }
    }

    fn drain(&mut self, see: &mut dyn FnMut(usize, Event)) {
        (self.drain)(see);
    }
}

/// A contender that publishes slices of up to `N` events, converted to the contender's type; the
/// slices are created within the timed part.
struct InSlices<const N: usize, T, P, D> {
    publish: P,
    drain: D,
    taken: PhantomData<fn(T)>,
}

impl<const N: usize, T, P, D> InSlices<N, T, P, D>
where
    P: FnMut(&[T]),
    D: FnMut(&mut dyn FnMut(usize, Event)),
{
    fn new(publish: P, drain: D) -> Self {
        Self { publish, drain, taken: PhantomData }
    }
}

impl<const N: usize, T, P, D> Cost for InSlices<N, T, P, D>
where
    T: From<Event>,
    P: FnMut(&[T]),
    D: FnMut(&mut dyn FnMut(usize, Event)),
{
    fn receivers(&self) -> usize {
        1
    }

    #[inline(always)]
    fn publish(&mut self, first: u64, count: u64) {
        let (mut next, end) = (first, first + count);
        while next < end {
            let slice: [T; N] = std::array::from_fn(|index| Event::new(next + index as u64).into());
            let length = (end - next).min(N as u64);
            (self.publish)(&slice[..length as usize]);
            next += length;
        }
    }

    fn drain(&mut self, see: &mut dyn FnMut(usize, Event)) {
        (self.drain)(see);
    }
}

/// Returns `N` pairs of halves. The producing halves are in an array, so that a fan-out by hand is
/// a loop of known length, and that of a single ring no loop at all.
fn halves<const N: usize, P, C>(make: impl Fn() -> (P, C)) -> ([P; N], Vec<C>) {
    let mut consumers = Vec::with_capacity(N);
    let producers = std::array::from_fn(|_| {
        let (producer, consumer) = make();
        consumers.push(consumer);
        producer
    });
    (producers, consumers)
}

/// Returns the harness alone: it creates each event and publishes it nowhere.
#[must_use]
pub fn base() -> impl Cost {
    Singly {
        receivers: 0,
        publish: |seed: Seed| {
            black_box(seed.event());
        },
        drain: |_: &mut dyn FnMut(usize, Event)| {},
    }
}

/// Runs the bench of one contender; its meter checks it before and during the measurement.
pub fn bench<C: Cost>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn() -> C) {
    let mut meter = None;
    group.bench_function(name, |bencher| {
        let meter = meter.get_or_insert_with(|| Meter::new(make()));
        bencher.iter_custom(|events| meter.time(events));
    });
}

/// A meter that times a contender, and checks every event that comes out of it.
pub struct Meter<C> {
    contender: C,
    next: u64,
    /// The number of the next event that each receiver must get.
    expected: Vec<u64>,
}

impl<C: Cost> Meter<C> {
    /// Takes a contender that has published nothing yet, and checks that it works before the first
    /// timed block.
    #[must_use]
    pub fn new(contender: C) -> Self {
        let expected = vec![0; contender.receivers()];
        let mut meter = Self { contender, next: 0, expected };
        // The number is no multiple of the block or of a slice, and more than one lap of the ring.
        meter.time(2 * crate::CAPACITY as u64 + 1);
        meter.time(1);
        meter
    }

    /// Publishes `events` events and returns the duration, without the reading.
    ///
    /// # Panics
    /// If an event is lost, duplicated, changed, or out of order.
    pub fn time(&mut self, events: u64) -> Duration {
        let mut total = Duration::ZERO;
        let end = self.next + events;
        while self.next < end {
            total += self.block(BLOCK.min(end - self.next));
        }
        total
    }

    /// Publishes at least `events` events and returns the median time per event of all blocks, in
    /// nanoseconds.
    ///
    /// The median excludes rare interruptions by the system. No work of a contender is that rare,
    /// because each block covers half of the ring.
    ///
    /// # Panics
    /// As for [`time`](Self::time).
    pub fn typical(&mut self, events: u64) -> f64 {
        let blocks = events.div_ceil(BLOCK).max(1);
        let mut times: Vec<f64> = (0..blocks).map(|_| self.block(BLOCK).as_nanos() as f64).collect();
        median(&mut times) / BLOCK as f64
    }

    /// Warms up, and then measures as [`typical`](Self::typical) does.
    ///
    /// # Panics
    /// As for [`time`](Self::time).
    pub fn sample(&mut self, events: u64) -> f64 {
        self.time(WARM_UP);
        self.typical(events)
    }

    #[inline(never)]
    fn block(&mut self, count: u64) -> Duration {
        self.contender.prepare(self.next, count);
        let start = Instant::now();
        self.contender.publish(self.next, count);
        let elapsed = start.elapsed();
        self.next += count;
        self.check();
        elapsed
    }

    #[inline(never)]
    fn check(&mut self) {
        let expected = &mut self.expected;
        self.contender.drain(&mut |receiver, event| {
            assert_eq!(event, Event::new(expected[receiver]), "receiver {receiver}");
            expected[receiver] += 1;
        });
        for (receiver, expected) in expected.iter().enumerate() {
            assert_eq!(*expected, self.next, "receiver {receiver} missed events");
        }
    }
}

impl<C> fmt::Debug for Meter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("published", &self.next).finish_non_exhaustive()
    }
}
