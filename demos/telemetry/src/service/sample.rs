//! The event: what is known of one request.

use crate::report::duration_text;
use serde::Serialize;
use std::fmt;

/// What a request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Get,
    Set,
    Del,
    /// Nothing that the service knows.
    Unknown,
}

impl Operation {
    pub(crate) const ALL: [Self; 4] = [Self::Get, Self::Set, Self::Del, Self::Unknown];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Set => "SET",
            Self::Del => "DEL",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of one request. Small and `Copy`, so that publishing it is a few stores.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// When the request came, since the start of the service.
    pub(crate) at_micros: u64,
    /// A hash of the key: keys are the users' business.
    pub(crate) key_hash: u64,
    /// How long the service took, up to the end of its reply.
    pub(crate) nanos: u32,
    /// The request's and the reply's length.
    pub(crate) bytes: u32,
    pub(crate) worker: u32,
    pub(crate) status: u16,
    pub(crate) operation: Operation,
}

const _: () = assert!(size_of::<Sample>() == 32, "two samples fit into a cache line");

impl Sample {
    /// Whether the service could not do what was asked for.
    pub(crate) fn is_failure(&self) -> bool {
        self.status >= 400
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>11.6} s  {:<7}  {}  {:>10}  worker {}",
            self.at_micros as f64 / 1e6,
            self.operation.name(),
            self.status,
            duration_text(u64::from(self.nanos)),
            self.worker
        )
    }
}
