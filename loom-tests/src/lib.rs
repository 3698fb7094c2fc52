//! Support for the model checks: one way to write a scenario, three ways to run it.
//!
//! With `--cfg loom` a scenario is explored by loom, and the names below are loom's; without it the
//! same scenario runs a few hundred times on real threads, and they are the standard library's.
//! With `--cfg shuttle` it is played under schedules chosen at random: see [`schedules`]; that is
//! for the scenarios in `tests/shuttle`, which are too large for loom. A test file imports threads,
//! atomics and cells from here only, and everything else through the public items of `buslane`.
//!
//! Models of private items are in the crate itself, in modules `models`, as its unit tests. They
//! use what is here, but for [`Probe`](probe::Probe) and [`channels`]: those are of the crate's
//! other build, the one that this library depends on.
//!
//! ```text
//! # The models, and those of private items; LOOM_MAX_PREEMPTIONS lowers or raises the bound.
//! RUSTFLAGS="--cfg loom" cargo test -p loom-tests --release
//! RUSTFLAGS="--cfg loom" cargo test -p buslane --lib --release models::
//! # The same scenarios on real threads, and the large ones.
//! cargo test
//! bash .ci/shuttle
//! ```
//!
//! # What a model does not see
//! Both fences of the asymmetric pair are `fence(SeqCst)` there, deadlines never come, and nothing
//! naps or spins.
//!
//! Two tests are no models, and empty with `--cfg loom`: `store_buffer` explores the handshakes on
//! machines with store buffers, which know the asymmetric pair, and `litmus` hammers them on real
//! threads.

pub mod channels;
pub mod probe;
#[cfg(shuttle)]
pub mod schedules;

use std::fmt;
use std::sync::atomic::AtomicUsize as Word;
use std::task::{Wake, Waker};

#[cfg(loom)]
pub use loom::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex},
    thread,
};
#[cfg(shuttle)]
pub use shuttle::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex},
    thread,
};
#[cfg(not(any(loom, shuttle)))]
pub use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex},
    thread,
};

/// How long a scenario waits for what must happen, on real threads; in a model the time never ends.
pub const LIMIT: std::time::Duration = test_support::limit::scaled(std::time::Duration::from_secs(60));
/// How often a scenario runs on real threads, unless `BUSLANE_RUNS` gives another number.
#[cfg(not(any(loom, shuttle)))]
const RUNS: usize = if cfg!(miri) { 4 } else { 200 };
/// The most preemptions of one execution, when neither the environment nor the test says less.
#[cfg(loom)]
const PREEMPTIONS: usize = 3;
/// loom's own limit of a thousand operations is too low for a channel with its books.
#[cfg(loom)]
const BRANCHES: usize = 20_000;

/// Runs a scenario: all executions with at most three preemptions, or as many as
/// `LOOM_MAX_PREEMPTIONS` says.
///
/// # Panics
/// When an execution fails: by an assertion, a data race, a deadlock or a leak.
pub fn model(scenario: impl Fn() + Send + Sync + 'static) {
    model_with(usize::MAX, scenario);
}

/// Like [`model`], with fewer preemptions: for scenarios too big for the usual bound, which say so,
/// and how long they take. A run that is asked for more than three takes so many more here, too.
///
/// # Panics
/// As for [`model`].
pub fn model_with(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(Word::new(0));
    let count = executions.clone();
    let begun = std::time::Instant::now();
    run(preemptions, move || {
        count.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    // Shown with `--nocapture`: a model that grows out of hand is seen there first.
    let name = std::thread::current().name().unwrap_or("scenario").to_owned();
    let held = if preemptions == usize::MAX { String::new() } else { format!(", held to {preemptions}") };
    eprintln!("{name}: {} executions in {:.1?}{held}", executions.load(Ordering::Relaxed), begun.elapsed());
}

#[cfg(loom)]
fn run(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let asked = builder.preemption_bound.unwrap_or(PREEMPTIONS);
    // Deeper runs go deeper everywhere.
    let most = preemptions.saturating_add(asked.saturating_sub(PREEMPTIONS));
    builder.preemption_bound = Some(asked.min(most));
    builder.max_branches = builder.max_branches.max(BRANCHES);
    builder.check(scenario);
}

#[cfg(shuttle)]
fn run(_preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    schedules::explore(scenario);
}

#[cfg(not(any(loom, shuttle)))]
fn run(_preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let runs =
        std::env::var("BUSLANE_RUNS").map_or(RUNS, |runs| runs.parse().expect("BUSLANE_RUNS is a number"));
    for _ in 0..runs {
        scenario();
    }
}

/// What comes before the race of a scenario: a model takes these steps in one order only, without a
/// preemption. Threads that they start begin behind them.
pub fn before<T>(steps: impl FnOnce() -> T) -> T {
    #[cfg(loom)]
    loom::stop_exploring();
    let made = steps();
    #[cfg(loom)]
    loom::explore();
    made
}

/// The race of a scenario is over: a model takes what follows in one order only, in which each load
/// still finds the oldest store that it may. Not for what looks again and again until it finds a
/// newer one: that would never end.
pub fn over() {
    #[cfg(loom)]
    loom::skip_branch();
}

/// Waits, on real threads, for what the drop of a last handle brings about: such a drop waits for
/// half a second at most, which is too short for an interpreter or an emulator. In a model the drop
/// has no limit, so `done` must hold already, and is not called.
pub fn after_drop(done: impl Fn() -> bool) {
    if cfg!(not(any(loom, shuttle))) {
        let begun = std::time::Instant::now();
        while !done() && begun.elapsed() < LIMIT {
            thread::yield_now();
        }
    }
}

/// Holds a worker back, at its first step, until what comes before the race is done, and lets it
/// see that.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<()>>);

impl Gate {
    /// As [`before`](fn@before), with the gate closed meanwhile.
    ///
    /// # Panics
    /// When a thread panicked at the gate.
    pub fn before<T>(&self, steps: impl FnOnce() -> T) -> T {
        before(|| {
            let _closed = self.0.lock().unwrap();
            steps()
        })
    }

    /// Waits until the gate is open.
    ///
    /// # Panics
    /// When a thread panicked at the gate.
    pub fn pass(&self) {
        drop(self.0.lock().unwrap());
    }
}

/// Marks the steps of a scenario, so that a model tries every order of the steps of all its
/// threads.
///
/// loom finds the orders worth trying by looking for accesses that conflict, and remembers only the
/// last access of each location. Where a thread loads a word and then exchanges it, its own load
/// hides the load of another thread from the exchange, and the other order is never tried (loom's
/// issues 166 and 392). A step is a conflict of its own, and adds no order between the threads.
#[derive(Clone, Debug)]
pub struct Steps(Arc<AtomicUsize>);

impl Steps {
    /// The steps of one scenario; each thread has a clone.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    /// Here another thread may take its turn.
    pub fn step(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

/// The lives of the values of one scenario.
///
/// The words are the standard library's also in a model: they are for the test's own books, and
/// must add no order to what is tested.
#[derive(Clone, Debug)]
pub struct Lives(std::sync::Arc<Vec<Word>>);

const UNBORN: usize = 0;
const ALIVE: usize = 1;
const DEAD: usize = 2;

impl Lives {
    /// Room for the values 0 to `count - 1`.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(std::sync::Arc::new((0..count).map(|_| Word::new(UNBORN)).collect()))
    }

    /// Makes the value `id`, once.
    ///
    /// # Panics
    /// When it was made before.
    #[must_use]
    pub fn value(&self, id: usize) -> Tracked {
        assert_eq!(self.0[id].swap(ALIVE, Ordering::Relaxed), UNBORN, "value {id} is made once");
        Tracked { id, lives: self.clone() }
    }

    /// Whether the value `id` was made and not dropped yet.
    #[must_use]
    pub fn is_alive(&self, id: usize) -> bool {
        self.0[id].load(Ordering::Relaxed) == ALIVE
    }

    /// Checks, at the end of a scenario, that every value that was made was also dropped.
    ///
    /// # Panics
    /// When one was not.
    pub fn assert_all_dropped(&self) {
        for id in 0..self.0.len() {
            assert!(!self.is_alive(id), "value {id} was never dropped");
        }
    }
}

/// A value that is dropped exactly once, or the test fails.
pub struct Tracked {
    id: usize,
    lives: Lives,
}

impl Tracked {
    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> usize {
        self.id
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let before = self.lives.0[self.id].swap(DEAD, Ordering::Relaxed);
        assert!(before == ALIVE || std::thread::panicking(), "value {} was dropped twice", self.id);
    }
}

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tracked({})", self.id)
    }
}

/// A task that sleeps on a thread: what an executor does, with a wake-up that is kept until it is
/// asked for.
#[derive(Debug, Default)]
pub struct Task {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Task {
    /// A task and its waker.
    #[must_use]
    pub fn new() -> (std::sync::Arc<Self>, Waker) {
        let task = std::sync::Arc::new(Self { woken: Mutex::new(false), changed: Condvar::new() });
        (task.clone(), Waker::from(task))
    }

    /// Sleeps until the task is woken, or returns at once if it was since the last sleep.
    ///
    /// # Panics
    /// When a wake-up panicked.
    pub fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

impl Wake for Task {
    fn wake(self: std::sync::Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}
