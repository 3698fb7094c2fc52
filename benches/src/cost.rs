//! What one publish costs its thread, while the consumer is awake and there is always room.
//!
//! One thread does everything: it publishes a block of events, which is timed, and then empties all
//! receivers and compares every event with what was published, which is not. So the figure holds
//! what the publishing thread executes for each event, and neither a transfer between processors
//! nor a wait: those are [`stream`](crate::stream)'s. Two reads of the clock are spread over a
//! block of 512 events; the contender [`base`] shows what they and the making of an event cost.
//!
//! Events without a destructor are made where they are published. Those of [`moved`] are made
//! before the time and moved in.

mod appender;
pub mod combinators;
pub mod journal;
mod lanes;
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

pub use appender::appender;
pub use lanes::{bus_shared, filtered, lane_with, lanes, lanes_in_slices, local};
pub use peers::{
    async_broadcast, bus, disruptor, disruptor_in_slices, disruptor_multi, peer, peers, photon,
    photon_bounded, photon_in_slices, photon_shared, rtrb_in_slices, tokio,
};

/// How many events are published between two reads of the clock: half of the capacity.
pub const BLOCK: u64 = crate::CAPACITY as u64 / 2;

/// How many events go before those that are sampled, and how many make the first guess at what one
/// costs.
pub const WARM_UP: u64 = 20 * crate::CAPACITY as u64;

/// Something to publish into, with all its receivers.
pub trait Cost {
    /// How many receivers get each event.
    fn receivers(&self) -> usize;

    /// Makes ready what is to be published next.
    fn prepare(&mut self, _first: u64, _count: u64) {}

    /// Publishes `count` events from number `first` on. This is what is timed.
    fn publish(&mut self, first: u64, count: u64);

    /// Takes everything out of every receiver and shows it, with the receiver's index.
    fn drain(&mut self, see: &mut dyn FnMut(usize, Event));
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

/// A contender that publishes slices of up to `N` events, as what it takes them for; the slices are
/// made within the timed part.
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

/// `N` pairs of halves. The producing ones stand in an array, so that a fan-out by hand is a loop
/// of known length, and one of a single ring no loop at all.
fn halves<const N: usize, P, C>(make: impl Fn() -> (P, C)) -> ([P; N], Vec<C>) {
    let mut consumers = Vec::with_capacity(N);
    let producers = std::array::from_fn(|_| {
        let (producer, consumer) = make();
        consumers.push(consumer);
        producer
    });
    (producers, consumers)
}

/// The harness alone: makes each event and publishes it nowhere.
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

/// Benches one contender; its meter proves it first, and checks it all along.
pub fn bench<C: Cost>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn() -> C) {
    let mut meter = None;
    group.bench_function(name, |bencher| {
        let meter = meter.get_or_insert_with(|| Meter::new(make()));
        bencher.iter_custom(|events| meter.time(events));
    });
}

/// Times a contender, and checks everything that comes out of it.
pub struct Meter<C> {
    contender: C,
    next: u64,
    /// The number of the next event that each receiver must get.
    expected: Vec<u64>,
}

impl<C: Cost> Meter<C> {
    /// Takes a contender that has published nothing yet, and proves that it works before anything
    /// is timed.
    #[must_use]
    pub fn new(contender: C) -> Self {
        let expected = vec![0; contender.receivers()];
        let mut meter = Self { contender, next: 0, expected };
        // Not a multiple of the block or of a slice, and more than once round the ring.
        meter.time(2 * crate::CAPACITY as u64 + 1);
        meter.time(1);
        meter
    }

    /// Publishes so many events and returns how long that took, without the reading.
    ///
    /// # Panics
    /// When an event is lost, doubled, changed, or comes out of order.
    pub fn time(&mut self, events: u64) -> Duration {
        let mut total = Duration::ZERO;
        let end = self.next + events;
        while self.next < end {
            total += self.block(BLOCK.min(end - self.next));
        }
        total
    }

    /// Publishes at least so many events and returns what one of them takes, in nanoseconds, by the
    /// median of all blocks: what the system does to the thread now and then does not count.
    /// Nothing that a contender does by itself is that rare, since each block goes half round the
    /// ring.
    ///
    /// # Panics
    /// As for [`time`](Self::time).
    pub fn typical(&mut self, events: u64) -> f64 {
        let blocks = events.div_ceil(BLOCK).max(1);
        let mut times: Vec<f64> = (0..blocks).map(|_| self.block(BLOCK).as_nanos() as f64).collect();
        median(&mut times) / BLOCK as f64
    }

    /// Warms up; then as [`typical`](Self::typical).
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
