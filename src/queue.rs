//! An inbox with one worker thread behind it.

pub(crate) mod builder;
pub(crate) mod handler;
mod worker;

use crate::error::{InvalidConfig, WriteError};
use crate::inbox::{End, Inbox, Patience};
use crate::ledger::{SinkState, SinkStatus};
use crate::panics::quietly;
use crate::report::{CloseReport, Finish, FlushReport};
use crate::sink::lane::Lane;
use crate::sink::signal::Signal;
use crate::sink::{Sink, SinkKey};
use crate::sync::{self, AtomicU64, Mutex, Ordering, lock};
use crate::wait::Deadline;
use crate::wait::deadline::{CLOSE_LIMIT, Dropping};
use crate::wait::nesting::inside_delivery;
use builder::QueueBuilder;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// An inbox with one worker thread behind it, in front of a closure, a [`Handler`](crate::Handler) or a sink.
///
/// This is what stands between a hot path and work that takes time: a publisher only puts its event into a ring of its
/// own; the worker takes it out and calls the handler. Cloning makes another handle to the same queue.
///
/// # Guarantees
/// - **Progress**: a publish through a private lane is wait-free (with [`Overflow::Block`](crate::Overflow::Block) it
///   waits for room). A handler that is slow or never returns concerns nobody but its own queue.
/// - **Order**: first in, first out for each publisher. No order between publishers.
/// - **Delivery**: `Ok` means handled once, or counted in the [`Ledger`](crate::Ledger) with a reason.
/// - **Threads**: the handler is called by the worker only, so it may be `FnMut` and need not be `Sync`.
/// - **Panics**: a panic of the handler costs the event in its hands; the worker goes on with the next one.
/// - **Allocation**: a publish allocates nothing. The queue takes `capacity` slots for the shared lane and `capacity`
///   more for each publisher, rounded up to a power of two.
/// - **Drop**: the last handle's drop closes the queue and waits for at most half a second; inside a delivery, or while
///   unwinding, not at all. The worker still handles what was accepted.
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

/// Closes the queue when the last of them goes.
struct Handle<E: Send + 'static>(Arc<Shared<E>>);

type Abort = Box<dyn Fn() + Send + Sync>;

/// What the handles and the worker share.
struct Shared<E> {
    inbox: sync::Arc<Inbox<E>>,
    flushes: FlushDesk,
    /// The limit of the close that is going on, for the sink behind.
    close_deadline: Mutex<Option<Deadline>>,
    report: Mutex<Option<CloseReport>>,
    /// Makes the sink behind stop waiting.
    abort: Option<Abort>,
}

/// Where flushes hand in their wish to have the handler flushed, and are told that it was.
struct FlushDesk {
    asked: AtomicU64,
    answered: AtomicU64,
    deadline: Mutex<Deadline>,
    /// How far the last flush of the handler came.
    outcome: Mutex<FlushReport>,
}

impl FlushDesk {
    fn is_asked(&self) -> bool {
        // ORD(desk.asked): Acquire; pairs with the Release in `Shared::flush`: the deadline is visible.
        self.asked.load(Ordering::Acquire) != self.answered.load(Ordering::Relaxed)
    }
}

impl<E: Send + 'static> Queue<E> {
    /// A builder with the default settings.
    pub fn builder() -> QueueBuilder<E> {
        QueueBuilder::new()
    }

    /// Closes the queue: takes no more events, and waits until everything accepted was handled, at most for five
    /// seconds. See [`close_timeout`](Self::close_timeout).
    pub fn close(&self) -> CloseReport {
        self.close_timeout(CLOSE_LIMIT)
    }

    /// Closes the queue: takes no more events, and waits until everything accepted was handled.
    ///
    /// When the limit is over first, the backlog is given up: the worker drops it, counted as `aborted`, as soon as the
    /// handler returns; a handler that never does is left behind. Inside a delivery this never waits
    /// ([`Finish::Pending`]).
    pub fn close_timeout(&self, limit: Duration) -> CloseReport {
        self.0.0.close(Deadline::after(limit))
    }

    /// Waits until everything that was accepted before this call was handled, and the handler has flushed.
    pub fn flush_timeout(&self, limit: Duration) -> FlushReport {
        let mut report = FlushReport::default();
        self.0.0.flush(Deadline::after(limit), &mut report);
        report
    }

    /// What the queue says about itself.
    #[must_use]
    pub fn state(&self) -> SinkState {
        let mut state = SinkState::default();
        self.signal(&mut Signal::Describe(&mut state));
        state
    }
}

impl<E: Send + 'static> Shared<E> {
    fn close(&self, deadline: Deadline) -> CloseReport {
        if !inside_delivery() {
            lock(&self.close_deadline).get_or_insert(deadline);
        }
        self.inbox.seal(End::Closed);
        if let Some(report) = &*lock(&self.report) {
            return report.clone();
        }
        if inside_delivery() {
            return CloseReport::pending();
        }
        let waited = self.inbox.signals.blocked.wait_until(deadline, || lock(&self.report).clone());
        waited.unwrap_or_else(|| {
            let mut state = SinkState::default();
            self.inbox.describe(&mut state);
            self.abort();
            // The first report stands, whoever made it.
            lock(&self.report).get_or_insert(CloseReport::timed_out(state.depth)).clone()
        })
    }

    /// Gives the backlog up, and makes a sink that waits in the worker's hands return.
    fn abort(&self) {
        self.inbox.abort();
        if let Some(abort) = &self.abort {
            quietly(abort);
        }
    }

    fn flush(&self, deadline: Deadline, report: &mut FlushReport) {
        if inside_delivery() {
            report.note(Finish::Pending);
            return;
        }
        let handled = self.inbox.wait_handled(deadline) && self.flush_handler(deadline);
        if handled {
            report.absorb(lock(&self.flushes.outcome).clone());
        } else {
            report.note(Finish::TimedOut);
        }
    }

    fn flush_handler(&self, deadline: Deadline) -> bool {
        *lock(&self.flushes.deadline) = deadline;
        // ORD(desk.asked): Release; pairs with the Acquire in `FlushDesk::is_asked`.
        let ticket = self.flushes.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let answered = || {
            self.inbox.signals.cell.wake_now();
            // ORD(desk.answered): Acquire; pairs with the worker's Release.
            (self.flushes.answered.load(Ordering::Acquire) >= ticket || self.inbox.is_finished())
                .then_some(())
        };
        self.inbox.signals.blocked.wait_until(deadline, answered).is_some()
    }
}

impl<E: Send + 'static> Sink<E> for Queue<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.0.0.inbox.write(event, Patience::Wait)
    }

    fn close(&self, deadline: Deadline) -> CloseReport {
        self.0.0.close(deadline)
    }

    fn lane(&self) -> Result<Option<Lane<E>>, InvalidConfig> {
        Inbox::lane(&self.0.0.inbox).map(|lane| Some(Lane::private(lane)))
    }

    fn has_lanes(&self) -> bool {
        true
    }

    fn signal(&self, signal: &mut Signal<'_>) {
        match signal {
            Signal::Abort => self.0.0.abort(),
            Signal::Flush(deadline, report) => self.0.0.flush(*deadline, report),
            Signal::IsClosed(closed) => **closed |= self.0.0.inbox.end() != End::Open,
            Signal::Describe(state) => {
                self.0.0.inbox.describe(state);
                state.kind = "queue";
                if state.status == SinkStatus::Closed && !self.0.0.inbox.is_finished() {
                    state.status = SinkStatus::Closing;
                }
            }
            // The worker makes its own.
            Signal::EndOfBatch | Signal::Tick { .. } => {}
        }
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&*self.0))
    }
}

impl<E: Send + 'static> Clone for Queue<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Send + 'static> fmt::Debug for Queue<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("state", &self.state()).finish()
    }
}

impl<E: Send + 'static> Drop for Handle<E> {
    fn drop(&mut self) {
        self.0.inbox.seal(End::Closed);
        // Unlike a close, a drop gives nothing up: the worker goes on by itself.
        if !std::thread::panicking() && !inside_delivery() {
            let dropping = Dropping::begin();
            let finished = || self.0.inbox.is_finished().then_some(());
            self.0.inbox.signals.blocked.wait_until(dropping.deadline(), finished);
        }
    }
}
