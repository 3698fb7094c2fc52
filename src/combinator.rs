//! Sinks around sinks. Their documentation stands on [`SinkExt`](crate::SinkExt).

pub(crate) mod filter;
pub(crate) mod map;
