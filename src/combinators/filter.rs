//! Lets only some events pass.

use super::sieve::{Sieve, Verdict};
use crate::error::{OutOfMemory, WriteError};
use crate::sink::lane::{Internal, Lane, Lanes};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{CloseReport, Disposition, EntryCounters, HeldBack, SinkState};
use crate::time::Deadline;
use crate::wait::context::user_code;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Hands on only the events that a predicate keeps. Made by [`SinkExt::filter`](crate::SinkExt::filter).
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, SinkExt};
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let even = channel.filter(|n: &u32| n % 2 == 0);
/// for n in 1..=4 {
///     even.write(n)?;
/// }
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [2, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a filter does nothing until it is written to or added to a bus"]
pub struct Filter<E, S, P> {
    inner: S,
    stage: Arc<Stage<P>>,
    events: PhantomData<fn(E)>,
}

struct Stage<P> {
    keep: P,
    sieve: Sieve,
}

impl<E, S, P> Filter<E, S, P> {
    pub(crate) fn new(inner: S, keep: P) -> Self {
        Self { inner, stage: Arc::new(Stage { keep, sieve: Sieve::new() }), events: PhantomData }
    }
}

impl<P> Stage<P> {
    #[inline]
    fn judge<E>(&self, event: &E, entry: &EntryCounters) -> Verdict
    where
        P: Fn(&E) -> bool,
    {
        match user_code(|| (self.keep)(event)) {
            Ok(true) => Verdict::Passes,
            Ok(false) => self.sieve.hold_back(HeldBack::Filtered, entry),
            Err(_) => self.sieve.hold_back(HeldBack::Panicked, entry),
        }
    }
}

impl<E, S, P> Sink<E> for Filter<E, S, P>
where
    E: Send + 'static,
    S: Sink<E>,
    P: Fn(&E) -> bool + Send + Sync + 'static,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let verdict = self.stage.judge(&event, self.stage.sieve.shared());
        self.stage.sieve.write(verdict, event, &self.inner)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.stage.sieve.close(deadline, &self.inner)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        Ok(self.inner.lane()?.map(|inner| {
            let (stage, entry) = (self.stage.clone(), self.stage.sieve.for_publisher());
            inner.gated_by(move |event| Sieve::at_gate(stage.judge(event, &entry)))
        }))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.inner.has_lanes()
    }

    fn reports_closed(&self) -> bool {
        self.stage.sieve.is_closed(&self.inner)
    }

    fn describe(&self, state: &mut SinkState) {
        self.stage.sieve.describe(state, &self.inner);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.stage))
    }
}

impl<E, S: fmt::Debug, P> fmt::Debug for Filter<E, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("inner", &self.inner).finish_non_exhaustive()
    }
}
