//! Waiting and waking without a lost wake-up, and without cost for those who need not wait.
//!
//! [`WaitCell`] is where one consumer sleeps; [`WaitList`] is where any number of blocked publishers do;
//! [`WaitStrategy`] says how a consumer waits before it sleeps. They are public so that models reach them as they are.

pub(crate) mod allowance;
pub(crate) mod cell;
pub(crate) mod clock;
pub(crate) mod crowd;
pub(crate) mod deadline;
pub(crate) mod linger;
pub(crate) mod list;
pub(crate) mod nesting;
pub(crate) mod strategy;

pub use crate::sync::membarrier::FencePair;
pub use cell::WaitCell;
pub use clock::{Clock, Pause, SystemClock};
pub use deadline::Deadline;
pub use list::WaitList;
pub use strategy::WaitStrategy;

use crate::sync::MODEL;
use crate::sync::parking::Unparker;
use nesting::Nesting;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Who sleeps: a thread or a task.
#[derive(Debug)]
pub(crate) enum Sleeper {
    Thread(Unparker),
    Task(Waker),
}

impl Sleeper {
    fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            Self::Task(task) => {
                // Foreign: it may panic, or poll the task at once, where nothing is to wait.
                let _impatient = Nesting::impatient();
                if MODEL {
                    task.wake();
                } else if let Err(payload) = catch_unwind(AssertUnwindSafe(|| task.wake())) {
                    // Its destructor is foreign too.
                    std::mem::forget(payload);
                }
            }
        }
    }
}
