//! The settings of a queue.

use super::partition::{KeyHash, key_hash};
use super::worker::OnError;
use crate::error::BoxError;
use crate::mailbox::overflow::Overflow;
use crate::mailbox::{MailboxConfig, quiet_hook};
use crate::stats::DropReason;
use crate::wait::WaitStrategy;
use crate::wait::context::Quiet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// The settings of a [`Queue`](crate::Queue). [`docs::defaults`](crate::docs::defaults) lists the
/// defaults of the whole crate.
///
/// | setting | default |
/// |---|---|
/// | [`workers`](Self::workers) | 1 |
/// | [`name`](Self::name) | `"buslane-queue"` |
/// | [`capacity`](Self::capacity) | 1024 events per lane |
/// | [`overflow`](Self::overflow) | [`Overflow::DropNewest`] |
/// | [`wait_strategy`](Self::wait_strategy) | [`WaitStrategy::nap()`](WaitStrategy::nap) |
/// | [`max_batch`](Self::max_batch) | 1024 events |
/// | [`close_after_panics`](Self::close_after_panics) | never |
/// | [`ordered_by`](Self::ordered_by), [`unbounded`](Self::unbounded), [`on_drop`](Self::on_drop), [`on_error`](Self::on_error) | none |
///
/// # Examples
/// ```
/// use buslane::{Overflow, Queue, WaitStrategy};
/// let queue = Queue::builder()
///     .name("audit")
///     .capacity(256)
///     .overflow(Overflow::Block)
///     .wait_strategy(WaitStrategy::SpinPark)
///     .spawn(|line: String| println!("{line}"))?;
/// # drop(queue);
/// # Ok::<(), buslane::error::SpawnError>(())
/// ```
// Not `Clone`: the hooks and the key are user's functions, and a crew and scales belong to one
// queue.
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct QueueBuilder<E> {
    pub(super) name: String,
    pub(super) mailbox: MailboxConfig<E>,
    pub(super) workers: usize,
    pub(super) key: Option<KeyHash<E>>,
    pub(super) max_batch: usize,
    pub(super) close_after_panics: u32,
    pub(super) on_error: Option<OnError>,
}

impl<E: Send + 'static> QueueBuilder<E> {
    pub(super) fn new() -> Self {
        Self {
            name: String::from("buslane-queue"),
            mailbox: MailboxConfig::new(WaitStrategy::nap()),
            workers: 1,
            key: None,
            max_batch: 1024,
            close_after_panics: u32::MAX,
            on_error: None,
        }
    }

    /// Sets the name of the worker thread (several workers: the name, a hyphen and the worker's
    /// number, from 0).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// let (sender, names) = std::sync::mpsc::channel();
    /// let name = || std::thread::current().name().map(str::to_owned);
    /// let queue = Queue::builder().name("audit").spawn(move |_: u32| sender.send(name()))?;
    /// queue.write(1)?;
    /// assert_eq!(names.recv()?.as_deref(), Some("audit"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the capacity of each publisher's lane in events (several [`workers`](Self::workers)
    /// without a key: of the whole queue).
    ///
    /// The bound is exact. [How to choose it](crate::docs::defaults#how-to-choose-a-capacity).
    ///
    /// # Examples
    /// The event that the worker is handling counts:
    /// ```
    /// use buslane::{Bus, Overflow, Queue};
    /// let (gate, held) = std::sync::mpsc::channel::<()>();
    /// let queue = Queue::builder().capacity(2).overflow(Overflow::Refuse).spawn(move |_: u32| drop(held.recv()))?;
    /// let bus = Bus::new();
    /// bus.add(queue)?;
    /// let mut publisher = bus.publisher();
    /// let mut accepted = 0;
    /// for n in 0..10 {
    ///     accepted += publisher.publish(n)?.accepted;
    /// }
    /// assert_eq!(accepted, 2);
    /// # drop(gate);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.mailbox.capacity = capacity;
        self
    }

    /// Sets what happens to an event for which there is no room.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Overflow, Queue, Sink, WriteError};
    /// let (gate, held) = std::sync::mpsc::channel::<()>();
    /// let queue = Queue::builder().capacity(8).overflow(Overflow::Refuse).spawn(move |_: u32| drop(held.recv()))?;
    /// let refused = (0..).find_map(|n| queue.write(n).err());
    /// assert!(matches!(refused, Some(WriteError::Full(_))));
    /// # drop(gate);
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.mailbox.overflow = overflow;
        self
    }

    /// Removes the bound: the queue grows until memory is exhausted, and a publish may allocate.
    ///
    /// No event overflows, and all publishers share one lane. An event that is published while the
    /// queue is closing may be accepted and then discarded; it is counted as `aborted`.
    ///
    /// One publish in 32 allocates a block for later events. Another publisher that arrives while
    /// that block is being linked waits for a few stores. A worker that reaches an event whose
    /// publisher is still writing it waits for that publisher. Both waits sleep if the other thread
    /// was preempted.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// let (gate, held) = std::sync::mpsc::channel::<()>();
    /// let queue = Queue::builder().unbounded().spawn(move |_: u32| drop(held.recv()))?;
    /// for n in 0..10_000 {
    ///     queue.write(n)?; // nothing is handled yet
    /// }
    /// drop(gate);
    /// assert!(queue.close().is_done());
    /// assert_eq!(queue.state().ledger.delivered, 10_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unbounded(mut self) -> Self {
        self.mailbox.unbounded = true;
        self
    }

    /// Sets how the worker waits for events.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, WaitStrategy};
    /// use std::time::Duration;
    /// let wait = WaitStrategy::Nap { nap: Duration::from_micros(50), park_after: Duration::from_millis(1) };
    /// let queue = Queue::builder().wait_strategy(wait).spawn(|n: u32| println!("{n}"))?;
    /// queue.write(1)?;
    /// assert!(queue.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_strategy(mut self, wait: WaitStrategy) -> Self {
        self.mailbox.wait = wait;
        self
    }

    /// Sets the most events that are handled before the handler's
    /// [`end_of_batch`](crate::queue::Handler::end_of_batch) is called; at least 1.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue, Sink};
    /// use buslane::queue::Handler;
    /// use std::sync::mpsc::{Sender, channel};
    /// struct Sizes(usize, Sender<usize>);
    /// impl Handler<u32> for Sizes {
    ///     fn handle(&mut self, _event: u32) -> Result<(), BoxError> {
    ///         self.0 += 1;
    ///         Ok(())
    ///     }
    ///     fn end_of_batch(&mut self) -> Result<(), BoxError> {
    ///         Ok(self.1.send(std::mem::take(&mut self.0))?)
    ///     }
    /// }
    /// let (sender, sizes) = channel();
    /// let queue = Queue::builder().max_batch(2).spawn_handler(Sizes(0, sender))?;
    /// for n in 0..5 {
    ///     queue.write(n)?;
    /// }
    /// assert!(queue.close().is_done());
    /// let sizes: Vec<usize> = sizes.iter().collect();
    /// assert!(sizes.iter().sum::<usize>() == 5 && sizes.iter().all(|events| *events <= 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_batch(mut self, events: usize) -> Self {
        self.max_batch = events;
        self
    }

    /// Closes the queue after `panics` panics of the handler in a row; 0 counts as 1.
    ///
    /// Each of several workers counts its own panics; the first that reaches the number closes the
    /// whole queue.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// let queue = Queue::builder().close_after_panics(1).spawn(|n: u32| assert_ne!(n, 13))?;
    /// queue.write(13)?;
    /// while queue.write(1).is_ok() {
    ///     std::thread::yield_now(); // until the worker has reached the 13
    /// }
    /// assert!(queue.close().is_done());
    /// assert_eq!(queue.state().ledger.dropped.panicked, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_after_panics(mut self, panics: u32) -> Self {
        self.close_after_panics = panics.max(1);
        self
    }

    /// Sets a hook that is called with each event that was accepted and then dropped.
    ///
    /// The hook runs on the thread that drops the event: the publisher's for [`DropReason::Full`]
    /// and [`DropReason::Evicted`], the worker's for the other reasons. Its panics are ignored.
    /// After a panic, and after an error of a closure or handler, the event no longer exists: only
    /// [`on_error`](Self::on_error) is called. An event that a failed sink returns is passed to
    /// this hook, too.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// use buslane::stats::DropReason;
    /// use std::sync::mpsc::channel;
    /// let (sender, dropped) = channel();
    /// let (gate, held) = channel::<()>();
    /// let queue = Queue::builder()
    ///     .capacity(1)
    ///     .on_drop(move |n: u32, reason| drop(sender.send((n, reason))))
    ///     .spawn(move |_: u32| drop(held.recv()))?;
    /// for n in 0..10 {
    ///     queue.write(n)?;
    /// }
    /// assert!(dropped.try_iter().filter(|(_, reason)| *reason == DropReason::Full).count() >= 8);
    /// # drop(gate);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_drop(mut self, hook: impl Fn(E, DropReason) + Send + Sync + 'static) -> Self {
        self.mailbox.on_drop = Some(quiet_hook(hook));
        self
    }

    /// Sets a hook that is called with each error of the handler, and with the text of each of its
    /// panics.
    ///
    /// The hook runs on the worker's thread; several workers may call it at the same time. Its own
    /// panics are ignored.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// let (sender, errors) = std::sync::mpsc::channel();
    /// let queue = Queue::builder()
    ///     .on_error(move |error| drop(sender.send(error.to_string())))
    ///     .spawn(|n: u32| if n > 1 { Err("too much") } else { Ok(()) })?;
    /// queue.write(2)?;
    /// assert_eq!(errors.recv()?, "too much");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_error(mut self, hook: impl Fn(&BoxError) + Send + Sync + 'static) -> Self {
        // The last owner may be a thread that drops other user code as well.
        let hook = Quiet::new(hook);
        self.on_error = Some(Arc::new(move |error| (*hook)(error)));
        self
    }

    /// Sets the number of worker threads, from 1 to 1024.
    ///
    /// Several workers need a handler each ([`spawn_each`](Self::spawn_each),
    /// [`spawn_each_handler`](Self::spawn_each_handler)), a sink each
    /// ([`spawn_each_sink`](Self::spawn_each_sink)) or one sink for all
    /// ([`spawn_sink`](Self::spawn_sink)).
    ///
    /// Each event goes to one worker, the first that is free. **No order is kept** unless the queue
    /// is [`ordered_by`](Self::ordered_by) a key. Without a key, all publishers share one ring:
    /// [`capacity`](Self::capacity) is that of the whole queue, and a publish costs a
    /// compare-and-swap.
    ///
    /// Each worker waits by itself as [`wait_strategy`](Self::wait_strategy) sets, and an event
    /// wakes one parked worker, not all. Under `Park` and `SpinPark`, a worker is parked most of
    /// the time, so most events wake one. Under `Nap`, each worker parks, and so has to be woken,
    /// at most once per `park_after`. `BusySpin` occupies a processor for each worker.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, sink_fn};
    /// let queue = Queue::builder().workers(2).spawn_sink(sink_fn(|n: &u32| println!("{n}")))?;
    /// for n in 0..10 {
    ///     queue.write(n)?;
    /// }
    /// assert!(queue.close().is_done());
    /// assert_eq!(queue.state().ledger.delivered, 10);
    /// // One closure cannot serve two workers.
    /// assert!(Queue::builder().workers(2).spawn(|n: u32| println!("{n}")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Keeps the order of the events of each key: one worker gets all of them, in the order in
    /// which they were published.
    ///
    /// Each worker then has its own mailbox, and every publisher has a private ring into each
    /// mailbox, so `capacity` is per publisher *and* worker. The publishing thread computes and
    /// hashes the key of every event. `key` has to copy what it would borrow from the event, so a
    /// number is cheaper than a text.
    ///
    /// A worker that is busy with one key delays the other keys that map to it, even while other
    /// workers are idle. One key that makes up most of the flow keeps one worker busy. If `key`
    /// panics, the event counts as dropped (`panicked`), and the queue continues.
    ///
    /// The mapping of keys to workers differs from queue to queue.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// struct Order { customer: u32, line: u32 }
    /// let queue = Queue::builder()
    ///     .workers(4)
    ///     .ordered_by(|order: &Order| order.customer)
    ///     .spawn_each(|_worker| {
    ///         let mut seen = std::collections::HashMap::new();
    ///         move |order: Order| {
    ///             let last = seen.insert(order.customer, order.line);
    ///             assert!(last.is_none_or(|last| last < order.line));
    ///         }
    ///     })?;
    /// for line in 0..10 {
    ///     queue.write(Order { customer: line % 3, line })?;
    /// }
    /// assert!(queue.close().is_done());
    /// # assert_eq!(queue.state().ledger.delivered, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ordered_by<K: Hash>(mut self, key: impl Fn(&E) -> K + Send + Sync + 'static) -> Self {
        self.key = Some(key_hash(key));
        self
    }
}

impl<E: Send + 'static> Default for QueueBuilder<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for QueueBuilder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder")
            .field("name", &self.name)
            .field("capacity", &self.mailbox.capacity)
            .field("overflow", &self.mailbox.overflow)
            .field("wait", &self.mailbox.wait)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
