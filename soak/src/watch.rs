//! A watchdog that turns a hang into a failure. It also detects that the whole process was stopped
//! from outside, so that a deadline missed meanwhile does not count.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The limit for every operation that must end.
pub(crate) const GUARD: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(500);
/// The number of ticks without a beat that are a hang: ticks, not time, because a stopped process
/// does not tick.
const PATIENCE: u64 = 240;

static BEATS: AtomicU64 = AtomicU64::new(0);
static PAUSES: AtomicU64 = AtomicU64::new(0);
static PHASE: Mutex<String> = Mutex::new(String::new());

/// Records progress; `phase` is the next step.
pub(crate) fn beat(phase: &str) {
    let mut now = PHASE.lock().unwrap_or_else(PoisonError::into_inner);
    now.clear();
    now.push_str(phase);
    BEATS.fetch_add(1, Ordering::Relaxed);
}

/// Ends the process with a failure.
pub(crate) fn fail(text: &str) -> ! {
    let phase = PHASE.try_lock().map(|phase| phase.clone()).unwrap_or_default();
    eprintln!("soak: FAILED while trying to {phase}: {text}");
    process::exit(1)
}

/// Fails unless the condition holds.
pub(crate) fn require(holds: bool, text: impl FnOnce() -> String) {
    if !holds {
        fail(&text());
    }
}

/// Returns how often the process has been stopped.
pub(crate) fn pauses() -> u64 {
    PAUSES.load(Ordering::Relaxed)
}

/// Fails if a deadline was missed, unless the process was stopped since `before`. Returns whether
/// it was met.
pub(crate) fn in_time(met: bool, before: u64, text: impl FnOnce() -> String) -> bool {
    if !met {
        // The watch may not have ticked since.
        thread::sleep(4 * TICK);
        require(pauses() != before, text);
    }
    met
}

/// Starts the watch.
pub(crate) fn start() {
    thread::spawn(|| {
        let (mut last, mut still) = (0, 0);
        loop {
            let begun = Instant::now();
            thread::sleep(TICK);
            if begun.elapsed() > 3 * TICK {
                PAUSES.fetch_add(1, Ordering::Relaxed);
            }
            let beats = BEATS.load(Ordering::Relaxed);
            still = if beats == last { still + 1 } else { 0 };
            last = beats;
            if still == PATIENCE {
                fail("it hangs");
            }
        }
    });
}
