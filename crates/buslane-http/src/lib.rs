//! HTTP sinks and sources for [buslane]: events of a bus, posted as JSON to an endpoint, and
//! server-sent events for a bus.
//!
//! Use this crate for webhooks and collectors. A service publishes on a bus, and an endpoint
//! receives each event, or each batch of events, as the body of a `POST` request. A sink itself
//! does not retry, batch or queue; the combinators of buslane do. [`HttpRetry`] makes a retry
//! policy respect the endpoint's answers.
//!
//! # Examples
//! An event of type `Push` is queued, batched, posted, and posted again while the endpoint is
//! unavailable:
//! ```
//! use buslane::{Bus, SinkExt};
//! use buslane::retry::Backoff;
//! use buslane_http::{HttpRetry, HttpSink};
//! use std::time::Duration;
//!
//! #[derive(Clone, serde::Serialize)]
//! struct Push {
//!     repository: String,
//! }
//!
//! let sink = HttpSink::builder("http://127.0.0.1:9/events").direct().timeout(Duration::from_millis(500)).build()?.batches();
//! let retry = sink.retry(HttpRetry::new(Backoff::default().max_attempts(2)));
//! let bus = Bus::new();
//! bus.add(retry.batch(100).age(Duration::from_millis(100)).queue(1024)?)?;
//! bus.publish(Push { repository: "library/hello".into() })?;
//! println!("{}", bus.close());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Items
//! | item | purpose |
//! |---|---|
//! | [`HttpSink`] | a sink that posts one event per request |
//! | [`HttpBatchSink`] | a sink that posts a batch of events per request |
//! | [`HttpSource`], [`HttpSourceBuilder`], [`HttpStream`], [`ServerEvent`] | a source of server-sent events, for a [`Monitor`](buslane::source::Monitor) |
//! | [`HttpRetry`] | a retry policy that gives up on permanent errors and waits for `Retry-After` |
//! | [`HttpError`] | why an event was not delivered |
//! | [`HttpSinkBuilder`] | the settings of both sinks |
//! | [`HttpConfigError`], [`HttpConfigErrorKind`] | why a setting is invalid |
//!
//! # Defaults
//! | setting | default |
//! |---|---|
//! | [`HttpSinkBuilder::timeout`] | 1 s |
//! | [`HttpSinkBuilder::media_type`] | `application/json` |
//! | [`HttpSinkBuilder::proxy`] | the proxy from the environment, chosen as curl does; none for [`HttpSink::direct`] |
//! | [`HttpSinkBuilder::root_certificates`] | Mozilla's certificate authorities |
//! | [`HttpRetry::max_retry_after`] | 60 s |
//! | [`HttpSourceBuilder::timeout`], [`HttpSourceBuilder::max_event`] | 1 s, 1 MiB |
//!
//! The crate has no features of its own.

mod answer;
mod body;
mod budget;
mod builder;
mod client;
mod config;
mod error;
mod proxy;
mod resolver;
mod retry;
mod sink;
mod source;
mod stream;
mod tcp;

pub use builder::HttpSinkBuilder;
pub use config::{HttpConfigError, HttpConfigErrorKind};
pub use error::HttpError;
pub use retry::HttpRetry;
pub use sink::{HttpBatchSink, HttpSink};
pub use source::{HttpSource, HttpSourceBuilder, HttpStream};
pub use stream::ServerEvent;

/// The `User-Agent` of all requests, including those that open a tunnel.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
