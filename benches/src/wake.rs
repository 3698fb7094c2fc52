//! What a publish costs the publisher whose consumer is asleep each time.
//!
//! Both threads are pinned. An event is sent a fixed time after the one before was handled, long
//! enough for a consumer to have done whatever it does when it finds nothing; the publisher spins
//! meanwhile. Only the call is timed; two readings of the clock are within each figure (about 50
//! ns).

use crate::histogram;
use crate::stream::{Meter, Stream};
use crate::usage::Usage;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// How long the consumer has had nothing to do when an event comes.
pub const SILENCE: Duration = Duration::from_micros(100);

/// What the publisher paid.
#[derive(Clone, Debug)]
pub struct Paid {
    /// How long the calls took, in nanoseconds.
    pub calls: Histogram<u64>,
    /// How often a thread of the process went to sleep, for each event.
    pub sleeps: f64,
}

/// Sends so many events.
///
/// # Panics
/// When an event is lost or changed.
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

/// Keeps this thread busy for so long.
pub fn pause(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// What two readings of the clock take.
#[must_use]
pub fn clock(events: u64) -> Histogram<u64> {
    let mut readings = histogram::empty();
    for _ in 0..events {
        histogram::record(&mut readings, Instant::now().elapsed());
    }
    readings
}
