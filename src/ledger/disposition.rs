//! What became of an event that was accepted: at once, or later and further down a chain of sinks.

use super::{DropReason, Dropped, Ledger, SinkState};
use crate::sync::{AtomicU64, Ordering, add_single_writer};
use std::fmt;
use std::sync::Arc;

/// What became of an accepted event, as far as that is known when the write returns.
///
/// Each value is a term of the second equation of the [`Ledger`]. Returned by [`Sink::offer`](crate::Sink::offer) and
/// [`Lane::push`](crate::Lane::push).
///
/// # Examples
/// ```
/// use buslane::{Channel, Disposition, DropReason, Sink, SinkExt, noop};
/// let (channel, _receiver) = Channel::bounded(1)?; // drops the newest event when it is full
/// assert_eq!(channel.offer(1)?, Disposition::Pending);
/// assert_eq!(channel.offer(2)?, Disposition::Dropped(DropReason::Full));
/// assert_eq!(noop().offer(3)?, Disposition::Delivered);
/// assert_eq!(noop().filter(|n: &u32| *n < 3).offer(3)?, Disposition::Filtered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// The sink handled the event, or says no more than that it accepted it.
    Delivered,
    /// The event is in the sink's rings or hands. The sink's ledger says what becomes of it.
    Pending,
    /// A filter, a sample or a rate limit kept the event away from the sink.
    Filtered,
    /// The event was accepted and is lost, for this reason.
    Dropped(DropReason),
}

impl Disposition {
    /// Whether the event is lost.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Disposition, DropReason};
    /// assert!(Disposition::Dropped(DropReason::Full).is_dropped());
    /// assert!(!Disposition::Filtered.is_dropped());
    /// ```
    #[must_use]
    pub fn is_dropped(self) -> bool {
        matches!(self, Self::Dropped(_))
    }

    /// What two sinks that got the same event come to: the best that became of it.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Delivered | Self::Pending, _) | (_, Self::Delivered | Self::Pending) => Self::Delivered,
            (Self::Dropped(reason), _) | (_, Self::Dropped(reason)) => Self::Dropped(reason),
            (Self::Filtered, Self::Filtered) => Self::Filtered,
        }
    }
}

/// What a retry counts beside its [`Ledger`]: attempts, and letters to its dead-letter sink.
///
/// It is part of the [`SinkState`] of every sink in front of the retry.
///
/// # Examples
/// ```
/// use buslane::{Backoff, Channel, Queue, Sink, SinkExt, sink_fn};
/// let (letters, dead) = Channel::bounded(8)?;
/// let sink = sink_fn(|_: &u32| Err("no route")).retry(Backoff::default().max_attempts(1)?).dead_letters(letters);
/// let queue = sink.queue(8)?;
/// queue.write(7)?;
/// assert!(queue.close().is_done());
/// let state = queue.state();
/// assert_eq!((state.ledger.delivered, state.ledger.dropped.failed), (0, 1));
/// assert_eq!((state.retries[0].given_up, state.retries[0].letters_sent), (1, 1));
/// assert_eq!(state.last_error.as_deref(), Some("the sink failed: no route"));
/// # drop(dead);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryState {
    /// Attempts after an event's first one.
    pub retried: u64,
    /// Events that the policy gave up, or a close that was cut short.
    pub given_up: u64,
    /// Letters that the dead-letter sink accepted and did not drop at once.
    pub letters_sent: u64,
    /// Letters that the dead-letter sink refused, dropped at once, or lost by a panic. With a refusal the event went back to the
    /// caller.
    pub letters_lost: u64,
    /// The text of the last error or panic that the retry saw.
    pub last_error: Option<String>,
}

impl fmt::Display for RetryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retried {}, given up {}", self.retried, self.given_up)?;
        write!(f, ", letters sent {}, letters lost {}", self.letters_sent, self.letters_lost)?;
        match &self.last_error {
            Some(error) => write!(f, "; last error: {error}"),
            None => Ok(()),
        }
    }
}

/// A stage of a chain that counts, as the stages in front of it see it. It outlives the sink, and runs no user code.
pub(crate) trait Bookkeeper: Send + Sync {
    /// What became of the events whose writes were answered with [`Disposition::Pending`] here. Only the terms of the second
    /// equation count, and `accepted`, which is how many there were.
    fn deferred(&self) -> Ledger {
        Ledger::default()
    }

    /// Adds what a stage in front is to show of this one: its last error, and what retries count.
    fn show(&self, state: &mut SinkState);
}

/// The ledgers of a chain of sinks, which the stages in front of it ask for once. Filled in by
/// [`Signal::Ledgers`](crate::Signal::Ledgers).
///
/// A sink that wraps another one forwards the signal if it passes every event on once, or reports in
/// [`offer`](crate::Sink::offer) that it does not.
#[derive(Clone, Default)]
pub struct Ledgers(Vec<Arc<dyn Bookkeeper>>);

impl Ledgers {
    pub(crate) fn push(&mut self, keeper: Arc<dyn Bookkeeper>) {
        self.0.push(keeper);
    }

    /// Adds the ledgers of sinks that the chain branches into, or to which it passes something other than single events: they are
    /// shown, and decide nothing for the stages in front.
    pub(crate) fn extend_shown(&mut self, inner: Self) {
        self.0.extend(inner.0.into_iter().map(|keeper| Arc::new(Shown(keeper)) as Arc<dyn Bookkeeper>));
    }

    /// What became of the events that were [pending](Disposition::Pending) when they were passed on.
    pub(crate) fn deferred(&self) -> Ledger {
        let mut sum = Ledger::default();
        self.0.iter().for_each(|keeper| sum += keeper.deferred());
        sum
    }

    /// Adds what is to be shown of the sinks behind.
    pub(crate) fn show(&self, state: &mut SinkState) {
        self.0.iter().for_each(|keeper| keeper.show(state));
    }
}

impl fmt::Debug for Ledgers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledgers").field(&self.0.len()).finish()
    }
}

struct Shown(Arc<dyn Bookkeeper>);

impl Bookkeeper for Shown {
    fn show(&self, state: &mut SinkState) {
        self.0.show(state);
    }
}

/// How many events a stage offered to its inner sink, and how many of them that did not keep.
#[derive(Default)]
pub(crate) struct Passage {
    offered: AtomicU64,
    decided: AtomicU64,
}

impl Passage {
    /// Makes an offer, on the only thread that makes any.
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

    /// The most events that the inner sink may have kept.
    pub(crate) fn kept_at_most(&self) -> u64 {
        let decided = self.decided.load(Ordering::Relaxed);
        self.offered.load(Ordering::Relaxed).saturating_sub(decided)
    }
}

/// Notes that the inner sink did not keep an event, also when it panicked.
struct Decided<F: Fn()>(F);

impl<F: Fn()> Decided<F> {
    #[inline]
    fn unless_pending<X>(self, answer: Result<Disposition, X>) -> Result<Disposition, X> {
        if matches!(answer, Ok(Disposition::Pending)) {
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
    /// Adds what a stage in front shows of this one: its last error, unless it has one of its own, and what retries count.
    pub(crate) fn add_shown(&mut self, inner: Self) {
        self.last_error = self.last_error.take().or(inner.last_error);
        self.retries.extend(inner.retries);
    }
}

impl Dropped {
    /// The count of those that were dropped for this reason.
    pub(crate) fn by(&mut self, reason: DropReason) -> &mut u64 {
        match reason {
            DropReason::Full => &mut self.full,
            DropReason::Evicted => &mut self.evicted,
            DropReason::Disconnected => &mut self.disconnected,
            DropReason::Aborted => &mut self.aborted,
            DropReason::Failed => &mut self.failed,
            DropReason::Panicked => &mut self.panicked,
        }
    }
}

impl Ledger {
    /// Without these events, which were accepted, and dropped at once.
    pub(crate) fn without(mut self, at_once: &Self) -> Self {
        self.accepted = self.accepted.saturating_sub(at_once.accepted);
        self.dropped.full = self.dropped.full.saturating_sub(at_once.dropped.full);
        self.dropped.panicked = self.dropped.panicked.saturating_sub(at_once.dropped.panicked);
        self
    }

    /// Says of `passed` events, which count as delivered, what the sinks that kept them say. Nothing changes if these keep more
    /// than `at_most`: then others write to them as well, and nobody can tell the events apart.
    pub(crate) fn follow(&mut self, passed: u64, at_most: u64, deferred: &Self) {
        if passed == 0 || deferred.accepted == 0 || deferred.accepted > at_most {
            return;
        }
        self.delivered = self.delivered.saturating_sub(passed);
        // What was passed on has been offered and accepted already.
        *self += Self { offered: 0, accepted: 0, refused: super::Refused::default(), ..*deferred };
    }
}
