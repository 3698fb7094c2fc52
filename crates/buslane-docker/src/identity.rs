//! How an event is recognized when it comes again.
//!
//! The engine gives its events no identifiers. The time in nanoseconds, and a hash of everything
//! that the event says, tell two events apart. The hash is part of stored tokens, so it is written
//! here and never changes with a library; it protects against chance, not against an adversary, since
//! the engine is trusted.

use crate::event::{DockerEvent, Precision};
use std::collections::VecDeque;

/// The number of identities that a source remembers: four times the history of Docker.
const REMEMBERED: usize = 1024;

/// The identity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Nanoseconds since 1970, by the clock of the engine.
    pub(crate) time: i64,
    pub(crate) hash: u64,
}

impl Identity {
    /// Returns the identity of an event. `None` if its time is not exact enough: two different events
    /// may then look alike.
    #[inline]
    pub(crate) fn of(event: &DockerEvent) -> Option<Self> {
        let outline = &event.outline;
        (outline.precision == Precision::Nanoseconds)
            .then(|| Self { time: outline.time_nano, hash: hash(event.text().as_bytes()) })
    }
}

/// Returns a hash that is the same in every process and on every machine.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    const MULTIPLIERS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f];
    let mix = |one: u64, other: u64| {
        let product = u128::from(one) * u128::from(other);
        product as u64 ^ (product >> 64) as u64
    };
    let halves = |block: &[u8; 16]| {
        let whole = u128::from_le_bytes(*block);
        (whole as u64, (whole >> 64) as u64)
    };
    let (blocks, rest) = bytes.as_chunks::<16>();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let mut state = bytes.len() as u64 ^ MULTIPLIERS[0];
    for block in blocks.iter().chain([&last]) {
        let (low, high) = halves(block);
        state = mix(low ^ MULTIPLIERS[1], high ^ state);
    }
    mix(state, MULTIPLIERS[2])
}

/// The identities of the newest events.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    newest: VecDeque<Identity>,
    /// The latest time of all of them, also of those that were forgotten.
    latest: Option<i64>,
}

impl Seen {
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    pub(crate) fn push(&mut self, identity: Identity) {
        if self.newest.len() == REMEMBERED {
            self.newest.pop_front();
        }
        self.newest.push_back(identity);
        self.latest = self.latest.max(Some(identity.time));
    }

    /// Returns whether the event is one of the newest ones that were seen.
    pub(crate) fn is_among_newest(&self, identity: Identity, count: usize) -> bool {
        self.newest.iter().rev().take(count).any(|known| *known == identity)
    }

    /// Returns whether the event was seen. An event that is later than all of them, as nearly every
    /// one is, costs a comparison.
    #[inline]
    pub(crate) fn contains(&self, identity: Identity) -> bool {
        Some(identity.time) <= self.latest && self.newest.iter().rev().any(|known| *known == identity)
    }
}

/// The hashes of the newest values that were no events, by which a replay of them is recognized.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    newest: VecDeque<u64>,
    /// How many of them an earlier connection has received. Those of the same connection are new
    /// values, even if they look alike.
    earlier: usize,
}

impl Skipped {
    /// Takes note of a new connection.
    pub(crate) fn reconnect(&mut self) {
        self.earlier = self.newest.len();
    }

    /// Takes note of a value. Returns whether it repeats one of an earlier connection.
    pub(crate) fn is_repeated(&mut self, hash: u64) -> bool {
        let known = self.newest.iter().take(self.earlier).position(|known| *known == hash);
        let oldest = (self.newest.len() == REMEMBERED).then_some(0);
        if let Some(index) = known.or(oldest) {
            self.newest.remove(index);
            self.earlier = self.earlier.saturating_sub(1);
        }
        self.newest.push_back(hash);
        known.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, REMEMBERED, Seen, Skipped, hash};
    use crate::event::DockerEvent;

    #[test]
    fn hash_never_changes() {
        let values = [&b""[..], b"a", b"0123456789abcdef", b"0123456789abcdefg"].map(hash);
        let first =
            [0x4b24_d35c_ba4a_63b0, 0x3a8d_21b8_f89d_c44d, 0x45dd_423b_47ee_4d91, 0x888d_8d53_a40f_95d3];
        assert_eq!(values, first, "stored tokens contain the values of the first version");
    }

    #[test]
    fn events_that_differ_in_anything_are_told_apart() {
        let identity = |json: &str| Identity::of(&serde_json::from_str::<DockerEvent>(json).unwrap());
        let events = [
            r#"{"Type":"volume","Action":"mount","Actor":{"ID":"a","Attributes":{"k":"v"}},"timeNano":7}"#,
            r#"{"Type":"volume","Action":"mount","Actor":{"ID":"a","Attributes":{"k":"v"}},"timeNano":8}"#,
            r#"{"Type":"volume","Action":"mount","Actor":{"ID":"a","Attributes":{"kv":""}},"timeNano":7}"#,
            r#"{"Type":"volume","Action":"mount","Actor":{"ID":"b","Attributes":{"k":"v"}},"timeNano":7}"#,
            r#"{"Type":"volume","Action":"unmount","Actor":{"ID":"a","Attributes":{"k":"v"}},"timeNano":7}"#,
            r#"{"Type":"network","Action":"mount","Actor":{"ID":"a","Attributes":{"k":"v"}},"timeNano":7}"#,
        ];
        for (at, event) in events.iter().enumerate() {
            assert!(identity(event).is_some());
            assert!(events[..at].iter().all(|earlier| identity(earlier) != identity(event)), "{event}");
        }
        assert_eq!(identity(r#"{"Type":"volume","time":7}"#), None);
    }

    #[test]
    fn skipped_value_repeats_one_of_an_earlier_connection() {
        let mut skipped = Skipped::default();
        assert!(!skipped.is_repeated(1) && !skipped.is_repeated(1));
        skipped.reconnect();
        assert!(skipped.is_repeated(1) && skipped.is_repeated(1) && !skipped.is_repeated(1));
        for hash in 0..2 * REMEMBERED as u64 {
            skipped.is_repeated(hash);
        }
        assert_eq!((skipped.newest.len(), skipped.earlier), (REMEMBERED, 0));
    }

    #[test]
    fn newest_identities_are_remembered() {
        let mut seen = Seen::default();
        let identity = |time: i64| Identity { time, hash: 1 };
        assert!(seen.is_empty() && !seen.contains(identity(0)));
        for time in 0..1100 {
            seen.push(identity(time));
        }
        assert!(seen.contains(identity(1099)) && seen.contains(identity(76)));
        assert!(!seen.contains(identity(75)) && !seen.contains(identity(1100)));
        assert!(!seen.contains(Identity { time: 1099, hash: 2 }));
    }
}
