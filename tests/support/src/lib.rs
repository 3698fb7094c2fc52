//! Shared by the integration tests: values that record their drop, lanes into a sink, watchdogs,
//! and a check of ledgers.

pub mod blocks;
pub mod bus;
pub mod heap;
pub mod limit;
pub mod openmetrics;
pub mod process;

use buslane::error::{AddError, BuildError, ConfigError, ConfigErrorKind, SpawnError, SubscribeError};
use buslane::sink::lane::{Lane, Lanes};
use buslane::stats::{Ledger, SinkState};
use buslane::time::Deadline;
use buslane::{Queue, Sink, WriteError};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// The time after which a test fails instead of hanging.
pub const GUARD: Duration = limit::scaled(Duration::from_secs(30));

/// Locks a mutex that a failed test may have poisoned.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the invalid setting that an error reports, itself or in its variant `Config`.
///
/// # Panics
/// When it is not the error of a setting.
#[track_caller]
pub fn invalid<T, E: Error + 'static>(result: Result<T, E>) -> ConfigErrorKind {
    let Err(error) = result else { panic!("no setting is invalid") };
    let Some(setting) = setting(&error) else { panic!("{error} is not the error of a setting") };
    assert!(setting.to_string().contains(" is invalid: "), "{setting}");
    assert!(error.to_string().ends_with(&setting.to_string()), "{error}");
    setting.kind()
}

fn setting<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ConfigError> {
    if let Some(BuildError::Config(setting)) = error.downcast_ref() {
        return Some(setting);
    }
    if let Some(SpawnError::Config(setting)) = error.downcast_ref() {
        return Some(setting);
    }
    if let Some(AddError::Config(setting)) = error.downcast_ref() {
        return Some(setting);
    }
    if let Some(SubscribeError::Config(setting)) = error.downcast_ref() {
        return Some(setting);
    }
    error.downcast_ref()
}

/// A record of the [`Tracked`] values that were dropped.
#[derive(Clone, Debug, Default)]
pub struct Drops(Arc<Mutex<Vec<u64>>>);

impl Drops {
    /// Returns a value that records its drop here.
    pub fn track(&self, id: u64) -> Tracked {
        Tracked { id, drops: self.clone() }
    }

    /// Returns the ids of the dropped values in ascending order. A value that was dropped twice
    /// appears twice.
    pub fn ids(&self) -> Vec<u64> {
        let mut ids = lock(&self.0).clone();
        ids.sort_unstable();
        ids
    }
}

/// A value that records its drop.
#[derive(Debug)]
pub struct Tracked {
    /// The number that is recorded.
    pub id: u64,
    drops: Drops,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        lock(&self.drops.0).push(self.id);
    }
}

/// A list that hooks and handlers write to.
#[derive(Clone, Debug)]
pub struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Log<T> {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry.
    pub fn push(&self, entry: T) {
        lock(&self.0).push(entry);
    }

    /// Returns a copy of all entries.
    #[must_use]
    pub fn entries(&self) -> Vec<T> {
        lock(&self.0).clone()
    }
}

/// The two kinds of lane into a queue or channel.
pub const WAYS: [Way; 2] = [Way::Private, Way::Shared];

/// A kind of lane into a queue or channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A private lane of one publisher.
    Private,
    /// The lane that all publishers share.
    Shared,
}

/// A lane that is ready to be written to.
pub enum Entry<E> {
    /// A private lane.
    Private(Lane<E>),
    /// The sink itself.
    Shared(Box<dyn Sink<E>>),
}

impl<E> fmt::Debug for Entry<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private(_) => "Private",
            Self::Shared(_) => "Shared",
        })
    }
}

impl<E: Send + 'static> Entry<E> {
    /// Opens a lane into the sink.
    pub fn into(sink: &(impl Sink<E> + Clone + 'static), way: Way) -> Self {
        match way {
            Way::Private => Self::Private(lane(sink)),
            Way::Shared => Self::Shared(Box::new(sink.clone())),
        }
    }

    /// Writes an event.
    ///
    /// # Errors
    /// What the sink or the lane reports.
    pub fn write(&mut self, event: E) -> Result<(), WriteError<E>> {
        match self {
            Self::Private(lane) => lane.push(event, Deadline::NEVER),
            Self::Shared(sink) => sink.write(event),
        }
    }
}

/// Opens a lane into a sink that the test keeps, so that it can describe it later.
pub fn entry<E: Send + 'static>(sink: &Arc<impl Sink<E> + 'static>, way: Way) -> Entry<E> {
    Entry::into(sink, way)
}

/// Returns a private lane into a sink that has lanes.
///
/// # Panics
/// When the sink has none.
#[track_caller]
pub fn lane<E: Send + 'static>(sink: &impl Sink<E>) -> Lane<E> {
    sink.lane().expect("the lane's memory").expect("a sink with lanes")
}

/// The result of a write or push, without the source of a failure, so that it can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<E> {
    /// The event was accepted.
    Accepted,
    /// [`WriteError::Full`].
    Full(E),
    /// [`WriteError::Closed`].
    Closed(E),
    /// [`WriteError::Timeout`].
    Timeout(E),
    /// [`WriteError::Failed`].
    Failed(E),
    /// Any other error.
    Other,
}

/// Returns the events in ascending order.
#[must_use]
pub fn sorted(mut events: Vec<u64>) -> Vec<u64> {
    events.sort_unstable();
    events
}

/// Converts the result of a write or push into an [`Outcome`].
pub fn outcome<E>(result: Result<(), WriteError<E>>) -> Outcome<E> {
    match result {
        Ok(()) => Outcome::Accepted,
        Err(WriteError::Full(event)) => Outcome::Full(event),
        Err(WriteError::Closed(event)) => Outcome::Closed(event),
        Err(WriteError::Timeout(event)) => Outcome::Timeout(event),
        Err(WriteError::Failed { event, .. }) => Outcome::Failed(event),
        Err(_) => Outcome::Other,
    }
}

/// Checks both equations of the ledger, and returns the ledger.
///
/// # Panics
/// When it does not balance.
#[track_caller]
pub fn assert_balanced(state: &SinkState) -> Ledger {
    if let Err(imbalance) = state.ledger.check() {
        panic!("{imbalance}");
    }
    state.ledger
}

/// Returns what a sink reports about itself.
pub fn describe<E>(sink: &impl Sink<E>) -> SinkState {
    let mut state = SinkState::default();
    sink.describe(&mut state);
    state
}

/// Flushes a queue that must be able to handle everything.
///
/// # Panics
/// When the flush is incomplete after [`GUARD`].
#[track_caller]
pub fn flush<E: Send + 'static>(queue: &Queue<E>) {
    let report = queue.flush_timeout(GUARD);
    assert!(report.is_done(), "{report}");
}

/// Yields until a condition holds that another thread brings about.
///
/// # Panics
/// When it does not hold within [`GUARD`].
#[track_caller]
pub fn wait_for(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < GUARD, "the condition did not hold within the time limit");
        thread::yield_now();
    }
}

/// Starts a call that waits, and returns when it most likely waits. A test must not rely on that,
/// because a wait cannot be observed from outside.
pub fn waits<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let (sender, begun) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let _ = sender.send(());
        body()
    });
    let _ = begun.recv_timeout(GUARD);
    // On a busy machine, each yield takes as long as the other threads run.
    let yielding = Instant::now();
    (0..2000).take_while(|_| yielding.elapsed() < Duration::from_secs(1)).for_each(|_| thread::yield_now());
    waiting
}

/// Runs a call on a separate thread, and fails instead of hanging.
///
/// # Panics
/// When the call panics, or does not end within [`GUARD`].
#[track_caller]
pub fn ends<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = mpsc::channel();
    let runner = thread::spawn(move || {
        let _ = sender.send(body());
    });
    match result.recv_timeout(GUARD) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the call did not end within the time limit"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match runner.join() {
            Err(payload) => std::panic::resume_unwind(payload),
            Ok(()) => panic!("the thread ended without a result or a panic"),
        },
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future to completion on this thread, and parks while it is pending.
///
/// # Panics
/// When the task is not woken within [`GUARD`].
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, begun) = (pin!(future), Instant::now());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(GUARD);
        // Before the next poll, which might find by itself what the task was not woken for.
        assert!(begun.elapsed() < GUARD, "the task was not woken");
    }
}

/// The number of times that a task was woken.
#[derive(Debug, Default)]
pub struct WakeCount(AtomicUsize);

impl WakeCount {
    /// Returns a counter and a waker that increments it.
    #[must_use]
    pub fn waker() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (count.clone(), Waker::from(count))
    }

    /// Returns the count.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
