//! What a retry counts. It outlives the retry, so that the stages in front of it can show it.

use crate::error::WriteError;
use crate::stats::{
    Bookkeeper, Disposition, EntryCounters, EntryOutcome, Ledger, Ledgers, Load, Passage, RetryState, Scales,
    SinkState,
};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use std::any::TypeId;

/// What a retry counts: each event once, and attempts and letters apart from that.
pub(super) struct Books {
    /// Events whose end was known when their write returned, or that the inner sink keeps.
    at_once: EntryCounters,
    /// Events that had been set aside, by their end.
    later: EntryCounters,
    /// Events that are set aside now.
    waiting: AtomicU64,
    pub(super) passage: Passage,
    /// Where events are batches: what becomes of the events in them, if the batch was set aside.
    pub(super) scales: Scales,
    retried: AtomicU64,
    given_up: AtomicU64,
    letters_sent: AtomicU64,
    letters_lost: AtomicU64,
    last_error: Mutex<Option<String>>,
}

impl Books {
    pub(super) fn new() -> Self {
        Self {
            at_once: EntryCounters::shared(),
            later: EntryCounters::shared(),
            waiting: AtomicU64::new(0),
            passage: Passage::default(),
            scales: Scales::default(),
            retried: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            letters_sent: AtomicU64::new(0),
            letters_lost: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }

    /// Counts one event by what its write is answered with.
    pub(super) fn answered<E>(
        &self,
        answer: Result<Disposition, WriteError<E>>,
    ) -> Result<Disposition, WriteError<E>> {
        self.at_once.offered(1);
        match &answer {
            Ok(disposition) => self.at_once.disposed(*disposition),
            Err(error) => self.at_once.count(EntryOutcome::refused(error), 1),
        }
        answer
    }

    /// An event is set aside; its write is answered with [`Disposition::Pending`].
    pub(super) fn set_aside(&self) {
        // Relaxed here and below: a count publishes nothing.
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// An event that was set aside came to its end.
    pub(super) fn ended(&self, load: Load<'_>, disposition: Disposition) {
        load.end(disposition);
        self.later.offered(1);
        self.later.disposed(disposition);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// An attempt that is not an event's first one.
    pub(super) fn retries(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gives_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// A letter was written.
    pub(super) fn letter(&self, is_sent: bool) {
        let count = if is_sent { &self.letters_sent } else { &self.letters_lost };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps the text of what went wrong last, for snapshots.
    pub(super) fn note(&self, text: String) {
        *lock(&self.last_error) = Some(text);
    }

    /// The ledger of the retry: that of its events, wherever they are. `inner` are those of the sinks behind it.
    pub(super) fn ledger(&self, inner: &Ledgers) -> Ledger {
        // In this order: what is passed on meanwhile is then no more than may have been.
        let deferred = inner.deferred();
        let mut ledger = Ledger::default();
        self.at_once.add_to(&mut ledger);
        self.later.add_to(&mut ledger);
        let waiting = self.waiting.load(Ordering::Relaxed);
        ledger.offered += waiting;
        ledger.accepted += waiting;
        ledger.pending += waiting;
        let passed = self.at_once.passed() + self.later.passed();
        ledger.follow(passed, self.passage.kept_at_most(), &deferred);
        ledger
    }

    fn state(&self) -> RetryState {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RetryState {
            retried: get(&self.retried),
            given_up: get(&self.given_up),
            letters_sent: get(&self.letters_sent),
            letters_lost: get(&self.letters_lost),
            last_error: lock(&self.last_error).clone(),
        }
    }
}

impl Bookkeeper for Books {
    /// What the inner sink keeps of them is in the ledger of that.
    fn deferred(&self) -> Ledger {
        let mut ledger = Ledger::default();
        self.later.add_to(&mut ledger);
        let (passed, waiting) = (self.later.passed(), self.waiting.load(Ordering::Relaxed));
        ledger.delivered = ledger.delivered.saturating_sub(passed);
        ledger.accepted = ledger.accepted.saturating_sub(passed) + waiting;
        ledger.pending = waiting;
        ledger
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        // What the inner sink keeps is in the ledger of that, here, too.
        if self.later.is_unused() && self.waiting.load(Ordering::Relaxed) == 0 {
            return Some(Ledger::default());
        }
        self.scales.ended_here(unit)
    }

    fn show(&self, state: &mut SinkState) {
        let own = self.state();
        state.add_shown(SinkState {
            last_error: own.last_error.clone(),
            retries: vec![own],
            ..SinkState::default()
        });
    }
}
