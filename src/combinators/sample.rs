//! A combinator that forwards a sample of the events.

use super::sieve::Sieve;
use crate::error::{ConfigError, Invalid, OutOfMemory, WriteError};
use crate::sink::lane::{Internal, Lane, Lanes};
use crate::sink::{Inner, Sink, SinkKey, control};
use crate::stats::{CloseReport, Disposition, SinkState};
use crate::sync::{AtomicU64, Ordering};
use crate::time::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sink that forwards one in `n` events.
///
/// Made by [`SinkExt::sample`](crate::SinkExt::sample).
///
/// # Guarantees
/// - **Which**: the first event of each publisher and every `n`-th after it; the choice is
///   deterministic. All writers without a lane share one count.
/// - **Cost**: a publisher's lane keeps its own count in a plain integer.
///
/// # Examples
/// ```
/// use buslane::{Channel, Sink, SinkExt};
/// let (channel, mut receiver) = Channel::lossy(8)?;
/// let sink = channel.sample(10);
/// for n in 0..25 {
///     sink.write(n)?;
/// }
/// assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 10, 20]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a sample does nothing until it is written to or added to a bus"]
pub struct Sample<E, S> {
    inner: S,
    sieve: Arc<Sieve<OneIn>>,
    events: PhantomData<fn(E)>,
}

/// The test of each event: whether it is the one in `one_in` that passes.
struct OneIn {
    /// 0 is invalid: every event is refused.
    one_in: u64,
    /// The number of events from writers without a lane.
    seen: AtomicU64,
}

impl<E, S> Sample<E, S> {
    pub(crate) fn new(inner: S, one_in: u64) -> Self {
        let sieve = Sieve::new(OneIn { one_in, seen: AtomicU64::new(0) });
        Self { inner, sieve, events: PhantomData }
    }
}

impl<E, S> Sample<E, S> {
    fn settings(&self) -> Result<(), ConfigError> {
        if self.sieve.test.one_in == 0 { Err(Invalid::ZeroSample.into()) } else { Ok(()) }
    }
}

impl<E: Send + 'static, S: Sink<E>> Sink<E> for Sample<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        // Relaxed: only the count matters.
        let seen = self.sieve.test.seen.fetch_add(1, Ordering::Relaxed);
        let Some(before) = seen.checked_rem(self.sieve.test.one_in) else {
            return self.sieve.refuse_invalid(event, Invalid::ZeroSample.into());
        };
        self.sieve.write(Ok(before == 0), event, &self.inner)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.sieve.close(deadline, &self.inner)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        if self.settings().is_err() {
            return Ok(None);
        }
        let one_in = self.sieve.test.one_in;
        let mut next = 0;
        let lane = self.sieve.lane(&self.inner, move |_, _| {
            let before = next;
            next = if before + 1 == one_in { 0 } else { before + 1 };
            Ok(before == 0)
        });
        // Each publisher has its own count.
        Ok(lane?.map(Lane::for_one_publisher))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.settings().is_ok() && self.inner.has_lanes()
    }

    fn reports_closed(&self) -> bool {
        self.sieve.is_closed(&self.inner)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.settings().and_then(|()| control::validate(self))
    }

    fn describe(&self, state: &mut SinkState) {
        self.sieve.describe(state, &self.inner);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.sieve))
    }
}

impl<E, S: fmt::Debug> fmt::Debug for Sample<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("inner", &self.inner)
            .field("one_in", &self.sieve.test.one_in)
            .finish_non_exhaustive()
    }
}
