//! What combinators that let only some events pass have in common: lanes, counters, and what they do once they are closed.

use crate::error::{ConfigError, OutOfMemory, WriteError};
use crate::sink::Sink;
use crate::sink::control::close_caught;
use crate::sink::lane::{Lane, Lanes};
use crate::stats::{CloseReport, Counters, Disposition, EntryCounters, EntryOutcome, HeldBack, SinkState};
use crate::sync::{AtomicBool, Ordering};
use crate::time::Deadline;
use crate::wait::context::discard;
use std::sync::Arc;

/// A combinator that lets only some events pass, without its inner sink: the test, the counters, and whether it was closed.
pub(super) struct Sieve<T> {
    /// What decides which events pass.
    pub(super) test: T,
    /// The inner sink was closed from here, and refuses every event.
    closed: AtomicBool,
    counters: Counters,
}

/// What becomes of an event at a sieve.
enum Sifted {
    /// It is forwarded to the inner sink.
    Passes,
    /// It was held back, and counted as this.
    HeldBack(HeldBack),
    /// It would have been held back, but the sieve is closed, and so the event is refused.
    Late,
}

impl<T> Sieve<T> {
    pub(super) fn new(test: T) -> Arc<Self> {
        Arc::new(Self { test, closed: AtomicBool::new(false), counters: Counters::new() })
    }

    /// Counts an event that is not to pass, unless it comes too late. `passes` is the result of the test, or the text of its panic.
    #[inline]
    fn sift(&self, passes: Result<bool, String>, entry: &EntryCounters) -> Sifted {
        let held_back = match passes {
            Ok(true) => return Sifted::Passes,
            Ok(false) => HeldBack::Filtered,
            Err(_) => HeldBack::Panicked,
        };
        // Relaxed: a write that is ordered after the close sees it, and no other need.
        if self.closed.load(Ordering::Relaxed) {
            return Sifted::Late;
        }
        entry.offered(1);
        entry.disposed(held_back.into());
        Sifted::HeldBack(held_back)
    }

    /// Forwards or holds back an event of a thread without a lane.
    #[inline]
    pub(super) fn write<E>(
        &self,
        passes: Result<bool, String>,
        event: E,
        inner: &impl Sink<E>,
    ) -> Result<Disposition, WriteError<E>> {
        let entry = self.counters.shared();
        match self.sift(passes, entry) {
            Sifted::Passes => inner.offer(event),
            Sifted::HeldBack(held_back) => {
                // Counted already: its destructor's panic is not to count it again.
                discard(event);
                Ok(held_back.into())
            }
            Sifted::Late => {
                entry.offered(1);
                entry.count(EntryOutcome::RefusedClosed, 1);
                Err(WriteError::Closed(event))
            }
        }
    }

    /// Makes a lane of the inner sink, if it has lanes, behind a gate: `passes` tests each event of the publisher.
    pub(super) fn lane<E: Send + 'static>(
        self: &Arc<Self>,
        inner: &impl Sink<E>,
        mut passes: impl FnMut(&T, &E) -> Result<bool, String> + Send + 'static,
    ) -> Result<Option<Lane<E>>, OutOfMemory>
    where
        T: Send + Sync + 'static,
    {
        Ok(inner.lane()?.map(|lane| {
            let (sieve, entry) = (self.clone(), self.counters.for_publisher());
            lane.gated_by(move |event| match sieve.sift(passes(&sieve.test, event), &entry) {
                Sifted::HeldBack(held_back) => Some(held_back),
                // What comes too late passes the gate, and is refused after it.
                Sifted::Passes | Sifted::Late => None,
            })
        }))
    }

    /// Refuses an event since a setting is invalid.
    #[cold]
    pub(super) fn refuse_invalid<E>(
        &self,
        event: E,
        error: ConfigError,
    ) -> Result<Disposition, WriteError<E>> {
        let entry = self.counters.shared();
        entry.offered(1);
        entry.count(EntryOutcome::RefusedFailed, 1);
        Err(WriteError::Failed { event, source: Box::new(error) })
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
