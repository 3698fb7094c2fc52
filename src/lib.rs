#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bus;
pub mod channel;
mod combinators;
pub mod docs;
pub mod error;
mod events;
pub mod journal;
mod mailbox;
pub mod queue;
pub mod retry;
pub mod sink;
pub mod stats;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;

// Public only so that models and tests reach them as they are; outside semantic versioning.
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
