//! The event: what is known of one request.

use crate::peers::Record;
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

impl Record for Sample {
    fn to_words(&self) -> [u64; 4] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let kind = u32::from(self.status) | (self.operation as u32) << 16;
        [self.at_micros, self.key_hash, pair(self.nanos, self.bytes), pair(self.worker, kind)]
    }

    fn from_words([at_micros, key_hash, third, fourth]: [u64; 4]) -> Option<Self> {
        let pair = |word: u64| (word as u32, (word >> 32) as u32);
        let ((nanos, bytes), (worker, kind)) = (pair(third), pair(fourth));
        let operation = *Operation::ALL.get((kind >> 16) as usize)?;
        Some(Self { at_micros, key_hash, nanos, bytes, worker, status: kind as u16, operation })
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

#[cfg(test)]
mod tests {
    use super::{Operation, Sample};
    use crate::peers::Record;

    #[test]
    fn sample_survives_its_way_as_words() {
        for operation in Operation::ALL {
            let sample = Sample {
                at_micros: u64::MAX - 1,
                key_hash: 3,
                nanos: u32::MAX,
                bytes: 5,
                worker: u32::MAX - 2,
                status: 404,
                operation,
            };
            let read = Sample::from_words(sample.to_words());
            assert_eq!(format!("{read:?}"), format!("{:?}", Some(sample)));
        }
        assert!(Sample::from_words([0, 0, 0, u64::MAX]).is_none());
    }
}
