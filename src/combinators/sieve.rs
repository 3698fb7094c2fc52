//! What combinators that let only some events pass have in common: their books, and what they do once they are closed.

use crate::error::{ConfigError, WriteError};
use crate::sink::Sink;
use crate::sink::control::close_caught;
use crate::stats::{CloseReport, Counters, Disposition, EntryCounters, EntryOutcome, HeldBack, SinkState};
use crate::sync::{AtomicBool, Ordering};
use crate::time::Deadline;
use crate::wait::context::discard;
use std::sync::Arc;

/// What becomes of an event at a sieve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on to the sink behind.
    Passes,
    /// It was held back, and counted as this.
    HeldBack(HeldBack),
    /// It would have been held back, but the sieve is closed, and so the event is refused.
    Late,
}

/// The books of a combinator that lets only some events pass, and whether it was closed.
pub(super) struct Sieve {
    /// The sink behind was closed from here, and refuses everything.
    closed: AtomicBool,
    counters: Counters,
}

impl Sieve {
    pub(super) fn new() -> Self {
        Self { closed: AtomicBool::new(false), counters: Counters::new() }
    }

    /// Returns the counters of all writers without a lane.
    pub(super) fn shared(&self) -> &EntryCounters {
        self.counters.shared()
    }

    /// The counters of one publisher.
    pub(super) fn for_publisher(&self) -> Arc<EntryCounters> {
        self.counters.for_publisher()
    }

    /// Counts an event that is not to pass, unless it comes too late.
    #[inline]
    pub(super) fn hold_back(&self, held_back: HeldBack, entry: &EntryCounters) -> Verdict {
        // Relaxed: a write that is ordered after the close sees it, and no other need.
        if self.closed.load(Ordering::Relaxed) {
            return Verdict::Late;
        }
        entry.offered(1);
        entry.disposed(held_back.into());
        Verdict::HeldBack(held_back)
    }

    /// Does with an event of those who have no lane what the verdict says.
    #[inline]
    pub(super) fn write<E>(
        &self,
        verdict: Verdict,
        event: E,
        inner: &impl Sink<E>,
    ) -> Result<Disposition, WriteError<E>> {
        match verdict {
            Verdict::Passes => inner.offer(event),
            Verdict::HeldBack(held_back) => {
                // Counted already: its destructor's panic is not to count it again.
                discard(event);
                Ok(held_back.into())
            }
            Verdict::Late => {
                self.shared().offered(1);
                self.shared().count(EntryOutcome::RefusedClosed, 1);
                Err(WriteError::Closed(event))
            }
        }
    }

    /// Refuses an event since a setting is invalid.
    #[cold]
    pub(super) fn refuse_invalid<E>(
        &self,
        event: E,
        error: ConfigError,
    ) -> Result<Disposition, WriteError<E>> {
        self.shared().offered(1);
        self.shared().count(EntryOutcome::RefusedFailed, 1);
        Err(WriteError::Failed { event, source: Box::new(error) })
    }

    /// What a gate in front of a lane says: what comes too late passes it, and is refused behind it.
    #[inline]
    pub(super) fn at_gate(verdict: Verdict) -> Option<HeldBack> {
        match verdict {
            Verdict::HeldBack(held_back) => Some(held_back),
            Verdict::Passes | Verdict::Late => None,
        }
    }

    pub(super) fn close<E>(&self, deadline: Deadline, inner: &impl Sink<E>) -> CloseReport {
        let report = close_caught(inner, deadline);
        // Not before the sink behind refuses everything: a gate would let pass what is not to pass.
        self.closed.store(true, Ordering::Relaxed);
        report
    }

    pub(super) fn is_closed<E>(&self, inner: &impl Sink<E>) -> bool {
        inner.reports_closed() || self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn describe<E>(&self, state: &mut SinkState, inner: &impl Sink<E>) {
        inner.describe(state);
        self.counters.add_to(&mut state.ledger);
    }
}
