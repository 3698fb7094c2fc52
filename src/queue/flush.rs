//! The requests of flushes to have a handler flushed, and its answers.
//!
//! A request says what has to be handled first, so it is handed in when the flush begins, and a flush of several queues hands in all of
//! its requests before it waits for the first. The worker that finds the goal reached flushes the handler: with the latest deadline of
//! the requests that it takes together, since each asker stops waiting at its own; and the outcome belongs to these requests only.

use crate::mailbox::{Goal, Mailbox};
use crate::stats::FlushReport;
use crate::sync::{self, AtomicU64, Mutex, Ordering, lock};
use crate::time::Deadline;
use crate::wait::context::Visits;
use crate::wait::list::Want;
use std::sync::Arc;

/// What has to be handled before a flush, in each mailbox of a queue.
pub(super) struct Goals<E>(Vec<(sync::Arc<Mailbox<E>>, Goal<E>)>);

impl<E: Send + 'static> Goals<E> {
    pub(super) fn new(mailboxes: &[sync::Arc<Mailbox<E>>]) -> Self {
        Self(mailboxes.iter().map(|mailbox| (mailbox.clone(), mailbox.goal())).collect())
    }

    /// What the flush with these goals waits for.
    pub(super) fn asker(&self) -> Want {
        Want::answers_to(self)
    }

    pub(super) fn are_reached(&self) -> bool {
        self.0.iter().all(|(mailbox, goal)| mailbox.has_reached(goal))
    }
}

/// The requests to have one handler flushed, and what came of them.
pub(super) struct FlushRequests<E> {
    /// How many requests were handed in.
    asked: AtomicU64,
    /// How many of them were taken or withdrawn.
    taken: AtomicU64,
    /// How many workers have not ended.
    workers: AtomicU64,
    requests: Mutex<Vec<FlushRequest<E>>>,
}

struct FlushRequest<E> {
    ticket: u64,
    goals: Arc<Goals<E>>,
    deadline: Deadline,
    /// The way on which the flush has come here.
    visits: Arc<Visits>,
    state: RequestState,
}

/// With what a handler is asked again.
pub(super) type Repeat<E> = (Arc<Goals<E>>, Arc<Visits>);

/// What a handler said to a request.
pub(super) struct Answer<E> {
    pub(super) report: FlushReport,
    /// With what it is to be asked again, if it asks for that.
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

/// Requests that a worker has taken together.
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

    /// Hands in a request, and returns its ticket.
    pub(super) fn ask(&self, goals: &Arc<Goals<E>>, deadline: Deadline, visits: &Arc<Visits>) -> u64 {
        let mut requests = lock(&self.requests);
        // ORD(flush.asked): Release; pairs with the Acquire in `is_asked`. Under the lock: tickets stand in their order.
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let (goals, visits) = (goals.clone(), visits.clone());
        requests.push(FlushRequest { ticket, goals, deadline, visits, state: RequestState::Waiting });
        ticket
    }

    /// Whether a request waits. Asked by workers after each round.
    pub(super) fn is_asked(&self) -> bool {
        // ORD(flush.asked): Acquire; pairs with the Release in `ask`: what was handed in is there.
        self.asked.load(Ordering::Acquire) != self.taken.load(Ordering::Relaxed)
    }

    /// Whether a request waits, and what it asks for was handled.
    pub(super) fn is_ready(&self) -> bool {
        self.is_asked()
            && lock(&self.requests).iter().any(|request| request.is_waiting() && request.goals.are_reached())
    }

    /// The requests that can be granted now.
    ///
    /// Flushes that came by different ways are granted one after the other.
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

    /// The handler was flushed for these requests. Returns whom to wake, and what the requests held, which is user code, to be dropped
    /// without the lock. A handler that is to be asked again is still on the again: then the requests keep what they hold.
    ///
    /// What the outcome leaves to be done is for one flush to do, and its outcome is that flush's alone. So the first request gets it, and
    /// the others wait for the next turn.
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
                // Under the lock, as all changes of it are.
                self.taken.fetch_sub(1, Ordering::Relaxed);
            }
        }
        (askers, held)
    }

    /// What the handler said to a request, once it was flushed; nothing when it is closed.
    pub(super) fn answered(&self, ticket: u64) -> Option<Answer<E>> {
        // ORD(flush.workers): Acquire; pairs with the Release in `leave`: the handler is closed, and what it answered is there.
        let no_worker_is_left = self.workers.load(Ordering::Acquire) == 0;
        let request = {
            let mut requests = lock(&self.requests);
            let at = requests.iter().position(|request| request.ticket == ticket);
            at.filter(|at| no_worker_is_left || requests[*at].is_answered())
                .map(|at| self.forget(&mut requests, at))
        };
        // A request that is not answered any more goes, too: left here, it would hold the sinks on its way for ever.
        match request {
            Some(FlushRequest { goals, visits, state: RequestState::Answered(report), .. }) => {
                let again = report.again().filter(|_| !no_worker_is_left);
                let repeat = again.map(|again| (goals, Arc::new(visits.again(&again.goals))));
                Some(Answer { report, repeat })
            }
            _ => no_worker_is_left.then(|| Answer { report: FlushReport::default(), repeat: None }),
        }
    }

    /// Takes a request back that was not answered in time.
    pub(super) fn withdraw(&self, ticket: u64) {
        let request = {
            let mut requests = lock(&self.requests);
            let at = requests.iter().position(|request| request.ticket == ticket);
            at.map(|at| self.forget(&mut requests, at))
        };
        // What it holds is user code.
        drop(request);
    }

    fn forget(&self, requests: &mut Vec<FlushRequest<E>>, at: usize) -> FlushRequest<E> {
        let request = requests.remove(at);
        if request.is_waiting() {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        request
    }

    /// A worker has ended: its handler is closed.
    pub(super) fn leave(&self) {
        // ORD(flush.workers): Release; pairs with the Acquire in `answered`.
        self.workers.fetch_sub(1, Ordering::AcqRel);
    }
}
