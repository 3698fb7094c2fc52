//! The counters from which a ledger is computed: one set for each way into a sink.

use super::disposition::Disposition;
use super::ledger::{DropReason, Ledger};
use crate::error::WriteError;
use crate::sync::{AtomicU64, Mutex, Ordering, add_single_writer, lock};
use std::ops::Add;
use std::sync::Arc;

/// One outcome of an event, as the counters of a way into a sink count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryOutcome {
    RefusedFull,
    RefusedClosed,
    RefusedTimeout,
    RefusedReentrant,
    RefusedFailed,
    /// Accepted and delivered at once, by a direct sink.
    Delivered,
    DroppedFull,
    /// Accepted and given up, because the inner sink failed.
    DroppedFailed,
    DroppedPanicked,
    /// Like `DroppedPanicked`. The panic of the sink was caught here, and the sink has not counted
    /// the event.
    Unwound,
    Filtered,
    /// Accepted by an inner sink that decides later.
    Passed,
    /// Accepted into a queue that has no positions.
    Queued,
    /// An event accepted earlier was evicted.
    Evicted,
    /// An event accepted earlier was given up.
    Aborted,
    /// An event accepted earlier was left unread.
    ReceiverDropped,
}

const OUTCOMES: usize = 16;

impl EntryOutcome {
    /// Returns the outcome of an event that a sink gave back.
    pub(crate) fn refused<E>(error: &WriteError<E>) -> Self {
        match error {
            WriteError::Full(_) => Self::RefusedFull,
            WriteError::Closed(_) => Self::RefusedClosed,
            WriteError::Timeout(_) => Self::RefusedTimeout,
            WriteError::Reentrant(_) => Self::RefusedReentrant,
            WriteError::Failed { .. } => Self::RefusedFailed,
        }
    }
}

/// The counters of one way into a sink. Private counters have one writer and use plain stores;
/// shared counters use read-modify-writes. The alignment keeps the counters of two publishers on
/// separate cache lines, which prevents false sharing.
#[repr(align(128))]
pub(crate) struct EntryCounters {
    pub(super) shared: bool,
    /// Offers that succeed are counted by the position of a ring, and only the others are counted
    /// here.
    pub(super) by_position: bool,
    pub(super) offered: AtomicU64,
    pub(super) outcomes: [AtomicU64; OUTCOMES],
}

impl EntryCounters {
    /// Returns counters for one writer.
    pub(crate) fn private() -> Self {
        Self::new(false, false)
    }

    /// Returns counters for one writer into a ring, whose position counts the offers that succeed.
    pub(crate) fn private_by_position() -> Self {
        Self::new(false, true)
    }

    /// Returns counters for any number of writers.
    pub(crate) fn shared() -> Self {
        Self::new(true, false)
    }

    /// Returns counters for any number of writers into a ring, whose position counts the offers
    /// that succeed. A read-modify-write moves the position anyway, and a second one per event
    /// would cost too much.
    pub(crate) fn shared_by_position() -> Self {
        Self::new(true, true)
    }

    fn new(shared: bool, by_position: bool) -> Self {
        Self {
            shared,
            by_position,
            offered: AtomicU64::new(0),
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    #[inline(always)]
    pub(crate) fn offered(&self, n: u64) {
        if !self.by_position {
            self.add(&self.offered, n);
        }
    }

    /// Returns the number of events that were accepted into a queue without positions, or are about
    /// to be.
    pub(crate) fn queued(&self) -> u64 {
        self.outcomes[EntryOutcome::Queued as usize].load(Ordering::Relaxed)
    }

    /// Counts the outcome of one offer that was accepted.
    #[inline]
    pub(crate) fn disposed(&self, disposition: Disposition) {
        self.count_disposed(disposition, 1);
    }

    #[inline]
    pub(super) fn count_disposed(&self, disposition: Disposition, events: u64) {
        let outcome = match disposition {
            Disposition::Partly(parts) => return self.count_disposed(parts.rest(), events),
            Disposition::Delivered => EntryOutcome::Delivered,
            Disposition::Pending => EntryOutcome::Passed,
            Disposition::Filtered => EntryOutcome::Filtered,
            Disposition::Dropped(DropReason::Full) => EntryOutcome::DroppedFull,
            Disposition::Dropped(DropReason::Failed) => EntryOutcome::DroppedFailed,
            Disposition::Dropped(DropReason::Panicked) => EntryOutcome::DroppedPanicked,
            Disposition::Dropped(reason) => {
                self.count(EntryOutcome::Queued, events);
                match reason {
                    DropReason::Evicted => EntryOutcome::Evicted,
                    DropReason::ReceiverDropped => EntryOutcome::ReceiverDropped,
                    _ => EntryOutcome::Aborted,
                }
            }
        };
        self.count(outcome, events);
    }

    /// Returns the number of events lost by panics of the sink.
    pub(crate) fn unwound(&self) -> u64 {
        self.outcomes[EntryOutcome::Unwound as usize].load(Ordering::Relaxed)
    }

    /// Returns the events that were accepted and lost for lack of room.
    pub(crate) fn lost(&self) -> Lost {
        let get = |outcome: EntryOutcome| self.outcomes[outcome as usize].load(Ordering::Relaxed);
        Lost { on_entry: get(EntryOutcome::DroppedFull), evicted: get(EntryOutcome::Evicted) }
    }

    /// Returns the number of events that were accepted and given up.
    pub(crate) fn aborted(&self) -> u64 {
        self.outcomes[EntryOutcome::Aborted as usize].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn count(&self, outcome: EntryOutcome, n: u64) {
        self.add(&self.outcomes[outcome as usize], n);
    }

    #[inline(always)]
    pub(super) fn add(&self, counter: &AtomicU64, n: u64) {
        if self.shared {
            // Relaxed: a count publishes nothing.
            counter.fetch_add(n, Ordering::Relaxed);
        } else {
            add_single_writer(counter, n);
        }
    }

    /// Adds these counters to a ledger. The ring counts the events that were accepted into it;
    /// these counters count the rest.
    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        self.read_into(ledger);
    }

    /// Like [`add_to`](Self::add_to). Returns how many of the events that it added as delivered were
    /// passed on: a later read would count events that this one did not add.
    pub(crate) fn read_into(&self, ledger: &mut Ledger) -> u64 {
        // Each counter is loaded once, so that an event that is counted meanwhile is in all terms or in
        // none.
        let counts: [u64; OUTCOMES] = std::array::from_fn(|at| self.outcomes[at].load(Ordering::Relaxed));
        let get = |outcome: EntryOutcome| counts[outcome as usize];
        let passed = get(EntryOutcome::Passed);
        ledger.offered += self.offered.load(Ordering::Relaxed);
        if self.by_position {
            ledger.offered += get(EntryOutcome::RefusedFull)
                + get(EntryOutcome::RefusedClosed)
                + get(EntryOutcome::RefusedTimeout)
                + get(EntryOutcome::DroppedFull);
        }
        ledger.refused.full += get(EntryOutcome::RefusedFull);
        ledger.refused.closed += get(EntryOutcome::RefusedClosed);
        ledger.refused.timeout += get(EntryOutcome::RefusedTimeout);
        ledger.refused.reentrant += get(EntryOutcome::RefusedReentrant);
        ledger.refused.failed += get(EntryOutcome::RefusedFailed);
        ledger.delivered += get(EntryOutcome::Delivered) + passed;
        ledger.filtered += get(EntryOutcome::Filtered);
        ledger.dropped.full += get(EntryOutcome::DroppedFull);
        ledger.dropped.failed += get(EntryOutcome::DroppedFailed);
        ledger.dropped.panicked += get(EntryOutcome::DroppedPanicked) + get(EntryOutcome::Unwound);
        ledger.dropped.evicted += get(EntryOutcome::Evicted);
        ledger.dropped.aborted += get(EntryOutcome::Aborted);
        ledger.dropped.receiver_dropped += get(EntryOutcome::ReceiverDropped);
        ledger.accepted += get(EntryOutcome::Delivered)
            + passed
            + get(EntryOutcome::Filtered)
            + get(EntryOutcome::DroppedFull)
            + get(EntryOutcome::DroppedFailed)
            + get(EntryOutcome::DroppedPanicked)
            + get(EntryOutcome::Unwound)
            + get(EntryOutcome::Queued);
        passed
    }
}

/// Events that were accepted and lost for lack of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Those that were dropped when they were written.
    pub(crate) on_entry: u64,
    pub(crate) evicted: u64,
}

impl Add for Lost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { on_entry: self.on_entry + other.on_entry, evicted: self.evicted + other.evicted }
    }
}

/// The counters of one entry point: one set for all writers without their own, and one for each
/// publisher.
pub(crate) struct Counters {
    shared: EntryCounters,
    publishers: Mutex<PublisherCounters>,
}

/// A pace that decides when to walk a list for entries that have ended.
///
/// A walk for each entry that is added would make `n` entries cost `n * n` steps. Instead, a list
/// is walked once it has doubled since the last walk, and a short list every time. So an entry
/// costs a few steps, and a list holds at most twice the live entries.
#[derive(Default)]
pub(crate) struct FoldPace {
    left: usize,
}

impl FoldPace {
    /// The length up to which every addition walks the list.
    const SHORT: usize = 16;

    /// Returns `true` if a list of this length is due for a walk.
    pub(crate) fn is_due(&self, length: usize) -> bool {
        length <= Self::SHORT || length >= 2 * self.left
    }

    /// Records that the list was walked, and its length after that.
    pub(crate) fn walked(&mut self, length: usize) {
        self.left = length;
    }
}

#[derive(Default)]
struct PublisherCounters {
    live: Vec<Arc<EntryCounters>>,
    pace: FoldPace,
    /// The sum of the counters whose publishers are gone.
    folded: Ledger,
    folded_unwound: u64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self { shared: EntryCounters::shared(), publishers: Mutex::new(PublisherCounters::default()) }
    }

    /// Returns the counters of all writers without their own set.
    pub(crate) fn shared(&self) -> &EntryCounters {
        &self.shared
    }

    /// Returns a new set of counters for one publisher.
    pub(crate) fn for_publisher(&self) -> Arc<EntryCounters> {
        let counters = Arc::new(EntryCounters::private());
        let mut publishers = lock(&self.publishers);
        if publishers.pace.is_due(publishers.live.len()) {
            publishers.fold();
        }
        publishers.live.push(counters.clone());
        counters
    }

    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        self.shared.add_to(ledger);
        let mut publishers = lock(&self.publishers);
        publishers.fold();
        *ledger += publishers.folded;
        publishers.live.iter().for_each(|counters| counters.add_to(ledger));
    }

    /// Returns the number of events lost by panics of the sink.
    pub(crate) fn unwound(&self) -> u64 {
        let publishers = lock(&self.publishers);
        let live = publishers.live.iter().map(|counters| counters.unwound()).sum::<u64>();
        self.shared.unwound() + publishers.folded_unwound + live
    }
}

impl PublisherCounters {
    fn fold(&mut self) {
        let Self { live, pace, folded, folded_unwound } = self;
        // `get_mut` succeeds only for the last owner, and sees what the publisher counted.
        live.retain_mut(|counters| match Arc::get_mut(counters) {
            Some(counters) => {
                counters.add_to(folded);
                *folded_unwound += counters.unwound();
                false
            }
            None => true,
        });
        pace.walked(live.len());
    }
}
