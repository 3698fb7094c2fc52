//! Changes of the data, with the node that made each and a number by which it is recognized.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Which life of which node made a change: its epoch as a member, which no other life has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Origin(pub(crate) u64);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many changes of each origin are included. The changes of an origin are numbered from 1.
pub(crate) type Vector = BTreeMap<Origin, u64>;

/// Returns whether `vector` includes every change that `required` includes.
pub(crate) fn includes(vector: &Vector, required: &Vector) -> bool {
    required.iter().all(|(origin, number)| vector.get(origin).copied().unwrap_or(0) >= *number)
}

/// What a client asks a node to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Write {
    /// Sets the text of a key. The latest change of a text wins.
    Set { key: String, text: String },
    /// Removes the text of a key.
    Remove { key: String },
    /// Adds to the sum of a key. A change that is applied twice, or not at all, falsifies it.
    Add { key: String, amount: i64 },
}

/// A write, as it is sent to all other nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) origin: Origin,
    /// Counts the changes of this origin, from 1.
    pub(crate) number: u64,
    /// A logical clock, by which every node finds the same latest change of a text.
    pub(crate) clock: u64,
    pub(crate) write: Write,
}
