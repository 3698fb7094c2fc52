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
// | `link` | how one publisher reaches one sink, and what it is handed over in |
// | `tally`, `supply` | the outcome of one publish as it is counted, and the fan-out: clones for all sinks but the last |
// | `lanes`, `table` | what a publisher knows: the private SPSC rings (fast lanes), and the other links to sinks |
// | `delivery` | the publish path |
// | `entry`, `list` | one attachment of a sink, and the copy-on-write list of them |
// | `control`, `core` | the control plane's state, what all handles share, and how the control plane calls sinks |
// | `admit`, `remove`, `close` | adding sinks and publishers, removing sinks, closing and flushing the bus |
// | `snapshot` | what a bus and its sinks report about themselves |
// | `quota`, `publisher`, `local` | how many cached publishers have lanes, the publishing handle of one thread, and one cached publisher for each thread |
// | `shared` | publishing without a publisher, and the bus as a sink |
// | `attachment` | an attachment that ends with its guard |
// | `builder`, `handle` | settings, and handles that do not keep the bus open |
//
// Each file imports only from those above it in this table. A method of `Bus` is in the file of what it does; those that only pass the
// call on are here.

// First, so that the page of `Bus` begins with its constructors.
mod builder;

mod admit;
mod attachment;
mod close;
mod control;
mod core;
mod delivery;
mod entry;
mod handle;
mod hooks;
mod info;
mod lanes;
mod link;
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

pub use crate::events::Events;
pub use crate::stats::Published;
pub use attachment::Attachment;
pub use builder::BusBuilder;
pub use handle::{CloseGuard, WeakBus};
pub use hooks::SinkFailure;
pub use publisher::Publisher;
pub use remove::Removed;

use self::core::{Core, Handle};
use crate::stats::{CloseReport, FlushReport};
use crate::sync::lock;
use crate::time::Deadline;
use std::fmt;
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
    fn core(&self) -> &Arc<Core<E>> {
        &self.0.core
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
        self.close_timeout(crate::deadline::CLOSE_LIMIT)
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
        self.core().list.load().iter().filter(|entry| !entry.info.is_dead()).count()
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
