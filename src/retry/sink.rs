//! A sink that retries events in order on the calling thread.

use super::attempts::{Attempts, Interruption, Step};
use super::dead_letter::DeadLetter;
use super::policy::RetryPolicy;
use crate::error::{ConfigError, WriteError};
use crate::sink::control;
use crate::sink::lane::Internal;
use crate::sink::{Inner, Sink, SinkKey};
use crate::stats::{CloseReport, Disposition, FlushReport, Ledgers, SinkKind, SinkState, SinkStatus, Weight};
use crate::sync::{AtomicBool, Ordering};
use crate::time::{Clock, Deadline};
use crate::wait::context::LastOffer;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A sink that retries events which its inner sink failed to accept, as a policy decides.
///
/// Created by [`SinkExt::retry`](crate::SinkExt::retry). The event need not be `Clone`: a failing
/// sink returns it, and the same value is tried again. An event that the policy gives up goes to
/// the [dead letters](Self::dead_letters), or returns to the caller with the last error. A sink
/// that is [closed](WriteError::Closed), or called too deeply ([`WriteError::Reentrant`]), ends the
/// attempts at once, whatever the policy.
///
/// # Guarantees
/// - **Progress**: `write` waits on the calling thread as long as the policy decides: put a
///   [`Queue`](crate::Queue) upstream. A retry has no lane.
///   - A wait ends at once when the sink is closed or a close is cut short ([`Sink::abort_now`]).
///     The event then goes to the dead letters, or returns as [`WriteError::Closed`]. So does an
///     event whose attempt the abort ends. A close of an upstream queue first lets the worker retry
///     until the deadline.
///   - A limit on the waits of the caller ends them as well ([`WriteError::Timeout`]).
///   - Dropping the last handle gives up no event. If an upstream queue is dropped rather than
///     closed, a policy without limits continues as long as the inner sink fails.
/// - **Close and flush** reach the inner sink and the dead letters, and neither delays the other.
///   Called directly, they return when both sinks have returned, also after the deadline, since
///   both are [borrowed](crate::Sink::close_by). An upstream bus or queue keeps its limit.
/// - **Order**: none between threads that write concurrently. An upstream [`Queue`](crate::Queue)
///   with one worker keeps the order of each publisher.
/// - **Delivery**: each event is accepted once by the inner sink or by the dead letters, or is
///   returned. A sink that panics loses the event; the panic propagates to the caller.
/// - **Allocation**: none for an event that is accepted at the first attempt without a wait.
/// - **Ledger**: the [`Ledger`](crate::stats::Ledger) of the retry counts each event once, however
///   many attempts it takes; the inner sink counts attempts.
///   - An event that went to the dead letters is `dropped.failed`, here and in every upstream stage
///     ([`Disposition::Dropped`]), with the error of the last attempt as the last error.
///   - Attempts, and letters that were sent or lost, are in the
///     [`RetryState`](crate::stats::RetryState) of the snapshot.
///   - If events are batches, and the inner sink accepts a part of one and returns the rest, an
///     upstream [`Batch`](crate::sink::Batch) learns of both parts ([`Disposition::Partly`]).
///
/// # Examples
/// ```
/// use buslane::{Sink, sink_fn, SinkExt};
/// use buslane::retry::Backoff;
/// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
/// let calls = AtomicU32::new(0);
/// let sink = sink_fn(|_: &u32| match calls.fetch_add(1, Ordering::Relaxed) {
///     0..2 => Err("busy"),
///     _ => Ok(()),
/// });
/// let policy = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
/// assert!(sink.retry(policy).write(7).is_ok());
/// assert_eq!(calls.load(Ordering::Relaxed), 3);
/// ```
#[must_use = "a retry does nothing until it is written to or added to a bus"]
pub struct Retry<E, S, P> {
    inner: S,
    attempts: Attempts<E, P>,
    closed: AtomicBool,
}

impl<E, S, P> Retry<E, S, P> {
    pub(crate) fn new(inner: S, policy: P) -> Self
    where
        P: RetryPolicy<E>,
    {
        Self { inner, attempts: Attempts::new(policy), closed: AtomicBool::new(false) }
    }

    /// Sends events that are given up to `sink`, each with its last error. The write then returns
    /// `Ok`.
    ///
    /// If `sink` refuses the letter, the event returns to the caller with its last error. `sink` is
    /// closed and flushed after the inner sink. Retries that share one dead-letter sink close it
    /// for each other: the first close ends it, and later letters are refused. Give each retry a
    /// separate channel.
    ///
    /// # At a deadline
    /// When a close times out, the events that the retry has in hand become letters.
    ///
    /// - `sink` accepts them if it has room: it is closed after them, and aborted last. Each retry
    ///   of a chain waits for at most 200 ms for them, and for a queue to handle its letters.
    /// - Each of these letters waits for at most 200 ms, and not at all on a worker whose own
    ///   deadline has passed: give the dead letters a channel with room. A sink of yours that waits
    ///   by itself reads the limit from [`Deadline::current`]. If a thread is stuck in `sink` for as
    ///   long as that after an abort, `sink` is aborted, or, if it is a queue or a channel that has
    ///   no room, closed.
    /// - A downstream retry makes one attempt with such a letter, and then sends it to its own dead
    ///   letters.
    /// - Such an event is [undelivered](crate::stats::CloseReport::undelivered) in the report of
    ///   the close.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Channel, Sink, sink_fn, SinkExt};
    /// use buslane::retry::Backoff;
    /// let (letters, mut dead) = Channel::lossy(8)?;
    /// let sink = sink_fn(|_: &u32| Err("no route"))
    ///     .retry(Backoff::default().max_attempts(1))
    ///     .dead_letters(letters);
    /// sink.write(7)?;
    /// let letter = dead.recv()?;
    /// assert_eq!((letter.event, letter.attempts), (7, 1));
    /// assert_eq!(letter.error.to_string(), "the sink failed: no route");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dead_letters(mut self, sink: impl Sink<DeadLetter<E>> + 'static) -> Self {
        self.attempts.set_dead_letters(sink);
        self
    }

    /// Sets the clock for time and waits. Default: [`SystemClock`](crate::time::SystemClock).
    ///
    /// # Examples
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use buslane::{Sink, sink_fn, SinkExt};
    /// use buslane::retry::Backoff;
    /// use buslane::testing::ManualClock;
    /// use std::time::Duration;
    /// let clock = ManualClock::hurrying(); // each wait advances it
    /// let minute = Duration::from_secs(60);
    /// let policy = Backoff::new(minute, minute).jitter(0.0).max_attempts(3);
    /// let sink = sink_fn(|_: &u32| Err("no route")).retry(policy).clock(clock.clone());
    /// assert!(sink.write(7).is_err());
    /// assert_eq!(clock.passed(), 2 * minute);
    /// # }
    /// ```
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.attempts.clock = Arc::new(clock);
        self
    }
}

impl<E, S, P> Retry<E, S, P>
where
    E: 'static,
    S: Sink<E>,
    P: RetryPolicy<E>,
{
    fn deliver(&self, mut event: E) -> Result<Disposition, WriteError<E>> {
        let mut trials = self.attempts.begin();
        loop {
            let wait: Duration;
            (event, wait) = match self.attempts.attempt(&self.inner, event, &mut trials) {
                Step::Taken(disposition) => return Ok(disposition),
                Step::Wait(event, wait) => (event, wait),
                // An abort has ended the attempt itself.
                Step::Ended(error) if !(error.is_closed() && self.attempts.keeps_interrupted()) => {
                    return Err(error);
                }
                Step::Ended(error) | Step::GivenUp(error) => {
                    let given_up = self.attempts.give_up(error, trials.made);
                    return given_up.map(|disposition| disposition.after(&trials.delivered));
                }
            };
            let rested = if LastOffer::is_after_attempt() {
                Err(self.at_last_offer())
            } else {
                self.attempts.rest(wait, &mut trials)
            };
            if let Err(cut) = rested {
                let cut = self.cut(cut, event, trials.made);
                return cut.map(|disposition| disposition.after(&trials.delivered));
            }
        }
    }

    /// Ends an event whose wait was interrupted.
    fn cut(&self, cut: Interruption, event: E, attempts: u32) -> Result<Disposition, WriteError<E>> {
        let error = cut.with(event);
        // A limit belongs to the caller, who gets the event back. A close is final.
        if error.is_closed() { self.attempts.give_up(error, attempts) } else { Err(error) }
    }

    /// Returns how an event ends that is offered for the last time.
    fn at_last_offer(&self) -> Interruption {
        if self.attempts.has_dead_letters() { Interruption::Closed } else { Interruption::Timeout }
    }

    fn answer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        // Relaxed: a write that is ordered after the close sees it, and no other write has to.
        if self.closed.load(Ordering::Relaxed) {
            return Err(WriteError::Closed(event));
        }
        if let Err(error) = self.attempts.settings {
            return Err(WriteError::Failed { event, source: Box::new(error) });
        }
        if self.attempts.is_interrupted() {
            return self.cut(Interruption::Closed, event, 0);
        }
        if LastOffer::is_now() {
            return self.cut(self.at_last_offer(), event, 0);
        }
        self.deliver(event)
    }
}

impl<E, S, P> Sink<E> for Retry<E, S, P>
where
    E: Send + 'static,
    S: Sink<E>,
    P: RetryPolicy<E>,
{
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        let _hand = self.attempts.hold();
        self.attempts.counters.answered(self.answer(event))
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        self.attempts.visit(&self.inner, visit);
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.closed.store(true, Ordering::Relaxed);
        self.attempts.pause.interrupt();
        self.attempts.close_both(&self.inner, deadline)
    }

    fn flush_by(&self, deadline: Deadline, report: &mut FlushReport) {
        self.attempts.flush_both(&self.inner, deadline, report);
    }

    fn abort_now(&self) {
        self.attempts.abort(&self.inner);
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.attempts.settings.and_then(|()| control::validate(self))
    }

    fn reports_closed(&self) -> bool {
        self.attempts.ask(|| self.inner.reports_closed()) || self.attempts.is_interrupted()
    }

    fn describe(&self, state: &mut SinkState) {
        self.attempts.describe(&self.inner, state, |state| {
            state.kind = SinkKind::Retry;
            if self.closed.load(Ordering::Relaxed) {
                state.status = SinkStatus::Drained;
            }
        });
    }

    fn add_ledgers(&self, list: &mut Ledgers, internal: Internal) {
        self.attempts.add_ledgers(&self.inner, list, internal);
    }

    fn weigh(&self, weight: &Weight, _: Internal) {
        self.attempts.counters.scales.add::<E>(weight);
        control::weigh(self, weight);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.attempts.pause))
    }
}

impl<E, S: fmt::Debug, P> fmt::Debug for Retry<E, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Retry;
    use crate::error::WriteError;
    use crate::retry::policy::{Attempt, Next, RetryPolicy};
    use crate::sink::Sink;
    use crate::sink::function::sink_fn;
    use crate::wait::context::WaitLimit;
    use std::time::Duration;

    struct After(Duration);

    impl RetryPolicy<u32> for After {
        fn failure(&self, _event: &u32, _attempt: &Attempt<'_>) -> Next {
            Next::After(self.0)
        }
    }

    #[test]
    fn wait_limit_ends_back_off_and_immediate_retries() {
        for wait in [Duration::from_secs(3600), Duration::ZERO] {
            for limit in [Duration::ZERO, Duration::from_millis(1)] {
                let retry = Retry::new(sink_fn(|_: &u32| Err("down")), After(wait));
                let _limit = WaitLimit::begin(limit);
                assert!(matches!(retry.write(1), Err(WriteError::Timeout(1))), "{wait:?} {limit:?}");
            }
        }
    }

    #[test]
    fn passed_limit_accepts_a_write_without_waits() {
        let retry = Retry::new(sink_fn(|_: &u32| ()), After(Duration::ZERO));
        let _limit = WaitLimit::begin(Duration::ZERO);
        assert!(retry.write(1).is_ok());
    }
}
