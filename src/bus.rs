//! The bus: a copy-on-write list of sinks, and the handles that publish to all of them
//! (publish-subscribe, fan-out).
//!
//! | item | what it is |
//! |---|---|
//! | [`Bus`], [`BusBuilder`] | a handle to the bus, and its settings |
//! | [`Publisher`] | the publishing handle of one thread, with a private SPSC ring ("lane") into each sink |
//! | [`Reserve`], [`Permit`], [`PublishAsync`] | publishing from a task: room for one event, which is waited for without blocking the thread |
//! | [`Published`] | the outcome of one publish: how many sinks accepted, dropped and refused the event |
//! | [`Events`] | the argument of `publish_batch` |
//! | [`InlineBytes`] | bytes inside an event, for [`publish_in_place`](Publisher::publish_in_place) |
//! | [`WeakBus`] | a handle that does not keep the bus open, for handlers that need the bus |
//! | [`Attachment`] | a guard that removes a sink at the end of a scope |
//! | [`CloseGuard`] | a guard that closes a static bus at the end of a scope |
//! | [`Removed`] | the outcome of a removal |
//! | [`SinkFailure`] | the argument of an `on_error` hook |
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
// The files of this module:
//
// | file | holds |
// |---|---|
// | `info`, `hooks` | the record of an attached sink, and the hook that reports failures |
// | `link` | the connection of one publisher to one sink, and the change that delivers it |
// | `tally`, `supply` | the counted outcome of one publish, and the fan-out: clones for all sinks but the last |
// | `lanes`, `table`, `links` | the links of a publisher: the private SPSC rings (fast lanes), the links to all other sinks, and both as one value |
// | `delivery` | the publish path |
// | `entry`, `list` | one attachment of a sink, and the copy-on-write list of them |
// | `control`, `core` | the control plane's state, what all handles share, and how the control plane calls sinks |
// | `room` | what a publisher that is a task waits for |
// | `kept` | the links of dropped publishers, for the next publishers |
// | `admit`, `remove`, `close`, `flush` | adding sinks and publishers, removing sinks, closing and flushing the bus |
// | `snapshot` | the snapshot of a bus and its sinks |
// | `quota`, `publisher`, `local` | the limit on cached publishers with lanes, the publishing handle of one thread (batches in `publisher/batch.rs`), and the cached publisher of each thread |
// | `reserve`, `publisher_sink` | publishing from a task: permits, and a publisher as a `Sink` of the crate `futures` |
// | `listed`, `together`, `shared` | publishing without a publisher: the call of one sink, the shared lanes of several sinks, and all sinks; the bus as a sink |
// | `attachment` | a guard that removes its sink when it is dropped |
// | `builder`, `handle` | settings, and handles that do not keep the bus open |
//
// Each file imports only from the files above it in this table. A method of `Bus` is in the file
// that implements it; methods that only forward the call are here.

// First, so that the documentation of `Bus` begins with its constructors.
mod builder;

mod admit;
mod attachment;
mod close;
mod control;
mod core;
mod delivery;
mod entry;
mod flush;
mod handle;
mod hooks;
mod info;
mod kept;
mod lanes;
mod link;
mod links;
mod list;
mod listed;
mod local;
mod publisher;
#[cfg(feature = "async")]
mod publisher_sink;
mod quota;
mod remove;
mod reserve;
mod room;
mod shared;
mod snapshot;
mod supply;
mod table;
mod tally;
mod together;

pub use crate::events::Events;
pub use crate::stats::Published;
pub use crate::sync::inline_bytes::InlineBytes;
pub use attachment::Attachment;
pub use builder::BusBuilder;
pub use handle::{CloseGuard, WeakBus};
pub use hooks::SinkFailure;
pub use publisher::Publisher;
#[cfg(feature = "async")]
pub use publisher_sink::PublisherSink;
pub use remove::Removed;
pub use reserve::{Permit, PublishAsync, Reserve};

use self::core::{BusHandle, Core};
use crate::sink::{CloseAsync, FlushAsync, UntilClosed};
use crate::stats::{CloseReport, FlushReport};
use crate::sync::lock;
use crate::time::Deadline;
use crate::wait::context::Wait;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A publish-subscribe bus that delivers each published event to every sink on it.
///
/// Cloning makes another handle to the same bus. Each thread that publishes often takes its own
/// [`Publisher`]; other threads use [`publish`](Self::publish) or [`with_local`](Self::with_local).
///
/// Each queue and channel costs a publish one push. Where many listeners need every event, add one
/// [`Journal`](crate::Journal) and subscribe to it: a publish then costs the same for any number of
/// listeners, and less than three channels ([how many](crate::docs::rings#many-listeners)).
///
/// # Guarantees
/// - **Progress**: publishing through a [`Publisher`] is wait-free, except for the kinds of sinks
///   that are named there, such as sinks that block. `add` and `remove` never make a publisher
///   wait.
/// - **Order**: first in, first out for each publisher and sink. There is no order between two
///   publishers, also where one thread makes, uses and drops them in turn.
/// - **Delivery**: each sink is offered each event exactly once, also while other sinks are added and
///   removed. A publish that happens after [`add`](Self::add) returned reaches the sink. After
///   [`remove`](Self::remove) returned, no later call of this bus enters the sink.
/// - **Allocation**: publishing through a [`Publisher`] allocates and frees nothing, except where
///   its documentation names it. [`publish`](Self::publish) allocates a record at each thread's
///   first use, and allocates when it has to wait.
/// - **Drop**: when the last handle and the last publisher are dropped, the bus closes and waits
///   for at most half a second. Inside a delivery, or while unwinding, it does not wait. The wait
///   [blocks the thread](crate::docs::async_code), also in an async task.
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
pub struct Bus<E: Send + 'static>(Arc<BusHandle<E>>);

impl<E: Send + 'static> Bus<E> {
    fn core(&self) -> &Arc<Core<E>> {
        &self.0.core
    }

    /// Makes a publishing handle for one thread, with a private lane into every sink that has
    /// lanes.
    ///
    /// A publisher takes the lanes of one that was dropped, if the bus has kept any, and otherwise
    /// allocates memory for its own. So publishers are best for long-lived threads, and may be made
    /// for a single task. A publisher keeps the bus open. Where
    /// the memory for a lane cannot be allocated, the publisher uses the sink's shared lane.
    ///
    /// Lanes of a dropped publisher may still hold its events. Those of the new one follow them, in
    /// the room that is left: at least three quarters of the capacity. How many lanes the bus keeps,
    /// and for how long, is in [`docs::memory`](crate::docs::memory#kept-lanes).
    ///
    /// # Examples
    /// One publisher per thread:
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

    /// Waits until every sink has handled the events that were published before this call.
    ///
    /// Events that are published during the flush are not waited for. Inside a delivery, and in
    /// other user code that the bus runs, a flush does not wait
    /// ([`Finish::Pending`](crate::stats::Finish::Pending)). A channel whose receiver does not read
    /// is reported as unfinished when the limit is over.
    ///
    /// A flush [blocks the thread](crate::docs::async_code), also in an async task. It may consume
    /// an `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// All sinks are flushed concurrently, so a stuck sink takes no time from the others. Sinks
    /// without lanes are flushed on a separate thread of the bus. If the flush of such a sink has
    /// not returned shortly after the limit, it is abandoned and named in the report.
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
        self.core().flush(Deadline::after(limit), Wait::Here)
    }

    /// Closes the bus, waits until accepted events have been handled, and closes every sink.
    ///
    /// The bus accepts no further events. Its sinks close in the order in which they were added.
    /// The call waits for at most five seconds. See [`close_timeout`](Self::close_timeout).
    ///
    /// A close of a bus returns a report, because it waits for consumers. A close of a channel or a
    /// journal waits for no consumer, and returns nothing.
    ///
    /// A close [blocks the thread](crate::docs::async_code), also in an async task. It may consume
    /// an `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
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
        self.close_timeout(crate::deadline::CLOSE_LIMIT)
    }

    /// Closes the bus, and waits for at most `limit`.
    ///
    /// When the limit is over, queues drop their backlog, counted as `aborted`. A sink that does
    /// not return is abandoned and named in the report. Every caller gets the same report. Inside a
    /// delivery, and in other user code that the bus runs, a close does not wait
    /// ([`Finish::Pending`](crate::stats::Finish::Pending)). Call it again outside for the final
    /// report.
    ///
    /// A close [blocks the thread](crate::docs::async_code), also in an async task. It may consume
    /// an `unpark` token that was meant for the [caller's own
    /// loop](crate::docs::async_code#threads-that-park-themselves).
    ///
    /// Every sink has the whole limit: a stuck sink takes no time from the sinks after it. Sinks
    /// close in the order of insertion as long as each close completes promptly. The sink after a
    /// slow one does not wait for it, and closes concurrently. Sinks without lanes are closed on a
    /// separate thread of the bus.
    ///
    /// # Examples
    /// The report names a handler that does not return in time:
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
        self.core().close(Deadline::after(limit), Wait::Here)
    }

    /// Returns a future that waits until every sink has handled the events that were published before
    /// its first poll.
    ///
    /// It flushes as [`flush_timeout`](Self::flush_timeout) does, without blocking the thread. It has
    /// no limit: bound it with the timer of the runtime. Inside a delivery it is ready at once, with
    /// [`Finish::Pending`](crate::stats::Finish::Pending), and so it is where a stage downstream of a
    /// queue holds events back: see [`Queue::flush_async`](crate::Queue::flush_async).
    ///
    /// # Cancel safety
    /// The future may be dropped at any time, and the bus flushed again.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// use futures::executor::block_on;
    /// let (sender, seen) = std::sync::mpsc::channel();
    /// let bus = Bus::new();
    /// bus.add(Queue::builder().spawn(move |n: u32| sender.send(n))?)?;
    /// bus.publish(1)?;
    /// assert!(block_on(bus.flush_async()).is_done());
    /// assert_eq!(seen.try_recv()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush_async(&self) -> FlushAsync {
        let core = self.core().clone();
        FlushAsync::new(move || core.flush(Deadline::NEVER, Wait::Deferred))
    }

    /// Returns a future that closes the bus, and waits until accepted events have been handled and
    /// every sink is closed.
    ///
    /// It closes as [`close`](Self::close) does, without blocking the thread. It has no limit: bound
    /// it with the timer of the runtime, and then call [`close_timeout`](Self::close_timeout), which
    /// discards the backlog of queues at its deadline. Inside a delivery it is ready at once, with
    /// [`Finish::Pending`](crate::stats::Finish::Pending).
    ///
    /// All sinks are told to close in the order in which they were added, and none is waited for in
    /// between. Sinks without lanes are closed on a separate thread of the bus.
    ///
    /// # Cancel safety
    /// The future may be dropped at any time. The bus is closed from the first poll on, and its sinks
    /// continue to close. A later close returns the same report.
    ///
    /// # Panics
    /// If it is polled after it was ready.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Queue};
    /// use futures::executor::block_on;
    /// let (sender, seen) = std::sync::mpsc::channel();
    /// let bus = Bus::new();
    /// bus.add(Queue::builder().spawn(move |n: u32| sender.send(n))?)?;
    /// bus.publish(1)?;
    /// assert!(block_on(bus.close_async()).is_done());
    /// assert_eq!(seen.try_recv()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close_async(&self) -> CloseAsync {
        let (begun, ended) = (self.core().clone(), self.core().clone());
        CloseAsync::new(move || begun.close_as_task(), move || ended.close(Deadline::NOW, Wait::Here))
    }

    /// Returns a future that is ready when the bus is closed, also by the drop of its last handle.
    /// Its sinks may still handle events.
    ///
    /// The future does not keep the bus open. It may be dropped at any time.
    ///
    /// # Examples
    /// ```
    /// use futures::executor::block_on;
    /// let bus = buslane::Bus::<u32>::new();
    /// let closed = bus.closed();
    /// assert!(bus.close().is_done());
    /// block_on(closed);
    /// ```
    pub fn closed(&self) -> UntilClosed {
        UntilClosed::new(self.core().until_closed())
    }

    /// Returns `true` if the bus was closed.
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

    /// Returns `true` if at least one open sink is on the bus. Takes no lock.
    ///
    /// # Examples
    /// Makes an expensive event only if a sink receives it:
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

    /// Returns the number of open sinks on the bus.
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
        self.core().front.list.snapshot().iter().filter(|entry| !entry.info.is_closed()).count()
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
        // Bound first, so that the lock is free when `f` calls its writer, which is user code.
        let publishers = lock(&self.core().control).publisher_count();
        f.debug_struct("Bus")
            .field("sinks", &self.sink_count())
            .field("publishers", &publishers)
            .field("closed", &self.is_closed())
            .finish()
    }
}
