//! The parking place of one consumer, and the word that shows publishers that it is parked.
//!
//! The handshake is Dekker's: a publisher stores its event, fences, and reads the word; the
//! consumer writes the word, fences, and checks for events again before it parks. The side whose
//! fence comes second sees the other's store, so either the consumer finds the event or its
//! publisher wakes it. The pair of fences is fixed when the cell is created; mixing the two kinds
//! loses wake-ups. [`paid`] has the one way to ask the publishers of an asymmetric pair for more.
//!
//! Publishers read a separate word. Its cache line changes only when a consumer parks that events
//! must wake: a consumer that naps in between costs them nothing.
//!
//! # Invariants
//! - W1: the sleeper in the slot belongs to the thread that moved the state to BUSY, until that
//!   thread stores another state.
//! - W2: the slot holds a sleeper exactly in the states PARKED and NAPPING (and in BUSY, for its
//!   owner to know).
//! - W3: only the owner of BUSY writes `parked`; its MARK is set in the state PARKED, and not in IDLE
//!   and NAPPING.
//! - W4: only the one consumer of a cell sets or clears FULL in `parked`. While it is in none of
//!   the calls of [`paid`], the bit means that it has executed a heavy fence since it set the bit.
#![expect(unsafe_code, reason = "the sleeper moves between threads under the state word")]

#[cfg(test)]
mod models;
mod paid;

use super::payer::Payer;
use super::{FencePair, Sleeper};
use crate::sync::membarrier::light_fence;
use crate::sync::pace::Pace;
use crate::sync::parking::Unparker;
use crate::sync::slot::Slot;
use crate::sync::{AtomicU64, CachePadded, MODEL, Ordering, fence, recheck, thread};
use std::fmt;
use std::task::Waker;
use std::time::Duration;

/// No consumer sleeps, and the slot is empty.
const IDLE: u64 = 0;
/// A consumer is parked, and the publisher of an event for it must wake it.
const PARKED: u64 = 1;
/// A consumer sleeps for a bounded time; only threads that wait for it wake it.
const NAPPING: u64 = 2;
/// A thread is putting a sleeper in or taking it out.
const BUSY: u64 = 4;
/// The sleep of a thread that finds another sleeper in the cell. Its caller then polls and waits
/// again.
const OCCUPIED: Duration = Duration::from_micros(50);
/// The bits of the states above; the bits beyond count the sleepers, so that each takes out only
/// itself.
const KIND: u64 = 7;
const NEXT: u64 = 8;

/// The bit of the word `parked` that shows publishers a parked consumer.
const MARK: u64 = 1;
/// The bit of the word `parked` that asks publishers for a full fence, after which they load the
/// word again.
const FULL: u64 = 2;

fn is_kind(state: u64, kind: u64) -> bool {
    state & KIND == kind
}

fn with_kind(state: u64, kind: u64) -> u64 {
    state & !KIND | kind
}

/// The parking place of one consumer.
///
/// # Guarantees
/// [`wake`](Self::wake) costs one load when no consumer is parked, and one system call when one is.
/// Nothing allocates. Any number of threads may wake; if more than one tries to park here, all but
/// one return after a short sleep.
///
/// # Examples
/// ```
/// use buslane::wait::{FencePair, WaitCell};
/// use std::sync::atomic::{AtomicBool, Ordering};
/// let (cell, ready) = (WaitCell::new(FencePair::process()), AtomicBool::new(false));
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         ready.store(true, Ordering::Release);
///         cell.fence();
///         cell.wake();
///     });
///     while !ready.load(Ordering::Acquire) {
///         cell.park_unless(None, || ready.load(Ordering::Acquire));
///     }
/// });
/// ```
pub struct WaitCell {
    /// The word that publishers read: MARK while a consumer is parked, and FULL.
    parked: AtomicU64,
    pair: FencePair,
    slot: CachePadded<SleeperSlot>,
}

/// The sleeper, and the word that determines its owner.
struct SleeperSlot {
    state: AtomicU64,
    sleeper: Slot<Sleeper>,
}

impl WaitCell {
    /// Creates a cell in which no consumer sleeps.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// let cell = WaitCell::new(FencePair::process());
    /// cell.wake(); // no consumer is parked: one load
    /// assert!(!cell.is_parked());
    /// ```
    #[must_use]
    pub fn new(pair: FencePair) -> Self {
        let slot = SleeperSlot { state: AtomicU64::new(IDLE), sleeper: Slot::empty() };
        Self { parked: AtomicU64::new(0), pair, slot: CachePadded::new(slot) }
    }

    /// Executes the publisher's half of the handshake, between its store and [`wake`](Self::wake).
    ///
    /// One fence serves any number of cells of the same pair.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::task::Waker;
    /// let cells = [(); 2].map(|()| WaitCell::new(FencePair::process()));
    /// assert!(cells.iter().all(|cell| cell.register(Waker::noop())));
    /// cells[0].fence(); // serves both
    /// cells.iter().for_each(|cell| cell.wake());
    /// assert!(!cells.iter().any(|cell| cell.is_parked()));
    /// ```
    #[inline(always)]
    pub fn fence(&self) {
        // ORD(cell.state): light fence; pairs with the heavy ones in `park_unless` and `register`.
        light_fence(self.pair);
    }

    /// Returns the pair of fences of this cell.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// let (one, other) = (WaitCell::new(FencePair::process()), WaitCell::new(FencePair::process()));
    /// assert_eq!(one.pair(), other.pair()); // so one fence serves both
    /// ```
    #[inline]
    #[must_use]
    pub fn pair(&self) -> FencePair {
        self.pair
    }

    /// Returns whether a consumer is parked. Call it after [`fence`](Self::fence).
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::{task::Waker, thread, time::Duration};
    /// let cell = WaitCell::new(FencePair::process());
    /// thread::scope(|scope| {
    ///     scope.spawn(|| cell.nap(Duration::from_millis(1)));
    ///     cell.fence();
    ///     assert!(!cell.is_parked()); // events do not wake a napping consumer
    /// });
    /// assert!(cell.register(Waker::noop()) && cell.is_parked());
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn is_parked(&self) -> bool {
        if self.attention() == 0 {
            return false;
        }
        self.fence_if_asked();
        self.is_marked()
    }

    /// Returns the word that publishers check: zero while no consumer is parked, and none asks
    /// publishers for a full fence.
    #[inline(always)]
    pub(crate) fn attention(&self) -> u64 {
        // ORD(cell.parked): Relaxed; the fences order it against the store in `prepare`.
        self.parked.load(Ordering::Relaxed)
    }

    /// Wakes the consumer if it is parked.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::thread;
    /// let cell = WaitCell::new(FencePair::process());
    /// thread::scope(|scope| {
    ///     let parked = scope.spawn(|| cell.park_unless(None, || false));
    ///     while !parked.is_finished() {
    ///         cell.fence();
    ///         cell.wake();
    ///         thread::yield_now();
    ///     }
    /// });
    /// assert!(!cell.is_parked());
    /// ```
    #[inline]
    pub fn wake(&self) {
        if self.attention() != 0 {
            self.wake_attended();
        }
    }

    #[cold]
    fn wake_attended(&self) {
        self.fence_if_asked();
        self.wake_marked();
    }

    /// Wakes the consumer if it is parked. Call it after [`fence_if_asked`](Self::fence_if_asked).
    #[inline]
    pub(crate) fn wake_marked(&self) {
        if self.is_marked() {
            self.wake_from(PARKED);
        }
    }

    /// Wakes the consumer also when it only naps: for threads that wait for it.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::{thread, time::{Duration, Instant}};
    /// let (cell, begin) = (WaitCell::new(FencePair::process()), Instant::now());
    /// thread::scope(|scope| {
    ///     let napping = scope.spawn(|| cell.nap(Duration::from_secs(3600)));
    ///     while !napping.is_finished() {
    ///         cell.wake_now();
    ///         thread::yield_now();
    ///     }
    /// });
    /// assert!(begin.elapsed() < Duration::from_secs(3600));
    /// ```
    #[cold]
    pub fn wake_now(&self) {
        // ORD(cell.state): full fence; pairs with those in `park_unless`, `nap_unless` and
        // `register`. It is at least as strong as `fence`, and calls are rare: the caller needs no
        // fence of its own.
        fence(Ordering::SeqCst);
        self.wake_from(PARKED);
        self.wake_from(NAPPING);
    }

    #[cold]
    fn wake_from(&self, kind: u64) {
        let state = self.slot.state.load(Ordering::Relaxed);
        if is_kind(state, kind)
            && let Some(sleeper) = self.take(state)
        {
            sleeper.wake();
        }
    }

    /// Takes the sleeper out that sleeps in exactly this state.
    fn take(&self, state: u64) -> Option<Sleeper> {
        let busy = with_kind(state, BUSY);
        // ORD(cell.state): Acquire; pairs with the Release in `prepare`: the sleeper is written.
        self.slot.state.compare_exchange(state, busy, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: W1, W2: the exchange made this thread the owner of the sleeper, and in these
        // states there is one.
        let sleeper = unsafe { self.slot.sleeper.take() };
        if is_kind(state, PARKED) {
            // Before the state: after it, this store could erase the mark of the next sleeper.
            self.parked.store(self.parked.load(Ordering::Relaxed) & !MARK, Ordering::Relaxed);
        }
        // ORD(cell.state): Release; pairs with the Acquire in `prepare`: the slot is empty.
        self.slot.state.store(with_kind(state, IDLE).wrapping_add(NEXT), Ordering::Release);
        Some(sleeper)
    }

    /// Puts a sleeper in, and returns the state in which it sleeps, and the word before.
    ///
    /// A sleeper that is PARKED announces itself with `marks`. Returns `None` when another sleeper
    /// is in the cell, and the caller must not sleep. Waits for a thread that is between two stores.
    fn prepare(&self, sleeper: Sleeper, kind: u64, marks: u64) -> Option<(u64, u64)> {
        let mut pace = Pace::new();
        let idle = loop {
            let state = self.slot.state.load(Ordering::Relaxed);
            if is_kind(state, BUSY) {
                // The thread that moved the state to BUSY runs no user code before it moves it on.
                pace.wait();
            } else if !is_kind(state, IDLE) {
                return None;
            } else {
                let busy = with_kind(state, BUSY);
                // ORD(cell.state): Acquire; pairs with the Release in `take`: the slot is empty.
                let moved =
                    self.slot.state.compare_exchange(state, busy, Ordering::Acquire, Ordering::Relaxed);
                if moved.is_ok() {
                    break state;
                }
            }
        };
        // SAFETY: W1, W2: the exchange made this thread the owner of the slot, and in IDLE it is
        // empty.
        unsafe { self.slot.sleeper.put(sleeper) };
        let before = self.parked.load(Ordering::Relaxed);
        if kind == PARKED {
            // ORD(cell.parked): Relaxed; the heavy fence that follows orders it against the load in
            // `attention`. Before the state, so that the thread that takes the sleeper out finds it
            // set.
            self.parked.store(marks, Ordering::Relaxed);
        }
        let state = with_kind(idle, kind);
        // ORD(cell.state): Release; pairs with the Acquire in `take`: the sleeper is written.
        self.slot.state.store(state, Ordering::Release);
        Some((state, before))
    }

    /// Takes the sleeper out, unless a waker is about to: for the one consumer that sleeps as a
    /// task.
    pub(crate) fn cancel(&self) {
        let state = self.slot.state.load(Ordering::Relaxed);
        if is_kind(state, PARKED) || is_kind(state, NAPPING) {
            drop(self.take(state));
        }
    }

    /// Parks the calling thread until it is woken or the limit has passed, unless `ready` returns
    /// `true`.
    ///
    /// `ready` is called after the thread is announced as parked, and reports whether there is
    /// work. The park may end spuriously, and ends after a second at the latest.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::time::Duration;
    /// let cell = WaitCell::new(FencePair::process());
    /// let mut asked = false;
    /// cell.park_unless(Some(Duration::from_millis(1)), || { asked = true; true }); // there is work: no park
    /// assert!(asked && !cell.is_parked());
    /// ```
    pub fn park_unless(&self, limit: Option<Duration>, ready: impl FnOnce() -> bool) {
        self.park_unless_paid(Payer::Consumer, limit, ready);
    }

    /// Parks the calling thread for a bounded time. Publishers of events do not end the nap;
    /// [`wake_now`](Self::wake_now) does.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::{thread, time::Duration};
    /// let cell = WaitCell::new(FencePair::process());
    /// thread::scope(|scope| {
    ///     let napping = scope.spawn(|| cell.nap(Duration::from_secs(3600)));
    ///     while !napping.is_finished() {
    ///         cell.wake(); // wakes parked consumers only, so the nap continues
    ///         cell.wake_now();
    ///         thread::yield_now();
    ///     }
    /// });
    /// ```
    pub fn nap(&self, limit: Duration) {
        self.nap_unless(limit, || false);
    }

    /// Naps as [`nap`](Self::nap) does, unless `ready` returns `true`.
    ///
    /// `ready` is called after the thread is announced as napping, and reports whether there is
    /// work. So the thread never sleeps through work that precedes a [`wake_now`](Self::wake_now).
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::time::{Duration, Instant};
    /// let (cell, begin) = (WaitCell::new(FencePair::process()), Instant::now());
    /// cell.nap_unless(Duration::from_secs(3600), || true); // there is work: no nap
    /// assert!(begin.elapsed() < Duration::from_secs(3600));
    /// ```
    pub fn nap_unless(&self, limit: Duration, ready: impl FnOnce() -> bool) {
        let thread = Unparker::current();
        let Some((state, _)) = self.prepare(Sleeper::Thread(thread.clone()), NAPPING, 0) else {
            return occupied(Some(limit));
        };
        let _stay = Stay { cell: self, state };
        // ORD(cell.state): full fence; pairs with that in `wake_now`.
        fence(Ordering::SeqCst);
        if !recheck(ready) {
            thread.park(Some(limit));
        }
    }

    /// Announces a task as parked. The caller checks for events afterwards, and takes those that it
    /// finds.
    ///
    /// Replaces a sleeper that is in the cell. Returns `false` if another one entered meanwhile:
    /// then the task is not announced, and must poll again at once.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// use std::task::Waker;
    /// let cell = WaitCell::new(FencePair::process());
    /// assert!(cell.register(Waker::noop()));
    /// cell.fence();
    /// assert!(cell.is_parked());
    /// cell.wake();
    /// assert!(!cell.is_parked());
    /// ```
    #[must_use]
    pub fn register(&self, task: &Waker) -> bool {
        self.register_paid(Payer::Consumer, task)
    }
}

/// The stay of one thread in the cell. Ends also when `ready` unwinds.
struct Stay<'a> {
    cell: &'a WaitCell,
    state: u64,
}

impl Drop for Stay<'_> {
    #[inline]
    fn drop(&mut self) {
        drop(self.cell.take(self.state));
    }
}

/// Sleeps briefly while another sleeper is in the cell. The caller may call again at once, as long
/// as that sleeper stays.
#[cold]
fn occupied(limit: Option<Duration>) {
    if MODEL {
        thread::yield_now();
    } else {
        // Not a park, which would consume a wake-up that is meant for another wait of this thread.
        std::thread::sleep(limit.map_or(OCCUPIED, |limit| limit.min(OCCUPIED)));
    }
}

impl FencePair {
    /// Returns the pair that this process uses wherever it has the choice.
    ///
    /// It is asymmetric where the system grants `membarrier` and the environment variable
    /// `BUSLANE_FENCE` is not `symmetric`. Fixed at the first call.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, WaitCell};
    /// assert_eq!(WaitCell::new(FencePair::process()).pair(), FencePair::process());
    /// ```
    #[must_use]
    pub fn process() -> Self {
        crate::sync::membarrier::process_pair()
    }
}

impl Drop for WaitCell {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for WaitCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.slot.state.load(Ordering::Relaxed) & KIND {
            IDLE => "idle",
            PARKED => "parked",
            NAPPING => "napping",
            _ => "busy",
        };
        f.debug_struct("WaitCell").field("state", &state).field("pair", &self.pair).finish()
    }
}
