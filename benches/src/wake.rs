//! The cost for the publisher of a publish whose consumer is parked each time.
//!
//! Both threads are pinned. An event is sent a fixed time after the previous one was handled, long
//! enough for a consumer to go through all its steps after an empty poll; the publisher spins
//! meanwhile. Only the call is timed; each figure includes two clock reads (about 50 ns).

use crate::histogram;
use crate::stream::{Meter, Stream};
use crate::usage::Usage;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// The time without events before each event.
pub const SILENCE: Duration = Duration::from_micros(100);

/// The publisher's cost.
#[derive(Clone, Debug)]
pub struct Paid {
    /// The durations of the calls, in nanoseconds.
    pub calls: Histogram<u64>,
    /// The number of sleeps of the process's threads, per event.
    pub sleeps: f64,
}

/// Sends `events` events.
///
/// # Panics
/// If an event is lost or changed.
pub fn run<S: Stream>(meter: &mut Meter<S>, events: u64) -> Paid {
    let mut calls = histogram::empty();
    let before = Usage::now();
    for _ in 0..events {
        pause(SILENCE);
        histogram::record(&mut calls, meter.hand_over(1));
    }
    let sleeps = (Usage::now() - before).sleeps;
    Paid { calls, sleeps: sleeps as f64 / events as f64 }
}

/// Keeps this thread busy for a duration.
pub fn pause(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// Measures the duration of two clock reads.
#[must_use]
pub fn clock(events: u64) -> Histogram<u64> {
    let mut readings = histogram::empty();
    for _ in 0..events {
        histogram::record(&mut readings, Instant::now().elapsed());
    }
    readings
}
