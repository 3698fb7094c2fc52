//! The counters from which a ledger is computed: one set for each way into a sink.

use super::disposition::Disposition;
use super::ledger::{DropReason, Ledger};
use crate::error::WriteError;
use crate::sync::{AtomicU64, Mutex, Ordering, add_single_writer, lock};
use std::sync::Arc;

/// One reason why an event was not accepted, or was dropped on entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryOutcome {
    RefusedFull,
    RefusedClosed,
    RefusedTimeout,
    RefusedReentrant,
    RefusedFailed,
    /// Accepted and delivered at once: a direct sink.
    Delivered,
    DroppedFull,
    /// Accepted and given up: the sink behind failed.
    DroppedFailed,
    DroppedPanicked,
    /// As `DroppedPanicked`: the panic of the sink was caught here, and the sink has not counted the event.
    Unwound,
    Filtered,
    /// Accepted by an inner sink that decides later.
    Passed,
    /// Accepted into a queue without positions of its own.
    Queued,
    /// An event accepted earlier was pushed out.
    Evicted,
    /// An event accepted earlier was given up.
    Aborted,
    /// An event accepted earlier was left unread.
    ReceiverDropped,
}

const OUTCOMES: usize = 16;

impl EntryOutcome {
    /// How an event counts that a sink gave back.
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

/// The counters of one way in. Private ones have one writer and use plain stores; shared ones read-modify-writes.
/// Aligned so that two publishers' counters never share a line.
#[repr(align(128))]
pub(crate) struct EntryCounters {
    pub(super) shared: bool,
    /// Offers that succeed are counted by the position of a ring, and only the others here.
    pub(super) by_position: bool,
    pub(super) offered: AtomicU64,
    pub(super) outcomes: [AtomicU64; OUTCOMES],
}

impl EntryCounters {
    /// For one writer.
    pub(crate) fn private() -> Self {
        Self::new(false, false)
    }

    /// For one writer into a ring, whose position counts the offers that succeed.
    pub(crate) fn private_by_position() -> Self {
        Self::new(false, true)
    }

    /// For any number of writers.
    pub(crate) fn shared() -> Self {
        Self::new(true, false)
    }

    /// For any number of writers into a ring, whose position counts the offers that succeed: it is moved by a
    /// read-modify-write anyway, and a second one per event would be too much.
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

    /// Events that were accepted into a queue without positions, or are about to be.
    pub(crate) fn queued(&self) -> u64 {
        self.outcomes[EntryOutcome::Queued as usize].load(Ordering::Relaxed)
    }

    /// Counts what became of one offer that was accepted.
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

    /// Events that were passed on to an inner sink that decides later. They count as delivered, until
    /// [`Ledger::follow`] says more.
    pub(crate) fn passed(&self) -> u64 {
        self.outcomes[EntryOutcome::Passed as usize].load(Ordering::Relaxed)
    }

    /// Whether nothing was offered.
    pub(crate) fn is_unused(&self) -> bool {
        self.offered.load(Ordering::Relaxed) == 0
    }

    /// Events lost by panics of the sink.
    pub(crate) fn unwound(&self) -> u64 {
        self.outcomes[EntryOutcome::Unwound as usize].load(Ordering::Relaxed)
    }

    /// Events that were accepted and lost for want of room: dropped on entry, or evicted.
    pub(crate) fn lost(&self) -> u64 {
        let get = |outcome: EntryOutcome| self.outcomes[outcome as usize].load(Ordering::Relaxed);
        get(EntryOutcome::DroppedFull) + get(EntryOutcome::Evicted)
    }

    /// Events that were accepted and given up.
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

    /// Adds these counters to a ledger. What was accepted into a ring is the ring's to say; the rest is known here.
    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        let get = |outcome: EntryOutcome| self.outcomes[outcome as usize].load(Ordering::Relaxed);
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
        ledger.delivered += get(EntryOutcome::Delivered) + get(EntryOutcome::Passed);
        ledger.filtered += get(EntryOutcome::Filtered);
        ledger.dropped.full += get(EntryOutcome::DroppedFull);
        ledger.dropped.failed += get(EntryOutcome::DroppedFailed);
        ledger.dropped.panicked += get(EntryOutcome::DroppedPanicked) + get(EntryOutcome::Unwound);
        ledger.dropped.evicted += get(EntryOutcome::Evicted);
        ledger.dropped.aborted += get(EntryOutcome::Aborted);
        ledger.dropped.receiver_dropped += get(EntryOutcome::ReceiverDropped);
        ledger.accepted += get(EntryOutcome::Delivered)
            + get(EntryOutcome::Passed)
            + get(EntryOutcome::Filtered)
            + get(EntryOutcome::DroppedFull)
            + get(EntryOutcome::DroppedFailed)
            + get(EntryOutcome::DroppedPanicked)
            + get(EntryOutcome::Unwound)
            + get(EntryOutcome::Queued);
    }
}

/// The counters of everything that enters at one place: one set for all writers without one, and one for each publisher.
pub(crate) struct Counters {
    shared: EntryCounters,
    publishers: Mutex<PublisherCounters>,
}

/// Says when to walk a list for entries that are over.
///
/// A walk for each entry that is added would make `n` entries cost `n * n` steps. A list that has doubled since the last walk is
/// walked again, and a short one every time: an entry costs a few steps, and a list holds at most twice the live entries.
#[derive(Default)]
pub(crate) struct FoldPace {
    left: usize,
}

impl FoldPace {
    /// The length up to which every addition walks the list.
    const SHORT: usize = 16;

    /// Whether a list of this length is to be walked now.
    pub(crate) fn is_due(&self, length: usize) -> bool {
        length <= Self::SHORT || length >= 2 * self.left
    }

    /// The list was walked, and has this length now.
    pub(crate) fn walked(&mut self, length: usize) {
        self.left = length;
    }
}

#[derive(Default)]
struct PublisherCounters {
    live: Vec<Arc<EntryCounters>>,
    pace: FoldPace,
    /// The sum of those whose publishers are gone.
    folded: Ledger,
    folded_unwound: u64,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self { shared: EntryCounters::shared(), publishers: Mutex::new(PublisherCounters::default()) }
    }

    /// Returns the set of all writers without one.
    pub(crate) fn shared(&self) -> &EntryCounters {
        &self.shared
    }

    /// A set for one publisher.
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

    /// Events lost by panics of the sink.
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
