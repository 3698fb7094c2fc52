//! The thread of a monitor: it connects, reads, forwards, and connects again.
//!
//! The steps are in the table of the [module](crate::source). Everything that follows from the end
//! of a connection is decided by [`FailureRow`], and everything that the sink gets goes through
//! [`Output`].

use super::base::{Connection, Item, Source};
use super::core::{Core, Phase};
use super::failures::{Decision, FailureRow};
use super::fault::Fault;
use super::output::{Outcome, Output};
use super::state::{Count, StopReason};
use super::tokens::TokenWriter;
use super::update::{Disconnected, Gap, GapReason, Update};
use crate::deadline::moment_after;
use crate::error::BoxError;
use crate::sink::Sink;
use crate::stats::FlushReport;
use crate::sync::MODEL;
use crate::time::Deadline;
use crate::wait::context::{WaitLimit, caught, dispose, error_text, user_code};
use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a token waits for the sink to handle what it has accepted.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

pub(super) struct Worker<S: Source, X, K> {
    pub(super) core: Arc<Core<S::Token>>,
    pub(super) source: S,
    pub(super) output: Output<S::Event, X, K>,
    pub(super) token: TokenWriter<S::Token>,
    pub(super) failure_row: FailureRow,
    pub(super) store: Option<Store<S::Token>>,
    /// The position to read from, if it is later than that of the last event that the sink accepted:
    /// it has lost the events in between.
    pub(super) ahead: Option<S::Token>,
    /// Whether a new connection has something to continue: an earlier one, or a token.
    pub(super) continues: bool,
    /// Whether the sink was told of a gap since the last live connection ended.
    pub(super) is_gap_told: bool,
}

/// The function that stores a token.
type StoreToken<T> = dyn FnMut(&T) -> Result<(), BoxError> + Send;

/// Where tokens are stored for a restart of the process.
pub(super) struct Store<T> {
    /// The number of accepted events after which a token is stored.
    pub(super) every: u64,
    pub(super) store: Box<StoreToken<T>>,
    /// The number of events that were accepted since then.
    pub(super) since: u64,
    /// Whether the token has moved since then without an event, or was not stored.
    pub(super) is_behind: bool,
}

/// How a connection ended, or why there is none.
enum End {
    /// The monitor was told to stop.
    Stopped,
    SinkClosed,
    /// The other side ended it.
    Ended,
    Fault(Fault),
}

/// The error of a connection that the other side ended without one.
#[derive(Debug)]
struct OtherSideEnded;

impl fmt::Display for OtherSideEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source ended the connection")
    }
}

impl Error for OtherSideEnded {}

impl<S: Source, X: Send + 'static, K: Sink<X>> Worker<S, X, K> {
    pub(super) fn run(mut self) {
        let core = self.core.clone();
        let _lifeline = Lifeline(core.clone());
        let _here = core.crew.enter();
        let reason = self.supervise();
        self.end(reason);
    }

    /// Connects again and again, until there is a reason to stop.
    // A function of its own, so that `.ci/counts` finds it.
    #[inline(never)]
    fn supervise(&mut self) -> StopReason {
        loop {
            if self.core.session.is_stopped() {
                return StopReason::Requested;
            }
            if self.output.is_closed() {
                return StopReason::SinkClosed;
            }
            self.core.counts.add(Count::Attempts);
            self.core.enter(Phase::Connecting { attempt: self.failure_row.failures().saturating_add(1) });
            let (end, live) = self.connect();
            if let ControlFlow::Break(reason) = self.after(end, live) {
                return reason;
            }
        }
    }

    /// Opens a connection and reads it to its end. Also returns since when it was live.
    fn connect(&mut self) -> (End, Option<Instant>) {
        let mut live = None;
        let end = match self.open() {
            Ok(mut connection) => {
                let Err(end) = self.read(&mut connection, &mut live);
                dispose(connection);
                end
            }
            Err(fault) => End::Fault(fault),
        };
        // What a stop has interrupted is no fault.
        let is_interrupted = matches!(end, End::Fault(_) | End::Ended) && self.core.session.is_stopped();
        (if is_interrupted { End::Stopped } else { end }, live)
    }

    /// Opens a connection where the last one was read to.
    fn open(&mut self) -> Result<S::Connection, Fault> {
        let Self { core, source, ahead, .. } = self;
        // A token's clone is user code, too.
        let from = core.called(|| Ok(ahead.clone().or_else(|| core.token())))?;
        let opened = core.called(|| source.connect(from.as_ref(), &core.session));
        dispose(from);
        opened
    }

    fn read(
        &mut self,
        connection: &mut S::Connection,
        live: &mut Option<Instant>,
    ) -> Result<std::convert::Infallible, End> {
        let core = self.core.clone();
        if let Some(resumed) = core.called(|| Ok(connection.resumed()))? {
            self.go_live(resumed, live)?;
        }
        let mut is_first = true;
        while !core.session.is_stopping() {
            let was_first = std::mem::replace(&mut is_first, false);
            match core.called(|| connection.next())?.ok_or(End::Ended)? {
                Item::Event(event, token) => {
                    if live.is_none() {
                        self.go_live(false, live)?;
                    }
                    self.forward(event, token)?;
                }
                Item::Resumed(resumed) => {
                    if live.is_none() {
                        self.go_live(resumed, live)?;
                    }
                }
                Item::Gap(gap) => self.gap(gap)?,
                Item::Alive(token) => {
                    let has_unstored = self.store.as_ref().is_some_and(|store| store.since > 0);
                    let passes_losses = self.pass_losses()?;
                    self.advance(token);
                    // Where a connection begins: otherwise a crash before its first event would
                    // lose what comes until the next process begins. And where a quiet source shows
                    // that it is alive: what was handled since need not wait for further events.
                    if was_first || has_unstored || passes_losses {
                        self.store();
                    }
                }
                Item::Duplicate(token) => {
                    core.counts.add(Count::Duplicates);
                    self.advance(token);
                }
                Item::Undecodable(error, token) => {
                    core.counts.add(Count::Undecodable);
                    core.set_error(error_text(&*error));
                    dispose(error);
                    // This gap is one known item. It does not tell what a connection that is not
                    // resumed leaves out.
                    self.report(Gap::new(GapReason::Undecodable).missed(1))?;
                    if let Some(token) = token {
                        self.advance(token);
                        self.store_when_due();
                    }
                }
                Item::Silent => core.called(|| connection.check())?,
            }
        }
        Err(End::Stopped)
    }

    /// Reports that the connection is live, after a gap if it cannot prove that none is there.
    fn go_live(&mut self, resumed: bool, live: &mut Option<Instant>) -> Result<(), End> {
        if !resumed && self.continues && !self.is_gap_told {
            self.gap(Gap::new(GapReason::Unproven))?;
        }
        self.continues = true;
        self.core.counts.add(Count::Connects);
        *live = Some(self.core.session.now());
        self.tell(Update::Connected { resumed })?;
        self.core.enter(Phase::Live);
        Ok(())
    }

    #[inline]
    fn forward(&mut self, event: S::Event, token: S::Token) -> Result<(), End> {
        self.core.counts.add(Count::Read);
        let outcome = self.output.event(event);
        if matches!(outcome, Outcome::Accepted) {
            self.core.counts.add(Count::Forwarded);
            if self.ahead.is_some() {
                dispose(self.ahead.take());
            }
            self.token.set(token, &self.core.token);
            self.store_when_due();
            return Ok(());
        }
        self.lost(outcome, token)
    }

    #[cold]
    fn lost(&mut self, outcome: Outcome, token: S::Token) -> Result<(), End> {
        let count = match outcome {
            Outcome::Closed if self.core.session.is_stopped() => {
                // The stop has ended a wait for room: the event stays undelivered.
                dispose(token);
                return Err(End::Stopped);
            }
            Outcome::Closed => {
                self.core.counts.add(Count::Refused);
                dispose(token);
                return Err(End::SinkClosed);
            }
            Outcome::Refused(error) => {
                self.core.set_error(error);
                Count::Refused
            }
            Outcome::Panicked(text) => {
                self.core.set_error(format!("the sink panicked: {text}"));
                Count::Panicked
            }
            Outcome::Dropped | Outcome::Accepted => Count::Dropped,
        };
        self.core.counts.add(count);
        dispose(self.ahead.replace(token));
        Ok(())
    }

    /// Moves on to a later position without an event.
    fn advance(&mut self, token: S::Token) {
        if self.ahead.is_some() {
            dispose(self.ahead.replace(token));
        } else {
            self.token.set(token, &self.core.token);
            if let Some(store) = &mut self.store {
                store.is_behind = true;
            }
        }
    }

    /// Lets the token move past events that the sink has lost, after their gap if the sink gets gaps.
    /// Returns whether there were any.
    ///
    /// Otherwise only the next accepted event would do that. A source that sends no more until what
    /// it has sent is acknowledged would then wait for it forever.
    fn pass_losses(&mut self) -> Result<bool, End> {
        if self.ahead.is_none() {
            return Ok(false);
        }
        self.told(Output::send_gap)?;
        if self.output.has_gap() {
            return Ok(false);
        }
        dispose(self.ahead.take());
        Ok(true)
    }

    fn gap(&mut self, gap: Gap) -> Result<(), End> {
        self.is_gap_told = true;
        self.report(gap)
    }

    fn report(&mut self, gap: Gap) -> Result<(), End> {
        self.core.counts.add(Count::Gaps);
        self.told(|output| output.gap(gap))
    }

    fn tell(&mut self, update: Update<S::Event>) -> Result<(), End> {
        self.told(|output| output.tell(update))
    }

    fn told(&mut self, tell: impl FnOnce(&mut Output<S::Event, X, K>) -> Outcome) -> Result<(), End> {
        match tell(&mut self.output) {
            Outcome::Closed => Err(End::SinkClosed),
            Outcome::Refused(error) => {
                self.core.set_error(error);
                Ok(())
            }
            Outcome::Panicked(text) => {
                self.core.set_error(format!("the sink panicked: {text}"));
                Ok(())
            }
            Outcome::Accepted | Outcome::Dropped => Ok(()),
        }
    }

    /// Decides what follows the end of a connection, and waits before the next one.
    fn after(&mut self, end: End, live: Option<Instant>) -> ControlFlow<StopReason> {
        let (fault, error) = match end {
            End::Stopped => return ControlFlow::Break(StopReason::Requested),
            End::SinkClosed if self.core.session.is_stopped() => {
                return ControlFlow::Break(StopReason::Requested);
            }
            End::SinkClosed => return ControlFlow::Break(StopReason::SinkClosed),
            End::Ended => (Fault::transient(OtherSideEnded), None),
            End::Fault(fault) => {
                let error = error_text(&fault);
                self.core.set_error(error.clone());
                (fault, Some(error))
            }
        };
        self.core.counts.add(Count::Failures);
        if live.is_some() {
            self.is_gap_told = false;
        }
        let now = self.core.session.now();
        let is_stale = matches!(fault, Fault::StaleToken(_));
        let decision = if matches!(fault, Fault::Fatal(_)) {
            None
        } else {
            let lived = live.map(|since| now.saturating_duration_since(since));
            match self.failure_row.failed(lived, now, is_stale, fault.error()) {
                Decision::After(wait) => Some(wait),
                Decision::GiveUp => None,
            }
        };
        let text = error.clone().unwrap_or_else(|| error_text(&fault));
        let Some(wait) = decision else {
            let is_fatal = matches!(fault, Fault::Fatal(_));
            dispose(fault);
            let reason = if is_fatal { StopReason::Fatal(text) } else { StopReason::GaveUp(text) };
            return ControlFlow::Break(reason);
        };
        dispose(fault);
        self.between(error, live.is_some(), is_stale, wait)?;
        if !wait.is_zero() {
            let until = moment_after(now, wait);
            self.core.enter(Phase::Waiting { failures: self.failure_row.failures(), until, error: text });
            self.core.session.wait_until(now, until);
        }
        ControlFlow::Continue(())
    }

    /// Tells the sink what happened between two connections, and stores the token.
    fn between(
        &mut self,
        error: Option<String>,
        was_live: bool,
        is_stale: bool,
        wait: Duration,
    ) -> ControlFlow<StopReason> {
        let mut told = Ok(());
        if was_live {
            told = self.tell(Update::Disconnected(Disconnected::new(error, Some(wait))));
            self.store();
        }
        if is_stale {
            dispose(self.ahead.take());
            self.core.token.replace(None);
            self.continues = true;
            told = told.and_then(|()| self.gap(Gap::new(GapReason::StaleToken)));
        }
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(end) => self.after(end, None),
        }
    }

    #[inline]
    fn store_when_due(&mut self) {
        if let Some(store) = &mut self.store {
            store.since += 1;
            if store.since >= store.every {
                self.store();
            }
        }
    }

    /// Stores the token, once the sink has handled every event before it.
    fn store(&mut self) {
        let Some(store) = self.store.as_mut().filter(|store| store.since > 0 || store.is_behind) else {
            return;
        };
        // If the sink is stuck or the function fails, the next attempt comes after as many events, or
        // at the end.
        let had_events = std::mem::take(&mut store.since) > 0;
        store.is_behind = false;
        if had_events && !Self::is_flushed(&self.core, self.output.sink()) {
            store.since = 1;
            self.core.counts.add(Count::StoreFailures);
            self.core.set_error(String::from("the token was not stored: the sink was not flushed in time"));
            return;
        }
        let stored = user_code(|| match self.core.token() {
            Some(token) => (store.store)(&token),
            None => Ok(()),
        });
        let error = match stored {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                let text = error_text(&*error);
                dispose(error);
                format!("the token was not stored: {text}")
            }
            Err(text) => format!("storing the token panicked: {text}"),
        };
        store.is_behind = true;
        self.core.counts.add(Count::StoreFailures);
        self.core.set_error(error);
    }

    /// Flushes the sink, and returns whether it has handled everything.
    fn is_flushed(core: &Core<S::Token>, sink: &K) -> bool {
        let limit = Deadline::after(FLUSH_LIMIT).min(core.stop_by().unwrap_or(Deadline::NEVER));
        let mut report = FlushReport::default();
        let flushed = {
            let _limit = WaitLimit::until(limit);
            caught(|| sink.flush_by(limit, &mut report)).is_ok()
        };
        flushed && report.is_done()
    }

    /// Tells the sink of the end, and drops what belongs to the user before any thread learns of it.
    fn end(mut self, reason: StopReason) {
        let error = match &reason {
            StopReason::GaveUp(error) | StopReason::Fatal(error) => Some(error.clone()),
            StopReason::Requested | StopReason::SinkClosed => None,
        };
        if reason != StopReason::SinkClosed {
            // A thread waits for the end of a requested stop. So the last update does not wait for
            // room then.
            let _limit = (reason == StopReason::Requested).then(|| WaitLimit::begin(Duration::ZERO));
            let _told = self.tell(Update::Disconnected(Disconnected::new(error, None)));
        }
        self.store();
        let Self { core, source, output, store, ahead, .. } = self;
        dispose(output);
        dispose(source);
        dispose((store, ahead));
        core.token.settle();
        core.enter(Phase::Stopped(reason));
    }
}

impl<T> Core<T> {
    /// Calls the source. A panic is a transient fault.
    #[inline]
    fn called<R>(&self, call: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
        match caught(call) {
            Ok(result) => result,
            Err(text) => Err(self.panicked(&text)),
        }
    }

    #[cold]
    fn panicked(&self, text: &str) -> Fault {
        self.counts.add(Count::SourcePanics);
        Fault::transient(format!("the source panicked: {text}"))
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Ends the monitor if a panic ever escapes everything that catches panics.
struct Lifeline<T>(Arc<Core<T>>);

impl<T> Drop for Lifeline<T> {
    fn drop(&mut self) {
        // Not in models: there all threads are one system thread, which may be unwinding on behalf
        // of another model thread.
        if std::thread::panicking() && !MODEL {
            self.0.enter(Phase::Stopped(StopReason::Fatal(String::from("the worker panicked"))));
        }
    }
}
