//! A thread behind a queue.

use super::QueueCore;
use super::flush::FlushRequests;
use super::handler::{Unhandled, Work};
use crate::error::BoxError;
use crate::mailbox::consume::Consume;
use crate::mailbox::counters::Handled;
use crate::mailbox::intake::Intake;
use crate::mailbox::{End, Mailbox};
use crate::stats::{CloseReport, Disposition, DropReason, FlushReport, Levels};
use crate::sync::{MODEL, lock};
use crate::wait::context::{
    AtWork, DeferredWaits, Delivery, WaitLimit, caught, discard, error_text, quietly, user_code,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// When a handler whose tick panicked is told the time again, at the latest.
const TICK_AGAIN: Duration = Duration::from_millis(100);

pub(super) type OnError = Arc<dyn Fn(&BoxError) + Send + Sync>;

#[derive(Clone)]
pub(super) struct Hooks {
    pub(super) max_batch: usize,
    pub(super) close_after_panics: u32,
    pub(super) on_error: Option<OnError>,
}

pub(super) struct Worker<E: Send + 'static, W: Work<E>, I: Intake<E>> {
    shared: Arc<QueueCore<E>>,
    /// Which of the workers this is.
    number: usize,
    intake: I,
    dispatcher: Dispatcher<W>,
    next_tick: Option<Instant>,
    /// The end of this worker's mailbox was made that of all.
    spread: bool,
}

/// What a handler came to with one event, or the text of its panic.
type CameTo<E> = Result<Result<Disposition, Unhandled<E>>, String>;

/// The handler and what the worker remembers about it.
struct Dispatcher<W> {
    work: W,
    hooks: Hooks,
    /// Events handled since the last end of a batch.
    batch: usize,
    /// Panics in a row.
    panics: u32,
}

impl<E: Send + 'static, W: Work<E>, I: Intake<E>> Worker<E, W, I> {
    pub(super) fn new(shared: Arc<QueueCore<E>>, number: usize, intake: I, work: W, hooks: Hooks) -> Self {
        Self {
            shared,
            number,
            intake,
            dispatcher: Dispatcher { work, hooks, batch: 0, panics: 0 },
            next_tick: None,
            spread: false,
        }
    }

    pub(super) fn run(mut self) {
        let _lifeline = Lifeline(self.shared.clone(), self.number);
        let _work = AtWork::begin();
        // Whatever the handler or the sink calls: nothing there waits for room in this queue, or for its end.
        let _here = self.shared.mailbox.crew.enter();
        self.tell_time();
        loop {
            let handled = self.round();
            if self.flush_requests().is_ready() {
                self.flush();
            }
            // What a flush has left to another one is asked for again before the worker ends.
            if handled == 0 && !self.flush_requests().is_ready() {
                if self.intake.ended().is_some() {
                    if self.dispatcher.batch > 0 {
                        let _inside = inside();
                        self.dispatcher.end_of_batch(self.intake.mailbox());
                    }
                    break;
                }
                let limit = self.next_tick.map(|next| next.saturating_duration_since(Instant::now()));
                let requests = flush_requests(&self.shared, self.number);
                self.intake.wait(limit, |_| requests.is_ready());
            }
        }
        self.end();
    }

    fn tell_time(&mut self) {
        let _inside = inside();
        self.tick();
    }

    fn flush_requests(&self) -> &FlushRequests<E> {
        flush_requests(&self.shared, self.number)
    }

    /// Handles what is there, at most a quarter of a lane's capacity of each; returns how many events.
    fn round(&mut self) -> usize {
        let _inside = inside();
        let handled = self.intake.scan(&mut self.dispatcher);
        self.intake.linger_when_dry();
        if self.dispatcher.batch > 0 && !self.intake.has_work() {
            self.dispatcher.end_of_batch(self.intake.mailbox());
        }
        if handled > 0 || self.next_tick.is_some() {
            self.tick_when_due(handled > 0);
        }
        // Where each worker has its own mailbox, one that was closed by an overflow, or whose handler has closed it, closes all of them.
        if self.shared.route.is_some() && !self.spread && self.intake.mailbox().end() != End::Open {
            self.spread = true;
            self.shared.seal();
        }
        handled
    }

    fn tick_when_due(&mut self, after_batch: bool) {
        if W::TICKS && (after_batch || self.next_tick.is_some_and(|next| next <= Instant::now())) {
            self.tick();
        }
    }

    fn tick(&mut self) {
        if W::TICKS {
            let work = &mut self.dispatcher.work;
            self.next_tick = match caught(|| work.tick(Instant::now())) {
                Ok(next) => next,
                Err(text) => {
                    self.dispatcher.report(self.intake.mailbox(), panicked(&text));
                    // When it wants to be called again, it could not say: soon, and not at once for ever.
                    Some(Instant::now() + TICK_AGAIN)
                }
            };
        }
    }

    fn flush(&mut self) {
        let Some(taken) = self.flush_requests().take() else { return };
        let work = &mut self.dispatcher.work;
        let flushed = {
            // A worker waits for no other worker: what is flushed further down is told, and waited for by the flush that asks.
            let _telling = DeferredWaits::begin();
            let _visits = taken.visits.adopt();
            // What waits for room in there gives up with the flush.
            let _limit = WaitLimit::until(taken.deadline);
            caught(|| work.flush(taken.deadline)).unwrap_or_else(|text| Err(panicked(&text)))
        };
        let outcome = flushed.unwrap_or_else(|error| {
            let mut outcome = FlushReport::default();
            outcome.errors.push(self.dispatcher.report(self.intake.mailbox(), error));
            outcome
        });
        let (askers, held) = self.flush_requests().answer(&taken, &outcome);
        // A sink that was removed meanwhile may go with it, and with the sink the last handle of this very queue.
        quietly(|| drop((taken, held)));
        if self.shared.flush_requests.len() > 1 {
            // This one may have handled the last event that the others were asked to wait for.
            self.shared.wake_workers();
        }
        // No other flush is nearer to its answer.
        askers.into_iter().for_each(|asker| self.shared.mailbox.signals.blocked.notify_one(asker));
        // What it could not give out may have to be looked after.
        self.tell_time();
    }

    fn end(mut self) {
        let mailbox = self.intake.mailbox().clone();
        let work = &mut self.dispatcher.work;
        let deadline = lock(&self.shared.close_deadline)
            .unwrap_or_else(|| crate::time::Deadline::after(crate::deadline::CLOSE_LIMIT));
        let mut report = {
            // As for a flush: what is closed further down is waited for by the close that asks.
            let _telling = DeferredWaits::begin();
            let _limit = WaitLimit::until(deadline);
            caught(|| work.close(deadline)).unwrap_or_else(|text| CloseReport::failed(panicked(&text)))
        };
        for error in &report.errors {
            mailbox.consumer.set_error(error.clone());
        }
        // The handler's own drop may still write something: it is over before anybody is told of the end.
        let Dispatcher { work, hooks, .. } = self.dispatcher;
        if let Err(text) = user_code(move || drop(work)) {
            report.errors.push(format!("the handler's drop panicked: {text}"));
        }
        quietly(move || drop(hooks));
        flush_requests(&self.shared, self.number).leave();
        self.shared.worker_ended(self.number, report);
        // With it may go the last of the hooks for dropped events, which is user code.
        let intake = self.intake;
        quietly(move || drop((intake, mailbox)));
    }
}

/// The handler runs inside a delivery: nothing there waits.
fn inside() -> (Option<Delivery>, AtWork) {
    (Delivery::enter(), AtWork::begin())
}

/// The flush requests of one worker: its own, or those of all.
fn flush_requests<E>(shared: &QueueCore<E>, number: usize) -> &FlushRequests<E> {
    &shared.flush_requests[number.min(shared.flush_requests.len() - 1)]
}

/// Ends the queue should a panic ever get past everything that catches them: better a closed queue than one that takes events
/// and handles none.
struct Lifeline<E: Send + 'static>(Arc<QueueCore<E>>, usize);

impl<E: Send + 'static> Drop for Lifeline<E> {
    fn drop(&mut self) {
        // Not in models: there all threads are one, which may be unwinding on behalf of another one.
        if std::thread::panicking() && !MODEL {
            self.0.seal();
            flush_requests(&self.0, self.1).leave();
            self.0.worker_ended(self.1, CloseReport::failed("the worker panicked"));
        }
    }
}

fn panicked(text: &str) -> BoxError {
    format!("the handler panicked: {text}").into()
}

impl<E: Send + 'static, W: Work<E>> Consume<E> for Dispatcher<W> {
    #[inline]
    fn handle(&mut self, mailbox: &Mailbox<E>, event: E) -> Handled {
        if mailbox.is_aborted() {
            mailbox.dropped(event, DropReason::Aborted);
            return Handled::Aborted;
        }
        if !mailbox.scales.is_empty() {
            return self.handle_batch(mailbox, event);
        }
        let work = &mut self.work;
        let came_to = caught(|| work.handle(event));
        self.handled(mailbox, came_to)
    }

    fn room(&self) -> usize {
        self.hooks.max_batch - self.batch
    }

    #[inline]
    fn batched(&mut self, mailbox: &Mailbox<E>, events: usize) {
        self.batch += events;
        if self.batch >= self.hooks.max_batch {
            self.end_of_batch(mailbox);
        }
    }
}

impl<W> Dispatcher<W> {
    /// Takes down what a handler came to.
    #[inline(always)]
    fn handled<E: Send + 'static>(&mut self, mailbox: &Mailbox<E>, came_to: CameTo<E>) -> Handled {
        match came_to {
            Ok(Ok(disposition)) => {
                self.panics = 0;
                Handled::of(disposition)
            }
            Ok(Err(unhandled)) => {
                self.panics = 0;
                self.failed(mailbox, unhandled);
                Handled::Failed
            }
            Err(text) => {
                self.panicked(mailbox, &text);
                Handled::Panicked
            }
        }
    }

    /// Has a batch handled, and counts the events in it.
    #[cold]
    fn handle_batch<E: Send + 'static>(&mut self, mailbox: &Mailbox<E>, batch: E) -> Handled
    where
        W: Work<E>,
    {
        let mut load = mailbox.scales.load(&batch, &Levels::default());
        let work = &mut self.work;
        let came_to = caught(|| work.handle(batch));
        let disposition = match &came_to {
            Ok(Ok(disposition)) => *disposition,
            Ok(Err(unhandled)) => {
                if let Some(left) = &unhandled.event {
                    load.came_back(std::slice::from_ref(left));
                }
                Disposition::Dropped(DropReason::Failed)
            }
            Err(_) => Disposition::Dropped(DropReason::Panicked),
        };
        load.end(disposition);
        self.handled(mailbox, came_to)
    }

    #[cold]
    fn failed<E: Send + 'static>(&mut self, mailbox: &Mailbox<E>, unhandled: Unhandled<E>) {
        if let Some(event) = unhandled.event {
            mailbox.dropped(event, DropReason::Failed);
        }
        if unhandled.closed {
            mailbox.seal(End::Closed);
        }
        self.report(mailbox, unhandled.source);
    }

    #[cold]
    fn panicked<E: Send + 'static>(&mut self, mailbox: &Mailbox<E>, text: &str) {
        self.panics = self.panics.saturating_add(1);
        if self.panics >= self.hooks.close_after_panics {
            mailbox.seal(End::Closed);
        }
        self.report(mailbox, panicked(text));
    }

    fn end_of_batch<E: Send + 'static>(&mut self, mailbox: &Mailbox<E>)
    where
        W: Work<E>,
    {
        self.batch = 0;
        let work = &mut self.work;
        if let Err(error) = caught(|| work.end_of_batch()).unwrap_or_else(|text| Err(panicked(&text))) {
            self.report(mailbox, error);
        }
    }

    #[cold]
    fn report<E: Send + 'static>(&self, mailbox: &Mailbox<E>, error: BoxError) -> String {
        let text = error_text(&error);
        mailbox.consumer.set_error(text.clone());
        if let Some(hook) = &self.hooks.on_error {
            quietly(|| hook(&error));
        }
        discard(error);
        text
    }
}
