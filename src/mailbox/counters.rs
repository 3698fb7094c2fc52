//! The counters of a consumer.

use super::activity::{ActivityWords, Seen, Work};
use crate::stats::{Disposition, DropReason, Ledger};
use crate::sync::{AtomicU64, CachePadded, Ordering, add_single_writer};

/// The outcome of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    Delivered,
    /// The handler forwarded the event to a sink that decides later.
    Passed,
    Filtered,
    Full,
    Evicted,
    Failed,
    Panicked,
    Aborted,
    ReceiverDropped,
}

impl Handled {
    pub(crate) const KINDS: usize = 9;

    #[inline]
    pub(crate) fn of(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Delivered => Self::Delivered,
            Disposition::Pending => Self::Passed,
            Disposition::Partly(parts) => Self::of(parts.rest()),
            Disposition::Filtered => Self::Filtered,
            Disposition::Dropped(reason) => match reason {
                DropReason::Full => Self::Full,
                DropReason::Evicted => Self::Evicted,
                DropReason::ReceiverDropped => Self::ReceiverDropped,
                DropReason::Aborted => Self::Aborted,
                DropReason::Failed => Self::Failed,
                DropReason::Panicked => Self::Panicked,
            },
        }
    }
}

/// The counters of a consumer. They have one writer, which uses plain stores.
#[derive(Default)]
pub(crate) struct ConsumerCounters {
    words: CachePadded<ConsumerWords>,
    last_error: std::sync::Mutex<Option<String>>,
    /// What the consumer is doing, if it is a worker.
    activity: ActivityWords,
    seen: Seen,
}

#[derive(Default)]
struct ConsumerWords {
    /// Indexed by [`Handled`].
    handled: [AtomicU64; Handled::KINDS],
    high_water: AtomicU64,
    /// How often the consumer found nothing.
    emptied: AtomicU64,
    /// The evicted events that the consumer has passed, by the positions of the events that it took.
    evicted: AtomicU64,
}

impl ConsumerCounters {
    #[inline(always)]
    pub(crate) fn note(&self, handled: Handled) {
        self.note_many(handled, 1);
    }

    #[inline(always)]
    pub(crate) fn note_many(&self, handled: Handled, events: u64) {
        add_single_writer(self.word(handled), events);
    }

    #[inline(always)]
    fn word(&self, handled: Handled) -> &AtomicU64 {
        &self.words.handled[handled as usize]
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.word(Handled::Delivered).load(Ordering::Relaxed)
    }

    /// Returns the number of events that the handler forwarded to a sink that decides later.
    pub(crate) fn passed(&self) -> u64 {
        self.word(Handled::Passed).load(Ordering::Relaxed)
    }

    /// Relaxed, as in `note`.
    #[inline(always)]
    pub(crate) fn set_delivered(&self, delivered: u64) {
        self.word(Handled::Delivered).store(delivered, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn saw_depth(&self, depth: u64) {
        if depth > self.words.high_water.load(Ordering::Relaxed) {
            self.words.high_water.store(depth, Ordering::Relaxed);
        }
    }

    /// Counts evicted events that precede the event that the consumer has taken.
    #[inline]
    pub(crate) fn passed_evicted(&self, events: u64) {
        if events > 0 {
            add_single_writer(&self.words.evicted, events);
        }
    }

    /// Returns the number of evicted events that the consumer has passed. The threads that evict count
    /// the same events, but may not have done so yet. Always 0 if there are several consumers.
    pub(crate) fn evicted(&self) -> u64 {
        self.words.evicted.load(Ordering::Relaxed)
    }

    pub(crate) fn saw_empty(&self) {
        add_single_writer(&self.words.emptied, 1);
    }

    pub(crate) fn emptied(&self) -> u64 {
        self.words.emptied.load(Ordering::Relaxed)
    }

    pub(crate) fn high_water(&self) -> u64 {
        self.words.high_water.load(Ordering::Relaxed)
    }

    pub(crate) fn aborted(&self) -> u64 {
        self.word(Handled::Aborted).load(Ordering::Relaxed)
    }

    pub(crate) fn set_error(&self, text: String) {
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(text);
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) fn activity(&self) -> &ActivityWords {
        &self.activity
    }

    /// Adds the work of this consumer. `is_pending`: whether the mailbox has events that are not
    /// finished.
    pub(super) fn add_work(&self, work: &mut Work, is_pending: bool) {
        work.take_in((&self.activity, &self.seen), || self.finished(), is_pending);
    }

    /// Returns the number of events that were finished, whatever their outcome.
    fn finished(&self) -> u64 {
        self.words.handled.iter().map(|word| word.load(Ordering::Relaxed)).sum()
    }

    /// Adds the counters to a ledger. Returns how many of the events that it added as delivered were
    /// passed on: a later read would count events that this one did not add.
    pub(crate) fn add_to(&self, ledger: &mut Ledger) -> u64 {
        let passed = self.passed();
        let get = |handled: Handled| self.word(handled).load(Ordering::Relaxed);
        ledger.delivered += get(Handled::Delivered) + passed;
        ledger.filtered += get(Handled::Filtered);
        ledger.dropped.full += get(Handled::Full);
        ledger.dropped.evicted += get(Handled::Evicted);
        ledger.dropped.failed += get(Handled::Failed);
        ledger.dropped.panicked += get(Handled::Panicked);
        ledger.dropped.aborted += get(Handled::Aborted);
        ledger.dropped.receiver_dropped += get(Handled::ReceiverDropped);
        passed
    }
}
