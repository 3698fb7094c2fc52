//! Where a flush hands in its wish to have a handler flushed.
//!
//! A wish says what has to be handled first, so it is handed in when the flush begins, and a flush of several queues hands in all of
//! its wishes before it waits for the first. The worker that finds the goal reached flushes the handler: with the latest deadline of
//! the wishes that it takes together, since each asker stops waiting at its own; and the outcome belongs to these wishes only.

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

/// The wishes to have one handler flushed, and what came of them.
pub(super) struct FlushDesk<E> {
    /// How many wishes were handed in.
    asked: AtomicU64,
    /// How many of them were taken or withdrawn.
    taken: AtomicU64,
    /// How many workers have not ended.
    staff: AtomicU64,
    wishes: Mutex<Vec<Wish<E>>>,
}

struct Wish<E> {
    ticket: u64,
    goals: Arc<Goals<E>>,
    deadline: Deadline,
    /// The way on which the flush has come here.
    visits: Arc<Visits>,
    state: State,
}

/// What a handler said to a wish.
pub(super) struct Answer<E> {
    pub(super) report: FlushReport,
    /// With what it is to be asked again, if it asks for that.
    pub(super) way: Option<(Arc<Goals<E>>, Arc<Visits>)>,
}

enum State {
    Waiting,
    Taken,
    Answered(FlushReport),
}

impl<E> Wish<E> {
    fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting)
    }

    fn is_answered(&self) -> bool {
        matches!(self.state, State::Answered(_))
    }
}

/// Wishes that a worker has taken together.
pub(super) struct Taken {
    tickets: Vec<u64>,
    pub(super) deadline: Deadline,
    pub(super) visits: Arc<Visits>,
}

impl<E: Send + 'static> FlushDesk<E> {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            asked: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            staff: AtomicU64::new(workers as u64),
            wishes: Mutex::new(Vec::new()),
        }
    }

    /// Hands in a wish, and returns its ticket.
    pub(super) fn ask(&self, goals: &Arc<Goals<E>>, deadline: Deadline, visits: &Arc<Visits>) -> u64 {
        let mut wishes = lock(&self.wishes);
        // ORD(desk.asked): Release; pairs with the Acquire in `is_asked`. Under the lock: tickets stand in their order.
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let (goals, visits) = (goals.clone(), visits.clone());
        wishes.push(Wish { ticket, goals, deadline, visits, state: State::Waiting });
        ticket
    }

    /// Whether a wish waits. Asked by workers after each round.
    pub(super) fn is_asked(&self) -> bool {
        // ORD(desk.asked): Acquire; pairs with the Release in `ask`: what was handed in is there.
        self.asked.load(Ordering::Acquire) != self.taken.load(Ordering::Relaxed)
    }

    /// Whether a wish waits, and what it asks for was handled.
    pub(super) fn is_ready(&self) -> bool {
        self.is_asked() && lock(&self.wishes).iter().any(|wish| wish.is_waiting() && wish.goals.are_reached())
    }

    /// The wishes that can be granted now.
    ///
    /// Flushes that came by different ways are granted one after the other.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut wishes = lock(&self.wishes);
        let mut taken: Option<Taken> = None;
        for wish in wishes.iter_mut().filter(|wish| wish.is_waiting()) {
            if !wish.goals.are_reached()
                || taken.as_ref().is_some_and(|taken| !taken.visits.came_like(&wish.visits))
            {
                continue;
            }
            wish.state = State::Taken;
            let taken = taken.get_or_insert_with(|| Taken {
                tickets: Vec::new(),
                deadline: wish.deadline,
                visits: wish.visits.clone(),
            });
            taken.tickets.push(wish.ticket);
            taken.deadline = taken.deadline.max(wish.deadline);
        }
        let count = taken.as_ref().map_or(0, |taken| taken.tickets.len());
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        taken
    }

    /// The handler was flushed for these wishes. Returns whom to wake, and what the wishes held, which is user code, to be dropped
    /// without the lock. A handler that is to be asked again is still on the way: then the wishes keep what they hold.
    ///
    /// What the outcome leaves to be done is for one flush to do, and its outcome is that flush's alone. So the first wish gets it, and
    /// the others wait for the next turn.
    #[must_use]
    pub(super) fn answer(&self, taken: &Taken, outcome: &FlushReport) -> (Vec<Want>, Vec<Arc<Visits>>) {
        let most = if outcome.leaves_something() { 1 } else { usize::MAX };
        let (mut askers, mut held) = (Vec::new(), Vec::new());
        let mut wishes = lock(&self.wishes);
        for wish in wishes.iter_mut().filter(|wish| taken.tickets.contains(&wish.ticket)) {
            if askers.len() < most {
                wish.state = State::Answered(outcome.clone());
                askers.push(wish.goals.asker());
                if outcome.again().is_none() {
                    held.push(std::mem::take(&mut wish.visits));
                }
            } else {
                wish.state = State::Waiting;
                // Under the lock, as all changes of it are.
                self.taken.fetch_sub(1, Ordering::Relaxed);
            }
        }
        (askers, held)
    }

    /// What the handler said to a wish, once it was flushed; nothing when it is closed.
    pub(super) fn answered(&self, ticket: u64) -> Option<Answer<E>> {
        // ORD(desk.staff): Acquire; pairs with the Release in `leave`: the handler is closed, and what it answered is there.
        let no_worker_is_left = self.staff.load(Ordering::Acquire) == 0;
        let wish = {
            let mut wishes = lock(&self.wishes);
            let at = wishes.iter().position(|wish| wish.ticket == ticket);
            at.filter(|at| no_worker_is_left || wishes[*at].is_answered())
                .map(|at| self.forget(&mut wishes, at))
        };
        // A wish that is not answered any more goes, too: left here, it would hold the sinks on its way for ever.
        match wish {
            Some(Wish { goals, visits, state: State::Answered(report), .. }) => {
                let again = report.again().filter(|_| !no_worker_is_left);
                let way = again.map(|again| (goals, Arc::new(visits.again(&again.goals))));
                Some(Answer { report, way })
            }
            _ => no_worker_is_left.then(|| Answer { report: FlushReport::default(), way: None }),
        }
    }

    /// Takes a wish back that was not answered in time.
    pub(super) fn withdraw(&self, ticket: u64) {
        let wish = {
            let mut wishes = lock(&self.wishes);
            let at = wishes.iter().position(|wish| wish.ticket == ticket);
            at.map(|at| self.forget(&mut wishes, at))
        };
        // What it holds is user code.
        drop(wish);
    }

    fn forget(&self, wishes: &mut Vec<Wish<E>>, at: usize) -> Wish<E> {
        let wish = wishes.remove(at);
        if wish.is_waiting() {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        wish
    }

    /// A worker has ended: its handler is closed.
    pub(super) fn leave(&self) {
        // ORD(desk.staff): Release; pairs with the Acquire in `answered`.
        self.staff.fetch_sub(1, Ordering::AcqRel);
    }
}
