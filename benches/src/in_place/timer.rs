//! A timer for single calls: the processor's time stamp counter where it is steady, otherwise the
//! system's monotonic clock.
//!
//! The counter is read between two fences for loads: no instruction of the call starts before the
//! first reading, and all of its instructions but its pending stores are complete before the second
//! one. The fences cost time themselves, so the timer measures itself: its median with nothing
//! between the readings is subtracted from each duration.
//!
//! Some processors advance the counter in steps: an AMD EPYC of family 25 does every 10 ns. No
//! single duration is known more exactly than that.

use crate::statistics::median;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The duration of one calibration against the system's clock.
const CALIBRATION: Duration = Duration::from_millis(20);
/// Two calibrations of a steady counter differ by less than this part.
const STEADY: f64 = 0.002;
/// The number of readings that measure the timer itself.
const READINGS: usize = 4096;

/// A calibrated timer.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    source: Source,
    /// Nanoseconds per tick.
    tick: f64,
    /// The ticks between two readings with nothing between them.
    cost: f64,
}

/// The source of the readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The processor's time stamp counter.
    Counter,
    /// The system's monotonic clock.
    Clock,
}

impl Timer {
    /// Returns the timer of this process, calibrated by the first call.
    #[must_use]
    pub fn get() -> Self {
        static TIMER: OnceLock<Timer> = OnceLock::new();
        *TIMER.get_or_init(|| {
            let tick = counter_is_steady().then(calibrate).flatten();
            tick.map_or_else(|| Self::new(Source::Clock, 1.0), |tick| Self::new(Source::Counter, tick))
        })
    }

    fn new(source: Source, tick: f64) -> Self {
        let mut timer = Self { source, tick, cost: 0.0 };
        let mut readings: Vec<f64> = (0..READINGS)
            .map(|_| {
                let start = timer.start();
                timer.stop(start) as f64
            })
            .collect();
        timer.cost = median(&mut readings);
        timer
    }

    /// Returns the source of the readings.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// Returns the duration that is subtracted from each measured one, in nanoseconds.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.cost * self.tick
    }

    /// Returns the ticks at which a call starts.
    #[inline(always)]
    #[must_use]
    pub fn start(&self) -> u64 {
        match self.source {
            Source::Counter => counter(),
            Source::Clock => clock(),
        }
    }

    /// Returns the ticks since `start`.
    #[inline(always)]
    #[must_use]
    pub fn stop(&self, start: u64) -> u64 {
        self.start().saturating_sub(start)
    }

    /// Returns the nanoseconds of a call from its ticks, without the timer's own.
    #[must_use]
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        ((ticks as f64 - self.cost).max(0.0) * self.tick).round() as u64
    }

    /// Returns the number of ticks in a duration.
    #[must_use]
    pub fn ticks(&self, duration: Duration) -> u64 {
        (duration.as_nanos() as f64 / self.tick).round() as u64
    }
}

fn clock() -> u64 {
    static BASE: OnceLock<Instant> = OnceLock::new();
    BASE.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Returns the counter, after all earlier instructions and before all later ones.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "the counter of the processor")]
fn counter() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has both instructions. They access no memory.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    clock()
}

/// Returns whether the counter advances at one rate on all processors, whatever their state.
fn counter_is_steady() -> bool {
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = known.lines().find(|line| line.starts_with("flags"));
    cfg!(target_arch = "x86_64")
        && flags.is_some_and(|flags| {
            ["constant_tsc", "nonstop_tsc"]
                .iter()
                .all(|flag| flags.split_whitespace().any(|word| word == *flag))
        })
}

/// Returns nanoseconds per tick of the counter; `None` if two measurements disagree.
fn calibrate() -> Option<f64> {
    let ticks = [(); 2].map(|()| {
        let (start, before) = (Instant::now(), counter());
        let mut elapsed = start.elapsed();
        while elapsed < CALIBRATION {
            elapsed = start.elapsed();
        }
        elapsed.as_nanos() as f64 / counter().saturating_sub(before).max(1) as f64
    });
    let [first, second] = ticks;
    (first > 0.0 && (first / second - 1.0).abs() < STEADY).then_some(f64::midpoint(first, second))
}

#[cfg(test)]
mod tests {
    use super::{Source, Timer};
    use std::time::{Duration, Instant};

    #[test]
    fn timer_agrees_with_the_clock() {
        let timer = Timer::get();
        for timer in [timer, Timer::new(Source::Clock, 1.0)] {
            // The clock is read around the timer for the longest duration, and within it for the
            // shortest, so that an interruption between two readings does not matter.
            let outer = Instant::now();
            let start = timer.start();
            let inner = Instant::now();
            while inner.elapsed() < Duration::from_millis(5) {}
            let nanoseconds = timer.nanoseconds(timer.stop(start));
            let longest = outer.elapsed().as_nanos() as u64;
            assert!(nanoseconds > 4_900_000 && nanoseconds <= longest + longest / 100, "{nanoseconds}");
        }
    }

    #[test]
    fn timer_subtracts_its_own_cost() {
        let timer = Timer { source: Source::Counter, tick: 0.5, cost: 40.0 };
        assert_eq!([0, 40, 41, 140].map(|ticks| timer.nanoseconds(ticks)), [0, 0, 1, 50]);
        assert_eq!(timer.ticks(Duration::from_nanos(100)), 200);
        assert_eq!(timer.cost(), 20.0);
    }
}
