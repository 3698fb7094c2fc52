//! A request that another thread makes, so that a stop need not wait for it.
//!
//! The system may hold a thread in a connect, and no shutdown reaches it there: a Unix socket whose
//! queue is full holds it until the engine accepts. So requests are made on a thread of their own,
//! and the thread of the monitor waits for the result, a limit, or a stop.

use crate::error::DockerError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait, so that its end can be computed.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The result of a request, when it is there. Clones belong to the same request.
pub(crate) struct Attempt<T>(Arc<(Mutex<Outcome<T>>, Condvar)>);

type Outcome<T> = Option<Result<T, DockerError>>;

impl<T> Attempt<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Sets the result. The first one counts.
    pub(crate) fn finish(&self, result: Result<T, DockerError>) {
        let (state, changed) = &*self.0;
        lock(state).get_or_insert(result);
        changed.notify_all();
    }

    /// Waits for the result, and takes it. Returns `None` if it does not come in time.
    pub(crate) fn wait(&self, limit: Duration) -> Option<Result<T, DockerError>> {
        let (state, changed) = &*self.0;
        let until = Instant::now() + limit.min(LONGEST);
        let mut result = lock(state);
        loop {
            if result.is_some() {
                return result.take();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            result = changed.wait_timeout(result, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Clone for Attempt<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Locks a state that is valid after each step of its users, so also after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
