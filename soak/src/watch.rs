//! What turns a hang into a failure, and notices when the whole process was stopped from outside,
//! so that a deadline that passed meanwhile is not held against anybody.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything that must end may take.
pub(crate) const GUARD: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(500);
/// So many ticks without a beat are a hang: ticks, not time, since a process that is stopped does
/// not tick.
const PATIENCE: u64 = 240;

static BEATS: AtomicU64 = AtomicU64::new(0);
static PAUSES: AtomicU64 = AtomicU64::new(0);
static PHASE: Mutex<String> = Mutex::new(String::new());

/// Something has got on; `phase` is what is tried next.
pub(crate) fn beat(phase: &str) {
    let mut now = PHASE.lock().unwrap_or_else(PoisonError::into_inner);
    now.clear();
    now.push_str(phase);
    BEATS.fetch_add(1, Ordering::Relaxed);
}

/// Ends the process: something is wrong.
pub(crate) fn fail(text: &str) -> ! {
    let phase = PHASE.try_lock().map(|phase| phase.clone()).unwrap_or_default();
    eprintln!("soak: FAILED while trying to {phase}: {text}");
    process::exit(1)
}

/// Fails unless something holds.
pub(crate) fn require(holds: bool, text: impl FnOnce() -> String) {
    if !holds {
        fail(&text());
    }
}

/// How often the process has been stopped so far.
pub(crate) fn pauses() -> u64 {
    PAUSES.load(Ordering::Relaxed)
}

/// Fails if a deadline was missed, unless the process was stopped since `before`. Whether it was
/// met.
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
