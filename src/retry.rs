//! Retrying events that a sink failed to accept: policies, exponential backoff, circuit breakers
//! and dead letters.
//!
//! [`SinkExt::retry`](crate::SinkExt::retry) and
//! [`SinkExt::retry_by_key`](crate::SinkExt::retry_by_key) create the sinks; a [`RetryPolicy`]
//! decides when to make an attempt and when to give up an event.
//!
//! | item | what it is |
//! |---|---|
//! | [`Retry`] | a sink that retries on the calling thread, in order |
//! | [`KeyedRetry`] | a sink that retries each key separately, so that a failing key delays no other |
//! | [`RetryPolicy`], [`Next`], [`Attempt`], [`AttemptError`] | the policy, its decisions, and its input |
//! | [`Backoff`] | exponential backoff with jitter |
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
//! sink.write(7)?; // accepted by the third attempt
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attempts;
mod backoff;
mod breaker;
mod counters;
mod dead_letter;
mod hands;
mod keyed;
mod letters;
mod parked;
mod policy;
mod sink;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerState};
pub use dead_letter::DeadLetter;
pub use keyed::KeyedRetry;
pub use policy::{Attempt, AttemptError, Next, RetryPolicy};
pub use sink::Retry;
