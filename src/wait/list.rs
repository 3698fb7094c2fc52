//! The place where any number of threads wait for room, or for progress.
//!
//! A cold list behind a count: whoever makes progress fences and reads the count, and only takes the lock when
//! somebody waits. The handshake is that of the wait cell, with the same choice of fences. Everybody on the list is woken at
//! once, so nobody has to pass a wake-up on when it gives up.

use super::{Deadline, FencePair, Sleeper};
use crate::sync::guarded::is_let_go;
use crate::sync::membarrier::{heavy_fence, light_fence};
use crate::sync::parking::Unparker;
use crate::sync::{AtomicBool, AtomicUsize, MODEL, Mutex, Ordering, lock, no_recheck};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest park, as for a [`WaitCell`](super::WaitCell).
const SAFETY_LIMIT: Duration = Duration::from_millis(100);
/// The longest park when the system call of the asymmetric pair fails: then wake-ups may be lost.
const DEGRADED_LIMIT: Duration = Duration::from_millis(1);

/// One who waits, or will: whoever must not allocate when it comes to waiting brings one along.
pub(crate) struct Waiter(Arc<Entry>);

struct Entry {
    woken: AtomicBool,
    sleeper: Mutex<Option<Sleeper>>,
}

impl Waiter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Entry { woken: AtomicBool::new(false), sleeper: Mutex::new(None) }))
    }

    /// Makes it wait. A notifier of an earlier wait may still have the entry and wake this one too early, which nobody minds.
    fn begin(&self, thread: &Unparker) -> &Arc<Entry> {
        *lock(&self.0.sleeper) = Some(Sleeper::Thread(thread.clone()));
        self.0.woken.store(false, Ordering::Relaxed);
        &self.0
    }
}

/// The place where any number of threads wait for room, or for progress.
///
/// # Guarantees
/// [`notify`](Self::notify) costs one fence of its pair and one load when nobody waits, and allocates nothing.
///
/// A list is made with room for 16 who wait at the same time. The 17th allocates: then there is room for 32, which the list
/// keeps, and so on. Besides, each call of [`wait_until`](Self::wait_until) allocates its place on the list.
///
/// # Examples
/// ```
/// use buslane::{Deadline, wait::{FencePair, WaitList}};
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
    count: AtomicUsize,
    entries: Mutex<Vec<Arc<Entry>>>,
}

impl WaitList {
    /// A list on which nobody waits.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitList};
    /// let list = WaitList::new(FencePair::process());
    /// list.notify(); // nobody waits: a fence and a load
    /// assert_eq!(format!("{list:?}"), "WaitList { waiting: 0 }");
    /// ```
    #[must_use]
    pub fn new(pair: FencePair) -> Self {
        Self { pair, count: AtomicUsize::new(0), entries: Mutex::new(Vec::with_capacity(16)) }
    }

    /// Waits until `attempt` succeeds, asking again after each notification; `None` when the deadline is over first.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Deadline, wait::{FencePair, WaitList}};
    /// let list = WaitList::new(FencePair::process());
    /// assert_eq!(list.wait_until(Deadline::NEVER, || Some("room")), Some("room"));
    /// assert_eq!(list.wait_until(Deadline::NOW, || None::<&str>), None);
    /// ```
    pub fn wait_until<R>(&self, deadline: Deadline, attempt: impl FnMut() -> Option<R>) -> Option<R> {
        self.wait_as(&Waiter::new(), deadline, attempt)
    }

    /// As [`wait_until`](Self::wait_until), without allocating.
    pub(crate) fn wait_as<R>(
        &self,
        waiter: &Waiter,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        loop {
            let thread = Unparker::current();
            let entry = waiter.begin(&thread);
            {
                let mut entries = lock(&self.entries);
                entries.push(entry.clone());
                self.count.store(entries.len(), Ordering::Relaxed);
            }
            let listed = Listed { list: self, entry };
            // ORD(list.count): heavy fence; pairs with the light one in `notify`: either the notifier sees the count, or we see
            // its progress.
            let most = if heavy_fence(self.pair) { SAFETY_LIMIT } else { DEGRADED_LIMIT };
            let outcome = if no_recheck() { None } else { attempt() };
            let left = deadline.remaining();
            // ORD(list.woken): Acquire; pairs with the Release in `notify_all`: the progress is visible.
            if outcome.is_none()
                && !is_let_go()
                && left.is_none_or(|left| !left.is_zero())
                && !entry.woken.load(Ordering::Acquire)
            {
                thread.park(if MODEL { None } else { Some(left.map_or(most, |left| left.min(most))) });
            }
            drop(listed);
            if outcome.is_some() {
                return outcome;
            }
            // A publisher inside a sink that is being removed waits no more: see `sync::guarded`.
            if deadline.is_over() || is_let_go() {
                return attempt();
            }
        }
    }

    fn forget(&self, entry: &Arc<Entry>) {
        let mut entries = lock(&self.entries);
        entries.retain(|known| !Arc::ptr_eq(known, entry));
        self.count.store(entries.len(), Ordering::Relaxed);
    }

    /// Wakes everybody on the list. To be called after the progress that they wait for.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Deadline, wait::{FencePair, WaitList}};
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
        // ORD(list.count): light fence; pairs with the heavy one in `wait_as`.
        light_fence(self.pair);
        if self.count.load(Ordering::Relaxed) > 0 {
            self.notify_all();
        }
    }

    #[cold]
    fn notify_all(&self) {
        // As many as there are now: whoever comes back meanwhile waits for the next progress.
        let mut left = lock(&self.entries).len();
        while left > 0 {
            left -= 1;
            let entry = {
                let mut entries = lock(&self.entries);
                if entries.is_empty() {
                    return;
                }
                let entry = entries.remove(0);
                self.count.store(entries.len(), Ordering::Relaxed);
                entry
            };
            // ORD(list.woken): Release; pairs with the Acquire in `wait_as`.
            entry.woken.store(true, Ordering::Release);
            // Bound to a name, so that the lock is free before foreign code may run.
            let sleeper = lock(&entry.sleeper).take();
            if let Some(sleeper) = sleeper {
                sleeper.wake();
            }
        }
    }
}

/// An entry that is on the list, or was taken off by a notifier. Taken off also when an attempt unwinds.
struct Listed<'a> {
    list: &'a WaitList,
    entry: &'a Arc<Entry>,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.list.forget(self.entry);
    }
}

impl fmt::Debug for WaitList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitList").field("waiting", &self.count.load(Ordering::Relaxed)).finish()
    }
}
