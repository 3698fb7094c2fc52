//! What the integration tests share: values that record their drop, ways into a sink, and the check of the books.

pub(crate) mod limit;

use buslane::sink::Patience;
use buslane::sink::lane::{Lane, Lanes};
use buslane::stats::{Ledger, SinkState};
use buslane::{Queue, Sink, WriteError};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen before it fails instead of hanging.
pub(crate) const GUARD: Duration = limit::scaled(Duration::from_secs(30));

/// Locks a mutex that a failed test may have poisoned.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers which of its [`Tracked`] values were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<Mutex<Vec<u64>>>);

impl Drops {
    /// A value that tells this list of its drop.
    pub(crate) fn track(&self, id: u64) -> Tracked {
        Tracked { id, drops: self.clone() }
    }

    /// The ids of the dropped values, sorted; one that was dropped twice stands twice.
    pub(crate) fn ids(&self) -> Vec<u64> {
        let mut ids = lock(&self.0).clone();
        ids.sort_unstable();
        ids
    }
}

/// A value that records its drop.
pub(crate) struct Tracked {
    pub(crate) id: u64,
    drops: Drops,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        lock(&self.drops.0).push(self.id);
    }
}

/// A list that hooks and handlers write to.
#[derive(Clone)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Log<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn push(&self, entry: T) {
        lock(&self.0).push(entry);
    }

    pub(crate) fn entries(&self) -> Vec<T> {
        lock(&self.0).clone()
    }
}

/// The two ways into a queue or channel.
pub(crate) const WAYS: [Way; 2] = [Way::Private, Way::Shared];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Private,
    Shared,
}

/// One of the two ways, ready to be written to.
pub(crate) enum Entry<E> {
    Private(Lane<E>),
    Shared(Box<dyn Sink<E>>),
}

impl<E: Send + 'static> Entry<E> {
    pub(crate) fn into(sink: &(impl Sink<E> + Clone + 'static), way: Way) -> Self {
        match way {
            Way::Private => Self::Private(lane(sink)),
            Way::Shared => Self::Shared(Box::new(sink.clone())),
        }
    }

    pub(crate) fn write(&mut self, event: E) -> Result<(), WriteError<E>> {
        match self {
            Self::Private(lane) => lane.push(event, Patience::Wait),
            Self::Shared(sink) => sink.write(event),
        }
    }
}

/// A sink by one of the two ways, kept to be described afterwards.
pub(crate) fn entry<E: Send + 'static>(sink: &Arc<impl Sink<E> + 'static>, way: Way) -> Entry<E> {
    Entry::into(sink, way)
}

/// A private lane into a sink that has them.
#[track_caller]
pub(crate) fn lane<E: Send + 'static>(sink: &impl Sink<E>) -> Lane<E> {
    sink.lane().expect("the lane's memory").expect("a sink with lanes")
}

/// What a write or push came to, without the source of a failure, so that it can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome<E> {
    Accepted,
    Full(E),
    Closed(E),
    Timeout(E),
    Failed(E),
    Other,
}

pub(crate) fn outcome<E>(result: Result<(), WriteError<E>>) -> Outcome<E> {
    match result {
        Ok(()) => Outcome::Accepted,
        Err(WriteError::Full(event)) => Outcome::Full(event),
        Err(WriteError::Closed(event)) => Outcome::Closed(event),
        Err(WriteError::Timeout(event)) => Outcome::Timeout(event),
        Err(WriteError::Failed { event, .. }) => Outcome::Failed(event),
        Err(_) => Outcome::Other,
    }
}

/// Checks both equations of the ledger, and returns it.
#[track_caller]
pub(crate) fn assert_balanced(state: &SinkState) -> Ledger {
    if let Err(imbalance) = state.ledger.check() {
        panic!("{imbalance}");
    }
    state.ledger
}

/// What a sink reports about itself.
pub(crate) fn describe<E>(sink: &impl Sink<E>) -> SinkState {
    let mut state = SinkState::default();
    sink.describe(&mut state);
    state
}

/// Flushes a queue that must be able to handle everything.
#[track_caller]
pub(crate) fn flush<E: Send + 'static>(queue: &Queue<E>) {
    let report = queue.flush_timeout(GUARD);
    assert!(report.is_done(), "{report}");
}

/// Yields until a condition holds that another thread brings about.
#[track_caller]
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < GUARD, "what must happen did not");
        thread::yield_now();
    }
}

/// Starts something that will have to wait, and returns when it has most likely come so far. What a test shows must not
/// rest on that: a wait cannot be seen from outside.
pub(crate) fn waits<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let (sender, begun) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let _ = sender.send(());
        body()
    });
    let _ = begun.recv_timeout(GUARD);
    // On a busy machine each of these takes as long as others have time for.
    let yielding = Instant::now();
    (0..2000).take_while(|_| yielding.elapsed() < Duration::from_secs(1)).for_each(|_| thread::yield_now());
    waiting
}

/// Runs something that a defect could make hang, on a thread of its own, and fails instead of hanging.
#[track_caller]
pub(crate) fn ends<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = mpsc::channel();
    let runner = thread::spawn(move || {
        let _ = sender.send(body());
    });
    match result.recv_timeout(GUARD) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match runner.join() {
            Err(payload) => std::panic::resume_unwind(payload),
            Ok(()) => panic!("a runner that neither sent nor panicked"),
        },
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A whole executor: polls a future on this thread, and parks while it is pending.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, begun) = (pin!(future), Instant::now());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(begun.elapsed() < GUARD, "the task was not woken");
        thread::park_timeout(GUARD);
    }
}

/// Counts how often a task is woken.
#[derive(Default)]
pub(crate) struct WakeCount(AtomicUsize);

impl WakeCount {
    pub(crate) fn waker() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (count.clone(), Waker::from(count))
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
