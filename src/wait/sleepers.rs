//! The parking place of any number of readers of one stream, all of which an event wakes.
//!
//! Readers that park push themselves on a stack. A publisher that finds the stack not empty takes
//! all of it at once and wakes *one* thread, to which it hands the others. That thread wakes
//! another one and hands it half of the rest, and so on. So a publish costs at most one wake-up,
//! however many readers are parked, and later publishers find the stack empty. No lock is taken
//! that a preempted reader could hold. (A task is woken by the thread that reaches it: that is a
//! call, and the task may never run.)
//!
//! The handshake is that of the wait cell: the publisher stores its event, fences, and checks the
//! stack; the reader pushes itself on the stack, fences, and checks for events again. A reader that
//! returns before it was called stays on the stack, and parks again without another push.
//!
//! # Invariants
//! - L1: the sleeper in a berth belongs to its reader in OUT and AWAY, where there is none, and to
//!   the thread that moved the state to TAKING.
//! - L2: a berth is on the stack, or in one chain taken from it, exactly in AWAY, PARKED and
//!   TAKING. So its link is written by its reader in OUT, and otherwise by the owner of the chain.
//! - L3: a reader that was called while PARKED, and has a chain handed to it, wakes that chain
//!   before it does anything else.
//! - L4: nodes are freed when the `Sleepers` and all their berths are gone, so a link is valid
//!   while one of them lives.
//! - L5: a berth is used by one thread at a time (`&mut Berth`), and only with the `Sleepers` that
//!   made it. No user code runs between a change of its state and the step that belongs to it:
//!   wakers are cloned before, and dropped and called after.
#![expect(
    unsafe_code,
    reason = "sleepers move between threads under a berth's state, and are linked without a lock"
)]

use super::{FencePair, Sleeper, park_fenced};
use crate::sync::membarrier::{heavy_fence, heavy_fence_or_wait, light_fence};
use crate::sync::pace::Pace;
use crate::sync::parking::Unparker;
use crate::sync::slot::Slot;
use crate::sync::{AtomicPtr, AtomicU64, CachePadded, MODEL, Mutex, Ordering, lock, recheck};
use std::fmt;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// Not on the stack, without a sleeper.
const OUT: u64 = 0;
/// On the stack, without a sleeper.
const AWAY: u64 = 1;
/// On the stack, with a sleeper.
const PARKED: u64 = 2;
/// A thread is taking the sleeper out.
const TAKING: u64 = 3;
/// The sleeper was called and has a chain to wake; not on the stack.
const CALLED: u64 = 4;

/// The entry of one reader among the [`Sleepers`] that made it, by [`Sleepers::berth`].
///
/// One thread or task uses it at a time. Dropping it removes a registered sleeper, and frees the
/// entry for the next reader. It keeps the memory of all entries alive, but not the `Sleepers`: in
/// a berth that outlives them no sleeper is woken any more.
///
/// # Examples
/// One for each reader:
/// ```
/// use buslane::wait::{FencePair, Sleepers};
/// use std::time::Duration;
/// let sleepers = Sleepers::new(FencePair::process());
/// let mut berth = sleepers.berth();
/// let mut asked = 0;
/// sleepers.park_unless(&mut berth, Some(Duration::from_secs(1)), || { asked += 1; true }); // there is an event: no park
/// assert_eq!(asked, 1);
/// ```
pub struct Berth {
    node: Arc<Node>,
    /// The nodes of the `Sleepers` that made it.
    home: Arc<Mutex<Nodes>>,
}

struct Node {
    state: CachePadded<AtomicU64>,
    sleeper: Slot<Sleeper>,
    /// The next node on the stack or in the chain.
    next: AtomicPtr<Node>,
    /// The chain that a called sleeper has to wake.
    handed: AtomicPtr<Node>,
}

/// The parking place of any number of readers of one stream, all of which an event wakes.
///
/// # Guarantees
/// [`wake`](Self::wake) costs one load when no reader is parked, with the symmetric pair also a
/// fence, and one system call when any number of threads are. It takes no lock, allocates nothing,
/// and is lock-free. Parking allocates nothing either.
///
/// # Examples
/// ```
/// use buslane::wait::{FencePair, Sleepers};
/// use std::sync::atomic::{AtomicBool, Ordering};
/// let (sleepers, ready) = (Sleepers::new(FencePair::process()), AtomicBool::new(false));
/// std::thread::scope(|scope| {
///     for _ in 0..3 {
///         scope.spawn(|| {
///             let mut berth = sleepers.berth();
///             while !ready.load(Ordering::Acquire) {
///                 sleepers.park_unless(&mut berth, None, || ready.load(Ordering::Acquire));
///             }
///         });
///     }
///     ready.store(true, Ordering::Release);
///     sleepers.wake();
/// });
/// ```
pub struct Sleepers {
    first: CachePadded<AtomicPtr<Node>>,
    /// The value of `first` when the stack is empty: null, or with the symmetric pair an address of
    /// no berth.
    empty: *mut Node,
    pair: FencePair,
    nodes: Arc<Mutex<Nodes>>,
}

#[derive(Default)]
struct Nodes {
    all: Vec<Arc<Node>>,
    free: Vec<Arc<Node>>,
}

// SAFETY: `empty` is never followed, and never changes.
unsafe impl Send for Sleepers {}
// SAFETY: as above; berths are reached by the protocol, and sleepers may be sent.
unsafe impl Sync for Sleepers {}

impl Sleepers {
    /// Creates a parking place without readers.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, Sleepers};
    /// let sleepers = Sleepers::new(FencePair::Symmetric);
    /// sleepers.wake(); // no reader is parked
    /// assert_eq!(format!("{sleepers:?}"), "Sleepers { pair: Symmetric, .. }");
    /// ```
    #[must_use]
    pub fn new(pair: FencePair) -> Self {
        let empty = match pair {
            FencePair::Asymmetric => null_mut(),
            FencePair::Symmetric => NonNull::dangling().as_ptr(),
        };
        Self { first: CachePadded::new(AtomicPtr::new(empty)), empty, pair, nodes: Arc::default() }
    }

    /// Returns a berth for one more reader. Allocates when there are more than ever before.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, Sleepers};
    /// let sleepers = Sleepers::new(FencePair::process());
    /// let mut berths = [sleepers.berth(), sleepers.berth()]; // for two readers
    /// let mut looks = 0;
    /// for berth in &mut berths {
    ///     sleepers.park_unless(berth, None, || { looks += 1; true });
    /// }
    /// assert_eq!(looks, 2);
    /// ```
    #[must_use]
    pub fn berth(&self) -> Berth {
        let mut nodes = lock(&self.nodes);
        let node = nodes.free.pop().unwrap_or_else(|| {
            let node = Arc::new(Node {
                state: CachePadded::new(AtomicU64::new(OUT)),
                sleeper: Slot::empty(),
                next: AtomicPtr::new(null_mut()),
                handed: AtomicPtr::new(null_mut()),
            });
            nodes.all.push(node.clone());
            node
        });
        Berth { node, home: self.nodes.clone() }
    }

    /// Wakes every parked reader, most of them through others.
    ///
    /// Call it after the store of the event that they wait for. The publisher's fence is part of
    /// this call.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, Sleepers};
    /// use std::thread;
    /// let sleepers = Sleepers::new(FencePair::process());
    /// thread::scope(|scope| {
    ///     let park = || {
    ///         let mut berth = sleepers.berth();
    ///         sleepers.park_unless(&mut berth, None, || false);
    ///     };
    ///     let parked = [scope.spawn(park), scope.spawn(park)];
    ///     while !parked.iter().all(|parked| parked.is_finished()) {
    ///         sleepers.wake();
    ///         thread::yield_now();
    ///     }
    /// });
    /// ```
    #[inline(always)]
    pub fn wake(&self) {
        if !MODEL {
            // ORD(sleepers.first): light fence; pairs with the heavy ones in `park_unless` and
            // `register`. The asymmetric pair needs no more. The symmetric pair's stack is never
            // null, so its fence is in `call`.
            light_fence(FencePair::Asymmetric);
        }
        // ORD(sleepers.first): Relaxed; the fences order it against the push in `lie_down`.
        if !self.first.load(Ordering::Relaxed).is_null() {
            self.call();
        }
    }

    #[cold]
    #[inline(never)]
    fn call(&self) {
        // ORD(sleepers.first): light fence; pairs with the heavy ones in `park_unless` and
        // `register`, where the pair is symmetric.
        light_fence(self.pair);
        if self.first.load(Ordering::Relaxed) == self.empty {
            return;
        }
        // ORD(sleepers.first): Acquire; pairs with the Release in `lie_down`: the berths are filled
        // and linked.
        let chain = self.first.swap(self.empty, Ordering::Acquire);
        if chain != self.empty {
            rouse(chain, |rest| (null_mut(), rest));
        }
    }

    /// Parks the calling thread until it is woken or the limit has passed, unless `ready` returns
    /// `true`.
    ///
    /// `ready` is called after the thread is announced as parked, and reports whether there is
    /// work. The park may end spuriously, and ends after a second at the latest.
    ///
    /// # Panics
    /// If `berth` was made by other `Sleepers`.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, Sleepers};
    /// use std::time::{Duration, Instant};
    /// let (sleepers, begin) = (Sleepers::new(FencePair::process()), Instant::now());
    /// let mut berth = sleepers.berth();
    /// sleepers.park_unless(&mut berth, Some(Duration::from_millis(1)), || false); // until the limit
    /// sleepers.park_unless(&mut berth, Some(Duration::from_secs(3600)), || true); // not at all
    /// assert!(begin.elapsed() < Duration::from_secs(3600));
    /// ```
    pub fn park_unless(&self, berth: &mut Berth, limit: Option<Duration>, ready: impl FnOnce() -> bool) {
        self.park_as(&Unparker::current(), berth, limit, ready);
    }

    /// Parks like [`park_unless`](Self::park_unless), as a handle that the calling thread has made
    /// and that another thread may unpark as well.
    pub(crate) fn park_as(
        &self,
        thread: &Unparker,
        berth: &mut Berth,
        limit: Option<Duration>,
        ready: impl FnOnce() -> bool,
    ) {
        /// Takes the thread out also when `ready` unwinds.
        struct Stay<'a>(&'a Berth);
        impl Drop for Stay<'_> {
            fn drop(&mut self) {
                drop(self.0.get_up());
            }
        }
        self.check(berth);
        drop(berth.get_up());
        self.lie_down(berth, Sleeper::Thread(thread.clone()));
        let _stay = Stay(berth);
        // ORD(sleepers.first): heavy fence; pairs with the light ones in `wake` and `call`.
        let fenced = heavy_fence(self.pair);
        if !recheck(ready) {
            park_fenced(thread, limit, fenced);
        }
    }

    /// Announces a task as parked. The caller checks for events afterwards, and takes those that it
    /// finds.
    ///
    /// # Panics
    /// If `berth` was made by other `Sleepers`.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, Sleepers};
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    /// use std::task::{Wake, Waker};
    /// struct Woken(AtomicBool);
    /// impl Wake for Woken {
    ///     fn wake(self: Arc<Self>) {
    ///         self.0.store(true, Ordering::Relaxed);
    ///     }
    /// }
    /// let (sleepers, woken) = (Sleepers::new(FencePair::process()), Arc::new(Woken(AtomicBool::new(false))));
    /// let mut berth = sleepers.berth();
    /// sleepers.register(&mut berth, &Waker::from(woken.clone()));
    /// sleepers.wake();
    /// assert!(woken.0.load(Ordering::Relaxed));
    /// ```
    pub fn register(&self, berth: &mut Berth, task: &Waker) {
        self.check(berth);
        // L5: user code, as is the destructor of the previous waker.
        let task = Sleeper::task(task);
        drop(berth.get_up());
        self.lie_down(berth, task);
        // ORD(sleepers.first): heavy fence, as in `park_unless`. It must not fail, since a task
        // cannot park with a limit.
        heavy_fence_or_wait(self.pair);
    }

    /// Removes the registered task, if it was not woken yet.
    ///
    /// # Panics
    /// If `berth` was made by other `Sleepers`.
    ///
    /// # Examples
    /// ```
    /// use buslane::wait::{FencePair, Sleepers};
    /// use std::task::Waker;
    /// let sleepers = Sleepers::new(FencePair::process());
    /// let mut berth = sleepers.berth();
    /// sleepers.register(&mut berth, Waker::noop());
    /// sleepers.cancel(&mut berth); // a wake does not call that task any more
    /// sleepers.wake();
    /// ```
    pub fn cancel(&self, berth: &mut Berth) {
        self.check(berth);
        drop(berth.get_up());
    }

    /// L5: a berth on the stack of other `Sleepers` would be linked twice, and freed while it is
    /// linked.
    fn check(&self, berth: &Berth) {
        assert!(Arc::ptr_eq(&self.nodes, &berth.home), "use a berth only with the `Sleepers` that made it");
    }

    /// Puts a sleeper into an empty berth of this reader.
    fn lie_down(&self, berth: &Berth, sleeper: Sleeper) {
        let node = &*berth.node;
        // SAFETY: L1: the state is OUT or AWAY: `get_up` left it so.
        unsafe { node.sleeper.put(sleeper) };
        // ORD(berth.state): Release; pairs with the Acquire in `rouse_one`: the sleeper is there.
        // Acquire, where it fails, pairs with its Release: the link was read.
        if node.state.compare_exchange(AWAY, PARKED, Ordering::Release, Ordering::Acquire).is_ok() {
            return;
        }
        node.state.store(PARKED, Ordering::Relaxed);
        let this = Arc::as_ptr(&berth.node).cast_mut();
        let mut first = self.first.load(Ordering::Relaxed);
        loop {
            let below = if first == self.empty { null_mut() } else { first };
            node.next.store(below, Ordering::Relaxed);
            // ORD(sleepers.first): Release; pairs with the Acquire in `call`: the berth is filled
            // and linked.
            match self.first.compare_exchange(first, this, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => first = other,
            }
        }
    }
}

impl Berth {
    /// Takes the sleeper out, for the caller to drop, unless it was called: then this wakes the
    /// chain that was handed to it. Leaves the state OUT or AWAY.
    fn get_up(&self) -> Option<Sleeper> {
        let node = &*self.node;
        let mut pace = Pace::new();
        loop {
            // ORD(berth.state): Acquire; pairs with the Release in `rouse_one`: the sleeper is out,
            // and the chain handed over.
            match node.state.load(Ordering::Acquire) {
                PARKED => {
                    if node.state.compare_exchange(PARKED, AWAY, Ordering::Relaxed, Ordering::Relaxed).is_ok()
                    {
                        // SAFETY: L1, L5: in PARKED there was a sleeper, our own; from AWAY on no
                        // other thread takes it.
                        return Some(unsafe { node.sleeper.take() });
                    }
                }
                // A publisher, or another reader, is between two stores.
                TAKING => pace.wait(),
                CALLED => {
                    let chain = node.handed.load(Ordering::Relaxed);
                    node.state.store(OUT, Ordering::Relaxed);
                    rouse(chain, halve);
                    return None;
                }
                _ => return None,
            }
        }
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        let sleeper = self.get_up();
        lock(&self.home).free.push(self.node.clone());
        // Last, and outside the lock: a waker's destructor is user code.
        drop(sleeper);
    }
}

/// Wakes a chain.
///
/// `share` splits the rest into the part that the caller continues with and the part that the woken
/// thread gets.
fn rouse(chain: *mut Node, share: impl Fn(*mut Node) -> (*mut Node, *mut Node)) {
    let mut left = NonNull::new(chain);
    while let Some(node) = left {
        // SAFETY: L2, L4: this thread owns the chain, and its berths live.
        left = NonNull::new(rouse_one(unsafe { node.as_ref() }, &share));
    }
}

/// Wakes the first sleeper of a chain, and returns the part of the chain that remains for the
/// caller.
fn rouse_one(node: &Node, share: impl Fn(*mut Node) -> (*mut Node, *mut Node)) -> *mut Node {
    let rest = node.next.load(Ordering::Relaxed);
    loop {
        // ORD(berth.state): Release; pairs with the Acquire in `lie_down`: the link was read.
        if node.state.compare_exchange(AWAY, OUT, Ordering::Release, Ordering::Relaxed).is_ok() {
            return rest;
        }
        // ORD(berth.state): Acquire; pairs with the Release in `lie_down`: the sleeper is there.
        if node.state.compare_exchange(PARKED, TAKING, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            break;
        }
    }
    // SAFETY: L1: the exchange made this thread the owner of the sleeper, and in PARKED there is
    // one.
    let sleeper = unsafe { node.sleeper.take() };
    let (kept, after) = match sleeper {
        Sleeper::Thread(_) => {
            let (kept, given) = share(rest);
            node.handed.store(given, Ordering::Relaxed);
            (kept, CALLED)
        }
        Sleeper::Task(_) => (rest, OUT),
    };
    // ORD(berth.state): Release; pairs with the Acquire in `get_up`: the sleeper is out, and the
    // chain handed over.
    node.state.store(after, Ordering::Release);
    sleeper.wake();
    kept
}

/// Splits a chain in two. The second part, which the woken thread gets, is at least as long as the
/// first one.
fn halve(chain: *mut Node) -> (*mut Node, *mut Node) {
    let link = |node: *mut Node| {
        // SAFETY: L2, L4: this thread owns the chain, and its berths live.
        NonNull::new(node).map(|node| unsafe { &node.as_ref().next })
    };
    let next = |node: *mut Node| link(node).map_or(null_mut(), |next| next.load(Ordering::Relaxed));
    let (mut last, mut end): (*mut Node, *mut Node) = (null_mut(), chain);
    while !next(end).is_null() {
        last = if last.is_null() { chain } else { next(last) };
        end = next(next(end));
    }
    match link(last) {
        None => (null_mut(), chain),
        Some(cut) => {
            let second = cut.load(Ordering::Relaxed);
            cut.store(null_mut(), Ordering::Relaxed);
            (chain, second)
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.state.load(Ordering::Relaxed) == PARKED {
            // SAFETY: L1: in PARKED there is a sleeper, and no other thread can reach it now.
            drop(unsafe { self.sleeper.take() });
        }
    }
}

impl fmt::Debug for Sleepers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleepers").field("pair", &self.pair).finish_non_exhaustive()
    }
}

impl fmt::Debug for Berth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Berth")
    }
}
