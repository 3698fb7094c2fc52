//! A lock-free, in-process publish-subscribe event bus: fan-out over private SPSC rings, for
//! telemetry on hot paths.
//!
//! Each publishing thread owns a [`Publisher`], which has a private SPSC ring buffer (a *lane*)
//! into each queue and channel on the bus. A publish stores the event in each lane. It takes no
//! lock, allocates nothing, and does not wait for consumers. So publishers contend neither with
//! each other nor with a slow consumer. Each sink has its own [`Overflow`] policy, which applies
//! when the sink is full. Sinks are added and removed while events flow.
//!
//! ```
//! use buslane::{Bus, Queue};
//!
//! let bus = Bus::new();
//! bus.add_named("log", Queue::builder().spawn(|nanos: u64| println!("{nanos} ns"))?)?; // on its own thread
//! let mut alerts = bus.subscribe_lossy(256)?; // read by this thread
//!
//! let mut publisher = bus.publisher(); // one for each publishing thread
//! assert!(publisher.publish(420)?.is_complete()); // no sink dropped or refused it
//! assert_eq!(alerts.recv()?, 420);
//!
//! println!("{}", bus.close()); // drains the queue, with a deadline
//! println!("{}", bus.snapshot()); // the ledger of each sink
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The parts
//!
//! ```text
//!  Publisher (thread 1) ──lane──┐                  ┌─ worker thread ─ closure, Handler or Sink
//!  Publisher (thread 2) ──lane──┼─► Queue ─────────┘
//!  Bus::publish(&self)  ─shared─┘
//!         │
//!         ├── Filter ──► Channel ── Receiver (blocking, polling, async)
//!         ├────────────► Journal (one ring with history, any number of Subscribers, each with its own cursor)
//!         └────────────► any other Sink (runs on the publishing thread)
//! ```
//!
//! | use | for |
//! |---|---|
//! | [`Bus`] and [`Publisher`] | fan-out to many sinks, which are added and removed while events flow |
//! | [`Queue`] | work that takes time: a worker thread calls your closure, handler or sink |
//! | [`QueueBuilder::workers`](queue::QueueBuilder::workers), [`QueueBuilder::ordered_by`](queue::QueueBuilder::ordered_by) | more work than one thread can do, in any order or in order per key |
//! | [`Channel`] | reading on your own thread or task |
//! | [`Channel::shared_lossy`], [`Channel::shared_lossless`] | several reading threads or tasks, of which one receives each event (MPMC) |
//! | [`Journal`] | many subscribers that read every event, also events published before they subscribed, and can resume |
//! | [`sink_fn`], your own [`Sink`] | a few nanoseconds of work on the publishing thread |
//! | [`SinkExt::filter`], [`SinkExt::map`], [`SinkExt::sample`], [`SinkExt::rate_limit`] | fewer or different events for one sink |
//! | [`SinkExt::retry`] with a [`Backoff`](retry::Backoff) or a [`Breaker`](retry::Breaker), [`SinkExt::retry_by_key`] | a sink that fails and recovers |
//! | [`SinkExt::batch`], [`SinkExt::timeout`], [`SinkExt::inspect`], [`SinkExt::tee`], [`SinkExt::catch_panic`] | the other combinators |
//! | `HttpSink` of [`buslane-http`](https://docs.rs/buslane-http) | posting events as JSON, one by one or in batches |
//! | [`source`] | a stream of events from outside the process: a monitor that connects, resumes and connects again |
//! | [`director`] | named members that send each other events, in packets that are acknowledged and delivered again |
//! | [`testing`] (feature `testing`) | tests: sinks that collect, fail, wait and panic; a manual clock; a contract check for sinks |
//! | [`Bus::with_local`] | code that cannot hold a `Publisher`: async handlers, statics |
//! | [`Publisher::reserve`], [`Publisher::publish_async`], [`Bus::close_async`] | tasks that must not block their thread: [`docs::async_code`] |
//!
//! [`docs::rings`] compares queues, channels and journals, and states what each costs.
//!
//! # From a sink to a bus
//!
//! A chain is built from the sink outwards: a sink, a retry around it, a batch, a queue upstream,
//! and a bus upstream of all. docker/go-events has the same steps: [`docs::go_events`] maps its
//! names and behaviors to those of this crate.
//!
//! ```
//! use buslane::retry::Breaker;
//! use buslane::{BoxError, Bus, Channel, SinkExt, sink_fn};
//! use std::time::Duration;
//!
//! #[derive(Clone)]
//! struct Push { repository: String, tag: String }
//!
//! /// Sends a batch to an endpoint. `HttpSink` of buslane-http sends it as JSON over HTTP.
//! fn send(endpoint: &str, pushes: &[Push]) -> Result<(), BoxError> {
//!     println!("{endpoint}: {} pushes, the first to {}:{}", pushes.len(), pushes[0].repository, pushes[0].tag);
//!     Ok(())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::new();
//! let mut dead = Vec::new();
//! for endpoint in ["one.example", "other.example"] {
//!     let (letters, receiver) = Channel::lossy(256)?; // one channel per retry, which closes it
//!     dead.push(receiver);
//!     let breaker = Breaker::new(5, Duration::from_secs(1)).max_attempts(20);
//!     let sink = sink_fn(move |pushes: &Vec<Push>| send(endpoint, pushes)); // the endpoint
//!     let sink = sink.retry(breaker).dead_letters(letters); // at most 20 attempts
//!     let queue = sink.batch(50).age(Duration::from_millis(100)).queue(4096)?; // on a worker thread
//!     bus.add(queue)?;
//! }
//! println!("{}", bus.publish(Push { repository: "app".into(), tag: "v1".into() })?);
//! println!("{}", bus.close());
//! for mut receiver in dead {
//!     while let Ok(letter) = receiver.try_recv() {
//!         eprintln!("{} pushes given up after {} attempts: {}", letter.event.len(), letter.attempts, letter.error);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! | | |
//! |---|---|
//! | publishing | wait-free through a [`Publisher`]; a publish waits only for sinks whose policy is to wait ([`Overflow::Block`]), and calls sinks without a queue on the publishing thread |
//! | allocation | none while publishing through a [`Publisher`], apart from the event's own `Clone` and `Drop`, unbounded queues, the error text of a failing sink without a queue, and a wait list of one sink with more than 16 concurrent waiters. [`Bus::publish`] also allocates a record at each thread's first use, and allocates when it has to wait |
//! | system calls | none, except to wake a parked consumer; none at all with [`WaitStrategy::Poll`] |
//! | order | first in, first out for each publisher and sink; none between publishers, except through a [`Journal`], which has one order for all |
//! | delivery | each sink is offered each event exactly once, also while other sinks are added and removed |
//! | `Ok` | the event is accepted; an accepted event is handled, or counted in the [`Ledger`](stats::Ledger) with a reason |
//! | `add` | a publish that happens after `add` returned reaches the sink |
//! | `remove` | no later call of this bus enters the sink once `remove` has returned; events that the sink accepted before are handled |
//! | `close` | idempotent, with a deadline; no sink can make it hang |
//! | overload | per sink: drop the newest or the oldest event, refuse it, block with or without a limit, or close the sink |
//! | panics | a panic in a sink, handler or filter is caught and counted, and every other sink and publisher continues |
//! | inside a delivery | no call waits: a handler may publish on its own bus, remove sinks from it, or close it |
//!
//! [`docs::protocols`] explains how each guarantee is kept, and names the model that checks it.
//! [`docs::correctness`] lists what each check covers, and what no check covers. [`docs::memory`]
//! lists the memory that each part takes.
//!
//! # Examples
//!
//! Each example in `examples` is one file of at most 60 lines. `cargo run --example hello` runs the
//! first.
//!
//! | example | shows |
//! |---|---|
//! | `hello` | a bus with a queue and a channel |
//! | `channel_loop` | a thread that reads a lossless channel in a loop, with backpressure on the publishers |
//! | `async_receiver` | a task that awaits events |
//! | `async_publisher` | tasks that wait for room without blocking their thread |
//! | `journal_replay` | history for late subscribers, and a subscriber that resumes at its position |
//! | `overflow_policies` | which events a full channel keeps, drops or refuses |
//! | `order_per_key` | several worker threads that keep the order of each key |
//! | `custom_sink` | a custom sink with one method |
//! | `static_bus` | a bus in a static, published to from any thread |
//! | `dead_letters` | retries with exponential backoff, and dead letters for the events that fail permanently |
//! | `snapshot` | the depth and the ledger of each sink |
//! | `openmetrics` | the metrics of a bus, served to Prometheus |
//! | `director` | two replicas that a director keeps in step: one fails for a while, the other comes late |
//!
//! # Cargo features
//!
//! No feature is enabled by default.
//!
//! | feature | adds |
//! |---|---|
//! | `async` | `Stream` for receivers and subscribers, `Sink` for publishers, both of the crate `futures` |
//! | `testing` | the module [`testing`] |
//! | `serde` | `Serialize` and `Deserialize` for settings, ledgers, snapshots and reports |
//! | `loom`, `shuttle` | the primitives of the tool, if the crate is also compiled with `--cfg loom` or `--cfg shuttle`; outside semantic versioning |
//! | `unstable` | the modules `ring` and `wait`; outside semantic versioning |
//!
//! With `loom`, your own code on top of a bus can be model-checked. With `shuttle`, it runs under
//! randomly chosen schedules. Neither tool models time or the asymmetric fence (`membarrier`),
//! which saves publishers a fence on Linux. `loom-tests/tests/store_buffer` explores that fence on
//! its own machine models. `BUSLANE_FENCE=symmetric` in the environment disables it.
//!
//! # Requirements
//!
//! Rust 1.88 or newer, and a platform with 64-bit atomics. Events are `Clone + Send + 'static`;
//! events of a journal are also `Sync`.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bus;
pub mod channel;
mod combinators;
mod deadline;
pub mod director;
pub mod docs;
pub mod error;
mod events;
pub mod journal;
mod mailbox;
pub mod queue;
pub mod retry;
pub mod sink;
pub mod source;
pub mod stats;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;

// Public only so that models and tests can reach them; outside semantic versioning.
#[cfg(not(feature = "unstable"))]
#[expect(dead_code, unreachable_pub, reason = "public, and whole, with the feature `unstable`")]
mod ring;
#[cfg(feature = "unstable")]
pub mod ring;
#[cfg(not(feature = "unstable"))]
#[expect(dead_code, unreachable_pub, reason = "public, and whole, with the feature `unstable`")]
mod wait;
#[cfg(feature = "unstable")]
pub mod wait;

pub use bus::{Bus, Published, Publisher, WeakBus};
pub use channel::{Channel, Receiver};
pub use error::{BoxError, WriteError};
pub use journal::{Journal, Subscriber};
pub use mailbox::overflow::Overflow;
pub use queue::Queue;
pub use sink::{Sink, SinkExt, noop, sink_fn};
pub use stats::SinkId;
pub use wait::WaitStrategy;
