//! The combinators, as methods of every sink.

use super::Sink;
use crate::combinators::batch::Batch;
use crate::combinators::catch_panic::CatchPanic;
use crate::combinators::filter::Filter;
use crate::combinators::inspect::{Inspect, InspectFn, Inspector};
use crate::combinators::map::Map;
use crate::combinators::rate_limit::RateLimit;
use crate::combinators::sample::Sample;
use crate::combinators::tee::Tee;
use crate::combinators::timeout::Timeout;
use crate::error::SpawnError;
use crate::queue::Queue;
use crate::retry::{KeyedRetry, Retry, RetryPolicy};
use std::hash::Hash;
use std::time::Duration;

/// The combinators, as methods of every sink.
///
/// # The order of calls
/// A chain is read from the destination outward: `sink.map(f).filter(p)` is a filter upstream of a
/// map upstream of the sink. The *last* call sees the event *first*, as in go-events' constructors.
/// The two orders differ:
///
/// ```
/// use buslane::{Channel, Sink, SinkExt};
///
/// // The filter sees what is published, the map what passed the filter.
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let sink = channel.map(|n: &u32| n * 10).filter(|n: &u32| *n > 1);
/// sink.write(1)?;
/// sink.write(2)?;
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [20]);
///
/// // The map sees what is published, the filter what the map made of it.
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let sink = channel.filter(|n: &u32| *n > 1).map(|n: &u32| n * 10);
/// sink.write(1)?;
/// sink.write(2)?;
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [10, 20]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Stages *upstream* of a queue run on the publishing thread, and stages *downstream* of it on the
/// worker thread.
///
/// # Guarantees
/// - **Control**: a close, a flush and an abort reach the inner sink, through any number of
///   combinators.
/// - **Panics**: a panic in a combinator's closure costs at most the event for which the closure
///   was called.
/// - **Ledger**: an event that a combinator keeps away from the inner sink is counted in the ledger
///   of the whole chain, with the reason.
/// - **Lanes**: through `filter`, `map`, `inspect`, `inspect_fn`, `sample`, `rate_limit`,
///   `timeout`, `catch_panic` and `tee`, publishers keep private lanes (SPSC rings) into the inner
///   sink, if that sink has lanes. A `batch`, a `retry` and a `retry_by_key` have no lanes: put a
///   [`queue`](Self::queue) upstream of them.
pub trait SinkExt<E>: Sink<E> + Sized {
    /// Catches the panics of the sink, so that they do not reach its callers.
    ///
    /// Each panic costs its event, which counts as `panicked`. After as many panics in a row as
    /// [`close_after`](CatchPanic::close_after) sets, the sink is closed.
    ///
    /// A bus, a [`Queue`] and every combinator with a closure catch panics anyway. Use
    /// `catch_panic` where neither a bus nor a queue is upstream, or to close a sink that panics on
    /// every event.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, SinkExt, sink_fn};
    /// let sink = sink_fn(|n: &u32| assert_ne!(*n, 3)).catch_panic().close_after(2);
    /// sink.write(3)?; // lost, and counted
    /// sink.write(4)?;
    /// sink.write(3)?;
    /// sink.write(3)?;
    /// assert!(sink.write(5).is_err_and(|error| error.is_closed()));
    /// # Ok::<(), buslane::WriteError<u32>>(())
    /// ```
    fn catch_panic(self) -> CatchPanic<E, Self> {
        CatchPanic::new(self)
    }

    /// Collects events into batches, and forwards each as a `Vec` of at most `count` events.
    ///
    /// Batches may also be limited by their [bytes](Batch::bytes) and their [age](Batch::age). Put
    /// a [`queue`](Self::queue) upstream if a batch has an age limit, or to keep the sink's work
    /// off the publishing threads. [`Batch`] documents what becomes of a batch that the sink does
    /// not accept.
    ///
    /// A `count` of 0 is invalid: see [where settings are
    /// checked](crate::error#where-settings-are-checked).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, SinkExt};
    /// let (channel, mut batches) = Channel::lossy(8)?;
    /// let bus = Bus::new();
    /// bus.add(channel.batch(2))?;
    /// for n in 1..=3 {
    ///     bus.publish(n)?;
    /// }
    /// assert_eq!(batches.recv()?, [1, 2]);
    /// let _ = bus.close(); // forwards the rest
    /// assert_eq!(batches.recv()?, [3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn batch<T>(self, count: usize) -> Batch<T, Self>
    where
        T: 'static,
        Self: Sink<Vec<T>>,
    {
        Batch::new(self, count)
    }

    /// Forwards only the events for which `keep` returns `true`; the others count as `filtered`.
    ///
    /// The predicate runs on the publishing thread: keep it pure and short. If it panics, the event
    /// counts as dropped (`panicked`), and the sink continues.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, SinkExt};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let bus = Bus::new();
    /// bus.add(channel.filter(|n: &u32| n % 2 == 0))?;
    /// let mut publisher = bus.publisher();
    /// for n in 1..=4 {
    ///     publisher.publish(n)?;
    /// }
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [2, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Matchers are functions, and combine as conditions do. To ignore a list of values, let the
    /// filter own a set of them. Closing the filter closes the inner sink.
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// use std::collections::HashSet;
    /// let is_push = |action: &&str| *action == "push";
    /// let is_pull = |action: &&str| *action == "pull";
    /// let ignored = HashSet::from(["pull"]);
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let sink = channel
    ///     .filter(move |action: &&str| !ignored.contains(action))
    ///     .filter(move |action| is_push(action) || is_pull(action));
    /// for action in ["push", "pull", "mount"] {
    ///     sink.write(action)?;
    /// }
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), ["push"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn filter<P>(self, keep: P) -> Filter<E, Self, P>
    where
        P: Fn(&E) -> bool + Send + Sync + 'static,
    {
        Filter::new(self, keep)
    }

    /// Shows each event and its outcome to an [`Inspector`], for metrics, traces and tests.
    ///
    /// Upstream of a queue the inspector sees events as they enter the queue, and downstream as
    /// they leave it.
    ///
    /// # Examples
    /// ```
    /// use buslane::{noop, Sink, SinkExt, WriteError};
    /// use buslane::sink::Inspector;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// #[derive(Default)]
    /// struct Refusals(AtomicU64);
    /// impl<E> Inspector<E> for Refusals {
    ///     fn failure(&self, _error: &WriteError<E>) {
    ///         self.0.fetch_add(1, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let refusals = Arc::new(Refusals::default());
    /// let sink = noop::<u32>().inspect(refusals.clone());
    /// sink.write(1)?;
    /// let _ = sink.close_by(buslane::time::Deadline::NOW);
    /// assert!(sink.write(2).is_err());
    /// assert_eq!(refusals.0.load(Ordering::Relaxed), 1);
    /// # Ok::<(), WriteError<u32>>(())
    /// ```
    fn inspect<I: Inspector<E> + 'static>(self, inspector: I) -> Inspect<E, Self, I> {
        Inspect::new(self, inspector)
    }

    /// Shows each event to a closure before it is forwarded. See [`inspect`](Self::inspect).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, SinkExt, noop};
    /// let sink = noop().inspect_fn(|n: &u32| println!("{n}"));
    /// sink.write(7)?;
    /// # Ok::<(), buslane::WriteError<u32>>(())
    /// ```
    fn inspect_fn<F>(self, look: F) -> Inspect<E, Self, InspectFn<F>>
    where
        F: Fn(&E) + Send + Sync + 'static,
    {
        Inspect::new(self, InspectFn::new(look))
    }

    /// Converts each event with `convert` and forwards the result, which adapts the sink to another
    /// event type.
    ///
    /// `convert` borrows the event, so that the event can be given back if the sink does not accept
    /// the result. If `convert` panics, the event counts as dropped (`panicked`), and the sink
    /// continues.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, SinkExt};
    /// let (channel, mut receiver) = Channel::<String>::lossy(8)?;
    /// let bus = Bus::new();
    /// bus.add(channel.map(|n: &u32| n.to_string()))?;
    /// bus.publish(7)?;
    /// assert_eq!(receiver.recv()?, "7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn map<T, F>(self, convert: F) -> Map<T, E, Self, F>
    where
        F: Fn(&T) -> E + Send + Sync + 'static,
    {
        Map::new(self, convert)
    }

    /// Puts a [`Queue`] with room for `capacity` events per publisher upstream of the sink.
    ///
    /// The queue drops the newest event when it is full: the write returns `Ok`, and the event is
    /// dropped and counted. [`Queue::builder`] with
    /// [`spawn_sink`](crate::queue::QueueBuilder::spawn_sink) offers the other overflow policies
    /// and settings.
    ///
    /// # Errors
    /// [`SpawnError`] if the capacity is invalid, or if the worker thread cannot be spawned.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, SinkExt, sink_fn};
    /// let bus = Bus::new();
    /// bus.add(sink_fn(|n: &u32| assert_eq!(*n, 7)).queue(1024)?)?;
    /// bus.publish(7)?;
    /// assert!(bus.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn queue(self, capacity: usize) -> Result<Queue<E>, SpawnError>
    where
        E: Send + 'static,
        Self: 'static,
    {
        Queue::builder().capacity(capacity).spawn_sink(self)
    }

    /// Forwards at most `per_second` events a second, and up to `burst` of them at once.
    ///
    /// Events above the limit count as `filtered`. All publishers share the limit.
    /// [`clock`](RateLimit::clock) replaces the system clock.
    ///
    /// A rate that is not a finite number above 0 is invalid, and so is a burst of 0: see [where
    /// settings are checked](crate::error#where-settings-are-checked).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// let (channel, mut receiver) = Channel::lossy(1024)?;
    /// let sink = channel.rate_limit(0.001, 10);
    /// for n in 0..1000 {
    ///     sink.write(n)?;
    /// }
    /// assert!(receiver.drain().eq(0..10));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn rate_limit(self, per_second: f64, burst: u64) -> RateLimit<E, Self> {
        RateLimit::new(self, per_second, burst)
    }

    /// Forwards one in `one_in` events of each publisher, starting with its first; the others count
    /// as `filtered`.
    ///
    /// A `one_in` of 0 is invalid: see [where settings are
    /// checked](crate::error#where-settings-are-checked).
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, Channel, SinkExt};
    /// let (channel, mut receiver) = Channel::lossy(8)?;
    /// let bus = Bus::new();
    /// bus.add(channel.sample(100))?;
    /// let mut publisher = bus.publisher();
    /// for n in 0..250 {
    ///     publisher.publish(n)?;
    /// }
    /// assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 100, 200]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn sample(self, one_in: u64) -> Sample<E, Self> {
        Sample::new(self, one_in)
    }

    /// Writes every event to a second sink too.
    ///
    /// Each sink counts for itself. The write is `Ok` if at least one of them accepted the event.
    ///
    /// On a bus, it is simpler to add two sinks. A tee is for a position inside a chain, such as
    /// downstream of one queue or one filter.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, SinkExt};
    /// let (left, mut one) = Channel::lossy(8)?;
    /// let (right, mut other) = Channel::lossy(8)?;
    /// let sink = left.tee(right).filter(|n: &u32| *n > 1);
    /// sink.write(1)?;
    /// sink.write(2)?;
    /// assert_eq!((one.recv()?, other.recv()?), (2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn tee<S: Sink<E>>(self, other: S) -> Tee<E, Self, S>
    where
        E: Clone,
    {
        Tee::new(self, other)
    }

    /// Bounds every wait of this crate on the writing thread downstream.
    ///
    /// An example is the wait for room in a full [`Overflow::Block`](crate::Overflow::Block) lane.
    /// At the limit, the event comes back as [`WriteError::Timeout`](crate::WriteError::Timeout).
    /// With a limit of zero, a write never waits.
    ///
    /// A timeout cannot end a call of your own sink that blocks: put a [`queue`](Self::queue)
    /// upstream of such a sink. Stages downstream of a queue wait on the worker thread, which a
    /// timeout upstream of the queue does not affect.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Overflow, Sink, SinkExt, WriteError};
    /// use std::time::Duration;
    /// let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build()?;
    /// let sink = channel.timeout(Duration::from_millis(1));
    /// sink.write(1)?;
    /// assert!(matches!(sink.write(2), Err(WriteError::Timeout(2))));
    /// assert_eq!(receiver.recv()?, 1);
    /// sink.write(3)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn timeout(self, limit: Duration) -> Timeout<E, Self> {
        Timeout::new(self, limit)
    }

    /// Retries events that this sink failed to accept, under a [`Breaker`](crate::retry::Breaker),
    /// a [`Backoff`](crate::retry::Backoff) or your own [`RetryPolicy`].
    ///
    /// A retry waits on the writing thread. Put a queue upstream, with a call of
    /// [`queue`](Self::queue) after that of `retry`.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, sink_fn, SinkExt};
    /// use buslane::retry::Breaker;
    /// use std::time::Duration;
    /// let bus = Bus::new();
    /// for url in ["http://a/", "http://b/"] {
    ///     let post = move |event: &String| println!("POST {url}: {event}");
    ///     bus.add(sink_fn(post).retry(Breaker::new(5, Duration::from_secs(1))).queue(1024)?)?;
    /// }
    /// bus.publish(String::from("push"))?;
    /// assert!(bus.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn retry<P: RetryPolicy<E>>(self, policy: P) -> Retry<E, Self, P> {
        Retry::new(self, policy)
    }

    /// Retries events that this sink failed to accept, while events of other keys continue.
    ///
    /// An event that failed is set aside, and later events with the same key wait for it, in order.
    ///
    /// The retry needs a queue upstream, whose ticks drive it. If `key` panics, the event is given
    /// up with an error. The key's `Hash` and `Eq` must not panic.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, sink_fn, SinkExt};
    /// use buslane::retry::Backoff;
    /// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
    /// let calls = AtomicU32::new(0);
    /// let sink = sink_fn(move |(user, text): &(u32, &str)| {
    ///     // The first call fails. Its event is retried, and the other user's event does not wait for it.
    ///     if calls.fetch_add(1, Ordering::Relaxed) == 0 { return Err("busy") }
    ///     println!("{user}: {text}");
    ///     Ok(())
    /// });
    /// let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(10));
    /// let bus = Bus::new();
    /// bus.add(sink.retry_by_key(|(user, _)| *user, backoff).queue(1024)?)?;
    /// bus.publish((1, "late"))?;
    /// bus.publish((2, "on time"))?;
    /// assert!(bus.close().is_done());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn retry_by_key<K, F, P>(self, key: F, policy: P) -> KeyedRetry<E, Self, K, F, P>
    where
        K: Eq + Hash + Send + Sync,
        F: Fn(&E) -> K + Send + Sync,
        P: RetryPolicy<E>,
    {
        KeyedRetry::new(self, key, policy)
    }
}

impl<E, S: Sink<E>> SinkExt<E> for S {}
