//! The place where several consumers of the same events sleep, of whom an event wakes one.
//!
//! A cold list behind a count, with the handshake of the wait cell: whoever puts an event in fences and reads the count;
//! a consumer enters the list, fences, and looks for events again before it sleeps. Whoever wakes one takes it off the list,
//! so two events wake two. Those who wake all do not read the count but take the lock, which orders the same.
//!
//! Why this is not a [`WaitList`](super::WaitList) is said [there](super::list).
//!
//! That alone does not do: the one woken may find the oldest event still being put in, and sleep again although a later
//! one is there. So each consumer that took an event *passes on*: behind a fence of the pair, it wakes another one when
//! there is more and nobody is on the way who was woken; see `Mailbox::pass_on`. And whoever was woken looks, or passes the
//! wake-up on when it will not.

#[cfg(test)]
mod models;

use super::{FencePair, Sleeper, park_fenced};
use crate::sync::membarrier::{heavy_fence, heavy_fence_or_wait};
use crate::sync::parking::Unparker;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock, recheck};
use std::task::Waker;
use std::time::Duration;

/// The place where several consumers of the same events sleep.
pub(crate) struct Crowd {
    pair: FencePair,
    /// How many want to be woken by an event.
    parked: AtomicUsize,
    asleep: Mutex<Asleep>,
}

struct Asleep {
    next: u64,
    /// Those who were woken and have not come back yet.
    roused: usize,
    parked: Vec<(u64, Sleeper)>,
    /// Those who sleep for a bounded time, and are woken only with all others.
    napping: Vec<(u64, Sleeper)>,
}

/// One stay in the crowd.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Crowd {
    pub(crate) fn new(pair: FencePair) -> Self {
        let asleep = Asleep { next: 0, roused: 0, parked: Vec::new(), napping: Vec::new() };
        Self { pair, parked: AtomicUsize::new(0), asleep: Mutex::new(asleep) }
    }

    /// Sees to it that so many can sleep without allocating.
    pub(crate) fn make_room(&self, consumers: usize) {
        let mut asleep = lock(&self.asleep);
        let (parked, napping) = (asleep.parked.len(), asleep.napping.len());
        asleep.parked.reserve(consumers.saturating_sub(parked));
        asleep.napping.reserve(consumers.saturating_sub(napping));
    }

    /// The pair whose light fence comes between an event that was put in, or taken, and [`has_parked`](Self::has_parked).
    #[inline]
    pub(crate) fn pair(&self) -> FencePair {
        self.pair
    }

    /// Whether somebody sleeps that wants to be woken. To be called after a light fence of the [`pair`](Self::pair).
    #[inline]
    pub(crate) fn has_parked(&self) -> bool {
        // ORD(crowd.parked): Relaxed; the fences order it against the store in `enter`.
        self.parked.load(Ordering::Relaxed) > 0
    }

    /// Wakes one that sleeps and wants to be woken: whoever fell asleep last.
    #[inline]
    pub(crate) fn wake_one(&self) {
        if self.has_parked() {
            self.wake_last(usize::MAX);
        }
    }

    /// As [`wake_one`](Self::wake_one), unless somebody was woken who has not come back yet: whoever comes back takes the
    /// lock after us, and so sees at least what we see.
    #[inline]
    pub(crate) fn wake_another(&self) {
        if self.has_parked() {
            self.wake_last(0);
        }
    }

    #[cold]
    fn wake_last(&self, most_roused: usize) {
        let last = {
            let mut asleep = lock(&self.asleep);
            if asleep.roused > most_roused {
                return;
            }
            let last = asleep.parked.pop();
            asleep.roused += usize::from(last.is_some());
            self.parked.store(asleep.parked.len(), Ordering::Relaxed);
            last
        };
        // Outside the lock: a task's waker is foreign code.
        if let Some((_, sleeper)) = last {
            sleeper.wake();
        }
    }

    /// Wakes one, rather one that naps: for a publisher that waits for room. One that is parked has been woken by the events that
    /// fill the ring, or is about to be; waking it once more costs a look.
    #[cold]
    pub(crate) fn wake_one_now(&self) {
        let one = {
            let mut asleep = lock(&self.asleep);
            let Asleep { parked, napping, .. } = &mut *asleep;
            let one = if napping.is_empty() { parked.pop() } else { Some(napping.remove(0)) };
            asleep.roused += usize::from(one.is_some());
            self.parked.store(asleep.parked.len(), Ordering::Relaxed);
            one
        };
        if let Some((_, sleeper)) = one {
            sleeper.wake();
        }
    }

    /// Wakes everybody, also those who nap: for a close, a flush, and whoever waits for room.
    #[cold]
    pub(crate) fn wake_all(&self) {
        // No fence: the lock is taken in any case. Whoever entered before is found on the list, and whoever enters behind it sees
        // what came before this call.
        // As many as there are now: whoever comes back meanwhile has looked again, and is the last of its list.
        let (napping, parked) = {
            let asleep = lock(&self.asleep);
            (asleep.napping.len(), asleep.parked.len())
        };
        for at in 0..napping + parked {
            let first = {
                let mut asleep = lock(&self.asleep);
                let list = if at < napping { &mut asleep.napping } else { &mut asleep.parked };
                let first = (!list.is_empty()).then(|| list.remove(0));
                asleep.roused += usize::from(first.is_some());
                self.parked.store(asleep.parked.len(), Ordering::Relaxed);
                first
            };
            if let Some((_, sleeper)) = first {
                sleeper.wake();
            }
        }
    }

    fn enter(&self, sleeper: Sleeper, naps: bool) -> Ticket {
        let mut asleep = lock(&self.asleep);
        let ticket = asleep.next;
        asleep.next += 1;
        if naps {
            asleep.napping.push((ticket, sleeper));
        } else {
            asleep.parked.push((ticket, sleeper));
            // ORD(crowd.parked): Relaxed; the fences order it against the load in `has_parked`.
            self.parked.store(asleep.parked.len(), Ordering::Relaxed);
        }
        Ticket(ticket)
    }

    /// Leaves. `false` when somebody has woken this one: then it has to look for an event, or to pass the wake-up on.
    pub(crate) fn leave(&self, ticket: Ticket) -> bool {
        self.left(&ticket)
    }

    fn left(&self, ticket: &Ticket) -> bool {
        let found = {
            let mut asleep = lock(&self.asleep);
            let Asleep { parked, napping, roused, .. } = &mut *asleep;
            let mine = |(other, _): &(u64, Sleeper)| *other == ticket.0;
            let found = if let Some(at) = parked.iter().position(mine) {
                Some(parked.remove(at))
            } else {
                napping.iter().position(mine).map(|at| napping.remove(at))
            };
            *roused -= usize::from(found.is_none());
            self.parked.store(asleep.parked.len(), Ordering::Relaxed);
            found
        };
        // Dropped here, outside the lock.
        found.is_some()
    }

    /// Parks the calling thread until it is woken or the limit is over, unless `ready`, asked after the thread is announced
    /// as asleep, says that there is something to do. May return for no reason. The caller looks for an event afterwards.
    pub(crate) fn park_unless(&self, limit: Option<Duration>, ready: impl FnOnce() -> bool) {
        let thread = Unparker::current();
        let _stay = Stay(self, self.enter(Sleeper::Thread(thread.clone()), false));
        // ORD(crowd.parked): heavy fence; pairs with the light one of whoever puts an event in or takes one.
        let fenced = heavy_fence(self.pair);
        if !recheck(ready) {
            park_fenced(&thread, limit, fenced);
        }
    }

    /// Parks the calling thread for a bounded time, unless `ready` says that there is something to do. Events let it nap;
    /// [`wake_all`](Self::wake_all) ends it.
    pub(crate) fn nap_unless(&self, limit: Duration, ready: impl FnOnce() -> bool) {
        let thread = Unparker::current();
        // No fence: nobody wakes those who nap but under the lock that `enter` has taken. See `wake_all`.
        let _stay = Stay(self, self.enter(Sleeper::Thread(thread.clone()), true));
        if !recheck(ready) {
            thread.park(Some(limit));
        }
    }

    /// Announces a task as asleep. Look for events afterwards; when there are some, [`leave`](Self::leave) at once.
    pub(crate) fn register(&self, task: &Waker) -> Ticket {
        // User code: before the lock.
        let task = Sleeper::task(task);
        let ticket = self.enter(task, false);
        // ORD(crowd.parked): heavy fence, as in `park_unless`. A task cannot be parked with a limit, so it must not fail.
        heavy_fence_or_wait(self.pair);
        ticket
    }
}

/// The stay of one thread in the crowd. Ends also when `ready` unwinds.
struct Stay<'a>(&'a Crowd, Ticket);

impl Drop for Stay<'_> {
    fn drop(&mut self) {
        self.0.left(&self.1);
    }
}
