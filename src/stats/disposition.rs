//! What became of an accepted event: at once, or later and further downstream in a chain of sinks.

use super::ledger::{DropReason, Dropped, Ledger, Refused};
use super::state::SinkState;
use crate::sync::{AtomicBool, AtomicU64, Ordering, add_single_writer};
use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

/// The outcome of an accepted event, as far as it is known when the write returns.
///
/// Each value is a term of the second equation of the [`Ledger`].
/// [`Sink::offer`](crate::Sink::offer) returns it.
///
/// # Examples
/// ```
/// use buslane::{Channel, noop, Sink, SinkExt};
/// use buslane::stats::{Disposition, DropReason};
/// let (channel, _receiver) = Channel::lossy(1)?; // drops the newest event when it is full
/// assert_eq!(channel.offer(1)?, Disposition::Pending);
/// assert_eq!(channel.offer(2)?, Disposition::Dropped(DropReason::Full));
/// assert_eq!(noop().offer(3)?, Disposition::Delivered);
/// assert_eq!(noop().filter(|n: &u32| *n < 3).offer(3)?, Disposition::Filtered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Disposition {
    /// The sink handled the event, or reports only that it accepted the event.
    Delivered,
    /// The event is in the sink's rings, or is being handled. The sink's ledger counts what becomes
    /// of it.
    Pending,
    /// A filter, a sample or a rate limit held the event back from the sink.
    Filtered,
    /// The event was accepted and is lost, for this reason.
    Dropped(DropReason),
    /// The event is a batch, and its events have more than one outcome. A ledger that counts
    /// batches counts the batch by what became of the [rest](Parts::rest).
    Partly(Parts),
}

/// The outcomes of a batch of which the inner sink accepted a part.
///
/// A retry reports it to the [`Batch`](crate::sink::Batch) upstream. It does so if the inner sink
/// accepted some events of the batch, and gave back others that the retry then gave up.
///
/// # Examples
/// ```
/// use buslane::{Sink, sink_fn, SinkExt, WriteError};
/// use buslane::retry::Backoff;
/// use buslane::stats::Disposition;
/// use std::sync::Arc;
/// /// Takes even numbers, and gives the others back.
/// struct Even;
/// impl Sink<Vec<u32>> for Even {
///     fn write(&self, batch: Vec<u32>) -> Result<(), WriteError<Vec<u32>>> {
///         let odd: Vec<u32> = batch.into_iter().filter(|n| n % 2 == 1).collect();
///         if odd.is_empty() { Ok(()) } else { Err(WriteError::Failed { event: odd, source: "odd".into() }) }
///     }
/// }
/// let policy = Backoff::default().max_attempts(1);
/// let retry = Arc::new(Even.retry(policy).dead_letters(sink_fn(|_: &buslane::retry::DeadLetter<Vec<u32>>| ())));
/// let batch = retry.clone().batch(4);
/// for n in 1..=3 {
///     batch.write(n)?;
/// }
/// batch.write(4)?; // completes the batch
/// let ledger = batch.state().ledger;
/// assert_eq!((ledger.delivered, ledger.dropped.failed), (2, 2));
///
/// // What the retry returns to the batch:
/// let Disposition::Partly(parts) = retry.offer(vec![1, 2, 4])? else { panic!("one of three is odd") };
/// assert_eq!(parts.delivered(), 2);
/// assert!(parts.rest().is_dropped());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parts {
    delivered: Levels,
    rest: Rest,
}

/// Serializes what the accessors return. The counts of nested batches are internal.
#[cfg(feature = "serde")]
impl serde::Serialize for Parts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Parts", 2)?;
        fields.serialize_field("delivered", &self.delivered())?;
        fields.serialize_field("rest", &self.rest())?;
        fields.end()
    }
}

/// What became of the events of a batch that were not delivered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rest {
    Pending,
    Filtered,
    Dropped(DropReason),
}

impl Parts {
    /// Returns the number of events of the batch that were delivered.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.get(0)
    }

    /// Returns what became of the other events of the batch.
    #[must_use]
    pub fn rest(&self) -> Disposition {
        match self.rest {
            Rest::Pending => Disposition::Pending,
            Rest::Filtered => Disposition::Filtered,
            Rest::Dropped(reason) => Disposition::Dropped(reason),
        }
    }

    pub(crate) fn levels(&self) -> &Levels {
        &self.delivered
    }
}

/// The number of levels of nested batches for which parts are counted. Beyond it, a batch of which
/// a part was given up counts as given up.
pub(crate) const LEVELS: usize = 3;

/// Counts of events in a batch, by level: first the events that the batch holds, then those that
/// these hold if they are batches, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Levels([u32; LEVELS]);

impl Levels {
    pub(crate) fn get(&self, level: usize) -> u64 {
        self.0.get(level).copied().unwrap_or(0).into()
    }

    pub(crate) fn set(&mut self, level: usize, count: u64) {
        self.0[level] = u32::try_from(count).unwrap_or(u32::MAX);
    }

    /// Adds the amount by which `before` exceeds `after`, in each level.
    pub(crate) fn add_difference(&mut self, before: &Self, after: &Self) {
        for ((sum, before), after) in self.0.iter_mut().zip(before.0).zip(after.0) {
            *sum = sum.saturating_add(before.saturating_sub(after));
        }
    }

    fn plus(mut self, other: &Self) -> Self {
        self.add_difference(other, &Self::default());
        self
    }
}

/// What became of an event that a filter, a sample or a rate limit held back from its sink. One
/// byte, because it is on the publish path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldBack {
    Filtered,
    Panicked,
}

impl From<HeldBack> for Disposition {
    #[inline]
    fn from(held_back: HeldBack) -> Self {
        match held_back {
            HeldBack::Filtered => Self::Filtered,
            HeldBack::Panicked => Self::Dropped(DropReason::Panicked),
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered => f.write_str("delivered"),
            Self::Pending => f.write_str("pending"),
            Self::Filtered => f.write_str("filtered"),
            Self::Dropped(reason) => write!(f, "dropped({reason})"),
            Self::Partly(parts) => write!(f, "delivered {}, the rest {}", parts.delivered(), parts.rest()),
        }
    }
}

impl Disposition {
    /// Returns `true` if the event is lost.
    ///
    /// # Examples
    /// ```
    /// use buslane::stats::{Disposition, DropReason};
    /// assert!(Disposition::Dropped(DropReason::Full).is_dropped());
    /// assert!(!Disposition::Filtered.is_dropped());
    /// ```
    #[must_use]
    pub fn is_dropped(self) -> bool {
        matches!(self, Self::Dropped(_))
    }

    /// Returns what became of the event as a whole.
    pub(crate) fn whole(self) -> Self {
        match self {
            Self::Partly(parts) => parts.rest(),
            other => other,
        }
    }

    /// Returns this disposition for a batch, of which the events in `delivered` were delivered
    /// before.
    pub(crate) fn after(self, delivered: &Levels) -> Self {
        if *delivered == Levels::default() {
            return self;
        }
        let (delivered, rest) = match self {
            Self::Delivered => return self,
            Self::Partly(parts) => (parts.delivered.plus(delivered), parts.rest),
            Self::Pending => (*delivered, Rest::Pending),
            Self::Filtered => (*delivered, Rest::Filtered),
            Self::Dropped(reason) => (*delivered, Rest::Dropped(reason)),
        };
        Self::Partly(Parts { delivered, rest })
    }

    /// Combines the dispositions of two sinks that got the same event: the best outcome counts. For
    /// a batch it is unknown which parts each sink delivered, so the larger part counts.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Delivered | Self::Pending, _) | (_, Self::Delivered | Self::Pending) => Self::Delivered,
            (Self::Partly(parts), Self::Partly(others)) => {
                if matches!((parts.rest, others.rest), (Rest::Pending, _) | (_, Rest::Pending)) {
                    return Self::Delivered;
                }
                Self::Partly(if parts.delivered() < others.delivered() { others } else { parts })
            }
            (Self::Partly(parts), _) | (_, Self::Partly(parts)) => match parts.rest {
                Rest::Pending => Self::Delivered,
                Rest::Filtered | Rest::Dropped(_) => Self::Partly(parts),
            },
            (Self::Dropped(reason), _) | (_, Self::Dropped(reason)) => Self::Dropped(reason),
            (Self::Filtered, Self::Filtered) => Self::Filtered,
        }
    }
}

/// A stage of a chain that counts, as its upstream stages see it. It outlives the sink, and runs no
/// user code.
pub(crate) trait CountingStage: Send + Sync {
    /// Returns what became of the events whose writes returned [`Disposition::Pending`] here. Only
    /// the terms of the second equation count, and `accepted`, which is the number of these events.
    fn deferred(&self) -> Ledger {
        Ledger::default()
    }

    /// Returns `true` if each write that is [pending](Disposition::Pending) in this stage is among the
    /// deferred events before it returns. Then none of them means that no write has returned.
    fn defers_all(&self) -> bool {
        false
    }

    /// Like [`deferred`](Self::deferred), for a stage whose events are batches: counted in the
    /// events of this type that they hold, without the pending ones. `None` if the stage does not
    /// count these.
    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        let _ = unit;
        Some(Ledger::default())
    }

    /// Adds what an upstream stage shows of this stage: its last error, and the counts of its
    /// retries.
    fn show(&self, state: &mut SinkState);
}

/// The ledgers of a chain of sinks, which its upstream stages request once.
#[derive(Clone, Default)]
pub struct Ledgers(Vec<Arc<dyn CountingStage>>);

impl Ledgers {
    pub(crate) fn push(&mut self, stage: Arc<dyn CountingStage>) {
        self.0.push(stage);
    }

    /// Adds the ledgers of the sinks downstream, to which every event is forwarded once.
    pub(crate) fn extend(&mut self, inner: Self) {
        self.0.extend(inner.0);
    }

    /// Adds the ledgers of sinks that the chain branches into, or to which it forwards something
    /// other than single events. They are shown, and do not change how the upstream stages count.
    pub(crate) fn extend_shown(&mut self, inner: Self) {
        self.0.extend(inner.0.into_iter().map(|stage| Arc::new(Shown(stage)) as Arc<dyn CountingStage>));
    }

    /// Adds the ledgers of another sink, except those that are here already: two sinks may share
    /// one downstream sink.
    pub(crate) fn join(&mut self, other: Self) {
        for stage in other.0 {
            if !self.0.iter().any(|known| Arc::ptr_eq(known, &stage)) {
                self.0.push(stage);
            }
        }
    }

    /// Returns what became of the events that were [pending](Disposition::Pending) when they were
    /// forwarded.
    pub(crate) fn deferred(&self) -> Ledger {
        let mut sum = Ledger::default();
        self.0.iter().for_each(|stage| sum += stage.deferred());
        sum
    }

    /// Returns `true` if one of the sinks counts every pending write, so that none means that the
    /// writes had not returned when the sinks were asked.
    pub(crate) fn defer_all(&self) -> bool {
        self.0.iter().any(|stage| stage.defers_all())
    }

    /// Like [`deferred`](Self::deferred), counted in the events of this type that they hold,
    /// without the pending ones. `None` unless all stages count these.
    pub(crate) fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        let mut sum = Ledger::default();
        for stage in &self.0 {
            sum += stage.weighed(unit)?;
        }
        Some(sum)
    }

    /// Adds the ledgers of the sinks downstream of a stage that makes new events. `same` is `true`
    /// while the new events hold as many events as the original ones.
    pub(crate) fn extend_mapped(&mut self, inner: Self, same: &Arc<AtomicBool>) {
        let mapped = |stage| Arc::new(Mapped { stage, same: same.clone() }) as Arc<dyn CountingStage>;
        self.0.extend(inner.0.into_iter().map(mapped));
    }

    /// Adds what the sinks downstream show.
    pub(crate) fn show(&self, state: &mut SinkState) {
        self.0.iter().for_each(|stage| stage.show(state));
    }
}

impl fmt::Debug for Ledgers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledgers").field(&self.0.len()).finish()
    }
}

struct Shown(Arc<dyn CountingStage>);

impl CountingStage for Shown {
    fn show(&self, state: &mut SinkState) {
        self.0.show(state);
    }
}

/// A stage downstream of one that makes new events.
struct Mapped {
    stage: Arc<dyn CountingStage>,
    same: Arc<AtomicBool>,
}

impl CountingStage for Mapped {
    fn deferred(&self) -> Ledger {
        self.stage.deferred()
    }

    fn defers_all(&self) -> bool {
        self.stage.defers_all()
    }

    fn weighed(&self, unit: TypeId) -> Option<Ledger> {
        // Relaxed: a hint for snapshots.
        if self.same.load(Ordering::Relaxed) { self.stage.weighed(unit) } else { None }
    }

    fn show(&self, state: &mut SinkState) {
        self.stage.show(state);
    }
}

/// The number of events that a stage offered to its inner sink, and of those that the sink did not
/// keep.
#[derive(Default)]
pub(crate) struct Passage {
    offered: AtomicU64,
    decided: AtomicU64,
}

impl Passage {
    /// Makes an offer, on the only thread that makes offers.
    #[inline]
    pub(crate) fn offer_single<X>(
        &self,
        offer: impl FnOnce() -> Result<Disposition, X>,
    ) -> Result<Disposition, X> {
        add_single_writer(&self.offered, 1);
        let decided = Decided(|| add_single_writer(&self.decided, 1));
        decided.unless_pending(offer())
    }

    /// Makes an offer, on any thread.
    pub(crate) fn offer<X>(&self, offer: impl FnOnce() -> Result<Disposition, X>) -> Result<Disposition, X> {
        // Relaxed here and below: a count publishes nothing.
        self.offered.fetch_add(1, Ordering::Relaxed);
        let decided = Decided(|| {
            self.decided.fetch_add(1, Ordering::Relaxed);
        });
        decided.unless_pending(offer())
    }

    /// Returns the number of events that the inner sink did not keep. It is read before the inner
    /// sink's counters: those may hold an event that the sink has not decided on yet, and it must
    /// not be missing from [`kept_at_most`](Self::kept_at_most) when it is decided meanwhile.
    pub(crate) fn decided(&self) -> u64 {
        self.decided.load(Ordering::Relaxed)
    }

    /// Returns the most events that the inner sink may have kept. It is read after the inner sink's
    /// counters, and `decided` before them.
    pub(crate) fn kept_at_most(&self, decided: u64) -> u64 {
        self.offered.load(Ordering::Relaxed).saturating_sub(decided)
    }
}

/// A guard that counts an event that the inner sink did not keep, even if the sink panicked.
struct Decided<F: Fn()>(F);

impl<F: Fn()> Decided<F> {
    #[inline]
    fn unless_pending<X>(self, answer: Result<Disposition, X>) -> Result<Disposition, X> {
        if matches!(answer, Ok(disposition) if disposition.whole() == Disposition::Pending) {
            std::mem::forget(self);
        }
        answer
    }
}

impl<F: Fn()> Drop for Decided<F> {
    #[inline]
    fn drop(&mut self) {
        (self.0)();
    }
}

impl SinkState {
    /// Adds what an upstream stage shows of this one: its last error, unless the stage has its own,
    /// and the counts of its retries.
    pub(crate) fn add_shown(&mut self, inner: Self) {
        self.last_error = self.last_error.take().or(inner.last_error);
        self.retries.extend(inner.retries);
    }
}

impl Dropped {
    /// Returns the count of events that were dropped for this reason.
    pub(crate) fn by(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::Full => &mut self.full,
            DropReason::Evicted => &mut self.evicted,
            DropReason::ReceiverDropped => &mut self.receiver_dropped,
            DropReason::Aborted => &mut self.aborted,
            DropReason::Failed => &mut self.failed,
            DropReason::Panicked => &mut self.panicked,
        }
    }
}

impl Ledger {
    /// Returns the ledger without these events, which were accepted and dropped at once.
    pub(crate) fn without(mut self, at_once: &Self) -> Self {
        self.accepted = self.accepted.saturating_sub(at_once.accepted);
        self.dropped.full = self.dropped.full.saturating_sub(at_once.dropped.full);
        self.dropped.panicked = self.dropped.panicked.saturating_sub(at_once.dropped.panicked);
        self
    }

    /// Replaces the count of `passed` events, which count as delivered, by what the sinks that kept
    /// them report, which was read before. If these sinks keep more than `at_most` events, nothing
    /// changes: then there are other writers, and the events cannot be told apart.
    pub(crate) fn follow(&mut self, passed: u64, at_most: u64, deferred: &Self, inner: &Ledgers) {
        if passed == 0 || deferred.accepted > at_most {
            return;
        }
        if deferred.accepted == 0 {
            if inner.defer_all() {
                // All of them were passed on since the sinks were asked. Counted as delivered, they
                // would not be any more at the next snapshot.
                self.delivered = self.delivered.saturating_sub(passed);
                self.pending += passed;
            }
            return;
        }
        self.delivered = self.delivered.saturating_sub(passed);
        // The events that were passed on are already counted as offered and accepted.
        *self += Self { offered: 0, accepted: 0, refused: Refused::default(), ..*deferred };
        // An event that a sink keeps already, and whose write has not returned, is pending here too. So
        // it is for as long as a batch that it completes is being written.
        self.pending = self.pending.saturating_sub(deferred.accepted.saturating_sub(passed));
        // What was passed on since the sinks were asked.
        if inner.defer_all() {
            self.pending += passed.saturating_sub(deferred.accepted);
        }
    }
}
