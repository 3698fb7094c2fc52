//! The worker thread of a queue.

use super::QueueCore;
use super::flush::FlushRequests;
use super::handler::{Unhandled, Work};
use crate::error::BoxError;
use crate::mailbox::activity::{Batches, Rounds};
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

/// The delay after which a handler whose tick panicked is called again, at the latest.
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
    /// The number of this worker.
    number: usize,
    intake: I,
    dispatcher: Dispatcher<W>,
    next_tick: Option<Instant>,
    rounds: Rounds,
    /// Whether this worker has closed the other workers' mailboxes after its own was closed.
    spread: bool,
}

/// The outcome of the handler for one event, or the text of its panic.
type CameTo<E> = Result<Result<Disposition, Unhandled<E>>, String>;

/// The handler, and what the worker counts for it.
struct Dispatcher<W> {
    work: W,
    hooks: Hooks,
    /// The number of events handled since the last end of a batch.
    batch: usize,
    /// The batches that have ended and are not published yet.
    batches: Batches,
    /// The number of panics in a row.
    panics: u32,
}

impl<E: Send + 'static, W: Work<E>, I: Intake<E>> Worker<E, W, I> {
    pub(super) fn new(shared: Arc<QueueCore<E>>, number: usize, intake: I, work: W, hooks: Hooks) -> Self {
        let rounds = Rounds::new(intake.mailbox().wait.sleeps(), intake.activity());
        Self {
            shared,
            number,
            intake,
            dispatcher: Dispatcher { work, hooks, batch: 0, batches: Batches::default(), panics: 0 },
            next_tick: None,
            rounds,
            spread: false,
        }
    }

    pub(super) fn run(mut self) {
        let _lifeline = Lifeline(self.shared.clone(), self.number);
        let _work = AtWork::begin();
        // Nothing that the handler or the sink calls waits for room in this queue, or for its end:
        // this worker may be the thread that has to end that wait.
        let _here = self.shared.mailbox.crew.enter();
        self.tell_time();
        loop {
            let handled = self.round();
            if self.flush_requests().is_ready() {
                self.flush();
            }
            // The worker does not end before it has answered requests that an earlier flush left
            // waiting.
            if handled == 0 && !self.flush_requests().is_ready() {
                if self.intake.drained().is_some() {
                    if self.dispatcher.batch > 0 {
                        let _inside = inside();
                        self.rounds.call_alone(self.intake.activity());
                        self.dispatcher.end_of_batch(self.intake.mailbox());
                        self.rounds.end(self.intake.activity(), 0, &mut self.dispatcher.batches);
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
        self.rounds.call_alone(self.intake.activity());
        self.tick();
        self.rounds.rest(self.intake.activity());
    }

    fn flush_requests(&self) -> &FlushRequests<E> {
        flush_requests(&self.shared, self.number)
    }

    /// Handles the waiting events, at most a quarter of a lane's capacity of each lane. Returns the
    /// number of events.
    fn round(&mut self) -> usize {
        let _inside = inside();
        self.rounds.begin(self.intake.activity());
        let handled = self.intake.scan(&mut self.dispatcher);
        self.rounds.scanned(self.intake.activity(), handled);
        self.intake.linger_when_dry();
        if self.dispatcher.batch > 0 && !self.intake.has_work() {
            self.rounds.call(self.intake.activity());
            self.dispatcher.end_of_batch(self.intake.mailbox());
            self.rounds.called(self.intake.activity());
        }
        if handled > 0 || self.next_tick.is_some() {
            self.tick_when_due(handled > 0);
        }
        self.rounds.end(self.intake.activity(), handled, &mut self.dispatcher.batches);
        // If each worker has its own mailbox: when an overflow or the worker's handler has closed
        // this one, closes all of them.
        if self.shared.route.is_some() && !self.spread && self.intake.mailbox().end() != End::Open {
            self.spread = true;
            self.shared.seal();
        }
        handled
    }

    fn tick_when_due(&mut self, after_batch: bool) {
        if W::TICKS && (after_batch || self.next_tick.is_some_and(|next| next <= Instant::now())) {
            self.rounds.call(self.intake.activity());
            self.tick();
            self.rounds.called(self.intake.activity());
        }
    }

    fn tick(&mut self) {
        if W::TICKS {
            let work = &mut self.dispatcher.work;
            self.next_tick = match caught(|| work.tick(Instant::now())) {
                Ok(next) => next,
                Err(text) => {
                    self.dispatcher.report(self.intake.mailbox(), panicked(&text));
                    // The time of the next call is unknown. It is soon, but not at once: a tick
                    // that always panics must not keep the worker busy.
                    Some(Instant::now() + TICK_AGAIN)
                }
            };
        }
    }

    fn flush(&mut self) {
        let Some(taken) = self.flush_requests().take() else { return };
        self.rounds.call_alone(self.intake.activity());
        let work = &mut self.dispatcher.work;
        let flushed = {
            // A worker waits for no other worker: the sinks downstream are only told to flush, and
            // the flush that made the request waits for them.
            let _telling = DeferredWaits::begin();
            let _visits = taken.visits.adopt();
            // A wait for room in there ends with the deadline of the flush.
            let _limit = WaitLimit::until(taken.deadline);
            caught(|| work.flush(taken.deadline)).unwrap_or_else(|text| Err(panicked(&text)))
        };
        self.rounds.rest(self.intake.activity());
        let outcome = flushed.unwrap_or_else(|error| {
            let mut outcome = FlushReport::default();
            outcome.errors.push(self.dispatcher.report(self.intake.mailbox(), error));
            outcome
        });
        let (askers, held) = self.flush_requests().answer(&taken, &outcome);
        // This may drop a sink that was removed in the meantime, and with the sink the last handle
        // of this queue.
        quietly(|| drop((taken, held)));
        if self.shared.flush_requests.len() > 1 {
            // This worker may have handled the last event of a goal that other workers wait for.
            self.shared.wake_workers();
        }
        // Wakes only the flushes that were answered: no other flush is nearer to its answer.
        askers.into_iter().for_each(|asker| self.shared.mailbox.signals.blocked.notify_one(asker));
        // The handler may need a tick for what it could not forward.
        self.tell_time();
    }

    fn end(mut self) {
        let mailbox = self.intake.mailbox().clone();
        let work = &mut self.dispatcher.work;
        let deadline = lock(&self.shared.close_deadline)
            .unwrap_or_else(|| crate::time::Deadline::after(crate::deadline::CLOSE_LIMIT));
        self.rounds.call_alone(self.intake.activity());
        let mut report = {
            // As for a flush: the close that asks waits for the sinks further downstream.
            let _telling = DeferredWaits::begin();
            let _limit = WaitLimit::until(deadline);
            caught(|| work.close(deadline)).unwrap_or_else(|text| CloseReport::failed(panicked(&text)))
        };
        self.rounds.rest(self.intake.activity());
        for error in &report.errors {
            mailbox.consumer.set_error(error.clone());
        }
        // The handler's drop may still write events: it must return before any waiter learns of the
        // end.
        let Dispatcher { work, hooks, .. } = self.dispatcher;
        if let Err(text) = user_code(move || drop(work)) {
            report.errors.push(format!("the handler's drop panicked: {text}"));
        }
        quietly(move || drop(hooks));
        flush_requests(&self.shared, self.number).leave();
        self.shared.worker_ended(self.number, report);
        // This may drop the last clone of the hook for dropped events, which is user code.
        let intake = self.intake;
        quietly(move || drop((intake, mailbox)));
    }
}

/// Marks that the handler runs inside a delivery, where no call waits.
fn inside() -> (Option<Delivery>, AtWork) {
    (Delivery::enter(), AtWork::begin())
}

/// Returns the flush requests of a worker: its own, or the list that all workers share.
fn flush_requests<E>(shared: &QueueCore<E>, number: usize) -> &FlushRequests<E> {
    &shared.flush_requests[number.min(shared.flush_requests.len() - 1)]
}

/// Ends the queue if a panic ever escapes everything that catches panics: a closed queue is better
/// than one that accepts events and handles none.
struct Lifeline<E: Send + 'static>(Arc<QueueCore<E>>, usize);

impl<E: Send + 'static> Drop for Lifeline<E> {
    fn drop(&mut self) {
        // Not in models: there all threads are one system thread, which may be unwinding on behalf
        // of another model thread.
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
    /// Records the outcome of the handler.
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

    /// Calls the handler with a batch, and counts the events in it.
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
        self.batches.count(std::mem::take(&mut self.batch));
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
