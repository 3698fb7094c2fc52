//! The thread behind a queue.

use super::Shared;
use super::handler::{Unhandled, Work};
use crate::error::BoxError;
use crate::inbox::reader::{Consume, Handled, Reader};
use crate::inbox::{End, Inbox};
use crate::ledger::DropReason;
use crate::panics::{caught, foreign, quietly};
use crate::report::{CloseReport, Finish, FlushReport};
use crate::sync::{MODEL, Ordering, lock};
use crate::wait::nesting::Nesting;
use std::sync::Arc;
use std::time::Instant;

pub(super) type OnError = Box<dyn Fn(&BoxError) + Send + Sync>;

pub(super) struct Hooks {
    pub(super) max_batch: usize,
    pub(super) close_after_panics: u32,
    pub(super) on_error: Option<OnError>,
}

pub(super) struct Worker<E: Send + 'static, W: Work<E>> {
    shared: Arc<Shared<E>>,
    reader: Reader<E>,
    desk: Desk<W>,
    next_tick: Option<Instant>,
}

/// The handler and what the worker remembers about it.
struct Desk<W> {
    work: W,
    hooks: Hooks,
    /// Events handled since the last end of a batch.
    batch: usize,
    /// Panics in a row.
    panics: u32,
}

impl<E: Send + 'static, W: Work<E>> Worker<E, W> {
    pub(super) fn new(shared: Arc<Shared<E>>, reader: Reader<E>, work: W, hooks: Hooks) -> Self {
        Self { shared, reader, desk: Desk { work, hooks, batch: 0, panics: 0 }, next_tick: None }
    }

    pub(super) fn run(mut self) {
        let _lifeline = Lifeline(self.shared.clone());
        self.tick();
        loop {
            let handled = self.round();
            if self.shared.flushes.is_asked() {
                self.flush();
            }
            if handled == 0 {
                if self.reader.ended().is_some() {
                    if self.desk.batch > 0 {
                        let _delivery = Nesting::delivery();
                        self.desk.end_of_batch(self.reader.inbox());
                    }
                    break;
                }
                let limit = self.next_tick.map(|next| next.saturating_duration_since(Instant::now()));
                let flushes = &self.shared.flushes;
                self.reader.wait(limit, |_| flushes.is_asked());
            }
        }
        self.end();
    }

    /// Handles what is there, at most a quarter of a lane's capacity of each; returns how many events.
    fn round(&mut self) -> usize {
        // The handler runs inside a delivery: nothing there waits for this worker.
        let _delivery = Nesting::delivery();
        let handled = self.reader.scan(&mut self.desk);
        self.reader.linger_when_dry();
        if self.desk.batch > 0 && !self.reader.has_work() {
            self.desk.end_of_batch(self.reader.inbox());
        }
        if handled > 0 || self.next_tick.is_some() {
            self.tick_when_due(handled > 0);
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
            let work = &mut self.desk.work;
            self.next_tick = match foreign(|| work.tick(Instant::now())) {
                Ok(next) => next,
                Err(text) => {
                    self.desk.report(self.reader.inbox(), panicked(&text));
                    None
                }
            };
        }
    }

    fn flush(&mut self) {
        let desk = &self.shared.flushes;
        // ORD(desk.asked): Acquire; pairs with the Release in `Shared::flush_handler`.
        let asked = desk.asked.load(Ordering::Acquire);
        let deadline = *lock(&desk.deadline);
        let work = &mut self.desk.work;
        let flushed = caught(|| work.flush(deadline)).unwrap_or_else(|text| Err(panicked(&text)));
        *lock(&desk.outcome) = flushed.unwrap_or_else(|error| {
            let text = self.desk.report(self.reader.inbox(), error);
            FlushReport { errors: vec![text], ..FlushReport::default() }
        });
        // ORD(desk.answered): Release; pairs with the Acquire in `Shared::flush_handler`.
        desk.answered.store(asked, Ordering::Release);
        self.reader.inbox().signals.blocked.notify();
    }

    fn end(mut self) {
        let inbox = self.reader.inbox().clone();
        let work = &mut self.desk.work;
        let deadline = lock(&self.shared.close_deadline)
            .unwrap_or_else(|| crate::wait::Deadline::after(crate::wait::deadline::CLOSE_LIMIT));
        let mut report =
            caught(|| work.close(deadline)).unwrap_or_else(|text| CloseReport::failed(panicked(&text)));
        for error in &report.errors {
            inbox.consumer.set_error(error.clone());
        }
        // The handler's own drop may still write something: it is over before anybody is told of the end.
        let Desk { work, hooks, .. } = self.desk;
        if let Err(text) = foreign(move || drop(work)) {
            report.errors.push(format!("the handler's drop panicked: {text}"));
        }
        drop(hooks);
        // What an unbounded queue accepted too late is given up here, before anybody is told of the end.
        inbox.finish();
        report.undelivered += inbox.aborted();
        if inbox.is_aborted() {
            // Whoever closes has run out of time, also if this report comes before its own.
            report.finish = report.finish.max(Finish::TimedOut);
        }
        lock(&self.shared.report).get_or_insert(report);
        inbox.signals.blocked.notify();
    }
}

/// Ends the inbox should a panic ever get past everything that catches them: better a closed queue than one that takes events
/// and handles none.
struct Lifeline<E: Send + 'static>(Arc<Shared<E>>);

impl<E: Send + 'static> Drop for Lifeline<E> {
    fn drop(&mut self) {
        if std::thread::panicking() && !MODEL {
            let inbox = &self.0.inbox;
            inbox.seal(End::Closed);
            lock(&self.0.report).get_or_insert(CloseReport::failed("the worker panicked"));
            inbox.finish();
        }
    }
}

fn panicked(text: &str) -> BoxError {
    format!("the handler panicked: {text}").into()
}

impl<E: Send + 'static, W: Work<E>> Consume<E> for Desk<W> {
    #[inline]
    fn handle(&mut self, inbox: &Inbox<E>, event: E) -> Handled {
        if inbox.is_aborted() {
            inbox.dropped(event, DropReason::Aborted);
            return Handled::Aborted;
        }
        let work = &mut self.work;
        match caught(|| work.handle(event)) {
            Ok(Ok(())) => {
                self.panics = 0;
                Handled::Delivered
            }
            Ok(Err(unhandled)) => {
                self.panics = 0;
                self.failed(inbox, unhandled);
                Handled::Failed
            }
            Err(text) => {
                self.panicked(inbox, &text);
                Handled::Panicked
            }
        }
    }

    fn room(&self) -> usize {
        self.hooks.max_batch - self.batch
    }

    #[inline]
    fn batched(&mut self, inbox: &Inbox<E>, events: usize) {
        self.batch += events;
        if self.batch >= self.hooks.max_batch {
            self.end_of_batch(inbox);
        }
    }
}

impl<W> Desk<W> {
    #[cold]
    fn failed<E: Send + 'static>(&mut self, inbox: &Inbox<E>, unhandled: Unhandled<E>) {
        if let Some(event) = unhandled.event {
            inbox.dropped(event, DropReason::Failed);
        }
        if unhandled.closed {
            inbox.seal(End::Closed);
        }
        self.report(inbox, unhandled.source);
    }

    #[cold]
    fn panicked<E: Send + 'static>(&mut self, inbox: &Inbox<E>, text: &str) {
        self.panics = self.panics.saturating_add(1);
        if self.panics >= self.hooks.close_after_panics {
            inbox.seal(End::Closed);
        }
        self.report(inbox, panicked(text));
    }

    fn end_of_batch<E: Send + 'static>(&mut self, inbox: &Inbox<E>)
    where
        W: Work<E>,
    {
        self.batch = 0;
        let work = &mut self.work;
        if let Err(error) = caught(|| work.end_of_batch()).unwrap_or_else(|text| Err(panicked(&text))) {
            self.report(inbox, error);
        }
    }

    #[cold]
    fn report<E: Send + 'static>(&self, inbox: &Inbox<E>, error: BoxError) -> String {
        let text = foreign(|| error.to_string());
        let text = text.unwrap_or_else(|text| format!("an error whose text panicked: {text}"));
        inbox.consumer.set_error(text.clone());
        if let Some(hook) = &self.hooks.on_error {
            quietly(|| hook(&error));
        }
        quietly(|| drop(error));
        text
    }
}
