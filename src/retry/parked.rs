//! Events that are set aside until their key may be retried, grouped in one line for each key.
//!
//! A key's `Hash`, `Eq` and `Drop` are user code, and this code runs under a lock. So the lock
//! protects lines that are identified by number:
//!
//! - A key is hashed before the lock is taken.
//! - The keys of equal hash are returned, to be compared after the lock is released, with the
//!   number of the newest line among them. A line that was begun meanwhile has a higher number; the
//!   caller then compares again.
//! - Values that hold a key are returned as well, and the caller drops them.

use super::attempts::Trials;
use crate::wait::context::{discard, discard_each};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// An event that is set aside, with its attempts once there was one.
pub(super) struct Waiting<E> {
    pub(super) event: E,
    pub(super) trials: Option<Trials>,
}

/// The number of a line. Numbers are unique, and later lines have higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineId(u64);

/// The events of one key, in order.
pub(super) struct Line<K, E> {
    hash: u64,
    /// Shared, so that it is compared, and dropped, after the lock is released.
    key: Arc<K>,
    events: VecDeque<Waiting<E>>,
}

/// The lines of one hash at one point in time.
pub(super) struct Candidates<K> {
    pub(super) keys: Vec<(LineId, Arc<K>)>,
}

impl<K> Candidates<K> {
    /// Returns the newest line among them.
    pub(super) fn newest(&self) -> Option<LineId> {
        self.keys.last().map(|(line, _)| *line)
    }
}

/// Events that are set aside, in order within each key, at most `capacity` in total.
pub(super) struct Parked<K, E> {
    pub(super) capacity: usize,
    /// No further event is accepted.
    pub(super) closed: bool,
    /// The remaining events have been given up.
    pub(super) swept: bool,
    /// The number of events that a close left undelivered.
    pub(super) undelivered: u64,
    /// The lines by number. The first event of a line has failed, or an attempt with it is in
    /// progress; later events of its key wait for it.
    lines: HashMap<u64, Line<K, E>>,
    /// The lines of each hash, the newest last.
    hashes: HashMap<u64, Vec<LineId>>,
    /// The lines by the time of their next attempt; the number makes equal times distinct.
    schedule: BTreeMap<(Instant, u64), LineId>,
    numbers: u64,
    /// The number of events, including those that a thread is attempting.
    count: usize,
}

impl<K, E> Parked<K, E> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            closed: false,
            swept: false,
            undelivered: 0,
            lines: HashMap::new(),
            hashes: HashMap::new(),
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

    /// Returns the keys of this hash, that of the newest line last. Compare them after the lock is
    /// released.
    pub(super) fn candidates(&self, hash: u64) -> Candidates<K> {
        let lines = self.hashes.get(&hash).into_iter().flatten();
        let keys = lines.filter_map(|line| Some((*line, self.lines.get(&line.0)?.key.clone())));
        Candidates { keys: keys.collect() }
    }

    /// Returns whether a line of this hash was begun after `newest`.
    pub(super) fn has_newer(&self, hash: u64, newest: Option<LineId>) -> bool {
        self.hashes.get(&hash).and_then(|lines| lines.last()).is_some_and(|last| Some(*last) > newest)
    }

    /// Appends an event to a line. Returns the event if the line is gone.
    pub(super) fn join(&mut self, line: LineId, waiting: Waiting<E>) -> Result<(), Waiting<E>> {
        let Some(line) = self.lines.get_mut(&line.0) else { return Err(waiting) };
        line.events.push_back(waiting);
        self.count += 1;
        Ok(())
    }

    /// Begins a line whose first attempt is due at `due`.
    pub(super) fn begin(&mut self, hash: u64, key: Arc<K>, waiting: Waiting<E>, due: Instant) {
        let line = LineId(self.number());
        self.lines.insert(line.0, Line { hash, key, events: VecDeque::from([waiting]) });
        self.hashes.entry(hash).or_default().push(line);
        self.count += 1;
        self.schedule(line, due);
    }

    /// Takes the first event of a line that is due.
    ///
    /// The caller owns the line until it is [put back](Self::put_back) or [done](Self::done).
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(LineId, Waiting<E>)> {
        loop {
            let first = self.schedule.first_entry().filter(|first| first.key().0 <= now)?;
            let line = first.remove();
            if let Some(waiting) = self.lines.get_mut(&line.0).and_then(|line| line.events.pop_front()) {
                return Some((line, waiting));
            }
        }
    }

    /// Returns an event that was taken to the front of its line.
    pub(super) fn put_back(&mut self, line: LineId, waiting: Waiting<E>, due: Instant) {
        if let Some(known) = self.lines.get_mut(&line.0) {
            known.events.push_front(waiting);
            self.schedule(line, due);
        }
    }

    /// Removes an event that was taken, and schedules the next one of its line. Returns an empty
    /// line for the caller to drop.
    #[must_use]
    pub(super) fn done(&mut self, line: LineId, now: Instant) -> Option<Line<K, E>> {
        self.count -= 1;
        if self.lines.get(&line.0)?.events.is_empty() {
            return self.remove(line);
        }
        self.schedule(line, now);
        None
    }

    fn remove(&mut self, line: LineId) -> Option<Line<K, E>> {
        let removed = self.lines.remove(&line.0)?;
        if let Some(lines) = self.hashes.get_mut(&removed.hash) {
            lines.retain(|other| *other != line);
            if lines.is_empty() {
                self.hashes.remove(&removed.hash);
            }
        }
        Some(removed)
    }

    /// Takes all events that no thread is attempting, for the caller to give up and drop.
    pub(super) fn sweep(&mut self) -> Vec<Line<K, E>> {
        self.swept = true;
        self.schedule.clear();
        self.hashes.clear();
        let mut lines: Vec<_> = self.lines.drain().collect();
        lines.sort_unstable_by_key(|(number, _)| *number);
        let left = lines.iter().map(|(_, line)| line.events.len()).sum::<usize>();
        self.count -= left;
        self.undelivered += left as u64;
        lines.into_iter().map(|(_, line)| line).collect()
    }

    fn schedule(&mut self, line: LineId, due: Instant) {
        let number = self.number();
        self.schedule.insert((due, number), line);
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl<K, E> Line<K, E> {
    /// Takes the events of this line, in order.
    pub(super) fn take_events(&mut self) -> VecDeque<Waiting<E>> {
        std::mem::take(&mut self.events)
    }
}

impl<K, E> Drop for Parked<K, E> {
    fn drop(&mut self) {
        for (_, mut line) in self.lines.drain() {
            discard_each(line.take_events());
            discard(line);
        }
    }
}
