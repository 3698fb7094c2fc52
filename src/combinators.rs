//! Combinators: sinks that wrap other sinks. Their documentation is on [`SinkExt`](crate::SinkExt).

pub(crate) mod batch;
pub(crate) mod catch_panic;
pub(crate) mod filter;
pub(crate) mod inspect;
pub(crate) mod map;
pub(crate) mod rate_limit;
pub(crate) mod sample;
mod sieve;
pub(crate) mod tee;
pub(crate) mod timeout;
