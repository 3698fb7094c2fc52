//! The list on which any number of threads and tasks wait for room, for progress, or for their
//! turn.
//!
//! A cold list with a count: a thread that makes progress fences and reads the count, and takes the
//! lock only when a thread waits. The handshake is that of the wait cell, with the same choice of
//! fences.
//!
//! # Why the consumers have a list of their own
//! A [`Crowd`](super::crowd::Crowd) wakes the consumer that parked last, whose caches are warm; a
//! list wakes the thread that has waited longest, so that no publisher starves. A crowd does not
//! count a napping thread, and a woken consumer reports back before the next one is woken. On a list
//! each thread states what it wants, keeps its position when it fails, and checks the goals of
//! others.
//!
//! A common list would have to distinguish, at each wake-up, two orders, two counts and two ways to
//! pass on. What they share is the handshake: a count that is read after a light fence, and written
//! before a heavy one.
//!
//! # Tasks
//! A task enters the list with its waker where a thread enters with itself, and stays there from
//! poll to poll: see [`task`].
//!
//! # Which threads are woken
//! Each waiter states what it [wants](Want):
//!
//! - Progress serves every thread that waits for it, and wakes them all.
//! - Room in a ring serves one thread, and so does a turn. A notification wakes the thread that has
//!   waited longest for that same thing, and no other. Where only one publisher can use the room, the
//!   notifier first looks whether that one [waits](WaitList::notify_room): others may wait for room in
//!   many other rings, and then searching the list for each event would cost more than the event.
//! - A [goal](Waiter::for_goal) is reached after many notifications: see below.
//! - An answer and an end happen once, and wake the threads that wait for them.
//!
//! A woken thread that finds nothing, since a publisher that did not wait came first, keeps its
//! position on the list.
//!
//! One wake-up for each slot is not enough where several threads free slots. Of two slots that are
//! freed at once in a shared ring, the later one may be reported first. The thread woken for it
//! fails, since a consumer still holds the earlier one. So a thread that succeeded wakes the next
//! one if there [is more](WaitList::wait_for).
//!
//! # Goals
//! A thread that waits for a goal, such as a flush, needs most reports of progress no more than the
//! other waiters do. A report wakes one of them, the *scout*. It checks its own goal, and then the
//! goals of the others, and wakes the waiters whose goals are reached. While a scout is on its way,
//! a report wakes no other one. So a report costs at most one wake-up, however many threads wait.
//!
//! A scout is a thread, which runs after it was woken. A task may never be polled again. Where only
//! tasks wait for goals, the thread that reports progress checks their goals itself, and wakes the
//! tasks whose goals are reached.
//!
//! # Invariants
//! - A1: a thread that is taken off the list makes an attempt afterwards, or another thread is
//!   woken instead: also when its deadline has passed, and when its attempt unwinds.
//! - A2: a thread whose attempt succeeded, on the list or off it, checks whether there is more, and
//!   wakes the next one then.
//! - A3: a thread parks only after an attempt that failed after its entry and the heavy fence.
//! - A4: a scout clears its mark under the lock of the list, and checks the goals after that. It
//!   sees everything that a notifier had done before it found the mark there. If a scout unwinds,
//!   another one is called.
//! - A5: a notifier that finds no scout and no thread to become one, and tasks that wait for goals,
//!   checks these goals after a full fence. Of two notifiers, the later one to fence sees the progress
//!   of both, and so finds a goal that needs both. If one of them has not found the task on the list,
//!   the task, after its heavy fence, sees what the other one missed, and the progress of that one.
//!
//! So no thread stays parked while there is something that it could use. By A3 that was made after
//! the attempt of the parked thread, by a thread that saw it on the list and took the first one
//! off. By A1 that one makes an attempt, or another one does. If the attempt fails, the thing is
//! taken, or is unavailable until something else is made, which is reported in its turn. If it
//! succeeds, A2 wakes the next thread.

mod line;
#[cfg(test)]
mod models;
mod paid;
pub(crate) mod task;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod waiter;

use super::{DEGRADED_LIMIT, FencePair, SAFETY_LIMIT};
use crate::deadline::Deadline;
use crate::sync::guarded::{is_inside, is_let_go};
use crate::sync::membarrier::{heavy_fence, light_fence};
use crate::sync::parking::Unparker;
use crate::sync::{AtomicU64, MODEL, Mutex, Ordering, fence, lock, recheck};
use line::{Call, FOR_PROGRESS, Line, Place};
use paid::{FENCED, OwnWaits};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use waiter::WaiterEntry;
pub(crate) use waiter::{Waiter, Want};

/// The longest first park of a wait. Each later one may take twice as long, up to the
/// [`SAFETY_LIMIT`], so that a long wait costs little.
const FIRST_PARK: Duration = Duration::from_millis(100);

/// A list on which any number of threads wait for room, or for progress.
///
/// # Guarantees
/// [`notify`](Self::notify) costs one fence of its pair and one load when no thread waits, and
/// allocates nothing.
///
/// A new list has room for 16 threads that wait at the same time. The 17th allocates: then there is
/// room for 32, which the list keeps, and so on. In addition, each call of
/// [`wait_until`](Self::wait_until) allocates its entry.
///
/// # Examples
/// ```
/// use buslane::time::Deadline;
/// use buslane::wait::{FencePair, WaitList};
/// use std::sync::atomic::{AtomicU32, Ordering};
/// let (list, room) = (WaitList::new(FencePair::process()), AtomicU32::new(0));
/// let take = || room.fetch_update(Ordering::AcqRel, Ordering::Acquire, |room| room.checked_sub(1)).ok();
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| assert!(list.wait_until(Deadline::NEVER, take).is_some()));
///     }
///     room.store(2, Ordering::Release);
///     list.notify();
/// });
/// assert_eq!(room.into_inner(), 0);
/// ```
pub struct WaitList {
    pair: FencePair,
    /// The number of waiting threads: for progress or a goal, in units of [`FOR_PROGRESS`], and for
    /// other things; and [`FENCED`].
    count: AtomicU64,
    /// The number of rooms for which no task waited since a task last waited for its own, while
    /// notifiers pay for the fence.
    unused: AtomicU64,
    line: Mutex<Line>,
}

impl WaitList {
    /// Creates a list on which no thread waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitList};
    /// let list = WaitList::new(FencePair::process());
    /// list.notify(); // no thread waits: a fence and a load
    /// assert_eq!(format!("{list:?}"), "WaitList { waiting: 0 }");
    /// ```
    #[must_use]
    pub fn new(pair: FencePair) -> Self {
        let line = Line {
            next: 0,
            listed: Vec::with_capacity(16),
            for_progress: 0,
            goals_of_tasks: 0,
            scout: None,
            own_waits: OwnWaits::NONE,
        };
        Self { pair, count: AtomicU64::new(0), unused: AtomicU64::new(0), line: Mutex::new(line) }
    }

    /// Waits until `attempt` succeeds, with a new attempt after each notification.
    ///
    /// Returns `None` if the deadline passes first.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use buslane::wait::{FencePair, WaitList};
    /// let list = WaitList::new(FencePair::process());
    /// assert_eq!(list.wait_until(Deadline::NEVER, || Some("room")), Some("room"));
    /// assert_eq!(list.wait_until(Deadline::NOW, || None::<&str>), None);
    /// ```
    pub fn wait_until<R>(&self, deadline: Deadline, attempt: impl FnMut() -> Option<R>) -> Option<R> {
        self.wait_as(&Waiter::new(), deadline, attempt)
    }

    /// Waits as [`wait_until`](Self::wait_until) does, without allocating.
    pub(crate) fn wait_as<R>(
        &self,
        waiter: &Waiter,
        deadline: Deadline,
        attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        self.wait(&mut Place::new(self, waiter), deadline, attempt)
    }

    /// Waits among the threads that want the same, in the order of arrival, until `attempt`
    /// succeeds.
    ///
    /// A thread may be woken for something that another thread still holds. `more` returns whether
    /// the next thread would get something now.
    pub(crate) fn wait_for<R>(
        &self,
        waiter: &Waiter,
        deadline: Deadline,
        attempt: impl FnMut() -> Option<R>,
        more: impl Fn() -> bool,
    ) -> Option<R> {
        let outcome = self.wait(&mut Place::new(self, waiter), deadline, attempt);
        if outcome.is_some() && more() {
            // A2.
            self.pass_on(waiter.wants());
        }
        outcome
    }

    /// Waits until the goal of `waiter` is reached, and returns whether it is. `begun` is called
    /// once, when the thread is on the list.
    pub(crate) fn wait_for_goal(&self, waiter: &Waiter, deadline: Deadline, begun: impl FnOnce()) -> bool {
        let mut begun = Some(begun);
        let attempt = || {
            if let Some(begun) = begun.take() {
                begun();
            }
            waiter.0.is_reached().then_some(())
        };
        self.wait_as(waiter, deadline, attempt).is_some()
    }

    fn wait<R>(
        &self,
        place: &mut Place<'_>,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let mut longest = FIRST_PARK;
        loop {
            let thread = Unparker::current();
            let woken = place.enter(&thread);
            // A removal does not wake a publisher that waits inside the sink. The publisher checks
            // for the removal, so its parks stay short.
            let longest_now = if is_inside() { FIRST_PARK } else { longest };
            // ORD(list.count): heavy fence; pairs with the light one in `notify`: either the
            // notifier sees the count, or the waiter sees its progress.
            let most = if heavy_fence(self.pair) { longest_now } else { DEGRADED_LIMIT };
            let outcome = recheck(&mut attempt);
            let left = deadline.remaining();
            // ORD(list.woken): Acquire; pairs with the Release in `WaiterEntry::wake`: the progress
            // is visible.
            if outcome.is_none()
                && !is_let_go()
                && left.is_none_or(|left| !left.is_zero())
                && !woken.load(Ordering::Acquire)
            {
                thread.park(if MODEL { None } else { Some(left.map_or(most, |left| left.min(most))) });
            }
            place.leave();
            if std::mem::take(&mut place.position.scouts) {
                self.wake_reached();
            }
            let outcome = match outcome {
                // A publisher inside a sink that is being removed must not wait any longer: see
                // `sync::guarded`.
                None if deadline.has_passed() || is_let_go() => attempt().ok_or(()),
                None => {
                    longest = SAFETY_LIMIT.min(longest * 2);
                    continue;
                }
                Some(outcome) => Ok(outcome),
            };
            place.position.called = false;
            return outcome.ok();
        }
    }

    /// Wakes all threads on the list. Call it after the progress that they wait for.
    ///
    /// # Examples
    /// ```
    /// use buslane::time::Deadline;
    /// use buslane::wait::{FencePair, WaitList};
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// let (list, room) = (WaitList::new(FencePair::process()), AtomicBool::new(false));
    /// let attempt = || room.load(Ordering::Acquire).then_some("in");
    /// std::thread::scope(|scope| {
    ///     let waiting = scope.spawn(|| list.wait_until(Deadline::NEVER, attempt));
    ///     room.store(true, Ordering::Release);
    ///     list.notify();
    ///     assert_eq!(waiting.join().ok(), Some(Some("in")));
    /// });
    /// ```
    #[inline]
    pub fn notify(&self) {
        if self.waiting() > 0 {
            self.call(Call { all: true, progress: false, one: None });
        }
    }

    /// Wakes the threads that wait for progress, and one of the threads that wait for goals.
    #[inline]
    pub(crate) fn notify_progress(&self) {
        if self.waiting() >= FOR_PROGRESS {
            self.call(Call { all: false, progress: true, one: None });
        }
    }

    /// Wakes as [`notify_progress`](Self::notify_progress) does, and also the first thread with
    /// this want.
    #[inline]
    pub(crate) fn notify_made(&self, want: Want) {
        if self.waiting() > 0 {
            self.made(want);
        }
    }

    #[cold]
    fn made(&self, want: Want) {
        // The bit alone is about room that is not shared.
        if self.count.load(Ordering::Relaxed) != FENCED {
            self.call(Call { all: false, progress: true, one: Some(want) });
        }
    }

    /// Wakes as [`notify_progress`](Self::notify_progress) does, and also this waiter, if it waits. For
    /// room that only it can use: publishers that wait for room elsewhere are not searched.
    #[inline]
    pub(crate) fn notify_room(&self, waiter: &Waiter) {
        if self.waiting() > 0 {
            self.made_room(waiter);
        }
    }

    /// Wakes the first thread with this want.
    pub(crate) fn notify_one(&self, want: Want) {
        if self.waiting() > 0 {
            self.pass_on(want);
        }
    }

    /// Executes the notifier's half of the handshake, and returns the count.
    #[inline]
    fn waiting(&self) -> u64 {
        // ORD(list.count): light fence; pairs with the heavy one in `wait`.
        light_fence(self.pair);
        self.count.load(Ordering::Relaxed)
    }

    /// Returns whether a thread waits that had not seen the caller's earlier changes.
    #[inline]
    pub(crate) fn is_waited_at(&self) -> bool {
        self.waiting() > 0
    }

    /// Wakes this thread, if it waits.
    pub(crate) fn notify_waiter(&self, waiter: &Waiter) {
        if self.waiting() > 0 {
            // ORD(list.count): full fence; pairs with the one in `fence_after_entry`.
            fence(Ordering::SeqCst);
            if waiter.may_wait() {
                self.wake_entry(&waiter.0);
            }
        }
    }

    fn wake_entry(&self, entry: &Arc<WaiterEntry>) {
        let listed = {
            let mut line = lock(&self.line);
            let at = line.listed.iter().position(|listed| Arc::ptr_eq(&listed.entry, entry));
            let listed = at.map(|at| line.remove(at));
            self.count.store(line.count(), Ordering::Relaxed);
            listed
        };
        if let Some(listed) = listed {
            listed.entry.wake();
        }
    }

    /// Wakes the waiters whose goals are reached: the duty of the scout, or of a notifier that finds
    /// only tasks.
    ///
    /// Allocates nothing, since a consumer may call it.
    #[cold]
    fn wake_reached(&self) {
        // Only the waiters on the list now: a later one has checked its own goal.
        let (mut from, mut limit) = (0, None);
        loop {
            let entry = {
                let line = lock(&self.line);
                let limit = *limit.get_or_insert(line.next);
                let Some(listed) = line.first_goal(from..limit) else { return };
                from = listed.ticket + 1;
                listed.entry.clone()
            };
            // Goals are checked without the lock: notifiers of the data plane take it.
            if entry.is_reached() {
                self.wake_entry(&entry);
            }
        }
    }

    /// Wakes the first thread with this want.
    ///
    /// Without a fence, since the lock is taken in any case: a thread that enters after it sees
    /// what the caller has seen.
    #[cold]
    fn pass_on(&self, want: Want) {
        self.call(Call { all: false, progress: false, one: Some(want) });
    }

    #[cold]
    fn call(&self, mut call: Call) {
        // Only the threads on the list now, in their order: a thread that returns meanwhile has
        // made its attempt, and waits for the next change.
        let (mut from, mut limit) = (0, None);
        let (for_goals, mut checks_goals) = (call.progress, false);
        while call.all || call.progress || call.one.is_some() {
            let entry = {
                let mut line = lock(&self.line);
                let limit = *limit.get_or_insert(line.next);
                call.progress &= line.for_progress > 0;
                let first = line.take_first(from..limit, call);
                // A5.
                checks_goals = for_goals && line.scout.is_none() && line.goals_of_tasks > 0;
                let Some(listed) = first else { break };
                from = listed.ticket + 1;
                if call.one == Some(listed.want) {
                    call.one = None;
                }
                if line.listed.last().is_none_or(|last| last.ticket < from) {
                    // The last thread has been called.
                    call = Call { all: false, progress: false, one: None };
                }
                self.count.store(line.count(), Ordering::Relaxed);
                listed.entry
            };
            entry.wake();
        }
        if checks_goals {
            // ORD(list.count): full fence; pairs with itself, and with the heavy one in
            // `TaskWait::poll` (A5). The light one before the load of the count does not order this
            // thread's progress before its loads of the progress of others.
            fence(Ordering::SeqCst);
            self.wake_reached();
        }
    }
}

impl fmt::Debug for WaitList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitList").field("waiting", &lock(&self.line).listed.len()).finish()
    }
}
