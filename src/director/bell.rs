//! What wakes the reader of a member's session, beside the events of the stream.
//!
//! The reader takes the mark, and then looks at everything that a ring may be about. A thread that
//! has changed something rings after the change. So the reader sees the change, or finds the mark
//! before it parks.
//!
//! - B1: the reader enters its sleeper before it checks the mark for the last time.
//! - B2: a ring sets the mark and takes the sleeper out under one lock, and wakes it afterwards. A
//!   thread is unparked by its token, so it returns from a park that it has not entered yet.
//! - B3: the bell knows the epoch of the session that it is for. A reader of an older session, which
//!   may still be about to take the mark or to leave, changes nothing, and finds the mark always set.
//!   [`begin`](Bell::begin) takes the old sleeper out, to be woken.

use super::key::Epoch;
use crate::sync::{Mutex, lock};
use crate::wait::Sleeper;

/// A mark, and the thread or task that it wakes.
pub(super) struct Bell(Mutex<BellState>);

struct BellState {
    epoch: Epoch,
    is_rung: bool,
    sleeper: Option<Sleeper>,
}

impl Bell {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self(Mutex::new(BellState { epoch, is_rung: false, sleeper: None }))
    }

    /// The bell is for the session of this epoch from now on: B3. Returns the sleeper of the session
    /// before it, to be woken outside of every lock.
    #[must_use = "the old reader sleeps until it is woken"]
    pub(super) fn begin(&self, epoch: Epoch) -> Option<Sleeper> {
        let mut state = lock(&self.0);
        (state.epoch, state.is_rung) = (epoch, false);
        state.sleeper.take()
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

    /// Takes the mark away, for the reader of this epoch.
    pub(super) fn take(&self, epoch: Epoch) {
        let mut state = lock(&self.0);
        state.is_rung &= state.epoch != epoch;
    }

    /// Returns whether the reader of this epoch has to look again.
    pub(super) fn is_rung(&self, epoch: Epoch) -> bool {
        let state = lock(&self.0);
        state.is_rung || state.epoch != epoch
    }

    /// Enters the thread or task of this epoch to be woken, in place of another one: B1.
    pub(super) fn enter(&self, epoch: Epoch, sleeper: Sleeper) {
        let old = {
            let mut state = lock(&self.0);
            if state.epoch == epoch { state.sleeper.replace(sleeper) } else { Some(sleeper) }
        };
        // A waker's destructor is user code.
        drop(old);
    }

    /// Removes the thread or task of this epoch.
    pub(super) fn leave(&self, epoch: Epoch) {
        let old = {
            let mut state = lock(&self.0);
            if state.epoch == epoch { state.sleeper.take() } else { None }
        };
        drop(old);
    }
}
