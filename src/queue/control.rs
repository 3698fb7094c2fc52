//! Closing and flushing a queue: the queue is told at once, and the caller that began waits for it.

use super::flush::{Answer, FlushRequests, Goals, Repeat};
use super::{QueueCore, worker_name};
use crate::stats::{Again, Awaited, CloseReport, Ending, Finish, FlushReport, Flushing, Identity, SinkState};
use crate::sync::{Mutex, lock};
use crate::time::Deadline;
use crate::wait::WaitList;
use crate::wait::context::{Purpose, Visits, Wait, dispose, is_on_the_way, must_not_wait};
use crate::wait::list::task::{Condition, TaskWait};
use crate::wait::list::{Waiter, Want};
use std::sync::Arc;

/// Closes a queue, and waits for its end, or leaves the wait to the caller that closes several
/// sinks.
pub(super) fn close<E: Send + 'static>(
    shared: &Arc<QueueCore<E>>,
    deadline: Deadline,
    wait: Wait,
) -> CloseReport {
    // A worker must not wait for its own queue. It does not have to when the queue is only told to
    // close.
    let inside = must_not_wait() || wait == Wait::Here && shared.mailbox.crew.is_here();
    if !inside {
        lock(&shared.close_deadline).get_or_insert(deadline);
    }
    shared.seal();
    if inside {
        let report = lock(&shared.report).clone();
        return report.map_or_else(CloseReport::pending, |report| report.whole(&shared.identity));
    }
    if wait == Wait::Deferred {
        return CloseReport::told(shared.clone());
    }
    let mut report = shared.clone().report(deadline);
    report.settle(&shared.identity, deadline);
    // The report that was settled first is kept.
    let settled = {
        let mut place = lock(&shared.report);
        if place.as_ref().is_none_or(|report| !report.is_settled()) {
            *place = Some(report);
        }
        place.clone()
    };
    settled.map_or_else(CloseReport::pending, |report| report.whole(&shared.identity))
}

impl<E: Send + 'static> Ending for QueueCore<E> {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn final_report(&self) -> Option<CloseReport> {
        lock(&self.report).clone()
    }

    fn await_end(&self, deadline: Deadline) {
        self.mailbox.signals.blocked.wait_as(&Waiter::wanting(Want::END), deadline, || self.final_report());
    }

    fn report(self: Arc<Self>, deadline: Deadline) -> CloseReport {
        let waiter = Waiter::wanting(Want::END);
        let waited = self.mailbox.signals.blocked.wait_as(&waiter, deadline, || self.final_report());
        waited.unwrap_or_else(|| {
            let mut state = SinkState::default();
            self.describe(&mut state);
            // With the events that the inner sinks keep: a batch, or what a retry has set aside. They end
            // with this queue's worker.
            let mut report = CloseReport::timed_out(state.ledger.pending.max(state.depth));
            report.unfinished = lock(&self.ending).unfinished();
            // The first report is kept, the worker's or this one. It comes before the abort: the
            // worker's report no longer counts the events that the abort turns into dead letters.
            let report = lock(&self.report).get_or_insert(report).clone();
            self.abort();
            // Wakes every thread that waits for the end: this report is its answer.
            self.mailbox.signals.blocked.notify();
            report
        })
    }

    fn until_ended(self: Arc<Self>) -> Option<Box<dyn Awaited>> {
        Some(Box::new(TaskWait::for_end(self)))
    }
}

/// What a task waits for that closes a queue: the report of the end.
impl<E: Send + 'static> Condition for QueueCore<E> {
    fn list(&self) -> &WaitList {
        &self.mailbox.signals.blocked
    }

    fn holds(&self) -> bool {
        lock(&self.report).is_some()
    }
}

/// Flushes a queue, and waits for the answers, or leaves the wait to the caller that flushes
/// several sinks.
pub(super) fn flush<E: Send + 'static>(
    shared: &Arc<QueueCore<E>>,
    deadline: Deadline,
    wait: Wait,
    report: &mut FlushReport,
) {
    let place = Arc::as_ptr(shared).addr();
    // Around a cycle: the flush in progress already waits for this queue.
    if !must_not_wait() && is_on_the_way(place, Purpose::Flush) {
        return;
    }
    if shared.is_inside() {
        report.note(Finish::Pending);
        return;
    }
    let goals = Arc::new(Goals::new(shared.mailboxes()));
    let visits = Arc::new(Visits::of_this_thread().and(place, Purpose::Flush));
    let replies = shared
        .flush_requests
        .iter()
        .map(|requests| Reply::Awaited(requests.ask(&goals, deadline, &visits)))
        .collect();
    let (replies, again) = (Mutex::new(replies), Mutex::new((None, Vec::new())));
    let begun = Arc::new(BegunFlush { shared: shared.clone(), goals, replies, again });
    shared.wake_workers();
    match wait {
        Wait::Here => begun.settle(deadline, report),
        Wait::Deferred => report.tell(begun),
    }
}

/// A flush in progress.
struct BegunFlush<E: Send + 'static> {
    shared: Arc<QueueCore<E>>,
    /// The workers wake the flush by the address of its goals.
    goals: Arc<Goals<E>>,
    /// One for each handler.
    replies: Mutex<Vec<Reply<E>>>,
    /// For a task: the progress of the handlers at their last answers, and the requests to repeat.
    again: Mutex<Repeats<E>>,
}

type Repeats<E> = (Option<u64>, Vec<Option<Repeat<E>>>);

enum Reply<E> {
    Awaited(u64),
    Received(Answer<E>),
}

impl<E: Send + 'static> BegunFlush<E> {
    /// Returns the answers of the handlers, each answer once, or `None` until all handlers have
    /// answered.
    fn answers(&self) -> Option<Vec<Answer<E>>> {
        if !self.are_answered() {
            return None;
        }
        let answer = |reply| match reply {
            Reply::Awaited(_) => None,
            Reply::Received(answer) => Some(answer),
        };
        Some(lock(&self.replies).drain(..).filter_map(answer).collect())
    }

    /// Collects the answers of the handlers. Returns whether all handlers have answered.
    fn are_answered(&self) -> bool {
        let mut replies = lock(&self.replies);
        for (reply, requests) in replies.iter_mut().zip(&self.shared.flush_requests) {
            if let Reply::Awaited(ticket) = *reply
                && let Some(answer) = requests.answered(ticket)
            {
                *reply = Reply::Received(answer);
            }
        }
        !replies.iter().any(|reply| matches!(reply, Reply::Awaited(_)))
    }

    /// Makes new requests to the handlers that are to be flushed again.
    fn ask_again(&self, repeats: Vec<Option<Repeat<E>>>, deadline: Deadline) {
        let ask = |(repeat, requests): (Option<Repeat<E>>, &FlushRequests<E>)| match repeat {
            Some((goals, visits)) => Reply::Awaited(requests.ask(&goals, deadline, &visits)),
            None => Reply::Received(Answer { report: FlushReport::default(), repeat: None }),
        };
        *lock(&self.replies) = repeats.into_iter().zip(&self.shared.flush_requests).map(ask).collect();
    }

    /// Adds the answers to the report, and settles the flushes that were begun downstream, or leaves
    /// that to a task. Returns the requests to repeat.
    fn take_in(
        answers: Vec<Answer<E>>,
        settle: impl Fn(&mut FlushReport),
        report: &mut FlushReport,
    ) -> (Vec<Option<Repeat<E>>>, Option<Again>) {
        let several = answers.len() > 1;
        let (mut repeats, mut all) = (Vec::new(), FlushReport::default());
        for (number, Answer { report: mut part, repeat }) in answers.into_iter().enumerate() {
            let again = part.take_again();
            all.ask_again(again.filter(|_| repeat.is_some()));
            repeats.push(repeat);
            settle(&mut part);
            if several {
                let name = |text: String| format!("{}: {text}", worker_name(number));
                part.errors = part.errors.into_iter().map(name).collect();
            }
            report.absorb(part);
        }
        (repeats, all.take_again())
    }
}

impl<E: Send + 'static> Flushing for BegunFlush<E> {
    fn settle(&self, deadline: Deadline, report: &mut FlushReport) {
        let answered = || {
            self.shared.wake_workers();
            self.answers()
        };
        let waiter = Waiter::wanting(self.goals.asker());
        let mut before = None;
        loop {
            let Some(answers) = self.shared.mailbox.signals.blocked.wait_as(&waiter, deadline, answered)
            else {
                report.note(Finish::TimedOut);
                return;
            };
            let (repeats, again) = Self::take_in(answers, |part| part.settle(deadline), report);
            let Some(again) = again else { return dispose(repeats) };
            // There may be room now for what a handler could not forward. The flush repeats the
            // request while that makes progress and the deadline has not passed.
            again.waits.iter().for_each(|wait| wait(deadline));
            let helps = !again.waits.is_empty() || before != Some(again.progress);
            if !helps || deadline.has_passed() {
                report.note(Finish::TimedOut);
                return dispose(repeats);
            }
            before = Some(again.progress);
            self.ask_again(repeats, deadline);
            self.shared.wake_workers();
        }
    }

    fn until_flushed(self: Arc<Self>) -> Option<Box<dyn Awaited>> {
        let repeats = std::mem::take(&mut lock(&self.again).1);
        if !repeats.is_empty() {
            self.ask_again(repeats, Deadline::NEVER);
        }
        let waiter = Waiter::wanting(self.goals.asker());
        Some(Box::new(TaskWait::new(self, waiter)))
    }

    fn advance(self: Arc<Self>, report: &mut FlushReport) -> Option<Arc<dyn Flushing>> {
        let (repeats, again) = Self::take_in(self.answers()?, |_| (), report);
        let Some(again) = again else {
            dispose(repeats);
            return None;
        };
        let before = lock(&self.again).0.replace(again.progress);
        // A task waits for no backoff, and asks again only where that helps.
        if !again.waits.is_empty() || before == Some(again.progress) {
            report.note(Finish::Pending);
            dispose(repeats);
            return None;
        }
        lock(&self.again).1 = repeats;
        Some(self)
    }
}

/// What a task waits for that flushes a queue: the answers.
impl<E: Send + 'static> Condition for BegunFlush<E> {
    fn list(&self) -> &WaitList {
        &self.shared.mailbox.signals.blocked
    }

    fn holds(&self) -> bool {
        self.are_answered()
    }

    fn hurry(&self) {
        self.shared.wake_workers();
    }
}

impl<E: Send + 'static> Drop for BegunFlush<E> {
    fn drop(&mut self) {
        for (reply, requests) in lock(&self.replies).iter().zip(&self.shared.flush_requests) {
            if let Reply::Awaited(ticket) = *reply {
                requests.withdraw(ticket);
            }
        }
    }
}

impl<E: Send + 'static> QueueCore<E> {
    /// Wakes parked and napping workers, so that they check their flush requests.
    pub(super) fn wake_workers(&self) {
        for mailbox in self.mailboxes() {
            mailbox.signals.wake_now();
        }
    }
}
