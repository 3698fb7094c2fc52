//! The place where any number of threads wait for room, for progress, or for their turn.
//!
//! A cold list behind a count: a thread that makes progress fences and reads the count, and only takes the lock when
//! a thread waits. The handshake is that of the wait cell, with the same choice of fences.
//!
//! # How many are woken
//! Each waiter says what it [wants](Want). Progress serves all who wait for it, and wakes them all. Room in a ring serves one, and so
//! does a turn: a notification wakes the thread that has waited longest for that very thing, and no other. A [goal](Waiter::for_goal)
//! is reached after many notifications: see below. An answer and an end come once, and wake the threads that wait for them. A thread
//! that was woken and finds nothing, since a publisher that did not wait came first, keeps its place in the line.
//!
//! One wake-up for each thing that is made is not enough where several threads make them: of two slots that are freed at once in
//! a shared ring the later one may be told of first, and the thread woken for it fails, since the earlier one is still in a
//! consumer's hands. So a thread that got what it waited for wakes the next one if there [is more](WaitList::wait_for).
//!
//! # Goals
//! A thread that waits for a goal, such as a flush, needs most reports of progress no more than the others do. A report wakes one of
//! them, the *scout*. It checks its own goal, and then the goals of the others, and wakes the threads whose goals are reached. While a scout is on its way, a report wakes no other one. So a report costs one wake-up at most, however many wait.
//!
//! # Invariants
//! - A1: a thread that is taken off the list makes an attempt afterwards, or has another thread woken in its stead: also when its
//!   time is over, and when its attempt unwinds.
//! - A2: a thread whose attempt succeeded, on the list or off it, looks whether there is more, and wakes the next one then.
//! - A3: a thread sleeps only after an attempt that failed behind its entry and the heavy fence.
//! - A4: a scout clears its mark under the lock of the list, and checks the goals after that. It sees everything that a notifier had done
//!   before it found the mark there. A scout that unwinds has another one called.
//!
//! So nobody sleeps beside something that it could use: by A3 the thing was made after the sleeper's attempt, by a thread
//! that saw the sleeper on the list and took the first one off. By A1 that one looks, or another one does. If it fails, the thing
//! is taken, or is not to be had before something else is made, which is told of in its turn. If it succeeds, A2 goes on.

use super::{FencePair, Sleeper};
use crate::sync::guarded::{is_inside, is_let_go};
use crate::sync::membarrier::{heavy_fence, light_fence};
use crate::sync::parking::Unparker;
use crate::sync::{AtomicBool, AtomicU64, MODEL, Mutex, Ordering, lock, no_recheck};
use crate::time::Deadline;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The first park is no longer than this: no wake-up is lost that we know of, and a defect shows as latency. Each later one of the
/// same wait may take twice as long, so that a long wait costs little.
const SAFETY_LIMIT: Duration = Duration::from_millis(100);
/// The longest park of all, as for a [`WaitCell`](super::WaitCell).
const LONGEST_PARK: Duration = Duration::from_secs(1);
/// The longest park when the system call of the asymmetric pair fails: then wake-ups may be lost.
const DEGRADED_LIMIT: Duration = Duration::from_millis(1);

/// What a thread on the list waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want(u64);

impl Want {
    /// Progress of any kind: serves all.
    const PROGRESS: Self = Self(0);
    /// Room in the ring that all publishers share: a slot serves one.
    pub(crate) const SHARED_ROOM: Self = Self(1);
    /// A goal, which progress reaches at last: serves those whose goal it is.
    const GOAL: Self = Self(u64::MAX);
    /// The end of what the list belongs to: woken by [`WaitList::notify`] only.
    pub(crate) const END: Self = Self(u64::MAX - 1);

    /// Room in the ring of one lane, which is told from others by where this lies.
    pub(crate) fn room_in<T>(lane: &T) -> Self {
        Self(std::ptr::from_ref(lane).addr() as u64)
    }

    /// The answers to one request, identified by its address.
    pub(crate) fn answers_to<T>(request: &T) -> Self {
        Self::room_in(request)
    }

    /// Whether a report of progress concerns a thread that waits for this.
    fn is_progress(self) -> bool {
        self == Self::PROGRESS || self == Self::GOAL
    }
}

/// A thread that waits, or will, and what it waits for. A publisher that must not allocate when it has to wait brings one along.
/// A clone stands for the same thread.
#[derive(Clone)]
pub(crate) struct Waiter(Arc<Entry>);

struct Entry {
    want: Want,
    woken: AtomicBool,
    sleeper: Mutex<Option<Sleeper>>,
    /// Returns whether the goal is reached. Not called while the list is locked.
    goal: Option<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl Entry {
    fn is_reached(&self) -> bool {
        self.goal.as_ref().is_some_and(|goal| goal())
    }

    /// Wakes the thread, which was taken off the list.
    fn wake(&self) {
        // ORD(list.woken): Release; pairs with the Acquire in `wait`.
        self.woken.store(true, Ordering::Release);
        // Bound to a name, so that the lock is free before user code may run.
        let sleeper = lock(&self.sleeper).take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

impl Waiter {
    /// For progress.
    pub(crate) fn new() -> Self {
        Self::wanting(Want::PROGRESS)
    }

    pub(crate) fn wanting(want: Want) -> Self {
        Self::with(want, None)
    }

    /// For a goal. `is_reached` is asked by other threads, too, and is no user code.
    pub(crate) fn for_goal(is_reached: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self::with(Want::GOAL, Some(Box::new(is_reached)))
    }

    fn with(want: Want, goal: Option<Box<dyn Fn() -> bool + Send + Sync>>) -> Self {
        Self(Arc::new(Entry { want, woken: AtomicBool::new(false), sleeper: Mutex::new(None), goal }))
    }

    pub(crate) fn wants(&self) -> Want {
        self.0.want
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
    /// How many wait: for progress or a goal, in units of [`FOR_PROGRESS`], and for other things.
    count: AtomicU64,
    line: Mutex<Line>,
}

/// One thread that waits for progress, in the count.
const FOR_PROGRESS: u64 = 1 << 32;

/// Those who wait, in the order of their arrival.
struct Line {
    next: u64,
    listed: Vec<Listed>,
    /// How many of them wait for progress, or for a goal.
    for_progress: usize,
    /// The ticket of the thread that was called to check goals, and has not begun.
    scout: Option<u64>,
}

struct Listed {
    ticket: u64,
    want: Want,
    entry: Arc<Entry>,
}

/// Who is woken by a notification.
#[derive(Clone, Copy)]
struct Call {
    all: bool,
    progress: bool,
    one: Option<Want>,
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
        let line = Line { next: 0, listed: Vec::with_capacity(16), for_progress: 0, scout: None };
        Self { pair, count: AtomicU64::new(0), line: Mutex::new(line) }
    }

    /// Waits until `attempt` succeeds, asking again after each notification; `None` when the deadline is over first.
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

    /// As [`wait_until`](Self::wait_until), without allocating.
    pub(crate) fn wait_as<R>(
        &self,
        waiter: &Waiter,
        deadline: Deadline,
        attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        self.wait(&mut Place::new(self, waiter), deadline, attempt)
    }

    /// Waits in the line of those who want the same, until `attempt` gets it. Where a thread may be woken for something that it finds
    /// in another's hands, `more` says whether the next in the line would get something now.
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

    /// Waits until the goal of `waiter` is reached; whether it is. `begun` is called once, when the thread is on the list.
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
        let mut longest = SAFETY_LIMIT;
        loop {
            let thread = Unparker::current();
            let woken = place.enter(&thread);
            // A removal does not wake a publisher that waits inside the sink. The publisher checks for it, so its parks stay short.
            let longest_now = if is_inside() { SAFETY_LIMIT } else { longest };
            // ORD(list.count): heavy fence; pairs with the light one in `notify`: either the notifier sees the count, or we see
            // its progress.
            let most = if heavy_fence(self.pair) { longest_now } else { DEGRADED_LIMIT };
            let outcome = if no_recheck() { None } else { attempt() };
            let left = deadline.remaining();
            // ORD(list.woken): Acquire; pairs with the Release in `Entry::wake`: the progress is visible.
            if outcome.is_none()
                && !is_let_go()
                && left.is_none_or(|left| !left.is_zero())
                && !woken.load(Ordering::Acquire)
            {
                thread.park(if MODEL { None } else { Some(left.map_or(most, |left| left.min(most))) });
            }
            place.leave();
            if std::mem::take(&mut place.scouts) {
                self.wake_reached();
            }
            let outcome = match outcome {
                // A publisher inside a sink that is being removed waits no more: see `sync::guarded`.
                None if deadline.is_over() || is_let_go() => attempt().ok_or(()),
                None => {
                    longest = LONGEST_PARK.min(longest * 2);
                    continue;
                }
                Some(outcome) => Ok(outcome),
            };
            place.called = false;
            return outcome.ok();
        }
    }

    /// Wakes all threads on the list. To be called after the progress that they wait for.
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

    /// As [`notify_progress`](Self::notify_progress), and wakes the first thread that wants this.
    #[inline]
    pub(crate) fn notify_made(&self, want: Want) {
        if self.waiting() > 0 {
            self.call(Call { all: false, progress: true, one: Some(want) });
        }
    }

    /// Wakes the first of those who want this.
    pub(crate) fn notify_one(&self, want: Want) {
        if self.waiting() > 0 {
            self.pass_on(want);
        }
    }

    /// The notifier's half of the handshake.
    #[inline]
    fn waiting(&self) -> u64 {
        // ORD(list.count): light fence; pairs with the heavy one in `wait`.
        light_fence(self.pair);
        self.count.load(Ordering::Relaxed)
    }

    /// Whether a thread waits, of those that had not seen what the caller has done before.
    #[inline]
    pub(crate) fn is_waited_at(&self) -> bool {
        self.waiting() > 0
    }

    /// Wakes this very thread, if it waits.
    pub(crate) fn notify_waiter(&self, waiter: &Waiter) {
        if self.waiting() > 0 {
            self.wake_entry(&waiter.0);
        }
    }

    fn wake_entry(&self, entry: &Arc<Entry>) {
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

    /// The scout's duty: wakes those whose goals are reached.
    #[cold]
    fn wake_reached(&self) {
        let goals = |listed: &Listed| (listed.want == Want::GOAL).then(|| listed.entry.clone());
        let waiting: Vec<_> = lock(&self.line).listed.iter().filter_map(goals).collect();
        // Goals are looked at without the lock: notifiers of the data plane take it.
        for entry in waiting.iter().filter(|entry| entry.is_reached()) {
            self.wake_entry(entry);
        }
    }

    /// No fence: the lock is taken in any case. A thread that enters behind it sees what this one has seen.
    #[cold]
    fn pass_on(&self, want: Want) {
        self.call(Call { all: false, progress: false, one: Some(want) });
    }

    #[cold]
    fn call(&self, mut call: Call) {
        // Those who are there now, in their order: a thread that comes back meanwhile has looked, and waits for what is made next.
        let (mut from, mut limit) = (0, None);
        while call.all || call.progress || call.one.is_some() {
            let entry = {
                let mut line = lock(&self.line);
                let limit = *limit.get_or_insert(line.next);
                call.progress &= line.for_progress > 0;
                let Some(listed) = line.take_first(from..limit, call) else { return };
                from = listed.ticket + 1;
                if call.one == Some(listed.want) {
                    call.one = None;
                }
                if line.listed.last().is_none_or(|last| last.ticket < from) {
                    // That was the last of them all.
                    call = Call { all: false, progress: false, one: None };
                }
                self.count.store(line.count(), Ordering::Relaxed);
                listed.entry
            };
            entry.wake();
        }
    }
}

impl Line {
    /// Takes off the first of those with these tickets that is called.
    fn take_first(&mut self, tickets: Range<u64>, call: Call) -> Option<Listed> {
        let first = self.listed.partition_point(|listed| listed.ticket < tickets.start);
        let mut rest = self.listed.get(first..)?.iter().take_while(|listed| listed.ticket < tickets.end);
        let at = first
            + rest.position(|listed| {
                let progress = match listed.want {
                    Want::GOAL => self.scout.is_none(),
                    want => want == Want::PROGRESS,
                };
                call.all || call.one == Some(listed.want) || call.progress && progress
            })?;
        let listed = self.remove(at);
        if listed.want == Want::GOAL && !call.all {
            self.scout = Some(listed.ticket);
        }
        Some(listed)
    }

    fn remove(&mut self, at: usize) -> Listed {
        let listed = self.listed.remove(at);
        self.for_progress -= usize::from(listed.want.is_progress());
        listed
    }

    fn count(&self) -> u64 {
        (self.listed.len() - self.for_progress) as u64 + self.for_progress as u64 * FOR_PROGRESS
    }
}

/// The place of one thread in the line, from its first look to its last.
struct Place<'a> {
    list: &'a WaitList,
    waiter: &'a Waiter,
    ticket: Option<u64>,
    on_list: bool,
    /// It was taken off the list, and has not looked since.
    called: bool,
    /// It was called as the scout, and has not looked at the goals of others since.
    scouts: bool,
}

impl<'a> Place<'a> {
    fn new(list: &'a WaitList, waiter: &'a Waiter) -> Self {
        Self { list, waiter, ticket: None, on_list: false, called: false, scouts: false }
    }

    /// Enters the list, where it stood before if it did; the word that says that it was woken.
    fn enter(&mut self, thread: &Unparker) -> &'a AtomicBool {
        let entry = self.waiter.begin(thread);
        let mut line = lock(&self.list.line);
        let ticket = *self.ticket.get_or_insert_with(|| {
            line.next += 1;
            line.next - 1
        });
        let at = line.listed.partition_point(|listed| listed.ticket < ticket);
        line.listed.insert(at, Listed { ticket, want: self.waiter.wants(), entry: entry.clone() });
        line.for_progress += usize::from(self.waiter.wants().is_progress());
        self.list.count.store(line.count(), Ordering::Relaxed);
        self.on_list = true;
        &entry.woken
    }

    /// Leaves the list, if it was not taken off.
    fn leave(&mut self) {
        let Some(ticket) = self.ticket.filter(|_| std::mem::take(&mut self.on_list)) else { return };
        let listed = {
            let mut line = lock(&self.list.line);
            let at = line.listed.binary_search_by_key(&ticket, |listed| listed.ticket).ok();
            let listed = at.map(|at| line.remove(at));
            if line.scout == Some(ticket) {
                // A4.
                line.scout = None;
                self.scouts = true;
            }
            self.list.count.store(line.count(), Ordering::Relaxed);
            listed
        };
        self.called = listed.is_none();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
        // The attempt unwinds.
        if self.scouts {
            // A4.
            self.list.call(Call { all: false, progress: true, one: None });
        } else if self.called && !self.waiter.wants().is_progress() {
            // A1.
            self.list.pass_on(self.waiter.wants());
        }
    }
}

impl fmt::Debug for WaitList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitList").field("waiting", &lock(&self.line).listed.len()).finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{Place, WaitList, Waiter, Want};
    use crate::sync::Ordering;
    use crate::sync::membarrier::FencePair;
    use crate::sync::parking::Unparker;

    /// Threads in a line, by what they want; the test plays all of them.
    fn in_line<const N: usize>(list: &WaitList, wants: [Want; N], check: impl FnOnce(&mut [Place<'_>])) {
        let waiters = wants.map(Waiter::wanting);
        let mut places: Vec<_> = waiters.iter().map(|waiter| Place::new(list, waiter)).collect();
        let thread = Unparker::current();
        places.iter_mut().for_each(|place| _ = place.enter(&thread));
        check(&mut places);
    }

    fn woken(places: &[Place<'_>]) -> Vec<bool> {
        places.iter().map(|place| place.waiter.0.woken.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn room_wakes_the_first_that_waits_for_it() {
        let list = WaitList::new(FencePair::Symmetric);
        let rings = [0_u8; 2];
        let (mine, other) = (Want::room_in(&rings[0]), Want::room_in(&rings[1]));
        in_line(&list, [other, mine, Want::PROGRESS, mine], |places| {
            list.notify_one(mine);
            assert_eq!(woken(places), [false, true, false, false]);
            list.notify_made(mine);
            assert_eq!(woken(places), [false, true, true, true]);
            list.notify();
            assert_eq!(woken(places), [true; 4]);
        });
        assert_eq!(format!("{list:?}"), "WaitList { waiting: 0 }");
    }

    #[test]
    fn progress_wakes_no_thread_that_waits_for_room() {
        let list = WaitList::new(FencePair::Symmetric);
        in_line(&list, [Want::SHARED_ROOM, Want::PROGRESS, Want::PROGRESS], |places| {
            list.notify_progress();
            assert_eq!(woken(places), [false, true, true]);
        });
    }

    #[test]
    fn a_report_calls_one_scout_at_a_time() {
        let list = WaitList::new(FencePair::Symmetric);
        let waiters = [false, true, false].map(|reached| Waiter::for_goal(move || reached));
        let mut places: Vec<_> = waiters.iter().map(|waiter| Place::new(&list, waiter)).collect();
        places.iter_mut().for_each(|place| _ = place.enter(&Unparker::current()));
        list.notify_progress();
        list.notify_made(Want::SHARED_ROOM);
        assert_eq!(woken(&places), [true, false, false]);
        places[0].leave();
        assert!(places[0].scouts);
        list.wake_reached();
        assert_eq!(woken(&places), [true, true, false]);
        list.notify_progress();
        assert_eq!(woken(&places), [true; 3]);
    }

    #[test]
    fn a_scout_that_unwinds_calls_another_one() {
        let list = WaitList::new(FencePair::Symmetric);
        let waiters = [(); 2].map(|()| Waiter::for_goal(|| false));
        let mut places: Vec<_> = waiters.iter().map(|waiter| Place::new(&list, waiter)).collect();
        places.iter_mut().for_each(|place| _ = place.enter(&Unparker::current()));
        list.notify_progress();
        // As when its attempt unwinds.
        drop(places.remove(0));
        assert_eq!(woken(&places), [true]);
    }

    #[test]
    fn a_waiter_that_comes_back_keeps_its_place() {
        let list = WaitList::new(FencePair::Symmetric);
        in_line(&list, [Want::SHARED_ROOM; 3], |places| {
            list.notify_one(Want::SHARED_ROOM);
            places[0].leave();
            assert!(places[0].called);
            let _ = places[0].enter(&Unparker::current());
            list.notify_one(Want::SHARED_ROOM);
            assert_eq!(woken(places), [true, false, false]);
        });
    }

    #[test]
    fn a_wake_up_that_is_not_used_is_passed_on() {
        let list = WaitList::new(FencePair::Symmetric);
        let waiter = Waiter::wanting(Want::SHARED_ROOM);
        let mut unwinds = Place::new(&list, &waiter);
        let _ = unwinds.enter(&Unparker::current());
        in_line(&list, [Want::SHARED_ROOM; 2], |places| {
            list.notify_one(Want::SHARED_ROOM);
            assert_eq!(woken(places), [false, false]);
            // As when its attempt unwinds.
            drop(unwinds);
            assert_eq!(woken(places), [true, false]);
            // One that was not called has nothing to pass on.
            let last = Waiter::wanting(Want::SHARED_ROOM);
            let mut leaves = Place::new(&list, &last);
            let _ = leaves.enter(&Unparker::current());
            drop(leaves);
            assert_eq!(woken(places), [true, false]);
        });
    }
}
