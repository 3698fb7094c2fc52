//! The shared record of a subscriber: its position, its counters, and the cell in which it naps.

use crate::stats::{Ledger, SubscriberState};
use crate::sync::{AtomicU64, CachePadded, Mutex, Ordering, lock};
use crate::wait::{FencePair, WaitCell};
use std::sync::Arc;

/// The part of one subscriber that other threads read.
pub(super) struct Seat {
    name: Option<String>,
    gating: bool,
    /// The number of the subscriber among all of its journal. It is never used again.
    number: u64,
    /// The position where the subscriber began.
    start: AtomicU64,
    words: CachePadded<Words>,
    extent: Mutex<Extent>,
    /// The cell in which the subscriber naps.
    pub(super) cell: WaitCell,
}

/// Which events count as offered to the subscriber: those from its start up to a position that never
/// decreases, since the count is exported as a counter.
///
/// While the subscription lasts, that is the tail of the journal. Events after its end do not count,
/// except those that a snapshot has counted before: the subscription holds them back, as a filter does.
struct Extent {
    /// The position after the last event that counts.
    counted: u64,
    /// The position after the last event that the subscription may include.
    bound: u64,
    /// The subscription has ended.
    ended: bool,
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
    /// `number` is that of the subscriber among all of its journal.
    pub(super) fn new(number: u64, name: Option<String>, gating: bool, pair: FencePair) -> Self {
        Self {
            name,
            gating,
            number,
            start: AtomicU64::new(0),
            words: CachePadded::default(),
            extent: Mutex::new(Extent { counted: 0, bound: u64::MAX, ended: false }),
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

    /// Events from this position on are not part of the subscription.
    pub(super) fn bound_at(&self, position: u64) {
        lock(&self.extent).bound = position;
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
        lock(&self.extent).ended = true;
    }

    /// Returns the state of the subscriber, given the tail of the journal.
    pub(super) fn state(&self, tail: u64) -> SubscriberState {
        let get = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let (position, counted, ended) = {
            let mut extent = lock(&self.extent);
            let tail = if extent.ended { 0 } else { tail.min(extent.bound) };
            // Under the lock: if the subscription has ended, this is its last position. Otherwise the
            // subscriber may have advanced past a `tail` that was loaded earlier.
            let position = self.position();
            extent.counted = extent.counted.max(tail).max(position);
            (position, extent.counted, extent.ended)
        };
        let left = counted - position;
        let (pending, held_back) = if ended { (0, left) } else { (left, 0) };
        let mut ledger = Ledger::default();
        ledger.accepted = counted - get(&self.start);
        ledger.offered = ledger.accepted;
        ledger.delivered = get(&self.words.delivered);
        ledger.filtered = get(&self.words.filtered) + held_back;
        ledger.dropped.evicted = get(&self.words.lagged);
        ledger.dropped.panicked = get(&self.words.panicked);
        ledger.pending = pending;
        SubscriberState {
            name: self.name.clone(),
            number: self.number,
            next: position,
            behind: pending,
            gating: self.gating,
            ended,
            ledger,
        }
    }
}

/// All subscribers of a journal.
#[derive(Default)]
pub(super) struct Seats {
    list: Mutex<Vec<Arc<Seat>>>,
    numbers: AtomicU64,
}

impl Seats {
    pub(super) fn add(&self, seat: Arc<Seat>) {
        lock(&self.list).push(seat);
    }

    pub(super) fn remove(&self, seat: &Arc<Seat>) {
        lock(&self.list).retain(|other| !Arc::ptr_eq(other, seat));
    }

    /// Returns a number that no other subscriber of the journal has.
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns a copy of the list, to be read without the lock.
    pub(super) fn all(&self) -> Vec<Arc<Seat>> {
        lock(&self.list).clone()
    }
}
