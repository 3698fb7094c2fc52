//! Events that wait for their key.

use super::attempts::Trials;
use crate::panics::{discard, discard_each};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// An event that waits; with its attempts, once there was one.
pub(super) struct Waiting<E> {
    pub(super) event: E,
    pub(super) trials: Option<Trials>,
}

/// Events that wait for their key, in order within each key, at most so many in all.
pub(super) struct Parked<K, E> {
    pub(super) capacity: usize,
    /// Nothing more comes in.
    pub(super) closed: bool,
    /// What was left is gone already.
    pub(super) swept: bool,
    /// How many were left then.
    pub(super) undelivered: u64,
    /// A key that is here has a failed event: its later events wait behind that.
    lines: HashMap<K, VecDeque<Waiting<E>>>,
    /// When which key is to be tried; the number keeps moments apart.
    schedule: BTreeMap<(Instant, u64), K>,
    numbers: u64,
    /// The events, those in somebody's hands included.
    count: usize,
}

impl<K: Clone + Eq + Hash, E> Parked<K, E> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            closed: false,
            swept: false,
            undelivered: 0,
            lines: HashMap::new(),
            schedule: BTreeMap::new(),
            numbers: 0,
            count: 0,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= self.capacity
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.schedule.first_key_value().map(|((due, _), _)| *due)
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.lines.contains_key(key)
    }

    /// Puts an event last in the line of its key. Where there is none yet, one begins, to be tried when it is `due`.
    pub(super) fn park(&mut self, key: K, waiting: Waiting<E>, due: Instant) {
        self.count += 1;
        match self.lines.get_mut(&key) {
            Some(line) => line.push_back(waiting),
            None => {
                self.lines.insert(key.clone(), VecDeque::from([waiting]));
                self.schedule(key, due);
            }
        }
    }

    /// Takes the first event of a key that is due. The key then is in the caller's hands, until it is
    /// [put back](Self::put_back) or [done](Self::done).
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(K, Waiting<E>)> {
        loop {
            let first = self.schedule.first_entry().filter(|first| first.key().0 <= now)?;
            let key = first.remove();
            if let Some(waiting) = self.lines.get_mut(&key).and_then(VecDeque::pop_front) {
                return Some((key, waiting));
            }
        }
    }

    /// The event in hand is first in its line again.
    pub(super) fn put_back(&mut self, key: K, waiting: Waiting<E>, due: Instant) {
        self.lines.entry(key.clone()).or_default().push_front(waiting);
        self.schedule(key, due);
    }

    /// The event in hand has come to its end; the next of its key has its turn.
    pub(super) fn done(&mut self, key: K, now: Instant) {
        self.count -= 1;
        if self.lines.get(&key).is_none_or(VecDeque::is_empty) {
            self.lines.remove(&key);
        } else {
            self.schedule(key, now);
        }
    }

    /// Everything that is in nobody's hands.
    pub(super) fn sweep(&mut self) -> Vec<Waiting<E>> {
        self.swept = true;
        discard_each(std::mem::take(&mut self.schedule).into_values());
        let events = |(key, line)| {
            discard(key);
            line
        };
        let left: Vec<_> = self.lines.drain().flat_map(events).collect();
        self.count -= left.len();
        self.undelivered += left.len() as u64;
        left
    }

    fn schedule(&mut self, key: K, due: Instant) {
        self.numbers += 1;
        self.schedule.insert((due, self.numbers), key);
    }
}

impl<K, E> Drop for Parked<K, E> {
    fn drop(&mut self) {
        discard_each(std::mem::take(&mut self.schedule).into_values());
        for (key, line) in self.lines.drain() {
            discard(key);
            discard_each(line);
        }
    }
}
