//! Trying again what a sink failed to accept: policies, back-off, circuit breakers and dead
//! letters.
//!
//! [`SinkExt::retry`](crate::SinkExt::retry) and
//! [`SinkExt::retry_by_key`](crate::SinkExt::retry_by_key) make the sinks; a [`RetryPolicy`]
//! decides when an attempt is made and when an event is given up.
//!
//! | item | what it is |
//! |---|---|
//! | [`Retry`] | a sink that retries on the calling thread, in order |
//! | [`KeyedRetry`] | a sink that retries each key by itself, so that one failing key delays no other |
//! | [`RetryPolicy`], [`Next`], [`Attempt`], [`AttemptError`] | what decides, and what it is told |
//! | [`Backoff`] | exponential back-off with jitter |
//! | [`Breaker`], [`BreakerState`] | a circuit breaker |
//! | [`DeadLetter`] | an event that was given up, with the reason |
//!
//! # Examples
//! ```
//! use buslane::retry::Backoff;
//! use buslane::{Sink, SinkExt, sink_fn};
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! let attempts = AtomicU32::new(0);
//! let flaky = sink_fn(move |_: &u32| {
//!     if attempts.fetch_add(1, Ordering::Relaxed) < 2 { Err("no route") } else { Ok(()) }
//! });
//! let sink = flaky.retry(Backoff::new(Duration::from_millis(1), Duration::from_millis(10)));
//! sink.write(7)?; // accepted at the third attempt
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attempts;
mod backoff;
mod books;
mod breaker;
mod dead;
mod keyed;
mod parked;
mod policy;
mod sink;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerState};
pub use dead::DeadLetter;
pub use keyed::KeyedRetry;
pub use policy::{Attempt, AttemptError, Next, RetryPolicy};
pub use sink::Retry;
