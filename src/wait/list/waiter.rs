//! A waiting thread or task, and what it waits for.

use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::wait::Sleeper;
use std::sync::Arc;

/// A kind of event that a thread on the list waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want(u64);

impl Want {
    /// Progress of any kind: serves every waiter.
    pub(super) const PROGRESS: Self = Self(0);
    /// Room in the ring that all publishers share: a slot serves one waiter.
    pub(crate) const SHARED_ROOM: Self = Self(1);
    /// A goal, which progress reaches in the end: serves the waiters whose goal it is.
    pub(super) const GOAL: Self = Self(u64::MAX);
    /// A goal for which a task waits, which may never be polled again.
    pub(super) const GOAL_OF_TASK: Self = Self(u64::MAX - 2);
    /// The end of the list's owner: woken by [`WaitList::notify`] only.
    pub(crate) const END: Self = Self(u64::MAX - 1);

    /// Returns the want for the answers to one request, identified by its address.
    pub(crate) fn answers_to<T>(request: &T) -> Self {
        Self(std::ptr::from_ref(request).addr() as u64)
    }

    /// Returns whether what is wanted serves one waiter, so that a waiter that does not use it wakes
    /// the next one.
    pub(super) fn is_for_one(self) -> bool {
        !self.is_progress() && self != Self::END
    }

    /// Returns whether a report of progress concerns a thread with this want.
    pub(super) fn is_progress(self) -> bool {
        self == Self::PROGRESS || self.is_goal()
    }

    /// Returns whether a thread or a task with this want waits for a goal.
    pub(super) fn is_goal(self) -> bool {
        self == Self::GOAL || self == Self::GOAL_OF_TASK
    }
}

/// A waiting thread, or one that is about to wait, with what it waits for.
///
/// A publisher that must not allocate when it has to wait brings one along. A clone represents the
/// same thread.
#[derive(Clone)]
pub(crate) struct Waiter(pub(super) Arc<WaiterEntry>);

pub(super) struct WaiterEntry {
    /// `None` for what no other waiter waits for, which the address of the entry identifies.
    want: Option<Want>,
    /// Whether the waiter was woken, or left the list, since it last began to wait.
    pub(super) woken: AtomicBool,
    sleeper: Mutex<Sleeping>,
    /// Returns whether the goal is reached. Not called while the list is locked.
    goal: Option<Box<dyn Fn() -> bool + Send + Sync>>,
}

/// The sleeper of the latest wait that uses an entry.
#[derive(Default)]
struct Sleeping {
    sleeper: Option<Sleeper>,
    /// The number of times that a wait began.
    begun: u64,
}

impl WaiterEntry {
    pub(super) fn is_reached(&self) -> bool {
        self.goal.as_ref().is_some_and(|goal| goal())
    }

    /// Wakes the thread, which was taken off the list.
    pub(super) fn wake(&self) {
        // ORD(list.woken): Release; pairs with the Acquire in `wait`.
        self.woken.store(true, Ordering::Release);
        // Bound to a name, so that the lock is free before user code may run.
        let sleeper = lock(&self.sleeper).sleeper.take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

impl Waiter {
    /// Creates a waiter for progress.
    pub(crate) fn new() -> Self {
        Self::wanting(Want::PROGRESS)
    }

    pub(crate) fn wanting(want: Want) -> Self {
        Self::with(Some(want), None)
    }

    /// Creates the waiter of a publisher for room in a ring that only it writes into.
    pub(crate) fn for_own_room() -> Self {
        Self::with(None, None)
    }

    /// Creates a waiter for a goal. Other threads call `is_reached` as well, and it is not user
    /// code.
    pub(crate) fn for_goal(is_reached: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self::with(Some(Want::GOAL), Some(Box::new(is_reached)))
    }

    /// Creates the waiter of a task for a goal.
    pub(super) fn for_goal_of_task(is_reached: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self::with(Some(Want::GOAL_OF_TASK), Some(Box::new(is_reached)))
    }

    fn with(want: Option<Want>, goal: Option<Box<dyn Fn() -> bool + Send + Sync>>) -> Self {
        Self(Arc::new(WaiterEntry { want, woken: AtomicBool::new(true), sleeper: Mutex::default(), goal }))
    }

    pub(crate) fn wants(&self) -> Want {
        self.0.want.unwrap_or_else(|| Want::answers_to(&*self.0))
    }

    /// Returns whether it waits for room in a ring that only it writes into.
    pub(super) fn has_own_room(&self) -> bool {
        self.0.want.is_none()
    }

    /// Returns whether the waiter may be on the list, for a notifier that has executed its half of the
    /// handshake. Where this is `false` although the waiter enters, its attempt after its heavy fence
    /// sees what the notifier has done.
    #[inline]
    pub(super) fn may_wait(&self) -> bool {
        // ORD(list.count): pairs as the load of the count does, after the same light fence.
        !self.0.woken.load(Ordering::Relaxed)
    }

    /// Prepares the entry for a wait, and returns the number of this wait. A notifier of an earlier
    /// wait may still have the entry and wake this wait too early, which is harmless: a waiter that was
    /// woken makes an attempt.
    pub(super) fn begin(&self, sleeper: Sleeper) -> (&Arc<WaiterEntry>, u64) {
        let (before, begun) = {
            let mut sleeping = lock(&self.0.sleeper);
            sleeping.begun += 1;
            // Before the heavy fence of the waiter, as its count: see `may_wait`.
            self.0.woken.store(false, Ordering::Relaxed);
            (sleeping.sleeper.replace(sleeper), sleeping.begun)
        };
        // Outside the lock: the destructor of a waker is user code.
        drop(before);
        (&self.0, begun)
    }

    /// Takes the sleeper of this wait out of the entry, for the caller to drop outside of every lock. A
    /// later wait that uses the entry keeps its own, and is still waiting.
    pub(super) fn end(&self, begun: u64) -> Option<Sleeper> {
        let mut sleeping = lock(&self.0.sleeper);
        if sleeping.begun != begun {
            return None;
        }
        self.0.woken.store(true, Ordering::Relaxed);
        sleeping.sleeper.take()
    }

    /// Returns whether both represent the same thread or task.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
