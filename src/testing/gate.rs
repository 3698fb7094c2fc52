//! A gate that threads pass only when a test lets them.

use super::{GUARD, lock};
use crate::error::WriteError;
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{CloseReport, Counters, Disposition, EntryOutcome, SinkState};
use crate::sync::{AtomicBool, Ordering};
use crate::time::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A gate that threads pass only with a permit from a test, or once it is open.
///
/// A permit lets one thread pass, and an open gate all of them. Clones are the same gate.
///
/// Call [`pass`](Self::pass) in a handler, or put the gate upstream of a sink with
/// [`before`](Self::before).
///
/// # Examples
/// A queue is full while its worker waits at the gate:
/// ```
/// use buslane::testing::{Collect, Gate};
/// use buslane::{Overflow, Queue, Sink};
/// let (gate, seen) = (Gate::closed(), Collect::new());
/// let queue = Queue::builder().capacity(1).overflow(Overflow::Refuse).spawn_sink(gate.before(seen.clone()))?;
/// queue.write("handled by the worker")?;
/// gate.wait_reached(1);
/// queue.write("waits")?;
/// assert!(queue.write("no room").is_err());
/// gate.open();
/// seen.wait_for(2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Gate(Arc<GateCore>);

struct GateCore {
    state: Mutex<GateState>,
    /// Where both sides wait for a change of the state. Nothing here allocates, so that tests may
    /// count allocations.
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct GateState {
    reached: usize,
    waiting: usize,
    permits: usize,
    open: bool,
}

impl Gate {
    /// Returns a closed gate without permits.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, testing::Gate};
    /// let gate = Gate::closed();
    /// let at = gate.clone();
    /// let queue = Queue::builder().spawn(move |_: u32| at.pass())?;
    /// queue.write(1)?;
    /// assert_eq!(queue.state().ledger.delivered, 0); // the worker waits at the gate, or will
    /// gate.open();
    /// assert!(queue.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(GateCore { state: Mutex::new(GateState::default()), changed: Condvar::new() }))
    }

    /// Waits for a permit and uses it up.
    ///
    /// # Panics
    /// If there is no permit within half a minute.
    ///
    /// # Examples
    /// ```
    /// use buslane::testing::Gate;
    /// let gate = Gate::closed();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| gate.pass());
    ///     gate.wait_reached(1);
    ///     gate.permit(1);
    /// });
    /// assert_eq!((gate.reached(), gate.waiting()), (1, 0));
    /// ```
    #[track_caller]
    pub fn pass(&self) {
        self.pass_unless(|| false);
    }

    /// Like [`pass`](Self::pass), but gives up once a check finds that `given_up` is true. Returns
    /// `true` if the thread passed.
    #[track_caller]
    fn pass_unless(&self, given_up: impl Fn() -> bool) -> bool {
        self.change(|state| {
            state.reached += 1;
            state.waiting += 1;
        });
        let (mut state, ended) = self.wait(|state| state.open || state.permits > 0 || given_up());
        let passes = state.open || state.permits > 0;
        if passes && !state.open {
            state.permits -= 1;
        }
        state.waiting -= 1;
        drop(state);
        assert!(ended, "no permit at the gate within {GUARD:?}: call `permit` or `open`");
        passes
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut lock(&self.0.state));
        self.0.changed.notify_all();
    }

    /// Waits until the condition holds, and returns whether it does.
    fn wait(&self, done: impl Fn(&GateState) -> bool) -> (MutexGuard<'_, GateState>, bool) {
        let state = lock(&self.0.state);
        let (state, timeout) = self
            .0
            .changed
            .wait_timeout_while(state, GUARD, |state| !done(state))
            .unwrap_or_else(PoisonError::into_inner);
        (state, !timeout.timed_out())
    }

    /// Adds permits, so that `count` more threads pass.
    ///
    /// # Examples
    /// ```
    /// let gate = buslane::testing::Gate::closed();
    /// gate.permit(2);
    /// gate.pass();
    /// gate.pass(); // a third call would wait
    /// ```
    pub fn permit(&self, count: usize) {
        self.change(|state| state.permits += count);
    }

    /// Lets every thread pass from now on.
    ///
    /// # Examples
    /// ```
    /// let gate = buslane::testing::Gate::closed();
    /// gate.open();
    /// (0..100).for_each(|_| gate.pass());
    /// assert_eq!(gate.reached(), 100);
    /// ```
    pub fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Returns how many threads have reached the gate, including those that passed.
    ///
    /// # Examples
    /// ```
    /// let gate = buslane::testing::Gate::closed();
    /// gate.permit(2);
    /// gate.pass();
    /// gate.pass();
    /// assert_eq!(gate.reached(), 2);
    /// ```
    #[must_use]
    pub fn reached(&self) -> usize {
        lock(&self.0.state).reached
    }

    /// Returns how many threads wait at the gate now.
    ///
    /// # Examples
    /// ```
    /// let gate = buslane::testing::Gate::closed();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| gate.pass());
    ///     gate.wait_reached(1);
    ///     assert_eq!(gate.waiting(), 1);
    ///     gate.open();
    /// });
    /// assert_eq!(gate.waiting(), 0);
    /// ```
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.0.state).waiting
    }

    /// Waits, in real time, until `count` threads have reached the gate, including those that
    /// passed.
    ///
    /// # Panics
    /// If that does not happen within half a minute.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, testing::Gate};
    /// let gate = Gate::closed();
    /// let at = gate.clone();
    /// let queue = Queue::builder().spawn(move |_: u32| at.pass())?;
    /// queue.write(1)?;
    /// gate.wait_reached(1); // the worker has the event
    /// assert_eq!(queue.state().ledger.delivered, 0);
    /// gate.open();
    /// assert!(queue.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn wait_reached(&self, count: usize) {
        let (state, came) = self.wait(|state| state.reached >= count);
        let reached = state.reached;
        drop(state);
        assert!(came, "{reached} threads reached the gate within {GUARD:?}, and the test waits for {count}");
    }

    /// Puts the gate upstream of a sink: each write passes the gate first.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, testing::{Collect, Gate}};
    /// let (gate, seen) = (Gate::closed(), Collect::new());
    /// let sink = gate.before(seen.clone());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| sink.write("event"));
    ///     gate.wait_reached(1);
    ///     assert!(seen.is_empty());
    ///     gate.open();
    /// });
    /// assert_eq!(seen.events(), ["event"]);
    /// ```
    pub fn before<E, S: Sink<E>>(&self, inner: S) -> Gated<E, S> {
        let shared = GatedCore { closed: AtomicBool::new(false), counters: Counters::new() };
        Gated { gate: self.clone(), inner, shared: Arc::new(shared), events: PhantomData }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The state is copied, so that the lock is free when `f` calls its writer, which is user
        // code.
        let state = *lock(&self.0.state);
        f.debug_tuple("Gate").field(&state).finish()
    }
}

/// A sink downstream of a [`Gate`]; made by [`Gate::before`].
///
/// A close or an abort ends the waits: events that wait at the gate come back as
/// [`WriteError::Closed`]. The sink has no lanes. A [`timeout`](crate::SinkExt::timeout) upstream
/// does not end the waits, because a gated sink stands in for a sink outside this crate.
///
/// # Examples
/// ```
/// use buslane::Sink;
/// use buslane::testing::Gate;
/// use buslane::time::Deadline;
/// let gate = Gate::closed();
/// let sink = gate.before(buslane::noop());
/// std::thread::scope(|scope| {
///     let writing = scope.spawn(|| sink.write("event"));
///     gate.wait_reached(1);
///     let _ = sink.close_by(Deadline::NOW);
///     assert!(writing.join().unwrap().is_err_and(|error| error.is_closed()));
/// });
/// ```
#[must_use = "a gated sink does nothing until it is written to or added to a bus"]
pub struct Gated<E, S> {
    gate: Gate,
    inner: S,
    shared: Arc<GatedCore>,
    events: PhantomData<fn(E)>,
}

struct GatedCore {
    closed: AtomicBool,
    counters: Counters,
}

impl<E, S> Gated<E, S> {
    fn is_closed(&self) -> bool {
        // ORD(gated.closed): Acquire; pairs with the Release in `end_waits`.
        self.shared.closed.load(Ordering::Acquire)
    }

    fn end_waits(&self) {
        // ORD(gated.closed): Release; pairs with the Acquire in `is_closed`.
        self.shared.closed.store(true, Ordering::Release);
        // Under the lock, so that no thread parks between its check and the notification.
        self.gate.change(|_| {});
    }
}

impl<E, S: Sink<E>> Sink<E> for Gated<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        if !self.is_closed() && self.gate.pass_unless(|| self.is_closed()) {
            return self.inner.offer(event);
        }
        let counters = self.shared.counters.shared();
        counters.offered(1);
        counters.count(EntryOutcome::RefusedClosed, 1);
        Err(WriteError::Closed(event))
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.end_waits();
        self.inner.close_by(deadline)
    }

    fn abort_now(&self) {
        self.end_waits();
        self.inner.abort_now();
    }

    fn reports_closed(&self) -> bool {
        self.inner.reports_closed() || self.is_closed()
    }

    fn describe(&self, state: &mut SinkState) {
        self.inner.describe(state);
        self.shared.counters.add_to(&mut state.ledger);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.shared))
    }
}

impl<E, S: fmt::Debug> fmt::Debug for Gated<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gated").field("gate", &self.gate).field("inner", &self.inner).finish_non_exhaustive()
    }
}
