//! One thread for all times at which an outbox has something to do: a retry, a timeout of an
//! acknowledgement, the end of a linger.
//!
//! The thread is started with the first timer and ends when there is none. It waits by the
//! director's clock for the earliest time, and rings the bells of the outboxes whose time has come.
//!
//! - T1: each session has at most one timer, which its reader sets itself before it parks. It is
//!   withdrawn at the end of the session, and again by the reader when that is gone, since it may
//!   have been about to set it. The epoch is its key, so this touches no timer of a later session.
//! - T2: a timer that becomes the earliest one interrupts the wait of the thread. One that is
//!   withdrawn does not: the thread then wakes once for nothing.
//! - T3: the decision to end and the mark that a thread runs are under one lock. So a timer finds a
//!   thread that has yet to look at it, or starts one.

use super::bell::Bell;
use super::key::Epoch;
use crate::sync::{MODEL, Mutex, lock, thread};
use crate::time::{Clock, Pause};
use crate::wait::context::caught;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Instant;

pub(super) struct Timers {
    clock: Arc<dyn Clock>,
    state: Mutex<TimerState>,
}

struct TimerState {
    /// By time, and then by the session.
    due: BTreeMap<(Instant, Epoch), Arc<Bell>>,
    of: HashMap<Epoch, Instant>,
    pause: Arc<Pause>,
    runs: bool,
}

/// The earliest time that is left, and the pause to wait for it in.
type NextWait = (Instant, Arc<Pause>);

impl Timers {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let pause = Arc::new(Pause::new());
        let state = TimerState { due: BTreeMap::new(), of: HashMap::new(), pause, runs: false };
        Self { clock, state: Mutex::new(state) }
    }

    /// Returns the time. The clock is user code; if it panics, the system's serves.
    pub(super) fn now(&self) -> Instant {
        caught(|| self.clock.now()).unwrap_or_else(|_| Instant::now())
    }

    /// Sets or withdraws the timer of a session.
    pub(super) fn set(self: &Arc<Self>, epoch: Epoch, bell: &Arc<Bell>, at: Option<Instant>) {
        if MODEL {
            // A model has no time.
            return;
        }
        let (old_pause, starts) = {
            let mut state = lock(&self.state);
            let before = state.of.get(&epoch).copied();
            if before == at {
                return;
            }
            if let Some(before) = before {
                state.of.remove(&epoch);
                state.due.remove(&(before, epoch));
            }
            let Some(at) = at else { return };
            state.of.insert(epoch, at);
            state.due.insert((at, epoch), bell.clone());
            let is_first = state.due.first_key_value().is_some_and(|(key, _)| *key == (at, epoch));
            // T2.
            let old = is_first.then(|| std::mem::replace(&mut state.pause, Arc::new(Pause::new())));
            (old, !std::mem::replace(&mut state.runs, true))
        };
        if let Some(pause) = old_pause {
            pause.interrupt();
        }
        if starts {
            let weak = Arc::downgrade(self);
            let started = thread::spawn_named(String::from("buslane-timers"), move || run(&weak));
            if started.is_err() {
                // Threads that park look again within a second, and the next timer tries again.
                lock(&self.state).runs = false;
            }
        }
    }

    /// Takes out the bells whose time has come, and returns them and the earliest time that is
    /// left. If there is none, the thread ends: T3.
    fn take_due(&self, now: Instant) -> (Vec<Arc<Bell>>, Option<NextWait>) {
        let mut state = lock(&self.state);
        let mut bells = Vec::new();
        while let Some(entry) = state.due.first_entry() {
            let (at, epoch) = *entry.key();
            if at > now {
                let pause = state.pause.clone();
                return (bells, Some((at, pause)));
            }
            bells.push(entry.remove());
            state.of.remove(&epoch);
        }
        state.runs = false;
        (bells, None)
    }
}

/// The thread. It does not keep the timers alive while it waits.
fn run(timers: &Weak<Timers>) {
    loop {
        let Some(timers) = timers.upgrade() else { return };
        let (bells, next) = timers.take_due(timers.now());
        bells.iter().for_each(|bell| bell.ring());
        let Some((at, pause)) = next else { return };
        let clock = timers.clock.clone();
        drop(timers);
        if caught(|| clock.wait_until(at, &pause)).is_err() {
            // A clock that panics must not make a hot loop.
            thread::yield_now();
        }
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        lock(&self.state).pause.interrupt();
    }
}
