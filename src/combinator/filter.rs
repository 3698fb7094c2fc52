//! Lets only some events pass.

use crate::error::{InvalidConfig, WriteError};
use crate::ledger::{Counters, EntryCounters, Outcome};
use crate::panics::foreign;
use crate::report::CloseReport;
use crate::sink::lane::Lane;
use crate::sink::signal::Signal;
use crate::sink::{Sink, SinkKey};
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
    counters: Counters,
}

impl<E, S, P> Filter<E, S, P> {
    pub(crate) fn new(inner: S, keep: P) -> Self {
        Self { inner, stage: Arc::new(Stage { keep, counters: Counters::new() }), events: PhantomData }
    }
}

/// Whether the event goes on; if not, it is counted here.
#[inline]
fn keeps<E>(keep: &impl Fn(&E) -> bool, event: &E, entry: &EntryCounters) -> bool {
    let outcome = match foreign(|| keep(event)) {
        Ok(true) => return true,
        Ok(false) => Outcome::Filtered,
        Err(_) => Outcome::DroppedPanicked,
    };
    entry.offered(1);
    entry.count(outcome, 1);
    false
}

impl<E, S, P> Sink<E> for Filter<E, S, P>
where
    E: Send + 'static,
    S: Sink<E>,
    P: Fn(&E) -> bool + Send + Sync + 'static,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        if keeps(&self.stage.keep, &event, self.stage.counters.everybody()) {
            self.inner.write(event)
        } else {
            Ok(())
        }
    }

    fn close(&self, deadline: Deadline) -> CloseReport {
        self.inner.close(deadline)
    }

    fn lane(&self) -> Result<Option<Lane<E>>, InvalidConfig> {
        Ok(self.inner.lane()?.map(|inner| {
            let (stage, entry) = (self.stage.clone(), self.stage.counters.for_publisher());
            inner.gated_by(move |event| keeps(&stage.keep, event, &entry))
        }))
    }

    fn has_lanes(&self) -> bool {
        self.inner.has_lanes()
    }

    fn signal(&self, signal: &mut Signal<'_>) {
        self.inner.signal(signal);
        if let Signal::Describe(state) = signal {
            self.stage.counters.add_to(&mut state.ledger);
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
