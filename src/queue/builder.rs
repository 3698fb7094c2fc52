//! The settings of a queue.

use super::desk::FlushDesk;
use super::handler::{Behind, FnWork, Handler, HandlerWork, SinkWork, Work, impatiently};
use super::partition::{KeyHash, Route, key_hash};
use super::worker::{Hooks, Worker};
use super::{Ending, Handle, Queue, Shared, Tell};
use crate::error::{BoxError, ConfigError, Invalid, SpawnError};
use crate::mailbox::intake::Intake;
use crate::mailbox::member::Member;
use crate::mailbox::overflow::Overflow;
use crate::mailbox::reader::Reader;
use crate::mailbox::{Mailbox, MailboxConfig, quiet_hook};
use crate::sink::control::{Control, ledgers_of, validated};
use crate::sink::function::Outcome;
use crate::sink::{Inner, Sink};
use crate::stats::{CloseReport, DropReason, Identity, Ledgers};
use crate::sync::{self, Mutex, thread};
use crate::wait::WaitStrategy;
use crate::wait::context::{Crew, Quiet};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Weak};

/// The most workers of one queue.
const MOST_WORKERS: usize = 1024;

/// The settings of a [`Queue`]. [`docs::defaults`](crate::docs::defaults) lists the defaults of the whole crate.
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
#[must_use = "a builder does nothing until `spawn` is called"]
pub struct QueueBuilder<E> {
    name: String,
    mailbox: MailboxConfig<E>,
    workers: usize,
    key: Option<KeyHash<E>>,
    max_batch: usize,
    close_after_panics: u32,
    on_error: Option<super::worker::OnError>,
}

impl<E: Send + 'static> QueueBuilder<E> {
    pub(super) fn new() -> Self {
        Self {
            name: String::from("buslane-queue"),
            mailbox: MailboxConfig {
                capacity: 1024,
                unbounded: false,
                overflow: Overflow::default(),
                wait: WaitStrategy::nap(),
                on_drop: None,
                crew: Crew::new(),
                scales: std::sync::Arc::default(),
            },
            workers: 1,
            key: None,
            max_batch: 1024,
            close_after_panics: u32::MAX,
            on_error: None,
        }
    }

    /// The name of the worker thread; several have their number behind it, from 0.
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

    /// How many events each lane holds: exactly so many, per publisher. With several [`workers`](Self::workers): in all.
    ///
    /// [How to choose it](crate::docs::defaults#how-to-choose-a-capacity).
    ///
    /// # Examples
    /// The event in the worker's hands counts:
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

    /// What happens to an event for which there is no room.
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

    /// Removes the bound: the queue grows as long as memory lasts, and a publish may allocate.
    ///
    /// Nothing overflows then, and all publishers share one lane. An event that is published while the queue is closing
    /// may be accepted and given up; it is counted as `aborted`.
    ///
    /// One publish in 32 allocates a block for the events that follow. Another publisher that arrives while that block is being
    /// linked waits for a few stores; a worker that reaches an event which is still being written waits for that publisher. Both
    /// waits sleep if the other thread has lost its processor.
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

    /// How the worker waits for events.
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

    /// The most events that are handled before the handler is told of the end of a batch; at least 1.
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

    /// Closes the queue after so many panics of the handler in a row; 0 counts as 1. With several workers each counts its
    /// own, and one that has so many closes the whole queue.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// let queue = Queue::builder().close_after_panics(1).spawn(|n: u32| assert_ne!(n, 13))?;
    /// queue.write(13)?;
    /// while queue.write(1).is_ok() {
    ///     std::thread::yield_now(); // until the worker has come to the 13
    /// }
    /// assert!(queue.close().is_done());
    /// assert_eq!(queue.state().ledger.dropped.panicked, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_after_panics(mut self, panics: u32) -> Self {
        self.close_after_panics = panics.max(1);
        self
    }

    /// Is called with each event that was accepted and is dropped, on the thread that drops it: the publisher's for
    /// [`DropReason::Full`] and [`DropReason::Evicted`], the worker's for the others. Its panics are ignored. An event that the
    /// handler failed or panicked with is not there any more: [`on_error`](Self::on_error) is told of that.
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

    /// Is called with each error of the handler, and with the text of each of its panics, on the worker's thread, by several
    /// workers at once. Its own panics are ignored.
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
        // Its last owner may be a thread that drops other user code as well.
        let hook = Quiet::new(hook);
        self.on_error = Some(Arc::new(move |error| (*hook)(error)));
        self
    }

    /// How many threads handle events: 1 to 1024. More than one need a handler each
    /// ([`spawn_each`](Self::spawn_each), [`spawn_each_handler`](Self::spawn_each_handler),
    /// [`spawn_each_sink`](Self::spawn_each_sink)) or one sink for all ([`spawn_sink`](Self::spawn_sink)).
    ///
    /// Each event goes to one worker, whichever is free first, and **no order is kept** unless the queue is
    /// [`ordered_by`](Self::ordered_by) a key. All publishers then share one ring: [`capacity`](Self::capacity) is that of the
    /// whole queue, and a publish costs a compare-and-swap.
    ///
    /// Each worker waits by itself as [`wait_strategy`](Self::wait_strategy) says, and an event wakes one that is parked, not all. Under `Park`
    /// and `SpinPark` a worker is parked most of the time, so most events have one to wake; under `Nap` each worker parks, and
    /// so has to be woken, at most once per `park_after`. `BusySpin` takes a processor for each worker.
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

    /// Keeps the order of the events of each key: they all go to the same worker, in the order in which they were published.
    ///
    /// Each worker then has a mailbox of its own, and every publisher a private ring into each of them, so `capacity` is per
    /// publisher *and* worker. The key is told and hashed on the publishing thread, for every event. What it borrows from the
    /// event it has to copy, so a number is better than a text. A worker that is busy with one key keeps
    /// the other keys waiting that fall to it, also while other workers are idle, and one key that is most of the flow keeps
    /// one worker busy. If `key` panics, the event counts as dropped (`panicked`), and the queue goes on.
    ///
    /// Which key goes to which worker differs from queue to queue.
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

    /// Starts the queue in front of a closure that returns nothing or a result.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting is invalid, several workers among them, the memory cannot be allocated, or the system gives no thread.
    ///
    /// # Examples
    /// An error counts as `failed`, and the worker goes on:
    /// ```
    /// use buslane::{Queue, Sink};
    /// let queue = Queue::builder().spawn(|text: &'static str| text.parse::<u32>().map(drop))?;
    /// for text in ["1", "two", "3"] {
    ///     queue.write(text)?;
    /// }
    /// assert!(queue.close().is_done());
    /// let ledger = queue.state().ledger;
    /// assert_eq!((ledger.delivered, ledger.dropped.failed), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<R: Outcome + 'static>(
        self,
        function: impl FnMut(E) -> R + Send + 'static,
    ) -> Result<Queue<E>, SpawnError> {
        self.start_one(FnWork::new(function))
    }

    /// Starts the queue in front of a closure for each worker. `make` is called with the numbers of the workers, from 0, on
    /// the calling thread, before any of them starts.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the system gives no thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let total = Arc::new(AtomicU64::new(0));
    /// let queue = Queue::builder().workers(3).spawn_each(|_worker| {
    ///     let total = total.clone();
    ///     move |n: u64| {
    ///         total.fetch_add(n, Ordering::Relaxed);
    ///     }
    /// })?;
    /// for n in 1..=100 {
    ///     queue.write(n)?;
    /// }
    /// assert!(queue.close().is_done());
    /// assert_eq!(total.load(Ordering::Relaxed), 5050);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_each<R, F>(self, make: impl FnMut(usize) -> F) -> Result<Queue<E>, SpawnError>
    where
        R: Outcome + 'static,
        F: FnMut(E) -> R + Send + 'static,
    {
        let workers = self.check()?;
        self.start((0..workers).map(impatiently(make)).map(FnWork::new).collect(), workers, None)
    }

    /// Starts the queue in front of a handler.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting is invalid, several workers among them, the memory cannot be allocated, or the system gives no thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue, Sink};
    /// use buslane::queue::Handler;
    /// use std::sync::mpsc::{Sender, channel};
    /// struct Sum(u64, Sender<u64>);
    /// impl Handler<u64> for Sum {
    ///     fn handle(&mut self, event: u64) -> Result<(), BoxError> {
    ///         self.0 += event;
    ///         Ok(())
    ///     }
    ///     fn close(&mut self) -> Result<(), BoxError> {
    ///         Ok(self.1.send(self.0)?)
    ///     }
    /// }
    /// let (sender, sum) = channel();
    /// let queue = Queue::builder().spawn_handler(Sum(0, sender))?;
    /// queue.write(40)?;
    /// queue.write(2)?;
    /// assert!(queue.close().is_done());
    /// assert_eq!(sum.recv()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_handler(self, handler: impl Handler<E>) -> Result<Queue<E>, SpawnError> {
        self.start_one(HandlerWork(handler))
    }

    /// Starts the queue in front of a handler for each worker. `make` is called with the numbers of the workers, from 0, on
    /// the calling thread, before any of them starts. Each handler is flushed by a flush and closed by a close, by its worker.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the system gives no thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{BoxError, Queue, Sink};
    /// use buslane::queue::Handler;
    /// use std::sync::mpsc::{Sender, channel};
    /// struct Part { worker: usize, sum: u64, sender: Sender<(usize, u64)> }
    /// impl Handler<u64> for Part {
    ///     fn handle(&mut self, event: u64) -> Result<(), BoxError> {
    ///         self.sum += event;
    ///         Ok(())
    ///     }
    ///     fn close(&mut self) -> Result<(), BoxError> {
    ///         Ok(self.sender.send((self.worker, self.sum))?)
    ///     }
    /// }
    /// let (sender, parts) = channel();
    /// let make = |worker| Part { worker, sum: 0, sender: sender.clone() };
    /// let queue = Queue::builder().workers(2).spawn_each_handler(make)?;
    /// queue.write(40)?;
    /// queue.write(2)?;
    /// assert!(queue.close().is_done());
    /// assert_eq!(parts.iter().take(2).map(|(_worker, sum)| sum).sum::<u64>(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_each_handler<H: Handler<E>>(
        self,
        make: impl FnMut(usize) -> H,
    ) -> Result<Queue<E>, SpawnError> {
        let workers = self.check()?;
        self.start((0..workers).map(impatiently(make)).map(HandlerWork).collect(), workers, None)
    }

    /// Starts the queue with a sink for each worker. `make` is called with the numbers of the workers, from 0, on the calling
    /// thread, before any of them starts.
    ///
    /// Each worker writes to its own sink, flushes it and closes it, so what the sinks hold is not shared: with a
    /// [`batch`](crate::SinkExt::batch) for each worker, batches are sent in parallel. When one of the sinks reports that it is
    /// closed, the queue closes.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the system gives no thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Queue, Sink, SinkExt};
    /// let (batches, mut receiver) = Channel::lossy(64)?;
    /// let queue = Queue::builder()
    ///     .workers(2)
    ///     .spawn_each_sink(|_worker| batches.clone().batch(10))?;
    /// for n in 0..100 {
    ///     queue.write(n)?;
    /// }
    /// assert!(queue.close().is_done());
    /// assert_eq!(receiver.drain().map(|batch| batch.len()).sum::<usize>(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_each_sink<S: Sink<E> + 'static>(
        self,
        make: impl FnMut(usize) -> S,
    ) -> Result<Queue<E>, SpawnError> {
        let workers = self.check()?;
        let sinks: Vec<_> = (0..workers).map(impatiently(make)).map(Arc::new).collect();
        let works = sinks.iter().flat_map(|sink| SinkWork::of(sink, 1)).collect();
        self.start_sinks(&sinks, works, workers)
    }

    /// Starts the queue in front of a sink, to which all workers write. When that sink reports that it is closed, the queue
    /// closes.
    ///
    /// With several workers, one of them flushes the sink when the queue is flushed, each tells it of the time, and the last to
    /// end closes it.
    ///
    /// # Errors
    /// [`SpawnError`] when a setting is invalid, the memory cannot be allocated, or the system gives no thread.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Queue, Sink, SinkExt};
    /// use buslane::error::RecvError;
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let queue = Queue::builder().name("tens").spawn_sink(channel.map(|n: &u32| n * 10))?;
    /// queue.write(7)?;
    /// assert!(queue.close().is_done()); // and so is what stands behind it
    /// assert_eq!((receiver.recv(), receiver.recv()), (Ok(70), Err(RecvError::Closed)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_sink(self, inner: impl Sink<E> + 'static) -> Result<Queue<E>, SpawnError> {
        let workers = self.check()?;
        let sinks = [Arc::new(inner)];
        let works = SinkWork::of(&sinks[0], workers);
        self.start_sinks(&sinks, works, 1)
    }

    fn start_sinks<S: Sink<E> + 'static>(
        self,
        sinks: &[Arc<S>],
        works: Vec<SinkWork<S>>,
        desks: usize,
    ) -> Result<Queue<E>, SpawnError> {
        sinks.iter().try_for_each(|sink| validated(&**sink))?;
        // Weak, so that a sink is dropped by its worker when that ends, and not with the last handle.
        let downstream: Vec<_> = sinks.iter().map(Arc::downgrade).collect();
        let tell = move |control: &mut dyn FnMut(&dyn Control)| {
            for sink in downstream.iter().filter_map(Weak::upgrade) {
                Inner::new(control).caught::<E>(&*sink, &drop);
            }
        };
        let mut all = Ledgers::default();
        sinks.iter().for_each(|sink| all.join(ledgers_of(&**sink)));
        let behind = Behind::new(all, &works);
        self.start(works, desks, Some((Box::new(tell), behind)))
    }

    /// Checks the settings; how many workers there are to be.
    fn check(&self) -> Result<usize, ConfigError> {
        match self.workers {
            _ if self.max_batch == 0 => Err(Invalid::ZeroBatch.into()),
            _ if self.name.contains('\0') => Err(Invalid::NulInName.into()),
            0 => Err(Invalid::ZeroWorkers.into()),
            1..=MOST_WORKERS => Ok(self.workers),
            asked => Err(Invalid::TooManyWorkers { asked, most: MOST_WORKERS }.into()),
        }
    }

    fn start_one(self, work: impl Work<E>) -> Result<Queue<E>, SpawnError> {
        match self.check()? {
            1 => self.start(vec![work], 1, None),
            workers => Err(Invalid::OneHandler { workers }.into()),
        }
    }

    /// Starts a worker for each piece of work; `desks` is how many handlers there are to be flushed.
    fn start<W: Work<E>>(
        mut self,
        works: Vec<W>,
        desks: usize,
        behind: Option<(Tell, Behind)>,
    ) -> Result<Queue<E>, SpawnError> {
        let workers = works.len();
        let key = self.key.take().filter(|_| workers > 1);
        if let Some(key) = key {
            let parts = (0..workers).map(|_| Reader::open(self.mailbox.clone()));
            let (mailboxes, readers): (Vec<_>, Vec<_>) =
                parts.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            let route = Some(Route::new(mailboxes.clone(), key));
            self.launch(mailboxes[0].clone(), route, works.into_iter().zip(readers), desks, behind)
        } else if workers > 1 {
            let (mailbox, first) = Member::open(self.mailbox.clone())?;
            let mut members: Vec<_> = (1..workers).map(|_| first.another()).collect();
            members.push(first);
            self.launch(mailbox, None, works.into_iter().zip(members), desks, behind)
        } else {
            let (mailbox, reader) = Reader::open(self.mailbox.clone())?;
            self.launch(mailbox, None, works.into_iter().zip([reader]), desks, behind)
        }
    }

    fn launch<W: Work<E>, I: Intake<E>>(
        self,
        mailbox: sync::Arc<Mailbox<E>>,
        route: Option<Arc<Route<E>>>,
        workers: impl ExactSizeIterator<Item = (W, I)>,
        desks: usize,
        behind: Option<(Tell, Behind)>,
    ) -> Result<Queue<E>, SpawnError> {
        let count = workers.len();
        let (tell, behind) = behind.unzip();
        let shared = Arc::new(Shared {
            mailbox,
            route,
            // Each worker has a desk of its own, or all of them share the one.
            desks: (0..desks).map(|_| FlushDesk::new(count / desks)).collect(),
            // Where nobody closes it, but its last handle goes.
            close_deadline: Mutex::new(None),
            ending: Mutex::new(Ending { working: vec![true; count], report: CloseReport::default() }),
            report: Mutex::new(None),
            identity: Identity::new(),
            tell,
            behind,
        });
        let hooks = Hooks {
            max_batch: self.max_batch,
            close_after_panics: self.close_after_panics,
            on_error: self.on_error,
        };
        for (number, (work, intake)) in workers.enumerate() {
            let name = if count > 1 { format!("{}-{number}", self.name) } else { self.name.clone() };
            let worker = Worker::new(shared.clone(), number, intake, work, hooks.clone());
            if let Err(error) = thread::spawn_named(name, move || worker.run()) {
                // Those that run already find the end.
                shared.seal();
                return Err(SpawnError::Thread(error));
            }
        }
        Ok(Queue(Arc::new(Handle(shared))))
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
