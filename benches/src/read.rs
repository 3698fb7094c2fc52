//! The cost for a reader of taking one available event, in nanoseconds.
//!
//! One thread does everything: it publishes a block of events, which is not timed. Then every
//! reader in turn takes all of them, reads all four words and sums them, which is timed. A figure
//! is per event and reader. The sums are checked after each block; [`slice()`] shows the cost of the
//! sums alone.

mod contenders;

use crate::cost::BLOCK;
use crate::event::Event;
use crate::statistics::median;
use std::fmt;
use std::time::{Duration, Instant};

pub use contenders::{photon, photon_batch, slice, tokio, try_recv, try_recv_slice, try_recv_with};

/// A contender to publish into, with its readers.
pub trait Readers {
    /// Returns the number of readers.
    fn count(&self) -> usize;

    /// Publishes `count` events, starting with number `first`.
    fn fill(&mut self, first: u64, count: u64);

    /// Runs each reader in sequence until it has taken everything. This is the timed part.
    fn read(&mut self) -> Seen;
}

/// The count and the sum of the events read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    events: u64,
    sum: u64,
}

impl Seen {
    /// Reads the whole event.
    #[inline(always)]
    fn see(&mut self, event: &Event) {
        self.events += 1;
        self.sum = self.sum.wrapping_add(event.sum());
    }
}

/// A meter that times readers, and checks the events that they have read.
pub struct Meter<R> {
    readers: R,
    next: u64,
}

impl<R: Readers> Meter<R> {
    /// Takes readers that have read nothing yet, and checks that they work before the first timed
    /// block.
    #[must_use]
    pub fn new(readers: R) -> Self {
        let mut meter = Self { readers, next: 0 };
        for count in [1, 2, BLOCK - 1, BLOCK, BLOCK, 3] {
            meter.block(count);
        }
        meter
    }

    /// Reads at least `events` events, and returns the time for exactly `events`.
    ///
    /// # Panics
    /// If an event is lost, duplicated or changed.
    pub fn time(&mut self, events: u64) -> Duration {
        let (mut read, mut total) = (0, Duration::ZERO);
        while read < events {
            total += self.block(BLOCK);
            read += self.reads_of_a_block();
        }
        total.mul_f64(events as f64 / read as f64)
    }

    /// Reads at least `events` events, and returns the median time per event of all blocks, in
    /// nanoseconds.
    ///
    /// # Panics
    /// As for [`time`](Self::time).
    pub fn typical(&mut self, events: u64) -> f64 {
        let blocks = events.div_ceil(self.reads_of_a_block()).max(1);
        let mut times: Vec<f64> = (0..blocks).map(|_| self.block(BLOCK).as_nanos() as f64).collect();
        median(&mut times) / self.reads_of_a_block() as f64
    }

    fn reads_of_a_block(&self) -> u64 {
        BLOCK * self.readers.count() as u64
    }

    #[inline(never)]
    fn block(&mut self, count: u64) -> Duration {
        let first = self.next;
        self.readers.fill(first, count);
        self.next += count;
        let start = Instant::now();
        let seen = self.readers.read();
        let elapsed = start.elapsed();
        let readers = self.readers.count() as u64;
        let sum = Event::sum_without_end(first, count).wrapping_mul(readers);
        assert_eq!(seen, Seen { events: count * readers, sum }, "{count} events from {first} on");
        elapsed
    }
}

impl<R> fmt::Debug for Meter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("published", &self.next).finish_non_exhaustive()
    }
}
