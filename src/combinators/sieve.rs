//! The common part of combinators that hold some events back: lanes, counters, and their behavior
//! once they are closed.

use crate::error::{ConfigError, OutOfMemory, WriteError};
use crate::sink::Sink;
use crate::sink::control::close_caught;
use crate::sink::lane::{Lane, Lanes};
use crate::stats::{CloseReport, Counters, Disposition, EntryCounters, EntryOutcome, HeldBack, SinkState};
use crate::sync::{AtomicBool, Ordering};
use crate::time::Deadline;
use crate::wait::context::discard;
use std::sync::Arc;

/// A combinator that holds some events back, without its inner sink: the test, the counters, and
/// whether it was closed.
pub(super) struct Sieve<T> {
    /// The test that decides which events pass.
    pub(super) test: T,
    /// Whether the inner sink was closed from here, and refuses every event.
    closed: AtomicBool,
    counters: Counters,
}

/// The outcome of an event at a sieve.
enum Sifted {
    /// The event is forwarded to the inner sink.
    Passes,
    /// The event was held back, and counted with this reason.
    HeldBack(HeldBack),
    /// The event would have been held back, but the sieve is closed, so the event is refused.
    Late,
}

impl<T> Sieve<T> {
    pub(super) fn new(test: T) -> Arc<Self> {
        Arc::new(Self { test, closed: AtomicBool::new(false), counters: Counters::new() })
    }

    /// Counts an event that does not pass, unless it comes too late. `passes` is the result of the
    /// test, or the text of its panic.
    #[inline]
    fn sift(&self, passes: Result<bool, String>, entry: &EntryCounters) -> Sifted {
        let held_back = match passes {
            Ok(true) => return Sifted::Passes,
            Ok(false) => HeldBack::Filtered,
            Err(_) => HeldBack::Panicked,
        };
        // Relaxed: a write that happens after the close sees the flag, and no other write has to.
        if self.closed.load(Ordering::Relaxed) {
            return Sifted::Late;
        }
        entry.offered(1);
        entry.disposed(held_back.into());
        Sifted::HeldBack(held_back)
    }

    /// Forwards or holds back an event from a thread without a lane.
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
                // Already counted: a panic of its destructor must not count it again.
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

    /// Returns a filtered lane of the inner sink, if that has lanes: `passes` tests each event of
    /// the publisher.
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
            lane.filtered_by(move |event| match sieve.sift(passes(&sieve.test, event), &entry) {
                Sifted::HeldBack(held_back) => Some(held_back),
                // A late event passes the filter, and the closed lane after it refuses the event.
                Sifted::Passes | Sifted::Late => None,
            })
        }))
    }

    /// Refuses an event because a setting is invalid.
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
        // Set only once the inner sink refuses every event: otherwise a filter would let through
        // events that the test holds back.
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
