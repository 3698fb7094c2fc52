//! A queue that keeps the order of each key: each worker has a mailbox, and the key selects it.

use crate::error::{OutOfMemory, WriteError};
use crate::mailbox::lane::PrivateLane;
use crate::mailbox::{End, Mailbox};
use crate::sink::lane::{InnerLane, Lane, LaneSealer, LaneWrite, RoomWait};
use crate::stats::{Disposition, DropReason, Ledger, SinkState, SinkStatus};
use crate::sync::{self, AtomicU64, MODEL, Ordering};
use crate::time::Deadline;
use crate::wait::context::user_code;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

/// Hashes the key of an event: all events of one key have the same hash.
pub(super) type KeyHash<E> = Box<dyn Fn(&E) -> u64 + Send + Sync>;

pub(super) fn key_hash<E, K: Hash>(key: impl Fn(&E) -> K + Send + Sync + 'static) -> KeyHash<E> {
    // Keyed at random, so that a caller that chooses keys cannot choose the worker. In a model the
    // hash is fixed, since a model must be repeatable.
    let state = RandomState::new();
    Box::new(move |event| {
        let mut hasher = if MODEL { DefaultHasher::new() } else { state.build_hasher() };
        key(event).hash(&mut hasher);
        hasher.finish()
    })
}

/// Selects the worker that gets an event.
pub(super) struct Route<E> {
    mailboxes: Box<[sync::Arc<Mailbox<E>>]>,
    key: KeyHash<E>,
    /// The number of events lost because the key's function panicked.
    panicked: AtomicU64,
}

impl<E: Send + 'static> Route<E> {
    pub(super) fn new(mailboxes: Vec<sync::Arc<Mailbox<E>>>, key: KeyHash<E>) -> Arc<Self> {
        Arc::new(Self { mailboxes: mailboxes.into(), key, panicked: AtomicU64::new(0) })
    }

    pub(super) fn mailboxes(&self) -> &[sync::Arc<Mailbox<E>>] {
        &self.mailboxes
    }

    /// Returns the number of the worker that gets the event, or `None` if the key's function
    /// panicked and the event is lost.
    fn of(&self, event: &E) -> Option<usize> {
        if let Ok(hash) = user_code(|| (self.key)(event)) {
            Some((hash % self.mailboxes.len() as u64) as usize)
        } else {
            self.panicked.fetch_add(1, Ordering::Relaxed);
            None
        }
    }

    pub(super) fn write(&self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        match self.of(&event) {
            Some(at) => self.seen(at, self.mailboxes[at].write(event, deadline)),
            None => Ok(Disposition::Dropped(DropReason::Panicked)),
        }
    }

    /// Returns the wait of a task for room for this event, if a write would wait now.
    pub(super) fn full(&self, event: &E) -> Option<RoomWait> {
        // A panic of the key's function is counted by the write.
        let hash = user_code(|| (self.key)(event)).ok()?;
        Mailbox::full(&self.mailboxes[(hash % self.mailboxes.len() as u64) as usize]).map(RoomWait::new)
    }

    /// Returns the outcome of a write. If its mailbox is closed, closes all others: an overflow may
    /// have closed only this one.
    #[inline]
    fn seen(
        &self,
        at: usize,
        outcome: Result<Disposition, WriteError<E>>,
    ) -> Result<Disposition, WriteError<E>> {
        if let Err(WriteError::Closed(_)) = &outcome {
            self.close_with(at);
        }
        outcome
    }

    #[cold]
    fn close_with(&self, at: usize) {
        // A bus from which the queue was removed closes only its own lane.
        if self.mailboxes[at].end() == End::Open {
            return;
        }
        for mailbox in self.mailboxes.iter().filter(|mailbox| mailbox.end() == End::Open) {
            mailbox.seal(End::Closed);
        }
    }

    pub(super) fn lane(this: &Arc<Self>) -> Result<Lane<E>, OutOfMemory> {
        let lanes = this.mailboxes.iter().map(Mailbox::lane).collect::<Result<_, _>>()?;
        Ok(Lane::staged(PartitionLane { lanes, route: this.clone() }))
    }

    /// Adds to `state` the other mailboxes and the events lost to a panic of the key's function,
    /// and to `at_once` the events whose writers learned at once that they were dropped. Returns the
    /// number of events that handlers forwarded to a sink that decides later.
    pub(super) fn describe(&self, state: &mut SinkState, at_once: &mut Ledger) -> u64 {
        let mut passed = 0;
        for mailbox in &self.mailboxes[1..] {
            let mut part = SinkState::default();
            let details = mailbox.describe(&mut part);
            at_once.dropped.full += details.full_at_once;
            passed += details.passed;
            state.merge_work(&part);
            state.depth += part.depth;
            state.high_water = state.high_water.max(part.high_water);
            state.lanes = state.lanes.max(part.lanes);
            state.ledger += part.ledger;
            state.last_error = state.last_error.take().or(part.last_error);
            state.backlog_for = state.backlog_for.max(part.backlog_for);
            if state.status != part.status {
                state.status = SinkStatus::Closed;
            }
        }
        at_once.dropped.panicked = self.panicked.load(Ordering::Relaxed);
        state.ledger.add_panicked(at_once.dropped.panicked);
        passed
    }
}

/// The private lanes of a publisher, one to each worker.
struct PartitionLane<E> {
    lanes: Vec<PrivateLane<E>>,
    route: Arc<Route<E>>,
}

impl<E: Send + 'static> LaneWrite<E> for PartitionLane<E> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        match self.route.of(&event) {
            Some(at) => self.route.seen(at, self.lanes[at].push(event, deadline)),
            None => Ok(Disposition::Dropped(DropReason::Panicked)),
        }
    }

    // Several lanes of one kind: the methods below answer for all of them.
    fn inner(&self) -> Option<&dyn InnerLane> {
        None
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        None
    }

    fn sealer(&self) -> Option<LaneSealer> {
        LaneSealer::of_all(&self.lanes)
    }

    fn may_wait(&self) -> bool {
        self.lanes.iter().any(PrivateLane::may_wait)
    }

    // The key of the next event is not known yet, so there has to be room for any.
    fn full(&self) -> Option<RoomWait> {
        self.lanes.iter().find_map(PrivateLane::full).map(RoomWait::new)
    }
}
