//! Lets one in so many events pass.

use crate::error::{InvalidConfig, WriteError};
use crate::ledger::{Counters, EntryCounters, Outcome};
use crate::report::CloseReport;
use crate::sink::lane::Lane;
use crate::sink::signal::Signal;
use crate::sink::{Sink, SinkKey};
use crate::sync::{AtomicU64, Ordering};
use crate::wait::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::Arc;

/// Hands on one in so many events. Made by [`SinkExt::sample`](crate::SinkExt::sample).
///
/// # Guarantees
/// - **Which**: the first event of each publisher and every n-th after it; nothing is left to chance. Everybody who writes
///   without a lane of its own shares one count.
/// - **Cost**: a publisher's lane keeps its count to itself, as a plain number.
#[must_use = "a sample does nothing until it is written to or added to a bus"]
pub struct Sample<E, S> {
    inner: S,
    stage: Arc<Stage>,
    events: PhantomData<fn(E)>,
}

struct Stage {
    one_in: NonZeroU64,
    /// Events of those who have no lane.
    seen: AtomicU64,
    counters: Counters,
}

impl<E, S> Sample<E, S> {
    pub(crate) fn new(inner: S, one_in: u64) -> Result<Self, InvalidConfig> {
        let one_in = NonZeroU64::new(one_in).ok_or(InvalidConfig::ZeroSample)?;
        let stage = Stage { one_in, seen: AtomicU64::new(0), counters: Counters::new() };
        Ok(Self { inner, stage: Arc::new(stage), events: PhantomData })
    }
}

/// Whether an event is kept of which so many came before; if not, it is counted here.
#[inline]
fn keeps(before: u64, entry: &EntryCounters) -> bool {
    if before == 0 {
        return true;
    }
    entry.offered(1);
    entry.count(Outcome::Filtered, 1);
    false
}

impl<E: Send + 'static, S: Sink<E>> Sink<E> for Sample<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        // Relaxed: only the count matters.
        let before = self.stage.seen.fetch_add(1, Ordering::Relaxed) % self.stage.one_in;
        if keeps(before, self.stage.counters.everybody()) { self.inner.write(event) } else { Ok(()) }
    }

    fn close(&self, deadline: Deadline) -> CloseReport {
        self.inner.close(deadline)
    }

    fn lane(&self) -> Result<Option<Lane<E>>, InvalidConfig> {
        Ok(self.inner.lane()?.map(|inner| {
            let (one_in, entry) = (self.stage.one_in.get(), self.stage.counters.for_publisher());
            let mut next = 0;
            inner.gated_by(move |_| {
                let before = next;
                next = if before + 1 == one_in { 0 } else { before + 1 };
                keeps(before, &entry)
            })
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

impl<E, S: fmt::Debug> fmt::Debug for Sample<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("inner", &self.inner)
            .field("one_in", &self.stage.one_in)
            .finish_non_exhaustive()
    }
}
