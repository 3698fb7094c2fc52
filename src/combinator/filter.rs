//! Lets only some events pass.

use crate::error::{InvalidConfig, WriteError};
use crate::ledger::{Counters, EntryCounters, Outcome};
use crate::panics::foreign;
use crate::report::CloseReport;
use crate::sink::lane::Lane;
use crate::sink::signal::Signal;
use crate::sink::{Sink, SinkKey};
use crate::sync::{AtomicBool, Ordering};
use crate::wait::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Hands on only the events that a predicate keeps. Made by [`SinkExt::filter`](crate::SinkExt::filter).
#[must_use = "a filter does nothing until it is written to or added to a bus"]
pub struct Filter<E, S, P> {
    inner: S,
    stage: Arc<Stage<P>>,
    events: PhantomData<fn(E)>,
}

struct Stage<P> {
    keep: P,
    /// The sink behind was closed from here, and refuses everything.
    closed: AtomicBool,
    counters: Counters,
}

impl<E, S, P> Filter<E, S, P> {
    pub(crate) fn new(inner: S, keep: P) -> Self {
        let stage = Stage { keep, closed: AtomicBool::new(false), counters: Counters::new() };
        Self { inner, stage: Arc::new(stage), events: PhantomData }
    }
}

/// What becomes of an event at the filter.
enum Verdict {
    GoesOn,
    /// Counted here.
    Kept,
    /// Nobody wants it, but the filter is closed.
    Late,
}

impl<P> Stage<P> {
    #[inline]
    fn judge<E>(&self, event: &E, entry: &EntryCounters) -> Verdict
    where
        P: Fn(&E) -> bool,
    {
        let outcome = match foreign(|| (self.keep)(event)) {
            Ok(true) => return Verdict::GoesOn,
            // Relaxed: a write that is ordered after the close sees it, and no other need.
            _ if self.closed.load(Ordering::Relaxed) => return Verdict::Late,
            Ok(false) => Outcome::Filtered,
            Err(_) => Outcome::DroppedPanicked,
        };
        entry.offered(1);
        entry.count(outcome, 1);
        Verdict::Kept
    }
}

impl<E, S, P> Sink<E> for Filter<E, S, P>
where
    E: Send + 'static,
    S: Sink<E>,
    P: Fn(&E) -> bool + Send + Sync + 'static,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        let entry = self.stage.counters.everybody();
        match self.stage.judge(&event, entry) {
            Verdict::GoesOn => self.inner.write(event),
            Verdict::Kept => Ok(()),
            Verdict::Late => {
                entry.offered(1);
                entry.count(Outcome::RefusedClosed, 1);
                Err(WriteError::Closed(event))
            }
        }
    }

    fn close(&self, deadline: Deadline) -> CloseReport {
        let report = self.inner.close(deadline);
        // Now that the sink behind refuses everything, so does the filter.
        self.stage.closed.store(true, Ordering::Relaxed);
        report
    }

    fn lane(&self) -> Result<Option<Lane<E>>, InvalidConfig> {
        Ok(self.inner.lane()?.map(|inner| {
            let (stage, entry) = (self.stage.clone(), self.stage.counters.for_publisher());
            // What comes too late passes the gate, and is refused behind it.
            inner.gated_by(move |event| !matches!(stage.judge(event, &entry), Verdict::Kept))
        }))
    }

    fn has_lanes(&self) -> bool {
        self.inner.has_lanes()
    }

    fn signal(&self, signal: &mut Signal<'_>) {
        self.inner.signal(signal);
        match signal {
            Signal::IsClosed(closed) => **closed |= self.stage.closed.load(Ordering::Relaxed),
            Signal::Describe(state) => self.stage.counters.add_to(&mut state.ledger),
            _ => {}
        }
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&*self.stage))
    }
}

impl<E, S: fmt::Debug, P> fmt::Debug for Filter<E, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("inner", &self.inner).finish_non_exhaustive()
    }
}
