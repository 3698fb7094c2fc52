//! NATS JetStream as a sink and as a source of [buslane].
//!
//! Use this crate where one process ends: a [`JetStream`] sink stores the events of a bus in a stream of
//! a NATS server, and a [`JetStreamSource`] reads them in another process, on this machine or another
//! one. Neither side loses an event that it has accepted without counting it, whatever happens to the
//! server or the network.
//!
//! # Examples
//! Each host publishes its readings:
//! ```
//! use buslane::{Bus, SinkExt};
//! use buslane_nats::JetStream;
//!
//! #[derive(Clone, serde::Serialize)]
//! struct Reading { host: String, celsius: f32 }
//!
//! let sink = JetStream::builder("nats://127.0.0.1:9")
//!     .subject_by(|reading: &Reading| format!("telemetry.{}", reading.host))
//!     .json()
//!     .connect_lazy()?; // the server may be absent
//! let stats = sink.stats();
//! let bus = Bus::new();
//! bus.add(sink.queue(65_536)?)?;
//! bus.publish(Reading { host: "a7".into(), celsius: 21.5 })?;
//! # drop(bus);
//! assert_eq!(stats.read().acknowledged, 0); // no process listens at that port
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An aggregator reads all of them:
//! ```no_run
//! use buslane::source::Update;
//! use buslane::Queue;
//! use buslane_nats::JetStreamSource;
//!
//! #[derive(serde::Deserialize)]
//! struct Reading { host: String, celsius: f32 }
//!
//! let source = JetStreamSource::builder("nats://localhost", "TELEMETRY", "aggregator").json().build()?;
//! let queue = Queue::builder().spawn(|update: Update<Reading>| match update {
//!     Update::Event(reading) => println!("{}: {}", reading.host, reading.celsius),
//!     Update::Gap(gap) => println!("{gap}"),
//!     _ => {}
//! })?;
//! let monitor = source.monitor().spawn(queue)?; // acknowledges what the queue has handled
//! # drop(monitor);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! | | the sink | the source |
//! |---|---|---|
//! | delivery | at least once to the server; stored once within the stream's `duplicate_window`, by message ids that last through every attempt | at least once across processes, once within a process |
//! | success | the server's acknowledgement, and nothing else | the sink has handled the event, then it is acknowledged |
//! | order | as published while nothing fails; always with [`strict_order`](JetStreamBuilder::strict_order) | that of the stream |
//! | loss | counted: by the queue's overflow policy, a close, or a refusal, which goes to the [dead letters](JetStreamBuilder::dead_letters) | told in the stream as a [`Gap`](buslane::source::Gap) |
//! | outage | held in the queue, sent afterwards | continued afterwards |
//!
//! # What is not
//! - **A disk that is written before the acknowledgement.** By default, the server writes to the disk every
//!   two minutes. What it has acknowledged survives its own end, and not that of the machine. Set
//!   `sync_interval: always`, or replicate the stream (`num_replicas: 3`).
//! - **Exactly once after a long outage.** The server forgets message ids after the `duplicate_window`, 2
//!   minutes by default. If the answer to a message is lost and the outage is longer, it is stored twice.
//!   Set a longer window, or let the reader recognize the [message id](Received::message_id).
//! - **Streams.** The crate creates consumers, and no streams: their limits are a decision of yours.
//!
//! # Items
//! | item | purpose |
//! |---|---|
//! | [`Server`] | where the server is: credentials, TLS, runtime |
//! | [`JetStream`], [`JetStreamBuilder`] | the sink, and its settings |
//! | [`JetStreamStats`], [`JetStreamCounts`] | its counters, while it runs |
//! | [`Rejected`], [`PublishError`], [`SubjectError`] | an event that was given up, and why |
//! | [`JetStreamSource`], [`JetStreamSourceBuilder`], [`JetStreamConnection`] | the source, its settings, and its connection |
//! | [`Received`] | a message, for a decoder |
//! | [`StreamPosition`], [`ParsePositionError`], [`Acknowledger`] | where a reader is, and how it acknowledges |
//! | [`NatsConfigError`], [`NatsConfigErrorKind`] | why a setting is invalid |
//!
//! # Features
//! | feature | |
//! |---|---|
//! | `serde` (default) | payloads as JSON |
//! | `nkeys` | nkeys, JWT and credentials files, by `async_nats::ConnectOptions` |
//!
//! The client is [`async_nats`], which this crate re-exports. Connections run on a thread of their own, or
//! on [your runtime](Server::runtime).

mod acks;
mod answer;
mod builder;
mod config;
mod connect;
mod consumer;
mod counters;
mod error;
mod id;
mod letters;
mod link;
mod message;
mod pending;
mod position;
mod publisher;
mod ranges;
mod received;
mod runtime;
mod server;
mod sink;
mod source;
mod source_builder;
mod source_settings;
mod stream;
mod subject;
mod wait;

pub use async_nats;

pub use builder::JetStreamBuilder;
pub use config::{NatsConfigError, NatsConfigErrorKind};
pub use counters::{JetStreamCounts, JetStreamStats};
pub use error::PublishError;
pub use letters::Rejected;
pub use pending::Acknowledger;
pub use position::{ParsePositionError, StreamPosition};
pub use received::Received;
pub use server::Server;
pub use sink::JetStream;
pub use source::JetStreamSource;
pub use source_builder::JetStreamSourceBuilder;
pub use stream::JetStreamConnection;
pub use subject::SubjectError;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
