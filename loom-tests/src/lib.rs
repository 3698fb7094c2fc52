//! Support for the model checks: one way to write a scenario, three ways to run it.
//!
//! With `--cfg loom`, loom explores a scenario, and the names below are loom's. Without it, the
//! same scenario runs a few hundred times on real threads, and the names are those of the standard
//! library. With `--cfg shuttle` it runs under random schedules: see [`schedules`]. That is for the
//! scenarios in `tests/shuttle`, which are too large for loom. A test file imports threads, atomics
//! and cells only from here, and everything else through the public items of `buslane`.
//!
//! Models of private items are unit tests of the crate itself, in modules `models`. They use this
//! crate except [`Probe`](probe::Probe) and [`channels`], which belong to the other build of
//! `buslane`, the one that this library depends on.
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
//! # What a model does not cover
//! In a model, both fences of the asymmetric pair are `fence(SeqCst)`, deadlines never expire, and
//! no thread naps or spins.
//!
//! Two tests are not models, and are empty with `--cfg loom`: `store_buffer` explores the
//! handshakes on machines with store buffers and the asymmetric pair, and `litmus` stresses them on
//! real threads.

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

/// The limit of a scenario's waits on real threads; in a model a wait has no limit.
pub const LIMIT: std::time::Duration = test_support::limit::scaled(std::time::Duration::from_secs(60));
/// The number of runs of a scenario on real threads, unless `BUSLANE_RUNS` gives another number.
#[cfg(not(any(loom, shuttle)))]
const RUNS: usize = if cfg!(miri) { 4 } else { 200 };
/// The most preemptions of one execution, unless the environment or the test gives a lower number.
#[cfg(loom)]
const PREEMPTIONS: usize = 3;
/// loom's own limit of a thousand operations is too low for a channel with its counters.
#[cfg(loom)]
const BRANCHES: usize = 20_000;

/// Runs a scenario: all executions with at most three preemptions, or with the number in
/// `LOOM_MAX_PREEMPTIONS`.
///
/// # Panics
/// If an execution fails: by an assertion, a data race, a deadlock or a leak.
pub fn model(scenario: impl Fn() + Send + Sync + 'static) {
    model_with(usize::MAX, scenario);
}

/// Runs a scenario as [`model`] does, with fewer preemptions.
///
/// For scenarios too large for the usual bound; each states its bound and its duration. If the
/// environment asks for more than three preemptions, this bound rises by the difference.
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
    // `--nocapture` shows this line, which reveals a model that grows too large.
    let name = std::thread::current().name().unwrap_or("scenario").to_owned();
    let held = if preemptions == usize::MAX { String::new() } else { format!(", held to {preemptions}") };
    eprintln!("{name}: {} executions in {:.1?}{held}", executions.load(Ordering::Relaxed), begun.elapsed());
}

#[cfg(loom)]
fn run(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    let asked = builder.preemption_bound.unwrap_or(PREEMPTIONS);
    // A deeper run raises the bound of every scenario.
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

/// Runs the setup of a scenario: a model takes these steps in one order only, without a preemption.
/// Threads that they start begin after them.
pub fn before<T>(steps: impl FnOnce() -> T) -> T {
    #[cfg(loom)]
    loom::stop_exploring();
    let made = steps();
    #[cfg(loom)]
    loom::explore();
    made
}

/// Ends the race of a scenario: a model takes the remaining steps in one order only, in which each
/// load still returns the oldest store that it may. Do not use it before a loop that polls for a
/// newer store: that loop would never end.
pub fn over() {
    #[cfg(loom)]
    loom::skip_branch();
}

/// Waits, on real threads, for an effect of the drop of a last handle. Such a drop waits for half a
/// second at most, which is too short for an interpreter or an emulator. In a model the drop has no
/// limit, so `done` must hold already, and is not called.
pub fn after_drop(done: impl Fn() -> bool) {
    if cfg!(not(any(loom, shuttle))) {
        let begun = std::time::Instant::now();
        while !done() && begun.elapsed() < LIMIT {
            thread::yield_now();
        }
    }
}

/// Holds a worker at its first step until the setup is complete, and makes the setup visible to it.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<()>>);

impl Gate {
    /// Runs the setup as [`before`](fn@before) does, with the gate closed.
    ///
    /// # Panics
    /// If a thread panicked at the gate.
    pub fn before<T>(&self, steps: impl FnOnce() -> T) -> T {
        before(|| {
            let _closed = self.0.lock().unwrap();
            steps()
        })
    }

    /// Waits until the gate is open.
    ///
    /// # Panics
    /// If a thread panicked at the gate.
    pub fn pass(&self) {
        drop(self.0.lock().unwrap());
    }
}

/// Marks the steps of a scenario, so that a model tries every order of the steps of all its
/// threads.
///
/// loom finds the relevant orders from conflicting accesses, and remembers only the last access of
/// each location. Where a thread loads a word and then exchanges it, its own load hides the load of
/// another thread from the exchange, and loom never tries the other order (loom's issues 166 and
/// 392). A step is a conflict of its own, and adds no order between the threads.
#[derive(Clone, Debug)]
pub struct Steps(Arc<AtomicUsize>);

impl Steps {
    /// Returns the steps of one scenario; each thread has a clone.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }

    /// Marks a point where another thread may run.
    pub fn step(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::new()
    }
}

/// The live values of one scenario.
///
/// The words are the standard library's even in a model: the test uses them for its own counters,
/// which must add no order to the code under test.
#[derive(Clone, Debug)]
pub struct Lives(std::sync::Arc<Vec<Word>>);

const UNBORN: usize = 0;
const ALIVE: usize = 1;
const DEAD: usize = 2;

impl Lives {
    /// Returns room for the values 0 to `count - 1`.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(std::sync::Arc::new((0..count).map(|_| Word::new(UNBORN)).collect()))
    }

    /// Creates the value `id`, once.
    ///
    /// # Panics
    /// If the value was created before.
    #[must_use]
    pub fn value(&self, id: usize) -> Tracked {
        assert_eq!(self.0[id].swap(ALIVE, Ordering::Relaxed), UNBORN, "value {id} is created once");
        Tracked { id, lives: self.clone() }
    }

    /// Returns whether the value `id` was created and not dropped yet.
    #[must_use]
    pub fn is_alive(&self, id: usize) -> bool {
        self.0[id].load(Ordering::Relaxed) == ALIVE
    }

    /// Checks, at the end of a scenario, that every created value was dropped.
    ///
    /// # Panics
    /// If a value was not dropped.
    pub fn assert_all_dropped(&self) {
        for id in 0..self.0.len() {
            assert!(!self.is_alive(id), "value {id} was never dropped");
        }
    }
}

/// A value that must be dropped exactly once, or the test fails.
pub struct Tracked {
    id: usize,
    lives: Lives,
}

impl Tracked {
    /// Returns the number of the value.
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

/// A task that parks on a thread, as in an executor; a wake-up is kept until the next sleep.
#[derive(Debug, Default)]
pub struct Task {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Task {
    /// Returns a task and its waker.
    #[must_use]
    pub fn new() -> (std::sync::Arc<Self>, Waker) {
        let task = std::sync::Arc::new(Self { woken: Mutex::new(false), changed: Condvar::new() });
        (task.clone(), Waker::from(task))
    }

    /// Sleeps until the task is woken, or returns at once if it was woken since the last sleep.
    ///
    /// # Panics
    /// If a wake-up panicked.
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
