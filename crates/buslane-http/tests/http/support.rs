//! Test support, as in the core's tests: a time limit, comparable outcomes, and ledger checks.

use buslane::stats::{Ledger, SinkState};
use buslane::{Queue, WriteError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The time after which a test that waits fails instead of hanging: 30 seconds, times
/// `BUSLANE_TIME_SCALE` at compile time.
pub(crate) const GUARD: Duration = {
    let scale = match option_env!("BUSLANE_TIME_SCALE") {
        Some(text) => match u32::from_str_radix(text, 10) {
            Ok(scale) => scale,
            Err(_) => panic!("BUSLANE_TIME_SCALE must be a whole number"),
        },
        None => 1,
    };
    assert!(scale > 0, "BUSLANE_TIME_SCALE must be at least 1");
    Duration::from_secs(30).saturating_mul(scale)
};

/// Locks a mutex that a failed test may have poisoned.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A list that hooks write to.
#[derive(Clone)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn push(&self, entry: T) {
        lock(&self.0).push(entry);
    }

    pub(crate) fn entries(&self) -> Vec<T> {
        lock(&self.0).clone()
    }
}

/// The result of a write without the source of its error, so that results can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<E> {
    Accepted,
    Closed(E),
    Failed(E),
    Other,
}

pub(crate) fn outcome<E>(result: Result<(), WriteError<E>>) -> Outcome<E> {
    match result {
        Ok(()) => Outcome::Accepted,
        Err(WriteError::Closed(event)) => Outcome::Closed(event),
        Err(WriteError::Failed { event, .. }) => Outcome::Failed(event),
        Err(_) => Outcome::Other,
    }
}

/// Checks both equations of the ledger and returns it.
#[track_caller]
pub(crate) fn assert_balanced(state: &SinkState) -> Ledger {
    if let Err(imbalance) = state.ledger.check() {
        panic!("{imbalance}");
    }
    state.ledger
}

/// Flushes a queue, which must finish in time.
#[track_caller]
pub(crate) fn flush<E: Send + 'static>(queue: &Queue<E>) {
    let report = queue.flush_timeout(GUARD);
    assert!(report.is_done(), "{report}");
}

/// Yields until the condition is true, which another thread must bring about.
#[track_caller]
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < GUARD, "the condition did not become true in {GUARD:?}");
        thread::yield_now();
    }
}

/// Runs the body on its own thread, and fails instead of hanging if the body hangs.
#[track_caller]
pub(crate) fn ends<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = mpsc::channel();
    let runner = thread::spawn(move || {
        let _ = sender.send(body());
    });
    match result.recv_timeout(GUARD) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the body did not end in {GUARD:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match runner.join() {
            Err(payload) => std::panic::resume_unwind(payload),
            Ok(()) => panic!("the body ended without a result"),
        },
    }
}
