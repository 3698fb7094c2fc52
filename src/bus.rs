//! The bus: a copy-on-write list of sinks, and the handles that publish to all of them (publish-subscribe, fan-out).
//!
//! | item | what it is |
//! |---|---|
//! | [`Bus`], [`BusBuilder`] | a handle to the bus, and its settings |
//! | [`Publisher`] | the publishing handle of one thread, with a private SPSC ring ("lane") into each sink |
//! | [`Published`] | the outcome of one publish: accepted, dropped, refused |
//! | [`Events`] | what a `publish_batch` takes |
//! | [`WeakBus`] | a handle that does not keep the bus open, for handlers that need the bus |
//! | [`Attachment`] | a sink that is removed at the end of a scope |
//! | [`CloseGuard`] | closes a static bus at the end of a scope |
//! | [`Removed`] | the outcome of a removal |
//! | [`SinkFailure`] | what an `on_error` hook receives |
//!
//! # Examples
//! ```
//! use buslane::{Bus, Queue};
//! let bus = Bus::new();
//! let log = bus.add_named("log", Queue::builder().spawn(|n: u64| println!("{n}"))?)?;
//! let mut publisher = bus.publisher(); // one per publishing thread
//! publisher.publish(1)?;
//! bus.remove(log)?;
//! assert_eq!(publisher.publish(2)?.accepted, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
// Where things are:
//
// | file | holds |
// |---|---|
// | `info`, `hooks` | what is known of an attached sink, and the hook that is told of failures |
// | `way` | how one publisher reaches one sink, and what it is handed over in |
// | `tally`, `supply` | the outcome of one publish as it is counted, and the fan-out: clones for all sinks but the last |
// | `lanes`, `table` | what a publisher knows: the private SPSC rings (fast lanes), and the other ways to sinks |
// | `delivery` | the publish path |
// | `entry`, `list` | one attachment of a sink, and the copy-on-write list of them |
// | `control`, `core` | the control plane's state, and what all handles share |
// | `admit`, `remove`, `close` | adding sinks and publishers, removing sinks, closing and flushing the bus |
// | `calls`, `snapshot` | how the control plane calls sinks |
// | `quota`, `publisher`, `local` | how many cached publishers have lanes, the publishing handle of one thread, and one cached publisher for each thread |
// | `shared` | publishing without a publisher, and the bus as a sink |
// | `attachment` | an attachment that ends with its guard |
// | `builder`, `handle` | settings, and handles that do not keep the bus open |
//
// Each file imports only from those above it in this table.

mod admit;
mod attachment;
mod builder;
mod calls;
mod close;
mod control;
mod core;
mod delivery;
mod entry;
mod handle;
mod hooks;
mod info;
mod lanes;
mod list;
mod local;
mod publisher;
mod quota;
mod remove;
mod shared;
mod snapshot;
mod supply;
mod table;
mod tally;
mod way;

pub use crate::events::Events;
pub use crate::stats::Published;
pub use attachment::Attachment;
pub use builder::BusBuilder;
pub use handle::{CloseGuard, WeakBus};
pub use hooks::SinkFailure;
pub use publisher::Publisher;
pub use remove::Removed;

use self::core::{Core, Handle};
use crate::channel::{Channel, Receiver};
use crate::error::{AddError, Closed, RemoveError, WriteError};
use crate::sink::Sink;
use crate::stats::{CloseReport, FlushReport, SinkId, Snapshot};
use crate::sync::lock;
use crate::time::Deadline;
use crate::wait::context::Quiet;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

/// A bus: everything that is published on it reaches every sink that is on it.
///
/// Cloning makes another handle to the same bus. Each thread that publishes often takes a [`Publisher`] of its own; the
/// others use [`publish`](Self::publish) or [`with_local`](Self::with_local).
///
/// # Guarantees
/// - **Progress**: publishing through a [`Publisher`] is wait-free but for sinks of the kinds that are named there, such as
///   those that are asked to block. `add` and `remove` never make a publisher wait.
/// - **Order**: first in, first out for each publisher and sink.
/// - **Delivery**: each sink gets each event exactly once, also while others come and go. A publish that happens after
///   [`add`](Self::add) returned reaches the sink; after [`remove`](Self::remove) returned, nothing of this bus does.
/// - **Allocation**: publishing through a [`Publisher`] allocates and frees nothing but what is said there. Through
///   [`publish`](Self::publish) each thread makes a record at its first use, and a wait allocates.
/// - **Drop**: when the last handle and publisher go, the bus closes, waiting for at most half a second; inside a delivery,
///   or while unwinding, not at all. That wait [blocks the thread](crate::docs::async_code), also in an async task.
///
/// # Examples
/// ```
/// use buslane::{Bus, Queue};
/// let bus = Bus::new();
/// bus.add(Queue::builder().spawn(|n: u64| println!("{n}"))?)?;
/// let mut publisher = bus.publisher();
/// for n in 0..3 {
///     publisher.publish(n)?;
/// }
/// assert!(bus.close().is_done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Bus<E: Send + 'static>(Arc<Handle<E>>);

impl<E: Send + 'static> Bus<E> {
    /// A bus without sinks.
    ///
    /// The type of its events follows from the first sink that names it, or from what is published or received. Where nothing names it, as
    /// with [`noop`](crate::noop) alone, write `Bus::<Event>::new()`.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue, noop};
    /// let bus = Bus::new();
    /// bus.add(Queue::builder().spawn(|n: u64| println!("{n}"))?)?; // a `Bus<u64>`
    /// let bus = Bus::<u64>::new();
    /// bus.add(noop())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// ```
    /// let bus = buslane::Bus::new();
    /// assert_eq!(bus.publish("to nobody")?.accepted, 0);
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// bus.publish("to one")?;
    /// assert_eq!(receiver.recv()?, "to one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder, for hooks.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, sink_fn};
    /// let (sender, failures) = std::sync::mpsc::channel();
    /// let bus = Bus::builder().on_error(move |failure| drop(sender.send(failure.to_string()))).build();
    /// bus.add_named("disk", sink_fn(|_: &u32| Err("no space left")))?;
    /// bus.publish(1)?;
    /// assert_eq!(failures.recv()?, "disk: no space left");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder() -> BusBuilder<E> {
        BusBuilder::new()
    }

    fn core(&self) -> &Arc<Core<E>> {
        &self.0.core
    }

    /// Puts a sink on the bus, named after the place of this call.
    ///
    /// A sink that is on the bus already (two handles to one queue, two clones of one `Arc`) stays there once, and its id
    /// is returned again.
    ///
    /// # Errors
    /// [`AddError`] when the bus is closed, is the sink itself, or a lane for one of its publishers cannot be made.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let sink = std::sync::Arc::new(buslane::noop());
    /// let id = bus.add(sink.clone())?;
    /// assert_eq!(bus.add(sink)?, id);
    /// assert_eq!(bus.sink_count(), 1);
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[track_caller]
    pub fn add(&self, sink: impl Sink<E> + 'static) -> Result<SinkId, AddError> {
        let location = Location::caller();
        self.core().add(
            format!("{}:{}", location.file(), location.line()),
            location,
            Arc::new(Quiet::new(sink)),
        )
    }

    /// Puts a sink on the bus under a name, which snapshots and reports use.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// let bus = Bus::new();
    /// bus.add_named("audit", Queue::builder().spawn(|n: u32| println!("{n}"))?)?;
    /// assert_eq!(bus.snapshot().sinks[0].name, "audit");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn add_named(&self, name: &str, sink: impl Sink<E> + 'static) -> Result<SinkId, AddError> {
        self.core().add(name.to_owned(), Location::caller(), Arc::new(Quiet::new(sink)))
    }

    /// Adds a channel that drops the newest event when it is full, and returns its reading half. Dropping that unsubscribes.
    ///
    /// The channel is [`Channel::lossy`] with room for `capacity` events per publisher. [`Receiver::lost`] returns how many events
    /// were dropped for want of room; no hook is called for them. For other settings make the channel with [`Channel::builder`] and
    /// [`add`](Self::add) it.
    ///
    /// # Errors
    /// As for [`add`](Self::add); [`AddError::Config`] when the capacity is invalid.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// bus.publish(1)?;
    /// assert_eq!(receiver.recv()?, 1);
    /// drop(receiver);
    /// bus.publish(2)?;
    /// assert!(!bus.has_sinks());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn subscribe_lossy(&self, capacity: usize) -> Result<Receiver<E>, AddError> {
        let (channel, receiver) = Channel::lossy(capacity)?;
        self.add(channel)?;
        Ok(receiver)
    }

    /// Adds a sink to the bus until the returned guard is dropped.
    ///
    /// A sink that is on the bus already stays there once, as with [`add`](Self::add); the first of its guards that is dropped removes
    /// it.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::<u32>::new();
    /// let attached = bus.attach(noop())?;
    /// assert!(bus.has_sinks());
    /// drop(attached);
    /// assert!(!bus.has_sinks());
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[track_caller]
    pub fn attach(&self, sink: impl Sink<E> + 'static) -> Result<Attachment<E>, AddError> {
        Ok(Attachment::new(self.core(), self.add(sink)?))
    }

    /// Puts a sink on the bus under a name until the returned guard is dropped.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// let bus = Bus::<u32>::new();
    /// let _attached = bus.attach_named("audit", noop())?;
    /// assert!(bus.snapshot().sink("audit").is_some());
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[track_caller]
    pub fn attach_named(&self, name: &str, sink: impl Sink<E> + 'static) -> Result<Attachment<E>, AddError> {
        Ok(Attachment::new(self.core(), self.add_named(name, sink)?))
    }

    /// Adds a channel that blocks publishers when it is full, and returns its reading half. Dropping that unsubscribes.
    ///
    /// The channel is [`Channel::lossless`] with room for `capacity` events per publisher. A reader that stalls stops the publishers
    /// of the bus, once its room is used up.
    ///
    /// # Errors
    /// As for [`add`](Self::add); [`AddError::Config`] when the capacity is invalid.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossless(8)?;
    /// let reader = std::thread::spawn(move || receiver.iter().count());
    /// for n in 0..100 {
    ///     bus.publish(n)?; // waits for the reader where it has to
    /// }
    /// bus.close();
    /// assert_eq!(reader.join().unwrap(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn subscribe_lossless(&self, capacity: usize) -> Result<Receiver<E>, AddError> {
        let (channel, receiver) = Channel::lossless(capacity)?;
        self.add(channel)?;
        Ok(receiver)
    }

    /// Takes a sink off the bus, and waits until nothing of this bus is inside it.
    ///
    /// What the sink accepted before is still handled. The sink is not closed (unless the bus held its last handle).
    /// Inside a delivery, and inside any other call of the bus into a sink, this does not wait ([`Removed::FromInside`]); nor in other
    /// user code that the bus runs, such as an event's `Clone` or `Drop`, nor on the worker of a queue. See
    /// [`docs::protocols`](crate::docs::protocols#user-code-waits-and-locks).
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// Inside are a publish, a flush until the sink has answered it, a snapshot, and every other call that the bus makes.
    ///
    /// It waits for every [`publish`](Self::publish) of the bus itself that is in progress, also for one that waits for room in another
    /// sink, or in this one ([`Overflow::Block`](crate::Overflow::Block), a [gating](crate::journal::Subscription::gating) subscriber): there, take
    /// [`remove_timeout`](Self::remove_timeout). Publishers with lanes of their own that wait for room in this sink are let go: the sink
    /// refuses the event, and counts it. Where they wait inside another bus, which is the sink, that takes up to a tenth of a second.
    ///
    /// An idle publisher keeps the lane's memory until it publishes next, or is dropped. It keeps no user code of the sink: closures
    /// and stages of its lanes are dropped here, like the sink, before this returns [`Removed::Quiet`].
    ///
    /// # Errors
    /// [`RemoveError::Unknown`] when no sink with this id is on the bus.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let id = bus.add(buslane::noop())?;
    /// assert_eq!(bus.remove(id), Ok(buslane::bus::Removed::Quiet));
    /// assert_eq!(bus.remove(id), Err(buslane::error::RemoveError::Unknown));
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    pub fn remove(&self, id: SinkId) -> Result<Removed, RemoveError> {
        self.core().remove(id, Deadline::NEVER)
    }

    /// As [`remove`](Self::remove), waiting so long at most; then [`Removed::StillInside`].
    ///
    /// # Errors
    /// As for [`remove`](Self::remove).
    ///
    /// # Examples
    /// A sink that does not return is off the bus all the same:
    /// ```
    /// use buslane::{Bus, sink_fn};
    /// use buslane::bus::Removed;
    /// use std::{sync::{Mutex, mpsc::channel}, thread, time::Duration};
    /// let ((inside, entered), (gate, held)) = (channel(), channel::<()>());
    /// let held = Mutex::new(held);
    /// let bus = Bus::new();
    /// let id = bus.add(sink_fn(move |_: &u32| {
    ///     let _ = inside.send(());
    ///     drop(held.lock().map(|held| held.recv()));
    /// }))?;
    /// thread::scope(|scope| {
    ///     scope.spawn(|| bus.publish(1));
    ///     entered.recv().unwrap();
    ///     assert_eq!(bus.remove_timeout(id, Duration::from_millis(1)), Ok(Removed::StillInside));
    ///     drop(gate);
    /// });
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    pub fn remove_timeout(&self, id: SinkId, limit: Duration) -> Result<Removed, RemoveError> {
        self.core().remove(id, Deadline::after(limit))
    }

    /// Makes a publishing handle for one thread, with a private lane into every sink that has lanes.
    ///
    /// It takes memory for its lanes: publishers are for long-lived threads. It keeps the bus open. Where the memory for
    /// a lane is not to be had, the publisher uses the sink's shared lane.
    ///
    /// # Examples
    /// One for each thread:
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// std::thread::scope(|scope| {
    ///     for n in 0..2 {
    ///         let mut publisher = bus.publisher();
    ///         scope.spawn(move || publisher.publish(n));
    ///     }
    /// });
    /// assert_eq!(receiver.drain().sum::<u32>(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn publisher(&self) -> Publisher<E> {
        Publisher::register(self.core(), Some(self.0.clone()))
    }

    /// A handle that does not keep the bus open: for handlers that need the bus they sit on.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let weak = bus.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(bus);
    /// assert!(weak.upgrade().is_none());
    /// ```
    #[must_use]
    pub fn downgrade(&self) -> WeakBus<E> {
        WeakBus::new(&self.0)
    }

    /// Waits until everything that was published before this call has been handled by every sink.
    ///
    /// What is published meanwhile is not waited for. Inside a delivery, and in other user code that the bus runs, this does not
    /// wait ([`Finish::Pending`](crate::stats::Finish::Pending)). A channel without a reader is unfinished when the limit is over.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// All sinks are flushed at once, so a sink that is stuck takes no time from the others. Sinks without lanes are flushed on a
    /// thread of the bus's own; one whose flush has not returned a moment after the limit is left behind and named in the report.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// use std::time::Duration;
    /// let (sender, seen) = std::sync::mpsc::channel();
    /// let bus = Bus::new();
    /// bus.add(Queue::builder().spawn(move |n: u32| sender.send(n))?)?;
    /// bus.publish(1)?;
    /// bus.publish(2)?;
    /// assert!(bus.flush_timeout(Duration::from_secs(60)).is_done());
    /// assert_eq!(seen.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_timeout(&self, limit: Duration) -> FlushReport {
        self.core().flush(Deadline::after(limit), true)
    }

    /// Closes the bus: takes no more events, waits until what was accepted has been handled, and closes every sink in the
    /// order in which they were added; at most for five seconds. See [`close_timeout`](Self::close_timeout).
    ///
    /// Returns a report, because it waits for consumers; the close of a channel or a journal waits for none, and returns nothing.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// use buslane::error::Closed;
    /// let (sender, seen) = std::sync::mpsc::channel();
    /// let bus = Bus::new();
    /// bus.add(Queue::builder().spawn(move |n: u32| sender.send(n))?)?;
    /// bus.publish(1)?;
    /// assert!(bus.close().is_done());
    /// assert_eq!(seen.try_recv()?, 1);
    /// assert_eq!(bus.publish(2), Err(Closed(2)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) -> CloseReport {
        self.close_timeout(crate::time::deadline::CLOSE_LIMIT)
    }

    /// Closes the bus, waiting so long at most.
    ///
    /// When the limit is over, queues give up their backlog, counted as `aborted`; a sink that does not return is left
    /// behind and named in the report. Every caller gets the same report. Inside a delivery, and in other user code that the bus
    /// runs, this does not wait ([`Finish::Pending`](crate::stats::Finish::Pending)); ask again outside for the final report.
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task, and may take an `unpark` token that was meant for the
    /// [caller's own loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// All sinks have the whole limit: one that is stuck takes no time from those after it. The order of insertion is kept as
    /// long as each sink is done in a moment; then the next one is closed beside it. Sinks without lanes are closed on a thread
    /// of the bus's own.
    ///
    /// # Examples
    /// A handler that does not come back in time is named in the report:
    /// ```
    /// use buslane::{Bus, Queue};
    /// use buslane::stats::Finish;
    /// use std::time::Duration;
    /// let (gate, held) = std::sync::mpsc::channel::<()>();
    /// let bus = Bus::new();
    /// bus.add_named("stuck", Queue::builder().spawn(move |_: u32| drop(held.recv()))?)?;
    /// bus.publish(1)?;
    /// let report = bus.close_timeout(Duration::from_millis(1));
    /// assert_eq!((report.finish, report.unfinished), (Finish::TimedOut, vec!["stuck".to_owned()]));
    /// # drop(gate);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_timeout(&self, limit: Duration) -> CloseReport {
        self.core().close(Deadline::after(limit), true)
    }

    /// A guard that closes the bus at the end of a scope: for a bus in a `static`, which is never dropped.
    ///
    /// # Examples
    /// ```
    /// use buslane::Bus;
    /// use std::sync::LazyLock;
    /// static EVENTS: LazyLock<Bus<u32>> = LazyLock::new(Bus::new);
    ///
    /// let guard = EVENTS.close_on_drop();
    /// EVENTS.publish(1)?;
    /// drop(guard);
    /// assert!(EVENTS.is_closed());
    /// # Ok::<(), buslane::error::Closed<u32>>(())
    /// ```
    pub fn close_on_drop(&self) -> CloseGuard<E> {
        CloseGuard::new(self.clone())
    }

    /// Whether the bus was closed.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// assert!(!bus.is_closed());
    /// assert!(bus.close().is_done());
    /// assert!(bus.is_closed());
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.core().is_closed()
    }

    /// What every sink says about itself, in the order in which they were added; also after a close.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// let bus = Bus::new();
    /// bus.add_named("audit", Queue::builder().spawn(|n: u32| println!("{n}"))?)?;
    /// bus.publish(1)?;
    /// assert!(bus.close().is_done());
    /// let snapshot = bus.snapshot();
    /// assert_eq!((snapshot.sinks[0].name.as_str(), snapshot.sinks[0].state.ledger.delivered), ("audit", 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        self.core().snapshot()
    }

    /// Whether any sink is on the bus that takes events. Cheap: no lock.
    ///
    /// # Examples
    /// Whether it is worth the trouble to make an event:
    /// ```
    /// let bus = buslane::Bus::<String>::new();
    /// if bus.has_sinks() {
    ///     bus.publish(format!("{:?}", std::env::vars()))?;
    /// }
    /// let receiver = bus.subscribe_lossy(8)?;
    /// assert!(bus.has_sinks());
    /// # drop(receiver);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn has_sinks(&self) -> bool {
        self.core().has_sinks()
    }

    /// How many sinks are on the bus that take events.
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::<u32>::new();
    /// let id = bus.add(buslane::noop())?;
    /// bus.add(buslane::noop())?;
    /// bus.remove(id)?;
    /// assert_eq!(bus.sink_count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn sink_count(&self) -> usize {
        self.core().list.load().iter().filter(|entry| !entry.info.is_closed()).count()
    }
}

impl<E: Clone + Send + 'static> Bus<E> {
    /// Publishes from any thread, through the sinks' shared lanes.
    ///
    /// [`Published`] says what each sink made of the event: accepted, dropped at once, or refused. What was dropped or refused is
    /// lost: [`try_publish`](Self::try_publish) gives back an event that every sink refused.
    ///
    /// This costs several times as much as through a [`Publisher`], and contends with other threads that do the same.
    ///
    /// It allocates when a thread uses it first (the record of the lists that the thread reads, one for all buses), when it has
    /// to wait ([`Overflow::Block`](crate::Overflow::Block), a gating subscriber), and where a [`Publisher`] does.
    ///
    /// # Errors
    /// [`Closed`] with the event when the bus is closed and no sink took it.
    ///
    /// # Panics
    /// When a clone of the event does, which every sink but the last gets, or its `Drop`. The sinks that were added before the
    /// one for which it was cloned have theirs. Panics of sinks are caught.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, noop};
    /// use buslane::error::Closed;
    /// let bus = Bus::new();
    /// bus.add(noop())?;
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// assert_eq!(bus.publish("event")?.accepted, 2);
    /// assert_eq!(receiver.recv()?, "event");
    /// assert!(bus.close().is_done());
    /// assert_eq!(bus.publish("late"), Err(Closed("late")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish(&self, event: E) -> Result<Published, Closed<E>> {
        self.core().publish(event)
    }

    /// Publishes from any thread without ever waiting for room, and gives the event back if no sink took it:
    /// [`Overflow::Block`](crate::Overflow::Block) and [`Overflow::BlockFor`](crate::Overflow::BlockFor) act as
    /// [`Overflow::Refuse`](crate::Overflow::Refuse).
    ///
    /// Goes through the shared lanes and costs as much as [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`WriteError`] with the event when every sink refused it, and with the reason of the first sink;
    /// [`WriteError::Closed`] when the bus is closed. If at least one sink accepted the event, or dropped it at once, the result is
    /// [`Published`], which counts the refusals.
    ///
    /// # Panics
    /// As for [`publish`](Self::publish).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, Overflow, WriteError};
    /// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
    /// let bus = Bus::new();
    /// bus.add(channel)?;
    /// assert!(bus.try_publish(1)?.is_complete());
    /// let Err(WriteError::Full(back)) = bus.try_publish(2) else { unreachable!() };
    /// assert_eq!(receiver.recv()?, 1); // makes room
    /// assert!(bus.try_publish(back)?.is_complete());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_publish(&self, event: E) -> Result<Published, WriteError<E>> {
        self.core().try_publish(event)
    }

    /// Lends this thread's cached [`Publisher`], made at the first call: for async handlers, statics and layers.
    ///
    /// At most `max(16, 2 × processors)` cached publishers of a bus have lanes of their own at the same time, so that hundreds of
    /// threads that publish now and then, as those of a pool for blocking calls do, cost no more memory than that. The first half of
    /// them get their lanes at once, the others when their thread has published 64 events through the shared lanes, which are
    /// several times slower, as [`publish`](Self::publish) is. A thread that finds no room keeps to the shared lanes, and asks again
    /// every 64 events. Lanes are given back when their thread ends. The events of a thread keep their order as it
    /// moves to its own lanes.
    ///
    /// A thread of a runtime that turns into one for a blocking call (`block_in_place`) keeps its publisher, which counts until that
    /// thread ends. A thread that must have lanes takes a [`publisher`](Self::publisher) of its own, which is not counted.
    ///
    /// When it is lent already further up on this thread, or the thread is ending, the closure gets a publisher that goes
    /// through the shared lanes; that of a thread that is ending never waits for room, as if by
    /// [`try_publish`](Publisher::try_publish). The cached publisher does not keep the bus open; it goes with the thread.
    ///
    /// In an async task, sinks that make publishers wait (`Block`, `BlockFor`, a gating subscriber) block the runtime's thread, and a task that
    /// moves between threads gets no order between its events: see [`docs::async_code`](crate::docs::async_code).
    ///
    /// # Examples
    /// ```
    /// let bus = buslane::Bus::new();
    /// let mut receiver = bus.subscribe_lossy(8)?;
    /// bus.with_local(|publisher| publisher.publish(7))?;
    /// assert_eq!(receiver.recv()?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_local<R>(&self, f: impl FnOnce(&mut Publisher<E>) -> R) -> R {
        local::with(self.core(), f)
    }
}

impl<E: Send + 'static> Default for Bus<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Send + 'static> Clone for Bus<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Send + 'static> fmt::Debug for Bus<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bound first, so that the lock is free when the writer behind `f`, which is user code, is called.
        let publishers = lock(&self.core().control).publisher_count();
        f.debug_struct("Bus")
            .field("sinks", &self.sink_count())
            .field("publishers", &publishers)
            .field("closed", &self.is_closed())
            .finish()
    }
}
