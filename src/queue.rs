//! Queues: a bounded buffer and one or more worker threads, upstream of a closure, a handler or a
//! sink.
//!
//! | item | what it is |
//! |---|---|
//! | [`Queue`], [`QueueBuilder`] | the queue, which is a [`Sink`], and its settings |
//! | [`Handler`] | a handler that sees the end of a batch, ticks, flushes and its own close |
//!
//! # Examples
//! ```
//! use buslane::{Bus, Overflow, Queue};
//! let audit = Queue::builder().capacity(4096).overflow(Overflow::Block).spawn(|line: String| println!("{line}"))?;
//! let bus = Bus::new();
//! bus.add_named("audit", audit)?;
//! bus.publish("login".to_owned())?;
//! assert!(bus.close().is_done()); // drains the queue
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod control;
mod flush;
pub(crate) mod handler;
mod partition;
mod spawn;
mod tasks;
mod worker;

pub use builder::QueueBuilder;
pub use handler::Handler;

use crate::deadline::CLOSE_LIMIT;
use crate::error::{OutOfMemory, WriteError};
use crate::mailbox::shared_push::SharedPush;
use crate::mailbox::{End, Mailbox};
use crate::sink::control::Control;
use crate::sink::lane::{Internal, Lane, SharedAccess};
use crate::sink::{Sink, SinkKey};
use crate::stats::{
    CloseReport, CountingStage, Disposition, Downstream, Finish, FlushReport, Identity, Ledger, Ledgers,
    SinkKind, SinkState, SinkStatus, Weight,
};
use crate::sync::{self, Mutex, lock};
use crate::time::Deadline;
use crate::wait::context::{HandleDrop, Purpose, Visit, Wait, may_wait_to_drop, must_not_wait, quietly};
use crate::wait::list::{Waiter, Want};
use flush::FlushRequests;
use handler::InnerLedgers;
use partition::Route;
use std::any::TypeId;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A bounded buffer with one or more worker threads that call a closure, a [`Handler`] or a sink.
///
/// A queue separates a hot path from work that takes time. A publisher only writes its event into
/// its private SPSC ring; the worker takes the event out and calls the handler. Cloning makes
/// another handle to the same queue.
///
/// # Guarantees
/// - **Progress**: a publish through a private lane is wait-free (with
///   [`Overflow::DropOldest`](crate::Overflow::DropOldest) lock-free; with
///   [`Overflow::Block`](crate::Overflow::Block) it waits for room). A handler that is slow or
///   never returns affects only its own queue.
/// - **Order**: first in, first out for each publisher. No order between publishers.
/// - **Delivery**: `Ok` means that the event is handled once, or counted in the [`Ledger`] with a
///   reason.
/// - **Threads**: only its worker calls a handler, so the handler may be `FnMut` and need not be
///   `Sync`.
/// - **Panics**: a panic of the handler loses the event that it was handling; the worker continues
///   with the next one.
/// - **Allocation**: a publish allocates nothing, unless the queue is
///   [unbounded](QueueBuilder::unbounded), or full with an overflow policy that blocks. To wait,
///   [`write`](crate::Sink::write) then allocates, and a publisher allocates if 16 others already
///   [wait](crate::docs::memory). The queue allocates `capacity` slots for the shared lane and
///   `capacity` more for each publisher (several workers: see below), rounded up to a power of two.
/// - **Drop**: dropping the last handle closes the queue and waits for at most half a second, also
///   in an [async task](crate::docs::async_code). Inside a delivery and while unwinding, it does
///   not wait. The worker still handles what was accepted.
///
/// # Several workers
/// With [`workers`](QueueBuilder::workers), each event goes to one of several threads. Each thread
/// has its own handler ([`spawn_each`](QueueBuilder::spawn_each),
/// [`spawn_each_handler`](QueueBuilder::spawn_each_handler)) or its own sink
/// ([`spawn_each_sink`](QueueBuilder::spawn_each_sink)), or all of them write to one sink
/// ([`spawn_sink`](QueueBuilder::spawn_sink)). The guarantees above hold, with these exceptions:
/// - **Order**: none, or that of each key with [`ordered_by`](QueueBuilder::ordered_by).
/// - **Progress**: without a key, all publishers share one ring of `capacity` slots. A publish is
///   then lock-free and not wait-free, and a publish that wakes a parked worker takes a short lock.
/// - **Close**: each worker closes its handler once, when no event is left for that worker. The
///   close returns its report when all workers have ended. At the deadline the report names the
///   workers that have not ended (`worker 0`, …), the backlog is discarded, and a worker whose
///   handler never returns is abandoned.
/// - **Flush**: returns when the workers have handled every event accepted before it, and every
///   handler has flushed. A worker that does not return from a *later* event cannot flush its
///   handler, and so delays the flush.
///
/// # Examples
/// ```
/// let (sender, results) = std::sync::mpsc::channel();
/// let queue = buslane::Queue::builder().capacity(64).spawn(move |n: u32| sender.send(n * 2))?;
/// let bus = buslane::Bus::new();
/// bus.add(queue)?;
/// bus.publisher().publish(21)?;
/// assert!(bus.close().is_done());
/// assert_eq!(results.recv()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<E: Send + 'static>(Arc<Handle<E>>);

/// Closes the queue when the last clone of the handle is dropped.
struct Handle<E: Send + 'static>(Arc<QueueCore<E>>);

/// Calls a control of the inner sink, unless the sink was dropped.
type Tell = Box<dyn Fn(&mut dyn FnMut(&dyn Control)) + Send + Sync>;

/// The state that the handles and the workers share.
struct QueueCore<E> {
    /// The workers' mailbox; if each worker has its own, that of the first one.
    mailbox: sync::Arc<Mailbox<E>>,
    /// Selects the worker for an event, if each worker has its own mailbox.
    route: Option<Arc<Route<E>>>,
    /// One for each handler.
    flush_requests: Box<[FlushRequests<E>]>,
    /// The deadline of the close in progress, for the inner sink.
    close_deadline: Mutex<Option<Deadline>>,
    ending: Mutex<WorkersEnd>,
    /// The queue's own report of its end, with the sinks that were told to end and not yet waited
    /// for.
    report: Mutex<Option<CloseReport>>,
    identity: Identity,
    /// Calls the inner sink, unless it was dropped.
    tell: Option<Tell>,
    /// The ledgers of the inner sink, with the number of events that it may have kept.
    inner: Option<InnerLedgers>,
}

/// Which workers have ended, and their reports.
struct WorkersEnd {
    /// For each worker, whether it has not ended.
    working: Vec<bool>,
    /// The merged reports of the workers that have ended.
    report: CloseReport,
}

impl<E: Send + 'static> Queue<E> {
    /// Returns a builder with the default settings.
    ///
    /// # Examples
    /// ```
    /// let queue = buslane::Queue::builder().name("audit").capacity(64).spawn(|n: u32| println!("{n}"))?;
    /// assert_eq!(queue.state().capacity, 64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> QueueBuilder<E> {
        QueueBuilder::new()
    }

    /// Closes the queue to new events, and waits at most five seconds until every accepted event
    /// was handled. See [`close_timeout`](Self::close_timeout).
    ///
    /// Returns a report, because it waits for consumers. Closing a channel or a journal waits for
    /// no consumer, and returns nothing.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an
    /// `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// let queue = Queue::builder().spawn(|n: u32| println!("{n}"))?;
    /// queue.write(1)?;
    /// assert!(queue.close().is_done());
    /// assert_eq!(queue.state().ledger.delivered, 1);
    /// assert!(queue.write(2).is_err_and(|error| error.is_closed()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> CloseReport {
        self.close_timeout(CLOSE_LIMIT)
    }

    /// Closes the queue to new events, and waits until every accepted event was handled or the
    /// limit has passed.
    ///
    /// When the limit passes first, the backlog is discarded: the worker drops it, counted as
    /// `aborted`, as soon as the handler returns. A worker whose handler never returns is
    /// abandoned. Inside a delivery, this call never waits ([`Finish::Pending`]).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an
    /// `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// A worker whose handler does not return in time is abandoned:
    /// ```
    /// use buslane::{Queue, Sink};
    /// use buslane::stats::Finish;
    /// use std::time::Duration;
    /// let (gate, held) = std::sync::mpsc::channel::<()>();
    /// let queue = Queue::builder().spawn(move |_: u32| drop(held.recv()))?;
    /// queue.write(1)?;
    /// assert_eq!(queue.close_timeout(Duration::from_millis(1)).finish, Finish::TimedOut);
    /// # drop(gate);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_timeout(&self, limit: Duration) -> CloseReport {
        control::close(&self.0.0, Deadline::after(limit), Wait::Here)
    }

    /// Waits until every event accepted before this call was handled and the handler has flushed.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an
    /// `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let into = seen.clone();
    /// let queue = Queue::builder().spawn(move |n: u32| into.lock().unwrap().push(n))?;
    /// queue.write(1)?;
    /// queue.write(2)?;
    /// assert!(queue.flush_timeout(Duration::from_secs(60)).is_done());
    /// assert_eq!(*seen.lock().unwrap(), [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_timeout(&self, limit: Duration) -> FlushReport {
        let mut report = FlushReport::default();
        control::flush(&self.0.0, Deadline::after(limit), Wait::Here, &mut report);
        report
    }

    /// Returns the queue's status, settings and counters.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// use buslane::stats::{SinkKind, SinkStatus};
    /// let queue = Queue::builder().spawn(|n: u32| println!("{n}"))?;
    /// queue.write(1)?;
    /// assert!(queue.close().is_done());
    /// let state = queue.state();
    /// assert_eq!((state.kind, state.status, state.ledger.delivered), (SinkKind::Queue, SinkStatus::Drained, 1));
    /// state.ledger.check()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> SinkState {
        let mut state = SinkState::default();
        self.describe(&mut state);
        state
    }
}

impl<E: Send + 'static> QueueCore<E> {
    /// Returns whether this thread must not wait for the workers: it runs user code, or it is a
    /// worker of this queue.
    fn is_inside(&self) -> bool {
        must_not_wait() || self.mailbox.crew.is_here()
    }

    fn mailboxes(&self) -> &[sync::Arc<Mailbox<E>>] {
        self.route.as_ref().map_or(std::slice::from_ref(&self.mailbox), |route| route.mailboxes())
    }

    /// Closes the mailboxes of all workers to new events.
    fn seal(&self) {
        for mailbox in self.mailboxes() {
            mailbox.seal(End::Closed);
        }
    }

    fn is_drained(&self) -> bool {
        self.mailboxes().iter().all(|mailbox| mailbox.is_drained())
    }

    /// Fills in all fields but the kind. Returns the events whose writers learned at once that they
    /// were dropped.
    fn describe(&self, state: &mut SinkState) -> Ledger {
        // In this order: if the inner sink's counters were read second, they could hold more events
        // than the queue is known to have forwarded.
        let deferred = self.inner.as_ref().map(|inner| (inner.decided(), inner.ledgers().deferred()));
        let mut at_once = Ledger::default();
        let details = self.mailbox.describe(state);
        at_once.dropped.full = details.full_at_once;
        let mut passed = details.passed;
        if let Some(route) = &self.route {
            passed += route.describe(state, &mut at_once);
        }
        at_once.accepted = at_once.dropped.total();
        if let (Some(inner), Some((decided, deferred))) = (&self.inner, deferred) {
            state.ledger.follow(passed, inner.kept_at_most(&decided), &deferred, inner.ledgers());
            inner.ledgers().show(state);
        }
        at_once
    }

    /// From now on, counts the events within the batches of this queue, here and in the inner sink.
    fn weigh(&self, weight: &Weight) {
        self.mailbox.scales.add::<E>(weight);
        self.tell(|inner| inner.weigh(weight));
    }

    /// Calls a control of the inner sink; does nothing if the call has reached this queue again
    /// through a cycle.
    fn tell(&self, mut control: impl FnMut(&dyn Control)) {
        if let Some(tell) = &self.tell
            && let Some(_visit) = Visit::begin(std::ptr::from_ref(self).addr(), Purpose::Control)
        {
            quietly(|| tell(&mut control));
        }
    }

    /// Records the report of a worker that has ended. The last worker makes the queue's report.
    fn worker_ended(&self, number: usize, mut report: CloseReport) {
        let whole = {
            let mut ending = lock(&self.ending);
            ending.report.take_told(&mut report);
            ending.working[number] = false;
            let several = ending.working.len() > 1;
            let errors = report.errors.into_iter();
            ending.report.errors.extend(
                errors.map(|text| if several { format!("{}: {text}", worker_name(number)) } else { text }),
            );
            ending.report.finish = ending.report.finish.max(report.finish);
            ending.report.undelivered += report.undelivered;
            ending.report.unfinished.extend(report.unfinished);
            ending.working.iter().all(|working| !working).then(|| ending.report.clone())
        };
        // If all workers share a mailbox, the others may still be draining it.
        if self.route.is_some() || whole.is_some() {
            // Events that an unbounded queue accepted too late are discarded here, before any
            // waiter learns of the end.
            self.mailboxes().get(number).unwrap_or(&self.mailbox).set_drained();
        }
        if let Some(mut whole) = whole {
            whole.undelivered += self.mailboxes().iter().map(|mailbox| mailbox.aborted()).sum::<u64>();
            if self.mailboxes().iter().any(|mailbox| mailbox.is_aborted()) {
                // The closing thread has run out of time, even if this report is made before its
                // own.
                whole.finish = whole.finish.max(Finish::TimedOut);
            }
            lock(&self.report).get_or_insert(whole);
        }
        // Wakes all waiters: each worker that ends brings closes and flushes nearer to their end.
        self.mailbox.signals.blocked.notify();
    }

    /// Discards the backlog, and ends the waits of workers inside the inner sink.
    fn abort(&self) {
        for mailbox in self.mailboxes() {
            mailbox.abort();
        }
        self.tell(|inner| inner.abort_now());
    }
}

impl WorkersEnd {
    /// Returns the names of the workers that have not ended, if there are several.
    fn unfinished(&self) -> Vec<String> {
        let several = self.working.len() > 1;
        let numbers = (0..self.working.len()).filter(|number| several && self.working[*number]);
        numbers.map(worker_name).collect()
    }
}

/// Returns the name of a worker in reports.
fn worker_name(number: usize) -> String {
    format!("worker {number}")
}

/// The disposition of a queue's events, for stages upstream of it.
impl<E: Send + 'static> CountingStage for QueueCore<E> {
    fn deferred(&self) -> Ledger {
        let mut state = SinkState::default();
        let at_once = self.describe(&mut state);
        state.ledger.without(&at_once)
    }

    fn defers_all(&self) -> bool {
        true
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        let downstream = self.inner.as_ref().map_or_else(Downstream::default, |inner| {
            let decided = inner.decided();
            Downstream::read(inner.ledgers(), unit, || inner.kept_at_most(&decided))
        });
        self.mailbox.scales.ended(unit, &downstream)
    }

    fn show(&self, state: &mut SinkState) {
        let mut own = SinkState::default();
        self.describe(&mut own);
        state.add_shown(own);
    }
}

impl<E: Send + 'static> Sink<E> for Queue<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let shared = &*self.0.0;
        match &shared.route {
            None => shared.mailbox.write(event, Deadline::NEVER),
            Some(route) => route.write(event, Deadline::NEVER),
        }
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        control::close(&self.0.0, deadline, Wait::of_this_thread())
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        match &self.0.0.route {
            None => Mailbox::lane(&self.0.0.mailbox).map(Lane::private),
            Some(route) => Route::lane(route),
        }
        .map(Some)
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        true
    }

    fn shared_access(&self, _: Internal) -> Option<SharedAccess<E>> {
        let shared = &*self.0.0;
        shared.route.is_none().then(|| SharedAccess(SharedPush::new(&shared.mailbox)))
    }

    // Names no inner sink: the chain ends here, and the workers call the controls of the downstream
    // sinks.

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        control::flush(&self.0.0, deadline, Wait::of_this_thread(), report);
    }

    fn abort_now(&self) {
        self.0.0.abort();
    }

    fn reports_closed(&self) -> bool {
        self.0.0.mailboxes().iter().any(|mailbox| mailbox.end() != End::Open)
    }

    fn describe(&self, state: &mut SinkState) {
        self.0.0.describe(state);
        state.kind = SinkKind::Queue;
        if state.status == SinkStatus::Drained && !self.0.0.is_drained() {
            state.status = SinkStatus::Closed;
        }
    }

    fn add_ledgers(&self, list: &mut Ledgers, _: Internal) {
        list.push(self.0.0.clone());
    }

    fn weigh(&self, weight: &Weight, _: Internal) {
        self.0.0.weigh(weight);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.0))
    }
}

impl<E: Send + 'static> Clone for Queue<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Send + 'static> fmt::Debug for Queue<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No state: describing it would start to time the backlog.
        let len = self.0.0.mailboxes().iter().map(|mailbox| mailbox.len()).sum::<u64>();
        f.debug_struct("Queue").field("len", &len).finish_non_exhaustive()
    }
}

impl<E: Send + 'static> Drop for Handle<E> {
    fn drop(&mut self) {
        self.0.seal();
        // Unlike a close, a drop discards nothing: the worker continues by itself.
        if !std::thread::panicking() && may_wait_to_drop() && !self.0.mailbox.crew.is_here() {
            let dropping = HandleDrop::begin();
            let drained = || self.0.is_drained().then_some(());
            let waiter = Waiter::wanting(Want::END);
            self.0.mailbox.signals.blocked.wait_as(&waiter, dropping.deadline(), drained);
            // Also waits for the downstream sinks that the inner sink told to end.
            let report = lock(&self.0.report).clone();
            if let Some(report) = report {
                report.await_told(&self.0.identity, dropping.deadline());
            }
        }
    }
}
