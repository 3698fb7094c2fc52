//! Waiting and waking without a lost wake-up, and without cost for those who need not wait.
//!
//! [`WaitCell`] is where one consumer sleeps; [`Sleepers`] is where the readers of one stream do, [`WaitList`] where any number
//! of blocked publishers do; [`WaitStrategy`] says how a consumer waits before it sleeps. They are public so that models reach them as they are.

pub(crate) mod cell;
pub(crate) mod context;
pub(crate) mod crowd;
pub(crate) mod errand;
pub(crate) mod linger;
pub(crate) mod list;
pub(crate) mod sleepers;
pub(crate) mod strategy;
pub(crate) mod text;

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

/// The longest park of any thread. No wake-up is lost that we know of; a defect shows as latency, not as a hang.
const SAFETY_LIMIT: Duration = Duration::from_secs(1);
/// The longest park when the system call of the asymmetric pair fails: then wake-ups may be lost.
const DEGRADED_LIMIT: Duration = Duration::from_millis(1);

/// Parks the calling thread, which has announced itself behind a heavy fence; `fenced` is what that said.
fn park_fenced(thread: &Unparker, limit: Option<Duration>, fenced: bool) {
    let most = if fenced { SAFETY_LIMIT } else { DEGRADED_LIMIT };
    // The models know no time: there a lost wake-up is a deadlock, which they report.
    thread.park(if MODEL { None } else { Some(limit.map_or(most, |limit| limit.min(most))) });
}

/// Who sleeps: a thread or a task.
#[derive(Debug)]
pub(crate) enum Sleeper {
    Thread(Unparker),
    Task(Task),
}

/// A task's waker, whose clone, call and drop are user code: nothing waits there, and a panic of the last two ends here.
#[derive(Debug)]
pub(crate) struct Task(Option<Waker>);

impl Sleeper {
    /// To be called where nothing is borrowed or half done: the clone is user code.
    fn task(waker: &Waker) -> Self {
        Self::Task(Task(Some(cloned(waker))))
    }

    fn wake(self) {
        match self {
            Self::Thread(thread) => thread.unpark(),
            // It may poll the task at once, where nothing is to wait.
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
