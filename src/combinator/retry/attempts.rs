//! What all retries do with one event: ask the policy, attempt, wait, give up.

use super::books::Books;
use super::dead::DeadLetter;
use super::policy::{Attempt, AttemptError, Next, RetryPolicy, after};
use crate::combinator::turns::Cut;
use crate::error::WriteError;
use crate::ledger::{Disposition, DropReason};
use crate::panics::{caught, foreign, quietly};
use crate::report::CloseReport;
use crate::sink::Sink;
use crate::sink::signal::Signal;
use crate::wait::allowance::Allowance;
use crate::wait::{Clock, Deadline, Pause, SystemClock};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all retries are made of, apart from the sink behind.
pub(super) struct Attempts<E, P> {
    policy: P,
    pub(super) clock: Arc<dyn Clock>,
    /// Where back-offs are waited for.
    pub(super) pause: Arc<Pause>,
    pub(super) dead_letters: Option<Box<dyn Sink<DeadLetter<E>>>>,
    pub(super) books: Arc<Books>,
}

/// The attempts made with one event.
#[derive(Clone, Copy)]
pub(super) struct Trials {
    pub(super) made: u32,
    begun: Instant,
    /// When all waits must be over, by our clock; asked for by the first of them.
    limit: Option<Option<Instant>>,
}

/// What came of an attempt, or of asking for one.
pub(super) enum Step<E> {
    /// The inner sink accepted it, and this became of it.
    Taken(Disposition),
    /// No attempt can go better.
    Ended(WriteError<E>),
    GivenUp(WriteError<E>),
    /// It is for later.
    Wait(E, Duration),
}

/// What the policy let through and has not heard of again.
struct Permit<'a, E, P: RetryPolicy<E>>(&'a P, PhantomData<fn(E)>);

impl<E, P: RetryPolicy<E>> Permit<'_, E, P> {
    /// The policy has heard of it.
    fn end(self) {
        std::mem::forget(self);
    }
}

impl<E, P: RetryPolicy<E>> Drop for Permit<'_, E, P> {
    fn drop(&mut self) {
        quietly(|| self.0.abandoned());
    }
}

/// Closes the sink behind; a panic of that is an error like others.
pub(super) fn closed<E>(inner: &impl Sink<E>, deadline: Deadline) -> CloseReport {
    caught(|| inner.close(deadline))
        .unwrap_or_else(|text| CloseReport::failed(format_args!("its close panicked: {text}")))
}

impl<E, P> Attempts<E, P> {
    pub(super) fn new(policy: P) -> Self {
        Self {
            policy,
            clock: Arc::new(SystemClock),
            pause: Arc::new(Pause::new()),
            dead_letters: None,
            books: Arc::new(Books::new()),
        }
    }

    pub(super) fn begin(&self) -> Trials {
        Trials { made: 0, begun: self.clock.now(), limit: None }
    }

    /// Waits, unless that is cut short. A wait of zero is a look whether it was.
    pub(super) fn rest(&self, wait: Duration, trials: &mut Trials) -> Result<(), Cut> {
        let now = self.clock.now();
        let until = after(now, wait);
        // As a time that is left from now on, since the clock may not be the system's.
        let limit = || Allowance::deadline().remaining().map(|left| after(now, left));
        let stop = match *trials.limit.get_or_insert_with(limit) {
            Some(limit) if limit <= now => return Err(Cut::Timeout),
            limit => limit.map_or(until, |limit| limit.min(until)),
        };
        if stop > now {
            self.clock.wait_until(stop, &self.pause);
        }
        if self.pause.is_interrupted() {
            Err(Cut::Closed)
        } else if stop < until {
            Err(Cut::Timeout)
        } else {
            Ok(())
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.pause.is_interrupted()
    }

    /// Gives an event to the dead letters; without them, or when they refuse it, it comes back.
    pub(super) fn give_up(&self, error: WriteError<E>, attempts: u32) -> Result<Disposition, WriteError<E>> {
        self.books.gives_up();
        let Some(dead_letters) = &self.dead_letters else { return Err(error) };
        let letter = DeadLetter::new(error, attempts);
        match caught(|| dead_letters.offer(letter)) {
            Ok(Ok(disposition)) => {
                self.books.letter(!disposition.is_dropped());
                Ok(Disposition::Dropped(DropReason::Failed))
            }
            Ok(Err(refused)) => {
                self.books.letter(false);
                Err(refused.into_event().into_error())
            }
            Err(text) => {
                self.note(format!("the dead letters' sink panicked: {text}"));
                self.books.letter(false);
                Ok(Disposition::Dropped(DropReason::Panicked))
            }
        }
    }

    /// Keeps the text of what went wrong last, for snapshots.
    pub(super) fn note(&self, text: String) {
        self.books.note(text);
    }

    /// Keeps the text of a panic of foreign code, and makes an error of it that has the event.
    pub(super) fn panicked(&self, event: E, who: &str, text: &str) -> WriteError<E> {
        let text = format!("{who} panicked: {text}");
        self.note(text.clone());
        WriteError::Failed { event, source: text.into() }
    }

    /// Hands a signal that is not about the sink's own state on to the dead letters.
    pub(super) fn signal_dead_letters(&self, signal: &mut Signal<'_>) {
        if let Some(dead_letters) = &self.dead_letters
            && !matches!(signal, Signal::Describe(_) | Signal::IsClosed(_) | Signal::Ledgers(_))
        {
            dead_letters.signal(signal);
        }
    }

    /// Closes the dead letters.
    pub(super) fn close_into(&self, deadline: Deadline, report: &mut CloseReport) {
        if let Some(dead_letters) = &self.dead_letters {
            report.merge("dead letters", dead_letters.close(deadline));
        }
    }
}

impl<E, P: RetryPolicy<E>> Attempts<E, P> {
    /// Makes one attempt, if the policy lets it through now.
    pub(super) fn attempt<S: Sink<E>>(&self, inner: &S, event: E, trials: &mut Trials) -> Step<E> {
        match foreign(|| self.policy.before(&event)) {
            Ok(wait) if wait.is_zero() => {}
            Ok(wait) => return Step::Wait(event, wait),
            Err(text) => return Step::GivenUp(self.panicked(event, "the retry policy", &text)),
        }
        // Should the sink panic, the event is gone, and whoever called counts it; the policy hears of it.
        let permit = Permit(&self.policy, PhantomData);
        if trials.made > 0 {
            self.books.retries();
        }
        trials.made = trials.made.saturating_add(1);
        match self.books.passage.offer(|| inner.offer(event)) {
            Ok(disposition) => {
                permit.end();
                if let Err(text) = foreign(|| self.policy.success()) {
                    self.note(format!("the retry policy panicked: {text}"));
                }
                Step::Taken(disposition)
            }
            Err(error) => self.failed(error, trials, permit),
        }
    }

    #[cold]
    fn failed(&self, error: WriteError<E>, trials: &Trials, permit: Permit<'_, E, P>) -> Step<E> {
        if let Ok(text) = foreign(|| error.to_string()) {
            self.note(text);
        }
        let Some((event, reason)) = AttemptError::of(&error) else { return Step::Ended(error) };
        let elapsed = self.clock.now().saturating_duration_since(trials.begun);
        let attempt = Attempt::new(trials.made, elapsed, reason);
        match foreign(|| self.policy.failure(event, &attempt)) {
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
