//! The settings of a queue.

use super::handler::{FnWork, Handler, HandlerWork, SinkWork, Work};
use super::worker::{Hooks, Worker};
use super::{Abort, FlushDesk, Handle, Queue, Shared};
use crate::error::{BoxError, InvalidConfig, SpawnError};
use crate::inbox::overflow::Overflow;
use crate::inbox::{Inbox, InboxConfig};
use crate::ledger::DropReason;
use crate::report::FlushReport;
use crate::sink::Sink;
use crate::sink::function::Outcome;
use crate::sink::signal::Signal;
use crate::sync::{AtomicU64, Mutex, thread};
use crate::wait::{Deadline, WaitStrategy};
use std::fmt;
use std::sync::Arc;

/// The settings of a [`Queue`].
///
/// | setting | default |
/// |---|---|
/// | [`name`](Self::name) | `"buslane-queue"` |
/// | [`capacity`](Self::capacity) | 1024 events per lane |
/// | [`overflow`](Self::overflow) | [`Overflow::DropNewest`] |
/// | [`wait`](Self::wait) | [`WaitStrategy::nap()`](WaitStrategy::nap) |
/// | [`max_batch`](Self::max_batch) | 1024 events |
/// | [`close_after_panics`](Self::close_after_panics) | never |
/// | [`unbounded`](Self::unbounded), [`on_drop`](Self::on_drop), [`on_error`](Self::on_error) | none |
///
/// # Examples
/// ```
/// use buslane::{Overflow, Queue, WaitStrategy};
/// let queue = Queue::builder()
///     .name("audit")
///     .capacity(256)
///     .overflow(Overflow::Block)
///     .wait(WaitStrategy::SpinPark)
///     .spawn(|line: String| println!("{line}"))?;
/// # drop(queue);
/// # Ok::<(), buslane::SpawnError>(())
/// ```
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct QueueBuilder<E> {
    name: String,
    inbox: InboxConfig<E>,
    max_batch: usize,
    close_after_panics: u32,
    on_error: Option<super::worker::OnError>,
}

impl<E: Send + 'static> QueueBuilder<E> {
    pub(super) fn new() -> Self {
        Self {
            name: String::from("buslane-queue"),
            inbox: InboxConfig {
                capacity: 1024,
                unbounded: false,
                overflow: Overflow::default(),
                wait: WaitStrategy::nap(),
                on_drop: None,
            },
            max_batch: 1024,
            close_after_panics: u32::MAX,
            on_error: None,
        }
    }

    /// The name of the worker thread.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many events each lane holds: exactly so many, per publisher.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.inbox.capacity = capacity;
        self
    }

    /// What happens to an event for which there is no room.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.inbox.overflow = overflow;
        self
    }

    /// Removes the bound: the queue grows as long as memory lasts, and a publish may allocate.
    ///
    /// Nothing overflows then, and all publishers share one lane. An event that is published while the queue is closing
    /// may be accepted and given up; it is counted as `aborted`.
    pub fn unbounded(mut self) -> Self {
        self.inbox.unbounded = true;
        self
    }

    /// How the worker waits for events.
    pub fn wait(mut self, wait: WaitStrategy) -> Self {
        self.inbox.wait = wait;
        self
    }

    /// The most events that are handled before the handler is told of the end of a batch.
    pub fn max_batch(mut self, events: usize) -> Self {
        self.max_batch = events;
        self
    }

    /// Closes the queue after so many panics of the handler in a row; 0 counts as 1.
    pub fn close_after_panics(mut self, panics: u32) -> Self {
        self.close_after_panics = panics.max(1);
        self
    }

    /// Is called with each event that was accepted and is dropped, on the thread that drops it: the publisher's for
    /// [`DropReason::Full`] and [`DropReason::Evicted`], the worker's for the others. Its panics are ignored.
    pub fn on_drop(mut self, hook: impl Fn(E, DropReason) + Send + Sync + 'static) -> Self {
        self.inbox.on_drop = Some(Box::new(hook));
        self
    }

    /// Is called with each error of the handler, and with the text of each of its panics, on the worker's thread. Its
    /// own panics are ignored.
    pub fn on_error(mut self, hook: impl Fn(&BoxError) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Box::new(hook));
        self
    }

    /// Starts the queue in front of a closure that returns nothing or a result.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting cannot be, or the system gives no thread.
    pub fn spawn<R: Outcome + 'static>(
        self,
        function: impl FnMut(E) -> R + Send + 'static,
    ) -> Result<Queue<E>, SpawnError> {
        self.start(FnWork::new(function), None)
    }

    /// Starts the queue in front of a handler.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting cannot be, or the system gives no thread.
    pub fn spawn_handler(self, handler: impl Handler<E>) -> Result<Queue<E>, SpawnError> {
        self.start(HandlerWork(handler), None)
    }

    /// Starts the queue in front of a sink. When that sink reports that it is closed, the queue closes.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting cannot be, or the system gives no thread.
    pub fn spawn_sink(self, inner: impl Sink<E> + 'static) -> Result<Queue<E>, SpawnError> {
        let inner = Arc::new(inner);
        // Weak, so that the sink is dropped by the worker when that ends, and not with the last handle.
        let behind = Arc::downgrade(&inner);
        let abort = move || {
            if let Some(inner) = behind.upgrade() {
                inner.signal(&mut Signal::Abort);
            }
        };
        self.start(SinkWork(inner), Some(Box::new(abort)))
    }

    fn start(self, work: impl Work<E>, abort: Option<Abort>) -> Result<Queue<E>, SpawnError> {
        if self.max_batch == 0 {
            return Err(InvalidConfig::ZeroBatch.into());
        }
        if self.name.contains('\0') {
            return Err(InvalidConfig::NulInName.into());
        }
        let (inbox, reader) = Inbox::new(self.inbox)?;
        let shared = Arc::new(Shared {
            inbox,
            flushes: FlushDesk {
                asked: AtomicU64::new(0),
                answered: AtomicU64::new(0),
                deadline: Mutex::new(Deadline::NEVER),
                outcome: Mutex::new(FlushReport::default()),
            },
            // Where nobody closes it, but its last handle goes.
            close_deadline: Mutex::new(None),
            report: Mutex::new(None),
            abort,
        });
        let hooks = Hooks {
            max_batch: self.max_batch,
            close_after_panics: self.close_after_panics,
            on_error: self.on_error,
        };
        let worker = Worker::new(shared.clone(), reader, work, hooks);
        thread::spawn_named(self.name, move || worker.run()).map_err(SpawnError::Thread)?;
        Ok(Queue(Arc::new(Handle(shared))))
    }
}

impl<E> fmt::Debug for QueueBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder")
            .field("name", &self.name)
            .field("capacity", &self.inbox.capacity)
            .field("overflow", &self.inbox.overflow)
            .field("wait", &self.inbox.wait)
            .finish_non_exhaustive()
    }
}
