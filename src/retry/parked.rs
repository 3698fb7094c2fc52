//! Events that are set aside until their key may be retried, in one backlog for each key.
//!
//! A key's `Hash`, `Eq` and `Drop` are user code, and this code runs under a lock. So the lock
//! protects backlogs that are identified by number:
//!
//! - A key is hashed before the lock is taken.
//! - The keys of equal hash are returned, to be compared after the lock is released, with the
//!   number of the newest backlog among them. A backlog that was begun meanwhile has a higher
//!   number; the caller then compares again.
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

/// The number of a backlog. Numbers are unique, and later backlogs have higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BacklogId(u64);

/// The events of one key, in order.
pub(super) struct Backlog<K, E> {
    hash: u64,
    /// Shared, so that it is compared, and dropped, after the lock is released.
    key: Arc<K>,
    events: VecDeque<Waiting<E>>,
}

/// The backlogs of one hash at one point in time.
pub(super) struct Candidates<K> {
    pub(super) keys: Vec<(BacklogId, Arc<K>)>,
}

impl<K> Candidates<K> {
    /// Returns the newest backlog among them.
    pub(super) fn newest(&self) -> Option<BacklogId> {
        self.keys.last().map(|(backlog, _)| *backlog)
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
    /// The backlogs by number. The first event of a backlog has failed, or an attempt with it is in
    /// progress; later events of its key wait for it.
    backlogs: HashMap<u64, Backlog<K, E>>,
    /// The backlogs of each hash, the newest last.
    hashes: HashMap<u64, Vec<BacklogId>>,
    /// The backlogs by the time of their next attempt; the number makes equal times distinct.
    schedule: BTreeMap<(Instant, u64), BacklogId>,
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
            backlogs: HashMap::new(),
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

    /// Returns the keys of this hash, that of the newest backlog last. Compare them after the lock
    /// is released.
    pub(super) fn candidates(&self, hash: u64) -> Candidates<K> {
        let backlogs = self.hashes.get(&hash).into_iter().flatten();
        let keys =
            backlogs.filter_map(|backlog| Some((*backlog, self.backlogs.get(&backlog.0)?.key.clone())));
        Candidates { keys: keys.collect() }
    }

    /// Returns whether a backlog of this hash was begun after `newest`.
    pub(super) fn has_newer(&self, hash: u64, newest: Option<BacklogId>) -> bool {
        self.hashes.get(&hash).and_then(|backlogs| backlogs.last()).is_some_and(|last| Some(*last) > newest)
    }

    /// Appends an event to a backlog. Returns the event if the backlog is gone.
    pub(super) fn join(&mut self, backlog: BacklogId, waiting: Waiting<E>) -> Result<(), Waiting<E>> {
        let Some(backlog) = self.backlogs.get_mut(&backlog.0) else { return Err(waiting) };
        backlog.events.push_back(waiting);
        self.count += 1;
        Ok(())
    }

    /// Begins a backlog whose first attempt is due at `due`.
    pub(super) fn begin(&mut self, hash: u64, key: Arc<K>, waiting: Waiting<E>, due: Instant) {
        let backlog = BacklogId(self.number());
        self.backlogs.insert(backlog.0, Backlog { hash, key, events: VecDeque::from([waiting]) });
        self.hashes.entry(hash).or_default().push(backlog);
        self.count += 1;
        self.schedule(backlog, due);
    }

    /// Takes the first event of a backlog that is due.
    ///
    /// The caller owns the backlog until it is [put back](Self::put_back) or [done](Self::done).
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(BacklogId, Waiting<E>)> {
        loop {
            let first = self.schedule.first_entry().filter(|first| first.key().0 <= now)?;
            let backlog = first.remove();
            if let Some(waiting) =
                self.backlogs.get_mut(&backlog.0).and_then(|backlog| backlog.events.pop_front())
            {
                return Some((backlog, waiting));
            }
        }
    }

    /// Returns an event that was taken to the front of its backlog.
    pub(super) fn put_back(&mut self, backlog: BacklogId, waiting: Waiting<E>, due: Instant) {
        if let Some(known) = self.backlogs.get_mut(&backlog.0) {
            known.events.push_front(waiting);
            self.schedule(backlog, due);
        }
    }

    /// Removes an event that was taken, and schedules the next one of its backlog. Returns an empty
    /// backlog for the caller to drop.
    #[must_use]
    pub(super) fn done(&mut self, backlog: BacklogId, now: Instant) -> Option<Backlog<K, E>> {
        self.count -= 1;
        if self.backlogs.get(&backlog.0)?.events.is_empty() {
            return self.remove(backlog);
        }
        self.schedule(backlog, now);
        None
    }

    fn remove(&mut self, backlog: BacklogId) -> Option<Backlog<K, E>> {
        let removed = self.backlogs.remove(&backlog.0)?;
        if let Some(backlogs) = self.hashes.get_mut(&removed.hash) {
            backlogs.retain(|other| *other != backlog);
            if backlogs.is_empty() {
                self.hashes.remove(&removed.hash);
            }
        }
        Some(removed)
    }

    /// Takes all events that no thread is attempting, for the caller to give up and drop.
    pub(super) fn sweep(&mut self) -> Vec<Backlog<K, E>> {
        self.swept = true;
        self.schedule.clear();
        self.hashes.clear();
        let mut backlogs: Vec<_> = self.backlogs.drain().collect();
        backlogs.sort_unstable_by_key(|(number, _)| *number);
        let left = backlogs.iter().map(|(_, backlog)| backlog.events.len()).sum::<usize>();
        self.count -= left;
        self.undelivered += left as u64;
        backlogs.into_iter().map(|(_, backlog)| backlog).collect()
    }

    fn schedule(&mut self, backlog: BacklogId, due: Instant) {
        let number = self.number();
        self.schedule.insert((due, number), backlog);
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

impl<K, E> Backlog<K, E> {
    /// Takes the events of this backlog, in order.
    pub(super) fn take_events(&mut self) -> VecDeque<Waiting<E>> {
        std::mem::take(&mut self.events)
    }
}

impl<K, E> Drop for Parked<K, E> {
    fn drop(&mut self) {
        for (_, mut backlog) in self.backlogs.drain() {
            discard_each(backlog.take_events());
            discard(backlog);
        }
    }
}
