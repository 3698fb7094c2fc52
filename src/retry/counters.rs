//! The counters of a retry. They outlive the retry, so that upstream stages can show them.

#[cfg(test)]
mod models;

use crate::error::WriteError;
use crate::stats::{
    CountingStage, Disposition, EntryCounters, EntryOutcome, Ledger, Ledgers, Load, Passage, RetryState,
    Scales, SinkState,
};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use std::any::TypeId;

/// The counters of a retry: each event counts once, and attempts and letters count separately.
pub(super) struct RetryCounters {
    /// Events whose outcome was known when their write returned, or that the inner sink keeps.
    at_once: EntryCounters,
    /// Events that had been set aside, by their outcome.
    later: EntryCounters,
    /// Events that were ever set aside. Those that are not in `later` wait: a count of the waiting ones
    /// would fall when one ends, and until its outcome is counted, the event would be missing from the
    /// sum, which is exported as a counter.
    set_aside: AtomicU64,
    pub(super) passage: Passage,
    /// If events are batches: the outcomes of the events in batches that were set aside.
    pub(super) scales: Scales,
    retried: AtomicU64,
    given_up: AtomicU64,
    letters_sent: AtomicU64,
    letters_lost: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// The ledger of the events that were ever set aside.
struct Later {
    ledger: Ledger,
    /// Those of the delivered ones that the inner sink keeps.
    passed: u64,
}

impl RetryCounters {
    pub(super) fn new() -> Self {
        Self {
            at_once: EntryCounters::shared(),
            later: EntryCounters::shared(),
            set_aside: AtomicU64::new(0),
            passage: Passage::default(),
            scales: Scales::default(),
            retried: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            letters_sent: AtomicU64::new(0),
            letters_lost: AtomicU64::new(0),
            last_error: Mutex::new(None),
        }
    }

    /// Counts one event by the result of its write.
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

    /// Counts an event that is set aside; its write returns [`Disposition::Pending`].
    pub(super) fn set_aside(&self) {
        // Relaxed here and below: a count publishes nothing.
        self.set_aside.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the outcome of an event that was set aside.
    pub(super) fn ended(&self, load: Load<'_>, disposition: Disposition) {
        load.end(disposition);
        self.later.offered(1);
        self.later.disposed(disposition);
    }

    /// Counts an attempt that is not the first one of its event.
    pub(super) fn retries(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gives_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a letter that was written.
    pub(super) fn letter(&self, is_sent: bool) {
        let count = if is_sent { &self.letters_sent } else { &self.letters_lost };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps the text of the last failure, for snapshots.
    pub(super) fn note(&self, text: String) {
        *lock(&self.last_error) = Some(text);
    }

    /// Returns the ledger of the retry's events, wherever they are. `inner` are the ledgers of the
    /// inner sinks.
    pub(super) fn ledger(&self, inner: &Ledgers) -> Ledger {
        // The inner ledgers are read first: an event forwarded meanwhile then raises only the
        // limit, `kept_at_most`, and not the count that `follow` compares with it.
        let decided = self.passage.decided();
        let deferred = inner.deferred();
        let (mut ledger, later) = (Ledger::default(), self.later());
        let passed = self.at_once.read_into(&mut ledger) + later.passed;
        ledger += later.ledger;
        ledger.follow(passed, self.passage.kept_at_most(decided), &deferred, inner);
        ledger
    }

    /// Returns the ledger of the events that were ever set aside.
    fn later(&self) -> Later {
        let mut ledger = Ledger::default();
        // Read before `set_aside`, so that an event that is set aside and ends meanwhile counts as
        // waiting.
        let passed = self.later.read_into(&mut ledger);
        // Relaxed loads may see the end of an event and not its beginning.
        let set_aside = self.set_aside.load(Ordering::Relaxed).max(ledger.accepted);
        ledger.pending = set_aside - ledger.accepted;
        (ledger.offered, ledger.accepted) = (set_aside, set_aside);
        Later { ledger, passed }
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

impl CountingStage for RetryCounters {
    /// Events that the inner sink keeps are in the ledger of that sink.
    fn deferred(&self) -> Ledger {
        let Later { mut ledger, passed } = self.later();
        ledger.delivered = ledger.delivered.saturating_sub(passed);
        ledger.accepted = ledger.accepted.saturating_sub(passed);
        ledger
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        // Events that the inner sink keeps are in the ledger of that sink, here too.
        if self.set_aside.load(Ordering::Relaxed) == 0 {
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
