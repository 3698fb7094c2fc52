//! Sinks: the trait that every destination of events implements, and the combinators that wrap a
//! sink in another one.
//!
//! | item | what it is |
//! |---|---|
//! | [`Sink`] | the trait of everything that accepts events; your own sink implements one method |
//! | [`SinkExt`] | the combinators, as methods of every sink |
//! | [`sink_fn`], [`SinkFn`], [`Outcome`] | a sink made from a closure |
//! | [`noop`], [`Noop`] | a sink that accepts every event and does nothing |
//! | [`Filter`], [`Map`], [`Sample`], [`RateLimit`], [`Inspect`], [`InspectFn`], [`Inspector`], [`Tee`], [`Timeout`], [`CatchPanic`], [`Batch`] | the types that the combinators return |
//! | [`Inner`] | the visitor to which a wrapper names its inner sinks, so that every control reaches them |
//! | [`SinkKey`] | the identity of a sink |
//! | [`WriteAsync`], [`FlushAsync`], [`CloseAsync`], [`UntilClosed`] | the futures of a write, a flush and a close, and of the wait for a close |
//!
//! # Examples
//! ```
//! use buslane::{Channel, Sink, SinkExt};
//! let (channel, mut receiver) = Channel::lossy(8)?;
//! let errors = channel.map(|code: &u32| format!("HTTP {code}")).filter(|code: &u32| *code >= 500);
//! errors.write(200)?;
//! errors.write(503)?;
//! assert_eq!(receiver.recv()?, "HTTP 503");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod base;
pub(crate) mod biased;
pub(crate) mod control;
pub(crate) mod ext;
pub(crate) mod function;
mod futures;
mod inner;

// Public only for models and tests, which use lanes directly; outside semantic versioning.
#[cfg(not(feature = "unstable"))]
#[expect(unreachable_pub, reason = "public with the feature `unstable`")]
pub(crate) mod lane;
#[cfg(feature = "unstable")]
#[doc(hidden)]
pub mod lane;

pub use crate::combinators::batch::Batch;
pub use crate::combinators::catch_panic::CatchPanic;
pub use crate::combinators::filter::Filter;
pub use crate::combinators::inspect::{Inspect, InspectFn, Inspector};
pub use crate::combinators::map::Map;
pub use crate::combinators::rate_limit::RateLimit;
pub use crate::combinators::sample::Sample;
pub use crate::combinators::tee::Tee;
pub use crate::combinators::timeout::Timeout;
pub use base::{Sink, SinkKey};
pub use ext::SinkExt;
pub use function::{Noop, Outcome, SinkFn, noop, sink_fn};
pub(crate) use futures::AsyncWrite;
pub use futures::{CloseAsync, FlushAsync, UntilClosed, WriteAsync};
pub use inner::Inner;
