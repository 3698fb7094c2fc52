//! The requests to flush a handler, and the handler's answers.
//!
//! A request has goals: what has to be handled before the handler is flushed. So a flush makes its
//! requests when it begins, and a flush of several queues makes all of its requests before it waits
//! for the first answer.
//!
//! The worker that finds the goals reached flushes the handler. It takes several requests together
//! and flushes with the latest of their deadlines, since each flush stops waiting at its own
//! deadline. The outcome belongs to these requests only.

use crate::mailbox::{Goal, Mailbox};
use crate::stats::FlushReport;
use crate::sync::{self, AtomicU64, Mutex, Ordering, lock};
use crate::time::Deadline;
use crate::wait::context::Visits;
use crate::wait::list::Want;
use std::sync::Arc;

/// The positions that have to be handled before a flush, in each mailbox of a queue.
pub(super) struct Goals<E>(Vec<(sync::Arc<Mailbox<E>>, Goal<E>)>);

impl<E: Send + 'static> Goals<E> {
    pub(super) fn new(mailboxes: &[sync::Arc<Mailbox<E>>]) -> Self {
        Self(mailboxes.iter().map(|mailbox| (mailbox.clone(), mailbox.goal())).collect())
    }

    /// Returns what the flush with these goals waits for.
    pub(super) fn asker(&self) -> Want {
        Want::answers_to(self)
    }

    pub(super) fn are_reached(&self) -> bool {
        self.0.iter().all(|(mailbox, goal)| mailbox.has_reached(goal))
    }
}

/// The requests to flush one handler, and its answers.
pub(super) struct FlushRequests<E> {
    /// The number of requests that were made.
    asked: AtomicU64,
    /// The number of requests that were taken or withdrawn.
    taken: AtomicU64,
    /// The number of workers that have not ended.
    workers: AtomicU64,
    requests: Mutex<Vec<FlushRequest<E>>>,
}

struct FlushRequest<E> {
    ticket: u64,
    goals: Arc<Goals<E>>,
    deadline: Deadline,
    /// The stages that the flush has passed on its way to this queue.
    visits: Arc<Visits>,
    state: RequestState,
}

/// The goals and visits of a repeated request.
pub(super) type Repeat<E> = (Arc<Goals<E>>, Arc<Visits>);

/// The answer of a handler to a request.
pub(super) struct Answer<E> {
    pub(super) report: FlushReport,
    /// The request to repeat, if the handler asks for that.
    pub(super) repeat: Option<Repeat<E>>,
}

enum RequestState {
    Waiting,
    Taken,
    Answered(FlushReport),
}

impl<E> FlushRequest<E> {
    fn is_waiting(&self) -> bool {
        matches!(self.state, RequestState::Waiting)
    }

    fn is_answered(&self) -> bool {
        matches!(self.state, RequestState::Answered(_))
    }
}

/// The requests that a worker has taken together.
pub(super) struct Taken {
    tickets: Vec<u64>,
    pub(super) deadline: Deadline,
    pub(super) visits: Arc<Visits>,
}

impl<E: Send + 'static> FlushRequests<E> {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            asked: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            workers: AtomicU64::new(workers as u64),
            requests: Mutex::new(Vec::new()),
        }
    }

    /// Adds a request, and returns its ticket.
    pub(super) fn ask(&self, goals: &Arc<Goals<E>>, deadline: Deadline, visits: &Arc<Visits>) -> u64 {
        let mut requests = lock(&self.requests);
        // ORD(flush.asked): Release; pairs with the Acquire in `is_asked`. Under the lock, so that
        // tickets are in order.
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let (goals, visits) = (goals.clone(), visits.clone());
        requests.push(FlushRequest { ticket, goals, deadline, visits, state: RequestState::Waiting });
        ticket
    }

    /// Returns whether a request waits. Workers check it after each round.
    pub(super) fn is_asked(&self) -> bool {
        // ORD(flush.asked): Acquire; pairs with the Release in `ask`: the request is visible.
        self.asked.load(Ordering::Acquire) != self.taken.load(Ordering::Relaxed)
    }

    /// Returns whether a request waits whose goals are reached.
    pub(super) fn is_ready(&self) -> bool {
        self.is_asked()
            && lock(&self.requests).iter().any(|request| request.is_waiting() && request.goals.are_reached())
    }

    /// Takes the requests that can be granted now.
    ///
    /// Flushes that reached this queue through different stages are granted one after the other.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut requests = lock(&self.requests);
        let mut taken: Option<Taken> = None;
        for request in requests.iter_mut().filter(|request| request.is_waiting()) {
            if !request.goals.are_reached()
                || taken.as_ref().is_some_and(|taken| !taken.visits.came_like(&request.visits))
            {
                continue;
            }
            request.state = RequestState::Taken;
            let taken = taken.get_or_insert_with(|| Taken {
                tickets: Vec::new(),
                deadline: request.deadline,
                visits: request.visits.clone(),
            });
            taken.tickets.push(request.ticket);
            taken.deadline = taken.deadline.max(request.deadline);
        }
        let count = taken.as_ref().map_or(0, |taken| taken.tickets.len());
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        taken
    }

    /// Answers these requests with the outcome of the flush. Returns the waits to wake, and the
    /// visits of the requests. Dropping visits runs user code, so the caller drops them without the
    /// lock. If the handler asks to be flushed again, the requests keep their visits.
    ///
    /// One flush alone completes what the outcome left undone, and only that flush gets the
    /// outcome. So the first request gets it, and the others wait for the next flush of the
    /// handler.
    #[must_use]
    pub(super) fn answer(&self, taken: &Taken, outcome: &FlushReport) -> (Vec<Want>, Vec<Arc<Visits>>) {
        let most = if outcome.leaves_something() { 1 } else { usize::MAX };
        let (mut askers, mut held) = (Vec::new(), Vec::new());
        let mut requests = lock(&self.requests);
        for request in requests.iter_mut().filter(|request| taken.tickets.contains(&request.ticket)) {
            if askers.len() < most {
                request.state = RequestState::Answered(outcome.clone());
                askers.push(request.goals.asker());
                if outcome.again().is_none() {
                    held.push(std::mem::take(&mut request.visits));
                }
            } else {
                request.state = RequestState::Waiting;
                // Under the lock, as are all changes of the counter.
                self.taken.fetch_sub(1, Ordering::Relaxed);
            }
        }
        (askers, held)
    }

    /// Returns the handler's answer to a request, or `None` while the handler has not been flushed
    /// for it. Once the handler is closed, an unanswered request gets an empty answer.
    pub(super) fn answered(&self, ticket: u64) -> Option<Answer<E>> {
        // ORD(flush.workers): Acquire; pairs with the Release in `leave`: the handler is closed,
        // and its answers are visible.
        let no_worker_is_left = self.workers.load(Ordering::Acquire) == 0;
        let request = {
            let mut requests = lock(&self.requests);
            let at = requests.iter().position(|request| request.ticket == ticket);
            at.filter(|at| no_worker_is_left || requests[*at].is_answered())
                .map(|at| self.forget(&mut requests, at))
        };
        // Also removes a request that will get no answer: left here, it would keep the sinks that
        // it visited alive forever.
        match request {
            Some(FlushRequest { goals, visits, state: RequestState::Answered(report), .. }) => {
                let again = report.again().filter(|_| !no_worker_is_left);
                let repeat = again.map(|again| (goals, Arc::new(visits.again(&again.goals))));
                Some(Answer { report, repeat })
            }
            _ => no_worker_is_left.then(|| Answer { report: FlushReport::default(), repeat: None }),
        }
    }

    /// Withdraws a request that was not answered in time.
    pub(super) fn withdraw(&self, ticket: u64) {
        let request = {
            let mut requests = lock(&self.requests);
            let at = requests.iter().position(|request| request.ticket == ticket);
            at.map(|at| self.forget(&mut requests, at))
        };
        // Dropping the request may run user code.
        drop(request);
    }

    fn forget(&self, requests: &mut Vec<FlushRequest<E>>, at: usize) -> FlushRequest<E> {
        let request = requests.remove(at);
        if request.is_waiting() {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        request
    }

    /// Records that a worker has ended and that its handler is closed.
    pub(super) fn leave(&self) {
        // ORD(flush.workers): Release; pairs with the Acquire in `answered`.
        self.workers.fetch_sub(1, Ordering::AcqRel);
    }
}
