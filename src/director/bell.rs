//! What wakes the reader of one outbox, beside the events of the stream.
//!
//! The reader takes the mark, and then looks at everything that a ring may be about. A thread that
//! has changed something rings after the change. So the reader sees the change, or finds the mark
//! before it parks.
//!
//! - B1: the reader enters its sleeper before it checks the mark for the last time.
//! - B2: a ring sets the mark and takes the sleeper out under one lock, and wakes it afterwards. A
//!   thread is unparked by its token, so it returns from a park that it has not entered yet.

use crate::sync::{Mutex, lock};
use crate::wait::Sleeper;

/// A mark, and the thread or task that it wakes.
pub(super) struct Bell(Mutex<BellState>);

struct BellState {
    is_rung: bool,
    sleeper: Option<Sleeper>,
}

impl Bell {
    pub(super) fn new() -> Self {
        Self(Mutex::new(BellState { is_rung: false, sleeper: None }))
    }

    /// Sets the mark, and wakes the sleeper.
    pub(super) fn ring(&self) {
        let sleeper = {
            let mut state = lock(&self.0);
            state.is_rung = true;
            state.sleeper.take()
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Takes the mark away.
    pub(super) fn take(&self) {
        lock(&self.0).is_rung = false;
    }

    pub(super) fn is_rung(&self) -> bool {
        lock(&self.0).is_rung
    }

    /// Enters the thread or task to be woken, in place of another one: B1.
    pub(super) fn enter(&self, sleeper: Sleeper) {
        let old = lock(&self.0).sleeper.replace(sleeper);
        // A waker's destructor is user code.
        drop(old);
    }

    /// Removes the thread or task.
    pub(super) fn leave(&self) {
        let old = lock(&self.0).sleeper.take();
        drop(old);
    }
}
