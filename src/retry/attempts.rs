//! The steps of every retry with one event: ask the policy, attempt, wait, give up.

use super::counters::RetryCounters;
use super::dead_letter::DeadLetter;
use super::hands::Hand;
use super::letters::Letters;
use super::policy::{Attempt, AttemptError, Next, RetryPolicy};
use crate::deadline::moment_after;
use crate::error::{ConfigError, WriteError};
use crate::sink::control::{close_caught, ledgers_of};
use crate::sink::lane::{Internal, Lanes};
use crate::sink::{Inner, Sink};
use crate::stats::{
    CloseReport, CountingStage, Disposition, DropReason, FlushReport, Ledgers, Levels, SinkState,
};
use crate::sync::guarded::is_let_go;
use crate::time::{Clock, Deadline, Pause, SystemClock};
use crate::wait::context::{WaitLimit, WaitedFor, caught, event_of, quietly, user_code};
use crate::wait::errand::{beside, close_together, flush_together};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The state that all retries share, apart from the inner sink.
pub(super) struct Attempts<E, P> {
    policy: P,
    /// The result of validating the policy's settings.
    pub(super) settings: Result<(), ConfigError>,
    pub(super) clock: Arc<dyn Clock>,
    /// Interrupts the waits of backoffs.
    pub(super) pause: Arc<Pause>,
    letters: Option<Letters<E>>,
    pub(super) counters: Arc<RetryCounters>,
}

/// The attempts made with one event.
#[derive(Clone, Copy)]
pub(super) struct Trials {
    pub(super) made: u32,
    /// If the event is a batch: the events of it that the inner sink accepted while it returned
    /// others.
    pub(super) delivered: Levels,
    begun: Instant,
    /// The time at which all waits must end, by this retry's clock. The first wait sets it.
    limit: Option<Option<Instant>>,
}

/// The result of an attempt, or of asking the policy for one.
pub(super) enum Step<E> {
    /// The inner sink accepted the event, with this outcome.
    Taken(Disposition),
    /// No further attempt can succeed.
    Ended(WriteError<E>),
    GivenUp(WriteError<E>),
    /// The event is to be tried again after this wait.
    Wait(E, Duration),
}

/// The reason for which a wait was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    Closed,
    Timeout,
}

impl Interruption {
    pub(super) fn with<E>(self, event: E) -> WriteError<E> {
        match self {
            Self::Closed => WriteError::Closed(event),
            Self::Timeout => WriteError::Timeout(event),
        }
    }
}

/// An attempt that the policy let through and has no result of yet.
struct Permit<'a, E, P: RetryPolicy<E>>(&'a P, PhantomData<fn(E)>);

impl<E, P: RetryPolicy<E>> Permit<'_, E, P> {
    /// Ends the permit: the policy has been told the result.
    fn end(self) {
        std::mem::forget(self);
    }
}

impl<E, P: RetryPolicy<E>> Drop for Permit<'_, E, P> {
    fn drop(&mut self) {
        quietly(|| self.0.abandoned());
    }
}

impl<E, P> Attempts<E, P> {
    pub(super) fn new(policy: P) -> Self
    where
        P: RetryPolicy<E>,
    {
        let panicked =
            ConfigError::other("the retry policy panicked in `validate`: it must return an error instead");
        Self {
            settings: user_code(|| policy.validate()).unwrap_or(Err(panicked)),
            policy,
            clock: Arc::new(SystemClock),
            pause: Arc::new(Pause::new()),
            letters: None,
            counters: Arc::new(RetryCounters::new()),
        }
    }

    /// Sends events that are given up to this sink from now on.
    pub(super) fn set_dead_letters(&mut self, sink: impl Sink<DeadLetter<E>> + 'static) {
        self.letters = Some(Letters::new(sink));
    }

    pub(super) fn begin(&self) -> Trials {
        Trials { made: 0, delivered: Levels::default(), begun: self.now(), limit: None }
    }

    /// Returns the time of the clock, which is user code. If it panics, this returns the system's
    /// time, so that no event is lost.
    pub(super) fn now(&self) -> Instant {
        user_code(|| self.clock.now()).unwrap_or_else(|text| {
            self.note(format!("the clock panicked: {text}"));
            SystemClock.now()
        })
    }

    /// Waits by the clock, from `now` on. If it panics, waits as long by the system's clock, so
    /// that no thread spins.
    pub(super) fn wait_until(&self, now: Instant, moment: Instant) {
        if let Err(text) = user_code(|| self.clock.wait_until(moment, &self.pause)) {
            self.note(format!("the clock panicked: {text}"));
            let wait = moment.saturating_duration_since(now);
            SystemClock.wait_until(moment_after(SystemClock.now(), wait), &self.pause);
        }
    }

    /// Waits, unless the wait is interrupted. A wait of zero only checks for an interruption.
    pub(super) fn rest(&self, wait: Duration, trials: &mut Trials) -> Result<(), Interruption> {
        let now = self.now();
        let until = moment_after(now, wait);
        // As the time left from now on, since the clock may not be the system's.
        let limit = || WaitLimit::deadline().remaining().map(|left| moment_after(now, left));
        let stop = match *trials.limit.get_or_insert_with(limit) {
            Some(limit) if limit <= now => return Err(Interruption::Timeout),
            limit => limit.map_or(until, |limit| limit.min(until)),
        };
        if stop > now {
            self.wait_until(now, stop);
        }
        if self.pause.is_interrupted() {
            Err(Interruption::Closed)
        } else if stop < until || is_let_go() {
            // A removal ends the waits inside the sink. An attempt without the wait would be
            // followed by many more.
            Err(Interruption::Timeout)
        } else {
            Ok(())
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.pause.is_interrupted()
    }

    /// Keeps the text of the last failure, for snapshots.
    pub(super) fn note(&self, text: String) {
        self.counters.note(text);
    }

    /// Records the text of a panic of user code, and returns an error with it and the event.
    pub(super) fn panicked(&self, event: E, who: &str, text: &str) -> WriteError<E> {
        let text = format!("{who} panicked: {text}");
        self.note(text.clone());
        WriteError::Failed { event, source: text.into() }
    }
}

impl<E: 'static, P> Attempts<E, P> {
    /// Names the inner sink and the dead-letter sink. A control call reaches the latter also when
    /// the inner sink panics.
    pub(super) fn visit<S: Sink<E>>(&self, inner: &S, visit: &mut Inner<'_>) {
        visit.caught(inner, &|text| self.note(format!("the sink panicked in a control call: {text}")));
        if let Some(letters) = &self.letters {
            let note = |text| self.note(format!("the dead-letter sink panicked in a control call: {text}"));
            letters.control(|sink| visit.caught(sink, &note));
        }
    }

    /// Calls only the inner sink, and records its panic.
    pub(super) fn ask<R: Default>(&self, ask: impl FnOnce() -> R) -> R {
        caught(ask).unwrap_or_else(|text| {
            self.note(format!("the sink panicked in a control call: {text}"));
            R::default()
        })
    }

    /// Describes the inner sink and the attempts. If the inner sink keeps no ledger, `own` adds the
    /// kind and status of the retry.
    pub(super) fn describe<S: Sink<E>>(
        &self,
        inner: &S,
        state: &mut SinkState,
        own: impl FnOnce(&mut SinkState),
    ) {
        self.ask(|| inner.describe(state));
        state.ledger = self.counters.ledger(&ledgers_of(inner));
        if !state.kind.keeps_ledger() {
            own(state);
        }
        self.counters.show(state);
        state.retries.rotate_right(1);
    }

    pub(super) fn add_ledgers<S: Sink<E>>(&self, inner: &S, list: &mut Ledgers, internal: Internal) {
        list.push(self.counters.clone());
        self.ask(|| inner.add_ledgers(list, internal));
    }

    /// Flushes the inner sink and the dead letters.
    pub(super) fn flush_both<S: Sink<E>>(&self, inner: &S, deadline: Deadline, report: &mut FlushReport) {
        let flush = |sink: &dyn Fn(&mut FlushReport)| {
            let mut part = FlushReport::default();
            let outcome = caught(|| sink(&mut part));
            (part, outcome.err())
        };
        flush_together(deadline, report, |report| {
            let first = || flush(&|part| inner.flush_by(deadline, part));
            let ((part, panicked), letters) = match &self.letters {
                None => (first(), None),
                Some(letters) => {
                    let second = || flush(&|part| letters.control(|sink| sink.flush_by(deadline, part)));
                    let (first, second) = in_order(inner, deadline, first, second);
                    (first, Some(second))
                }
            };
            report.absorb(part);
            if let Some(text) = panicked {
                self.note(format!("the sink panicked in a control call: {text}"));
            }
            if let Some((part, panicked)) = letters {
                report.absorb(part);
                if let Some(text) = panicked {
                    self.note(format!("the dead-letter sink panicked: {text}"));
                }
            }
        });
    }
}

/// Returns the event that an attempt returned.
fn event_in<E>(error: &WriteError<E>) -> &E {
    match error {
        WriteError::Full(event)
        | WriteError::Closed(event)
        | WriteError::Timeout(event)
        | WriteError::Reentrant(event)
        | WriteError::Failed { event, .. } => event,
    }
}

/// Calls the inner sink, and then the dead letters, which do not wait for an overdue call. A sink
/// with lanes is only told, so both calls run here.
fn in_order<E, A: Send, B>(
    inner: &impl Sink<E>,
    deadline: Deadline,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B,
) -> (A, B) {
    if inner.has_lanes() { (first(), second()) } else { beside(deadline, first, second) }
}

impl<E: 'static, P> Attempts<E, P> {
    pub(super) fn has_dead_letters(&self) -> bool {
        self.letters.is_some()
    }

    /// Returns whether the attempts were interrupted, and there is a sink for what they leave.
    pub(super) fn keeps_interrupted(&self) -> bool {
        self.has_dead_letters() && self.is_interrupted()
    }

    /// Records that the calling thread may have a letter to write, until the result is dropped: a
    /// close of the dead letters waits for it.
    pub(super) fn hold(&self) -> Option<Hand<'_>> {
        self.letters.as_ref().map(Letters::hold)
    }

    /// Sends an event to the dead letters. Returns it if there are none, or if they refuse it.
    pub(super) fn give_up(&self, error: WriteError<E>, attempts: u32) -> Result<Disposition, WriteError<E>> {
        self.counters.gives_up();
        let Some(letters) = &self.letters else { return Err(error) };
        let letter = DeadLetter::new(error, attempts);
        match caught(|| letters.write(letter)) {
            Ok(Ok(disposition)) => {
                self.counters.letter(!disposition.is_dropped());
                Ok(Disposition::Dropped(DropReason::Failed))
            }
            Ok(Err(refused)) => {
                self.counters.letter(false);
                Err(event_of(refused).into_error())
            }
            Err(text) => {
                self.note(format!("the dead-letter sink panicked: {text}"));
                self.counters.letter(false);
                Ok(Disposition::Dropped(DropReason::Panicked))
            }
        }
    }

    /// Limits the waits for letters from now on, since a deadline has passed.
    pub(super) fn expire(&self) {
        if let Some(letters) = &self.letters {
            letters.expire();
        }
    }

    /// Ends the attempts and their waits, because a close has timed out. The dead letters stay
    /// open for the events in hand.
    pub(super) fn abort<S: Sink<E>>(&self, inner: &S) {
        self.expire();
        self.pause.interrupt();
        self.ask(|| inner.abort_now());
        if let Some(letters) = &self.letters {
            letters.free_writers();
        }
    }

    /// Closes the inner sink and the dead letters.
    ///
    /// The dead letters accept letters while the inner sink closes, but a slow inner sink does not
    /// delay their close for long.
    pub(super) fn close_both<S: Sink<E>>(&self, inner: &S, deadline: Deadline) -> CloseReport {
        let Some(letters) = &self.letters else { return close_caught(inner, deadline) };
        close_together(deadline, || {
            let (mut report, letters) =
                in_order(inner, deadline, || close_caught(inner, deadline), || letters.close(deadline));
            report.merge("dead letters", letters);
            report
        })
    }
}

impl<E: 'static, P: RetryPolicy<E>> Attempts<E, P> {
    /// Makes one attempt, if the policy lets it through now.
    pub(super) fn attempt<S: Sink<E>>(&self, inner: &S, event: E, trials: &mut Trials) -> Step<E> {
        match user_code(|| self.policy.before(&event)) {
            Ok(wait) if wait.is_zero() => {}
            Ok(wait) => return Step::Wait(event, wait),
            Err(text) => return Step::GivenUp(self.panicked(event, "the retry policy", &text)),
        }
        // If the sink panics, the event is lost, and the caller counts it. The permit reports to
        // the policy.
        let permit = Permit(&self.policy, PhantomData);
        if trials.made > 0 {
            self.counters.retries();
        }
        trials.made = trials.made.saturating_add(1);
        let scales = &self.counters.scales;
        let weights = (!scales.is_empty()).then(|| scales.levels(&event));
        let written = {
            // A flush and a close wait for this event: code that the inner sink calls must not wait
            // for them.
            let _held = WaitedFor::begin();
            self.counters.passage.offer(|| inner.offer(event))
        };
        match written {
            Ok(disposition) => {
                permit.end();
                if let Err(text) = user_code(|| self.policy.success()) {
                    self.note(format!("the retry policy panicked: {text}"));
                }
                Step::Taken(disposition.after(&trials.delivered))
            }
            Err(error) => {
                if let Some(weights) = weights {
                    trials.delivered.add_difference(&weights, &scales.levels(event_in(&error)));
                }
                self.failed(error, trials, permit)
            }
        }
    }

    #[cold]
    fn failed(&self, error: WriteError<E>, trials: &Trials, permit: Permit<'_, E, P>) -> Step<E> {
        if let Ok(text) = user_code(|| error.to_string()) {
            self.note(text);
        }
        let Some((event, reason)) = AttemptError::of(&error) else { return Step::Ended(error) };
        let elapsed = self.now().saturating_duration_since(trials.begun);
        let attempt = Attempt::new(trials.made, elapsed, reason);
        match user_code(|| self.policy.failure(event, &attempt)) {
            Ok(next) => {
                permit.end();
                match next {
                    Next::Again => Step::Wait(error.into_event(), Duration::ZERO),
                    Next::After(wait) => Step::Wait(error.into_event(), wait),
                    Next::GiveUp => Step::GivenUp(error),
                }
            }
            Err(text) => Step::GivenUp(self.panicked(error.into_event(), "the retry policy", &text)),
        }
    }
}
