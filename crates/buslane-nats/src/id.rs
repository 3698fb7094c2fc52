//! Message ids: by them the server recognizes an event that it has stored before.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The ids of one sink: a prefix that no other sink has, and a number.
pub(crate) struct MessageIds {
    prefix: String,
    next: AtomicU64,
}

impl MessageIds {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let origin = (now, std::process::id());
        // Each state has keys of its own from the system's source of randomness.
        let [high, low] = [0_u8, 1].map(|half| RandomState::new().hash_one((half, origin)));
        Self { prefix: format!("{high:016x}{low:016x}"), next: AtomicU64::new(1) }
    }

    /// Returns the id of the next event.
    pub(crate) fn next(&self) -> String {
        // Relaxed: only the number matters.
        format!("{}-{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::MessageIds;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_within_and_between_sinks() {
        let sinks: Vec<_> = (0..50).map(|_| MessageIds::new()).collect();
        let ids: HashSet<_> = sinks.iter().flat_map(|sink| (0..50).map(|_| sink.next())).collect();
        assert_eq!(ids.len(), 2500);
    }

    #[test]
    fn id_is_a_valid_header_value() {
        let id = MessageIds::new().next();
        assert!(id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'), "{id}");
    }
}
