//! The shared record of a subscriber: its position, its counters, and the cell in which it naps.

use crate::stats::{Ledger, SubscriberState};
use crate::sync::{AtomicBool, AtomicU64, CachePadded, Mutex, Ordering, lock};
use crate::wait::{FencePair, WaitCell};
use std::sync::Arc;

/// The part of one subscriber that other threads read.
pub(super) struct Seat {
    name: Option<String>,
    gating: bool,
    /// The position where the subscriber began.
    start: AtomicU64,
    words: CachePadded<Words>,
    /// The subscription has ended.
    ended: AtomicBool,
    /// The cell in which the subscriber naps.
    pub(super) cell: WaitCell,
}

/// The counters that only the subscriber writes.
#[derive(Default)]
struct Words {
    /// The position of the next event.
    position: AtomicU64,
    delivered: AtomicU64,
    filtered: AtomicU64,
    lagged: AtomicU64,
    panicked: AtomicU64,
}

impl Seat {
    pub(super) fn new(name: Option<String>, gating: bool, pair: FencePair) -> Self {
        Self {
            name,
            gating,
            start: AtomicU64::new(0),
            words: CachePadded::default(),
            ended: AtomicBool::new(false),
            cell: WaitCell::new(pair),
        }
    }

    /// Returns `true` if publishers wait for this subscriber.
    pub(super) fn is_gating(&self) -> bool {
        self.gating
    }

    pub(super) fn begin_at(&self, position: u64) {
        self.start.store(position, Ordering::Relaxed);
        self.words.position.store(position, Ordering::Relaxed);
    }

    /// Returns the position of the next event that the subscriber reads.
    pub(super) fn position(&self) -> u64 {
        // Relaxed: the subscriber's pin protects the events themselves.
        self.words.position.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn set_position(&self, position: u64) {
        self.words.position.store(position, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn delivered(&self, total: u64, position: u64) {
        self.words.delivered.store(total, Ordering::Relaxed);
        self.set_position(position);
    }

    pub(super) fn filtered(&self, events: u64) {
        crate::sync::add_single_writer(&self.words.filtered, events);
    }

    pub(super) fn lagged(&self, events: u64) {
        crate::sync::add_single_writer(&self.words.lagged, events);
    }

    pub(super) fn panicked(&self) {
        crate::sync::add_single_writer(&self.words.panicked, 1);
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Returns the state of the subscriber, given the tail of the journal.
    pub(super) fn state(&self, tail: u64) -> SubscriberState {
        let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let position = self.position();
        let ended = self.ended.load(Ordering::Relaxed);
        // Events after the end of a subscription do not count. The subscriber may have advanced
        // past a `tail` that was loaded earlier.
        let tail = if ended { position } else { tail.max(position) };
        let mut ledger = Ledger::default();
        ledger.accepted = tail - get(&self.start);
        ledger.offered = ledger.accepted;
        ledger.delivered = get(&self.words.delivered);
        ledger.filtered = get(&self.words.filtered);
        ledger.dropped.evicted = get(&self.words.lagged);
        ledger.dropped.panicked = get(&self.words.panicked);
        ledger.pending = tail - position;
        SubscriberState {
            name: self.name.clone(),
            next: position,
            behind: tail - position,
            gating: self.gating,
            ended,
            ledger,
        }
    }
}

/// All subscribers of a journal.
#[derive(Default)]
pub(super) struct Seats(Mutex<Vec<Arc<Seat>>>);

impl Seats {
    pub(super) fn add(&self, seat: Arc<Seat>) {
        lock(&self.0).push(seat);
    }

    pub(super) fn remove(&self, seat: &Arc<Seat>) {
        lock(&self.0).retain(|other| !Arc::ptr_eq(other, seat));
    }

    /// Returns a copy of the list, to be read without the lock.
    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        lock(&self.0).clone()
    }
}
