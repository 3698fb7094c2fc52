//! What it costs a reader to take one event that is there, in nanoseconds.
//!
//! One thread does everything: it publishes a block of events, which is not timed, and then every
//! reader in turn takes all of them, reads all four words and adds them up, which is. A figure is
//! for one event and one reader. The sums are checked after each block; [`slice`] shows what the
//! adding alone costs.

mod contenders;

use crate::cost::BLOCK;
use crate::event::Event;
use crate::statistics::median;
use std::fmt;
use std::time::{Duration, Instant};

pub use contenders::{photon, photon_batch, slice, tokio, try_recv, try_recv_slice, try_recv_with};

/// Somewhere to publish, with its readers.
pub trait Readers {
    /// How many there are.
    fn count(&self) -> usize;

    /// Publishes `count` events from number `first` on.
    fn fill(&mut self, first: u64, count: u64);

    /// Lets each reader in turn take everything. This is what is timed.
    fn read(&mut self) -> Seen;
}

/// What was read.
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

/// Times readers, and checks what they have read.
pub struct Meter<R> {
    readers: R,
    next: u64,
}

impl<R: Readers> Meter<R> {
    /// Takes readers that have read nothing yet, and proves that they work before anything is
    /// timed.
    #[must_use]
    pub fn new(readers: R) -> Self {
        let mut meter = Self { readers, next: 0 };
        for count in [1, 2, BLOCK - 1, BLOCK, BLOCK, 3] {
            meter.block(count);
        }
        meter
    }

    /// Lets at least so many events be read, and returns how long as many would have taken.
    ///
    /// # Panics
    /// When an event is lost, doubled or changed.
    pub fn time(&mut self, events: u64) -> Duration {
        let (mut read, mut total) = (0, Duration::ZERO);
        while read < events {
            total += self.block(BLOCK);
            read += self.reads_of_a_block();
        }
        total.mul_f64(events as f64 / read as f64)
    }

    /// Lets at least so many events be read, and returns what one of them takes, in nanoseconds:
    /// the median of all blocks.
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
