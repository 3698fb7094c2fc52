//! Lets one in so many events pass.

use super::sieve::{Sieve, Verdict};
use crate::error::{ConfigError, Invalid, OutOfMemory, WriteError};
use crate::sink::lane::{Internal, Lane, Lanes};
use crate::sink::{Inner, Sink, SinkKey, control};
use crate::stats::{CloseReport, Disposition, EntryCounters, HeldBack, SinkState};
use crate::sync::{AtomicU64, Ordering};
use crate::time::Deadline;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Hands on one in so many events. Made by [`SinkExt::sample`](crate::SinkExt::sample).
///
/// # Guarantees
/// - **Which**: the first event of each publisher and every n-th after it; nothing is left to chance. Everybody who
///   writes without a lane of its own shares one count.
/// - **Cost**: a publisher's lane keeps its count to itself, as a plain number.
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
    stage: Arc<Stage>,
    events: PhantomData<fn(E)>,
}

struct Stage {
    /// 0 is invalid, and lets nothing pass.
    one_in: u64,
    /// Events of those who have no lane.
    seen: AtomicU64,
    sieve: Sieve,
}

impl<E, S> Sample<E, S> {
    pub(crate) fn new(inner: S, one_in: u64) -> Self {
        let stage = Stage { one_in, seen: AtomicU64::new(0), sieve: Sieve::new() };
        Self { inner, stage: Arc::new(stage), events: PhantomData }
    }
}

impl<E, S> Sample<E, S> {
    fn settings(&self) -> Result<(), ConfigError> {
        if self.stage.one_in == 0 { Err(Invalid::ZeroSample.into()) } else { Ok(()) }
    }
}

impl Stage {
    /// What becomes of an event of which so many came before.
    #[inline]
    fn judge(&self, before: u64, entry: &EntryCounters) -> Verdict {
        if before == 0 { Verdict::Passes } else { self.sieve.hold_back(HeldBack::Filtered, entry) }
    }
}

impl<E: Send + 'static, S: Sink<E>> Sink<E> for Sample<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        // Relaxed: only the count matters.
        let seen = self.stage.seen.fetch_add(1, Ordering::Relaxed);
        let Some(before) = seen.checked_rem(self.stage.one_in) else {
            return self.stage.sieve.refuse_invalid(event, Invalid::ZeroSample.into());
        };
        let verdict = self.stage.judge(before, self.stage.sieve.shared());
        self.stage.sieve.write(verdict, event, &self.inner)
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.sink(&self.inner);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.stage.sieve.close(deadline, &self.inner)
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        if self.settings().is_err() {
            return Ok(None);
        }
        Ok(self.inner.lane()?.map(|inner| {
            let (stage, entry) = (self.stage.clone(), self.stage.sieve.for_publisher());
            let one_in = stage.one_in;
            let mut next = 0;
            inner.gated_by(move |_| {
                let before = next;
                next = if before + 1 == one_in { 0 } else { before + 1 };
                Sieve::at_gate(stage.judge(before, &entry))
            })
        }))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.settings().is_ok() && self.inner.has_lanes()
    }

    fn reports_closed(&self) -> bool {
        self.stage.sieve.is_closed(&self.inner)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.settings().and_then(|()| control::validate(self))
    }

    fn describe(&self, state: &mut SinkState) {
        self.stage.sieve.describe(state, &self.inner);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.stage))
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
