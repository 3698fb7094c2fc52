//! Waiting and waking without a lost wake-up, and at no cost for threads that need not wait.
//!
//! - [`WaitCell`] parks one consumer.
//! - [`Sleepers`] parks the readers of one stream.
//! - [`WaitList`] parks any number of blocked publishers, threads and tasks.
//! - [`WaitStrategy`] decides how a consumer waits before it parks.
//!
//! They are public so that models reach them unchanged.

pub(crate) mod cell;
pub(crate) mod context;
pub(crate) mod crowd;
pub(crate) mod errand;
pub(crate) mod linger;
pub(crate) mod list;
pub(crate) mod payer;
pub(crate) mod sleepers;
pub(crate) mod strategy;
pub(crate) mod text;
pub(crate) mod turn;

pub use crate::sync::membarrier::FencePair;
pub use cell::WaitCell;
pub use list::WaitList;
pub use sleepers::{Berth, Sleepers};
pub use strategy::WaitStrategy;

use crate::sync::MODEL;
use crate::sync::parking::Unparker;
use context::{cloned, discard, quietly};
use std::task::Waker;
use std::time::Duration;

/// The longest park of any thread. A lost wake-up, of which none is known, would show as latency
/// and not as a hang.
const SAFETY_LIMIT: Duration = Duration::from_secs(1);
/// The longest park when the system call of the asymmetric pair fails: then wake-ups may be lost.
const DEGRADED_LIMIT: Duration = Duration::from_millis(1);

/// Parks the calling thread, which has announced itself and then executed a heavy fence; `fenced`
/// is the result of that fence.
pub(crate) fn park_fenced(thread: &Unparker, limit: Option<Duration>, fenced: bool) {
    let most = if fenced { SAFETY_LIMIT } else { DEGRADED_LIMIT };
    // Models have no time: there a lost wake-up is a deadlock, which they report.
    thread.park(if MODEL { None } else { Some(limit.map_or(most, |limit| limit.min(most))) });
}

/// A sleeping thread or task.
#[derive(Debug)]
pub(crate) enum Sleeper {
    Thread(Unparker),
    Task(Task),
}

/// A task's waker, whose clone, call and drop are user code.
///
/// No wait is allowed in them, and a panic of the call or the drop is caught.
#[derive(Debug)]
pub(crate) struct Task(Option<Waker>);

impl Sleeper {
    /// Clones the waker of a task.
    ///
    /// The clone is user code: call this where nothing is borrowed or half changed.
    pub(crate) fn task(waker: &Waker) -> Self {
        Self::Task(Task(Some(cloned(waker))))
    }

    pub(crate) fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            // The waker may poll the task at once, where no wait is allowed.
            Self::Task(mut task) => {
                if let Some(waker) = task.0.take() {
                    quietly(|| waker.wake());
                }
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            discard(waker);
        }
    }
}
