//! What is published: one thing that happened in the directory.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

/// One thing that happened in the directory. Cheap to clone: every subscriber gets its own.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    /// Where, seen from the directory.
    pub(crate) path: Arc<str>,
    /// Bytes; zero for what is no file.
    pub(crate) size: u64,
    /// When it was noticed. Never earlier than the time of the event before.
    pub(crate) time: SystemTime,
}

/// What happened. To two scans, a renamed file is one that was removed and another one that was
/// created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// The first scan found it.
    Found,
    Created,
    Changed,
    Removed,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Found, Self::Created, Self::Changed, Self::Removed];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Found => "found",
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Removed => "removed",
        })
    }
}

impl Event {
    /// Returns a hash that identifies this event.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A checksum of a sequence of events, which depends on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum(u64);

impl Checksum {
    /// Takes in the digest of the next event.
    pub(crate) fn add(&mut self, digest: u64) {
        let mut hasher = DefaultHasher::new();
        (self.0, digest).hash(&mut hasher);
        self.0 = hasher.finish();
    }
}
