//! The two processors: pinning, and their current distance.
//!
//! On a virtual machine a cache line needs 50 ns from one processor to the other, or 200, and that
//! changes while a program runs. A figure that involves both is meaningful only together with a
//! ping that was measured before and after it.

use core_affinity::CoreId;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

/// A value on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Padded<T>(pub T);

/// Returns the producer's processor and the consumer's; `None` if there is only one.
pub fn processors() -> Option<(CoreId, CoreId)> {
    static PROCESSORS: OnceLock<Option<(CoreId, CoreId)>> = OnceLock::new();
    *PROCESSORS.get_or_init(|| {
        // Code that pins a thread calls this first, so the rover starts before any pinning.
        rover();
        match core_affinity::get_core_ids()?[..] {
            [producer, consumer, ..] => Some((producer, consumer)),
            _ => None,
        }
    })
}

/// Pins this thread to the producer's processor.
pub fn pin_producer() {
    if let Some((producer, _)) = processors() {
        core_affinity::set_for_current(producer);
    }
}

/// Pins this thread to the consumer's processor.
pub fn pin_consumer() {
    if let Some((_, consumer)) = processors() {
        core_affinity::set_for_current(consumer);
    }
}

/// Runs `spawn` so that the threads which it starts are pinned to the consumer's processor, where
/// threads inherit that. Afterward this thread is pinned to the producer's.
pub fn on_consumer<R>(spawn: impl FnOnce() -> R) -> R {
    pin_consumer();
    let spawned = spawn();
    pin_producer();
    spawned
}

type Errand = Box<dyn FnOnce() + Send>;

/// Returns a thread that was started before any thread was pinned: the threads that it starts are
/// not pinned.
fn rover() -> &'static Sender<Errand> {
    static ROVER: OnceLock<Sender<Errand>> = OnceLock::new();
    ROVER.get_or_init(|| {
        let (errands, taken) = channel::<Errand>();
        std::thread::spawn(move || taken.into_iter().for_each(|errand| errand()));
        errands
    })
}

/// Runs `spawn` so that the threads which it starts are not pinned.
///
/// # Panics
/// If `spawn` does.
pub fn unpinned<R: Send + 'static>(spawn: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = channel();
    let errand = Box::new(move || {
        let _ = done.send(spawn());
    });
    rover().send(errand).expect("the rover never ends");
    result.recv().expect("the errand was run")
}

/// Runs `body` on a thread that is not pinned, and whose threads are not, and waits for it.
///
/// # Panics
/// If `body` does.
pub fn anywhere<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    unpinned(move || std::thread::spawn(body)).join().expect("the body does not panic")
}

/// The one-way time in nanoseconds below which two processors count as near. Near processors were
/// measured at 23 to 118, far ones at 147 and more.
pub const NEAR: f64 = 130.0;

/// Returns `near` or `far`.
#[must_use]
pub fn placement(ping: f64) -> &'static str {
    if ping < NEAR { "near" } else { "far" }
}

const WARM_UP: u64 = 500;
const BATCHES: u64 = 9;
const BATCH: u64 = 250;

const IDLE: u64 = 0;
const PLAY: u64 = 1;
const OVER: u64 = 2;

#[derive(Default)]
struct Court {
    ball: Padded<AtomicU64>,
    command: Padded<AtomicU64>,
}

impl Court {
    /// Runs one side of one measurement: waits for the ball to be `at`, and returns it.
    #[inline(always)]
    fn hit(&self, at: u64) {
        while self.ball.0.load(Ordering::Acquire) != at {
            std::hint::spin_loop();
        }
        self.ball.0.store(at + 1, Ordering::Release);
    }

    fn partner(&self) {
        let mut ball = 0;
        loop {
            match self.command.0.swap(IDLE, Ordering::AcqRel) {
                OVER => return,
                PLAY => {
                    for _ in 0..WARM_UP + BATCHES * BATCH {
                        self.hit(ball + 1);
                        ball += 2;
                    }
                }
                _ => std::thread::park(),
            }
        }
    }

    fn command(&self, command: u64, partner: &JoinHandle<()>) {
        self.command.0.store(command, Ordering::Release);
        partner.thread().unpark();
    }
}

/// Measures the time of a cache line from one processor to the other: an atomic word bounces
/// between this thread and a partner, which sleeps in between.
pub struct Ping {
    court: Arc<Court>,
    partner: Option<JoinHandle<()>>,
    ball: u64,
}

impl Default for Ping {
    fn default() -> Self {
        Self::new()
    }
}

impl Ping {
    /// Starts the partner on the consumer's processor, and pins this thread to the producer's.
    #[must_use]
    pub fn new() -> Self {
        let court = Arc::new(Court::default());
        let partner = on_consumer(|| {
            let court = court.clone();
            std::thread::spawn(move || court.partner())
        });
        Self { court, partner: Some(partner), ball: 0 }
    }

    /// Returns the one-way time in nanoseconds: the median of nine batches. Takes about a
    /// millisecond.
    pub fn measure(&mut self) -> f64 {
        if let Some(partner) = &self.partner {
            self.court.command(PLAY, partner);
        }
        self.rally(WARM_UP);
        let mut batches: Vec<f64> = (0..BATCHES)
            .map(|_| {
                let start = Instant::now();
                self.rally(BATCH);
                start.elapsed().as_nanos() as f64 / (2 * BATCH) as f64
            })
            .collect();
        crate::statistics::median(&mut batches)
    }

    fn rally(&mut self, rounds: u64) {
        for _ in 0..rounds {
            self.court.hit(self.ball);
            self.ball += 2;
        }
        // The partner's last hit belongs to this rally.
        while self.court.ball.0.load(Ordering::Acquire) != self.ball {
            std::hint::spin_loop();
        }
    }
}

impl Drop for Ping {
    fn drop(&mut self) {
        if let Some(partner) = self.partner.take() {
            self.court.command(OVER, &partner);
            let _ = partner.join();
        }
    }
}

impl fmt::Debug for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ping").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ping, pin_producer, processors, unpinned};

    #[test]
    fn unpinned_thread_sees_every_processor() {
        if processors().is_some() {
            fn all() -> usize {
                std::thread::available_parallelism().map_or(1, usize::from)
            }
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    pin_producer();
                    assert_eq!(all(), 1);
                    assert!(unpinned(|| std::thread::spawn(all)).join().is_ok_and(|count| count > 1));
                });
            });
        }
    }

    #[test]
    fn ping_measures_a_positive_time() {
        if processors().is_some() {
            let mut ping = Ping::new();
            assert!(ping.measure() > 0.0 && ping.measure() > 0.0);
        }
    }
}
