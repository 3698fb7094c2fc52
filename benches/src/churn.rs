//! The effect on a publisher of other threads that constantly add and remove sinks.
//!
//! A publisher sends 100 000 events per second into a queue, by the clock. On the other processor a
//! thread adds ten existing channels to the bus and removes them again, 10 000 adds and as many
//! removals per second, and drains them; or it only sleeps. There are no peers: none of them can
//! change its consumers while a producer publishes.
//!
//! Two times are recorded for each event: the duration of the publisher's call, and the time from
//! when the event was due until the call returned. Every event must be handled, or counted as
//! dropped.

use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::histogram;
use crate::machine::on_consumer;
use buslane::{Bus, Channel, Queue, SinkId};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const RATE: u64 = 100_000;
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / RATE);
const SINKS: usize = 10;
const CHANGES: u64 = 10_000;
const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// Whether sinks are added and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// No sink is.
    Quiet,
    /// Sinks are, all the time.
    Restless,
}

/// The measurements at the publisher.
#[derive(Clone, Debug)]
pub struct Felt {
    /// The durations of the calls, in nanoseconds.
    pub calls: Histogram<u64>,
    /// The times from when an event was due until the call returned.
    pub responses: Histogram<u64>,
    /// The number of sinks added, and removed, per second.
    pub changes: f64,
    /// The events without room in the queue, because its consumer did not run.
    pub dropped: u64,
}

/// Publishes for `duration`.
///
/// # Panics
/// If an event does not arrive.
#[must_use]
pub fn run(neighbours: Neighbours, duration: Duration) -> Felt {
    let (handled, sum) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (count, total) = (handled.clone(), sum.clone());
    let builder = Queue::builder().capacity(CAPACITY);
    let queue = on_consumer(|| {
        builder.spawn(move |event: Event| {
            count.fetch_add(1, Ordering::Relaxed);
            total.fetch_add(event.sum(), Ordering::Relaxed);
        })
    });
    let bus = Bus::new();
    let queue = queue.expect(SETTINGS);
    bus.add(queue.clone()).expect(OPEN);
    let mut publisher = bus.publisher();
    let over = Arc::<AtomicBool>::default();
    let other = (neighbours == Neighbours::Restless).then(|| {
        let (bus, over) = (bus.clone(), over.clone());
        on_consumer(|| thread::spawn(move || change(&bus, &over)))
    });
    let (mut calls, mut responses) = (histogram::empty(), histogram::empty());
    let events = (duration.as_nanos() / INTERVAL.as_nanos()) as u64;
    let start = Instant::now();
    for seq in 0..events {
        let due = start + INTERVAL * u32::try_from(seq).unwrap_or(u32::MAX);
        let mut before = Instant::now();
        while before < due {
            std::hint::spin_loop();
            before = Instant::now();
        }
        let _ = publisher.publish(Seed::new(seq, false).event()).expect(OPEN);
        let after = Instant::now();
        histogram::record(&mut calls, after - before);
        histogram::record(&mut responses, after - due);
    }
    let elapsed = start.elapsed();
    over.store(true, Ordering::Relaxed);
    let changes = other.map_or(0, |thread| thread.join().expect("changing the list does not panic"));
    assert!(bus.close().is_done(), "the queue is closed");
    let dropped = queue.state().ledger.dropped.full;
    assert_eq!(handled.load(Ordering::Relaxed) + dropped, events, "every event was handled or counted");
    let complete = sum.load(Ordering::Relaxed) == Event::sum_without_end(0, events);
    assert!(dropped > 0 || complete, "every event arrived unchanged");
    Felt { calls, responses, changes: changes as f64 / elapsed.as_secs_f64(), dropped }
}

/// Adds all sinks in sequence, then removes them in the same order, and repeats. Returns the number
/// of adds.
fn change(bus: &Bus<Event>, over: &AtomicBool) -> u64 {
    let (channels, mut receivers): (Vec<_>, Vec<_>) =
        (0..SINKS).map(|_| Channel::<Event>::lossy(CAPACITY).expect(SETTINGS)).unzip();
    let mut ids: Vec<Option<SinkId>> = vec![None; SINKS];
    // An add and a removal for each change.
    let step = Duration::from_nanos(1_000_000_000 / (2 * CHANGES));
    let (start, mut steps, mut added) = (Instant::now(), 0_u32, 0);
    while !over.load(Ordering::Relaxed) {
        let index = steps as usize % SINKS;
        match ids[index].take() {
            None => {
                ids[index] = Some(bus.add(channels[index].clone()).expect(OPEN));
                added += 1;
            }
            Some(id) => {
                bus.remove(id).expect("the sink is attached");
            }
        }
        receivers[index].drain_with(drop);
        steps += 1;
        let due = start + step * steps;
        // The consumer of the queue shares this processor.
        while Instant::now() < due && !over.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }
    added
}
