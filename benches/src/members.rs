//! One publisher and many members, each of which gets every event: what everything together costs
//! for each event, and what a publish costs whose members are all parked.
//!
//! Nothing is pinned. The publisher sends a block of events and waits until every member has handled
//! its last one, so no contender loses an event, and none runs ahead of its members. A member reads
//! all four words of each event and sums them; it reports at the end of a block, where the publisher
//! checks the sum of all members.
//!
//! The readers are the same for all contenders: two threads, or a runtime with two threads and one
//! task for each member.

mod contenders;

use crate::event::{Event, Seed};
use crate::histogram;
use crate::machine::{Padded, anywhere};
use crate::usage::Usage;
use crate::wake::{Paid, SILENCE, pause};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use contenders::{ChannelEach, ChannelTasks, DirectorPolled, DirectorTasks, DirectorThreads, TokioTasks};

/// Threads that read.
pub const READERS: usize = 2;

/// The number of events of a block: half of the capacity.
pub const BLOCK: u64 = crate::CAPACITY as u64 / 2;

/// A way of events to many members, with everything that reads them.
pub trait Members: 'static {
    /// Starts everything that reads; each member has an account of its own.
    fn open(accounts: Vec<Account>) -> Self;

    /// Creates the event and publishes it to all members.
    fn publish(&mut self, seed: Seed);
}

/// What all members have reported.
#[derive(Debug, Default)]
struct Tally {
    /// Blocks that members have handled, over all members.
    ended: Padded<AtomicU64>,
    sum: Padded<AtomicU64>,
}

/// The record of one member.
#[derive(Debug)]
pub struct Account {
    tally: Arc<Tally>,
    next: u64,
    sum: u64,
}

impl Account {
    /// Handles an event: reads all of it, and reports at the end of a block.
    ///
    /// # Panics
    /// If an event is out of order.
    #[inline(always)]
    pub fn see(&mut self, event: &Event) {
        assert_eq!(event.seq, self.next, "the order of events");
        self.next = event.next;
        self.sum = self.sum.wrapping_add(event.sum());
        if event.last != 0 {
            self.report();
        }
    }

    #[cold]
    fn report(&mut self) {
        self.tally.sum.0.fetch_add(std::mem::take(&mut self.sum), Ordering::Relaxed);
        self.tally.ended.0.fetch_add(1, Ordering::Release);
    }
}

/// The result of a run.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    events: u64,
    members: u64,
    elapsed: Duration,
    usage: Usage,
}

impl Carried {
    /// Returns the time for one event to all members.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.events as f64
    }

    /// Returns the processor time of all threads for one event to one member.
    #[must_use]
    pub fn cpu_nanoseconds(&self) -> f64 {
        self.usage.cpu as f64 / (self.events * self.members) as f64
    }
}

/// A contender with its members, and the number of the next event.
struct Meter<M> {
    contender: M,
    members: u64,
    tally: Arc<Tally>,
    next: u64,
    sum: u64,
    blocks: u64,
}

impl<M: Members> Meter<M> {
    fn new(members: usize) -> Self {
        let tally = Arc::<Tally>::default();
        let accounts = (0..members).map(|_| Account { tally: tally.clone(), next: 0, sum: 0 }).collect();
        let contender = M::open(accounts);
        let mut meter = Self { contender, members: members as u64, tally, next: 0, sum: 0, blocks: 0 };
        meter.block(BLOCK);
        meter.block(1);
        meter
    }

    /// Sends a block, returns how long that took, and waits until it is handled.
    fn block(&mut self, count: u64) -> Duration {
        let last = self.next + count - 1;
        let start = Instant::now();
        for seq in self.next..=last {
            self.contender.publish(Seed::new(seq, seq == last));
        }
        let elapsed = start.elapsed();
        self.sum = self.sum.wrapping_add(Event::sum_of(self.next, count).wrapping_mul(self.members));
        self.next += count;
        self.blocks += 1;
        while self.tally.ended.0.load(Ordering::Acquire) < self.blocks * self.members {
            std::thread::yield_now();
        }
        assert_eq!(self.tally.sum.0.load(Ordering::Relaxed), self.sum, "the sum of all events");
        elapsed
    }
}

/// Sends about `events` events to `members` members, in blocks.
///
/// # Panics
/// If an event is lost, duplicated, changed or out of order.
#[must_use]
pub fn carry<M: Members>(members: usize, events: u64) -> Carried {
    anywhere(move || {
        let mut meter = Meter::<M>::new(members);
        let blocks = events.div_ceil(BLOCK).max(1);
        let (before, start) = (Usage::now(), Instant::now());
        for _ in 0..blocks {
            meter.block(BLOCK);
        }
        let (elapsed, usage) = (start.elapsed(), Usage::now() - before);
        Carried { events: blocks * BLOCK, members: members as u64, elapsed, usage }
    })
}

/// Sends single events, each a while after all members have handled the one before, and times the
/// calls.
///
/// # Panics
/// As for [`carry`].
#[must_use]
pub fn wake<M: Members>(members: usize, events: u64) -> Paid {
    anywhere(move || {
        let mut meter = Meter::<M>::new(members);
        let mut calls = histogram::empty();
        let before = Usage::now();
        for _ in 0..events {
            pause(SILENCE);
            histogram::record(&mut calls, meter.block(1));
        }
        let sleeps = (Usage::now() - before).sleeps;
        Paid { calls, sleeps: sleeps as f64 / events as f64 }
    })
}

#[cfg(test)]
mod tests {
    use super::{
        ChannelEach, ChannelTasks, DirectorPolled, DirectorTasks, DirectorThreads, Members, TokioTasks,
        carry, wake,
    };

    #[test]
    fn members_get_every_event() {
        fn check<M: Members>() {
            for members in [1, 5] {
                assert!(carry::<M>(members, 1000).nanoseconds() > 0.0);
                assert_eq!(wake::<M>(members, 3).calls.len(), 3);
            }
        }
        check::<DirectorPolled>();
        check::<DirectorTasks>();
        check::<DirectorThreads>();
        check::<TokioTasks>();
        check::<ChannelEach>();
        check::<ChannelTasks>();
    }
}
