//! Why events were dropped or refused, with their counts.

use buslane::stats::{Dropped, Refused};

/// Returns the reasons of dropped events, with their counts.
pub(crate) fn dropped(dropped: &Dropped) -> [(&'static str, u64); 6] {
    [
        ("full", dropped.full),
        ("evicted", dropped.evicted),
        ("receiver dropped", dropped.receiver_dropped),
        ("aborted", dropped.aborted),
        ("failed", dropped.failed),
        ("panicked", dropped.panicked),
    ]
}

/// Returns the reasons of refused events, with their counts.
pub(crate) fn refused(refused: &Refused) -> [(&'static str, u64); 5] {
    [
        ("full", refused.full),
        ("closed", refused.closed),
        ("timeout", refused.timeout),
        ("reentrant", refused.reentrant),
        ("failed", refused.failed),
    ]
}

/// Returns the sum of all reasons. It saturates: a frame comes from another process, or from a file.
pub(crate) fn total(reasons: &[(&'static str, u64)]) -> u64 {
    reasons.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
}
