//! The mailbox's books: the consumer's counters, what is left of lanes that are gone, and the description for snapshots.

use super::handled::Handled;
use super::lane::LaneView;
use super::{End, Mailbox, SharedLane};
use crate::stats::{Bookkeeper, Downstream, Ledger, SinkState, SinkStatus};
use crate::sync::{self, AtomicU64, CachePadded, Mutex, Ordering, add_single_writer, lock};
use std::any::TypeId;
use std::time::Instant;

/// What the consumer counts. One writer, plain stores.
#[derive(Default)]
pub(crate) struct ConsumerCounters {
    words: CachePadded<ConsumerWords>,
    last_error: std::sync::Mutex<Option<String>>,
}

#[derive(Default)]
struct ConsumerWords {
    /// By [`Handled`].
    handled: [AtomicU64; Handled::KINDS],
    high_water: AtomicU64,
    /// How often the consumer found nothing.
    emptied: AtomicU64,
}

impl ConsumerCounters {
    #[inline(always)]
    pub(crate) fn note(&self, handled: Handled) {
        add_single_writer(self.word(handled), 1);
    }

    #[inline(always)]
    fn word(&self, handled: Handled) -> &AtomicU64 {
        &self.words.handled[handled as usize]
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.word(Handled::Delivered).load(Ordering::Relaxed)
    }

    /// Events that the handler passed on to a sink that decides later.
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

    pub(crate) fn add_to(&self, ledger: &mut Ledger) {
        let get = |handled: Handled| self.word(handled).load(Ordering::Relaxed);
        ledger.delivered += get(Handled::Delivered) + get(Handled::Passed);
        ledger.filtered += get(Handled::Filtered);
        ledger.dropped.full += get(Handled::Full);
        ledger.dropped.evicted += get(Handled::Evicted);
        ledger.dropped.failed += get(Handled::Failed);
        ledger.dropped.panicked += get(Handled::Panicked);
        ledger.dropped.aborted += get(Handled::Aborted);
        ledger.dropped.disconnected += get(Handled::Disconnected);
    }
}

/// The sum of the books of lanes that are gone.
#[derive(Default)]
pub(crate) struct FoldedLanes(Ledger);

impl FoldedLanes {
    /// Events that lanes without a ring of their own have brought in.
    pub(crate) fn queued(&self) -> u64 {
        self.0.accepted
    }

    pub(crate) fn take_in<E>(&mut self, view: &LaneView<E>) {
        view.add_to(&mut self.0);
    }
}

/// When a snapshot first saw the backlog that the consumer has not worked off since.
#[derive(Default)]
pub(crate) struct BacklogMark(Option<(u64, Instant)>);

impl<E: Send + 'static> Mailbox<E> {
    /// Fills in everything but the kind. Returns how many events were dropped at once for want of room, of which their writers
    /// were told.
    pub(crate) fn describe(&self, state: &mut SinkState) -> u64 {
        let mut ledger = Ledger::default();
        // The consumer's counters first: what it handles meanwhile then counts as pending rather than twice.
        self.consumer.add_to(&mut ledger);
        let seats = self.seats.add_to(&mut ledger);
        let full_behind = ledger.dropped.full;
        {
            let mut book = lock(&self.book);
            book.fold();
            ledger += book.folded.0;
            for view in &book.views {
                view.add_to(&mut ledger);
            }
            state.lanes = book.views.len();
        }
        self.shared_entry.add_to(&mut ledger);
        match &self.shared {
            SharedLane::Bounded(ring) => {
                let position = ring.position();
                ledger.offered += position;
                ledger.accepted += position;
                ledger.pending += ring.len() as u64 + self.in_hand();
                state.capacity = self.capacity() as u64;
            }
            SharedLane::Unbounded(queue) => {
                ledger.pending += queue.len() as u64 + self.in_hand();
                state.capacity = 0;
            }
        }
        state.depth = ledger.pending;
        state.ledger = ledger;
        state.high_water = self.consumer.high_water().max(seats.high_water);
        state.status = match self.end() {
            End::Open => SinkStatus::Open,
            End::Closed | End::Disconnected if ledger.pending > 0 => SinkStatus::Closing,
            End::Closed | End::Disconnected => SinkStatus::Closed,
        };
        state.last_error = self.consumer.last_error();
        state.backlog_for = self.backlog_for(ledger.pending, self.consumer.emptied() + seats.emptied);
        ledger.dropped.full - full_behind
    }

    /// Events that the handlers passed on to a sink that decides later.
    pub(crate) fn passed(&self) -> u64 {
        self.consumer.passed() + self.seats.passed()
    }

    /// Events of the shared lane in the hands of consumers.
    fn in_hand(&self) -> u64 {
        match &self.signals.crowd {
            None => self.shared_progress.in_hand(),
            Some(_) => self.seats.in_hand(),
        }
    }

    /// `emptied` is how often the consumers found nothing.
    fn backlog_for(&self, depth: u64, emptied: u64) -> Option<std::time::Duration> {
        let mark: &Mutex<BacklogMark> = &self.backlog;
        let mut mark = lock(mark);
        if depth == 0 {
            mark.0 = None;
            return None;
        }
        let now = Instant::now();
        match mark.0 {
            Some((seen, since)) if seen == emptied => Some(now.saturating_duration_since(since)),
            _ => {
                mark.0 = Some((emptied, now));
                Some(std::time::Duration::ZERO)
            }
        }
    }
}

/// What becomes of the events of a mailbox is decided later, but for those that are dropped at once.
impl<E: Send + 'static> Bookkeeper for sync::Arc<Mailbox<E>> {
    fn deferred(&self) -> Ledger {
        let mut state = SinkState::default();
        let mut at_once = Ledger::default();
        at_once.dropped.full = self.describe(&mut state);
        at_once.accepted = at_once.dropped.full;
        state.ledger.without(&at_once)
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        self.scales.ended(unit, &Downstream::default())
    }

    fn show(&self, _state: &mut SinkState) {}
}
