//! A combinator that forwards only the events that a predicate accepts.

use super::sieve::Sieve;
use crate::error::{OutOfMemory, WriteError};
use crate::sink::lane::{Internal, Lane, Lanes};
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{CloseReport, Disposition, SinkState};
use crate::time::Deadline;
use crate::wait::context::user_code;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sink that forwards only the events that a predicate accepts.
///
/// Made by [`SinkExt::filter`](crate::SinkExt::filter).
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
    sieve: Arc<Sieve<P>>,
    events: PhantomData<fn(E)>,
}

impl<E, S, P> Filter<E, S, P> {
    pub(crate) fn new(inner: S, keep: P) -> Self {
        Self { inner, sieve: Sieve::new(keep), events: PhantomData }
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
        let passes = user_code(|| (self.sieve.test)(&event));
        self.sieve.write(passes, event, &self.inner)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.sieve.close(deadline, &self.inner)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        self.sieve.lane(&self.inner, |keep, event| user_code(|| keep(event)))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.inner.has_lanes()
    }

    fn reports_closed(&self) -> bool {
        self.sieve.is_closed(&self.inner)
    }

    fn describe(&self, state: &mut SinkState) {
        self.sieve.describe(state, &self.inner);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.sieve))
    }
}

impl<E, S: fmt::Debug, P> fmt::Debug for Filter<E, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("inner", &self.inner).finish_non_exhaustive()
    }
}
