//! The threads that publish at full speed, in every way; and one that a panic sometimes kills.

use crate::bound::{Bound, Record};
use crate::event::{Event, Stream};
use crate::leak::Plant;
use crate::watch::fail;
use buslane::Bus;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The orders of a publishing thread.
#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    /// The thread is to panic while it holds its publisher.
    die: AtomicBool,
}

/// One publishing thread.
pub(crate) struct Thread {
    orders: Arc<Orders>,
    handle: JoinHandle<()>,
    bound: Bound,
    /// The publisher that the thread caches.
    local: Arc<Record>,
}

/// The state that the threads of a round share.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) bus: Bus<Event>,
    pub(crate) bound: Bound,
    pub(crate) plant: Plant,
    /// The number of events published.
    pub(crate) published: Arc<AtomicU64>,
}

/// A publisher that is counted from before its creation until its drop.
struct Counted {
    bound: Bound,
    record: Arc<Record>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.bound.publisher_gone(&self.record);
    }
}

/// The lifetime of a publisher in milliseconds, after which another one replaces it. The events in
/// its lanes are still to be handled, so publishers with a much shorter lifetime would fill the
/// memory, lane by lane.
const LIFE: std::ops::Range<u64> = 200..3_000;
/// The number of events of a batch.
const BATCH: usize = 16;

impl Thread {
    /// Starts to publish.
    pub(crate) fn start(job: &Job, seed: u64) -> Self {
        let orders = Arc::new(Orders::default());
        let (bound, local) = (job.bound.clone(), job.bound.publisher());
        let (job, own, kept) = (job.clone(), orders.clone(), local.clone());
        let handle = thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(seed);
            while !own.stop.load(Ordering::Relaxed) {
                live(&job, &mut random, &own, &kept);
            }
        });
        Self { orders, handle, bound, local }
    }

    /// Stops and waits.
    pub(crate) fn stop(self) {
        self.orders.stop.store(true, Ordering::Relaxed);
        if self.handle.join().is_err() {
            fail("a publishing thread panicked by itself");
        }
        self.bound.publisher_gone(&self.local);
    }

    /// Kills the thread by a panic.
    pub(crate) fn die(self) {
        self.orders.die.store(true, Ordering::Relaxed);
        if self.handle.join().is_ok() {
            fail("a publishing thread survived its panic");
        }
        self.bound.publisher_gone(&self.local);
    }
}

/// Runs one publisher from its creation to its drop.
fn live(job: &Job, random: &mut fastrand::Rng, orders: &Orders, kept: &Record) {
    let Job { bus, bound, plant, published } = job;
    let (mut private, mut shared, mut local) = (Stream::new(), Stream::new(), Stream::new());
    // Dropped after the publisher.
    let counted = Counted { bound: bound.clone(), record: bound.publisher() };
    let mut publisher = bus.publisher();
    let mut batch = Vec::with_capacity(BATCH);
    let mut count = 0;
    let (begun, life) = (Instant::now(), plant.life(Duration::from_millis(random.u64(LIFE))));
    for turn in 1_u64.. {
        if turn.is_multiple_of(256) && begun.elapsed() > life {
            break;
        }
        if orders.die.load(Ordering::Relaxed) {
            resume_unwind(Box::new("as requested"));
        }
        if orders.stop.load(Ordering::Relaxed) {
            break;
        }
        let removals = bound.removals();
        let choice = random.u8(..);
        let outcome = match choice {
            0..8 => bus.publish(shared.event()).map_err(drop),
            8..12 => bus.with_local(|publisher| publisher.publish(local.event())).map_err(drop),
            12..24 => {
                batch.clear();
                batch.extend((0..BATCH).map(|_| private.event()));
                count += BATCH as u64 - 1;
                publisher.publish_batch(&batch).map_err(drop)
            }
            _ => publisher.publish(private.event()).map_err(drop),
        };
        count += 1;
        match choice {
            0..8 => {}
            8..12 => kept.pass(removals),
            _ => counted.record.pass(removals),
        }
        if outcome.is_err() {
            fail("the bus is closed while publishers run");
        }
    }
    published.fetch_add(count, Ordering::Relaxed);
    plant.leak_publisher(publisher);
}
