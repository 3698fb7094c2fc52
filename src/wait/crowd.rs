//! The list on which several consumers that share events park: an event wakes one of them.
//!
//! A cold list with a count, and the handshake of the wait cell. The publisher puts an event in,
//! fences and reads the count. A consumer enters the list, fences, and checks for events again
//! before it parks. A waker takes the woken consumer off the list, so two events wake two. A thread
//! that wakes all consumers takes the lock instead of reading the count, which orders the same.
//!
//! [`list`](super::list) explains why this is not a [`WaitList`](super::WaitList).
//!
//! The handshake is not sufficient: the woken consumer may find the oldest event claimed but not
//! yet written, and park again although a later one is there. So each consumer that took an event
//! *passes on*: after a fence of the pair, it wakes another one if there are more events and no
//! woken consumer is still on its way; see `Mailbox::pass_on`. And a woken consumer polls, or
//! passes the wake-up on when it will not.

#[cfg(test)]
mod models;

use super::{FencePair, Sleeper, park_fenced};
use crate::sync::membarrier::{heavy_fence, heavy_fence_or_wait};
use crate::sync::parking::Unparker;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock, recheck};
use std::task::Waker;
use std::time::Duration;

/// The list on which several consumers that share events park.
pub(crate) struct Crowd {
    pair: FencePair,
    /// The number of parked consumers, which an event wakes.
    parked: AtomicUsize,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    next: u64,
    /// The number of consumers that were woken and have not left yet.
    roused: usize,
    parked: Vec<(u64, Sleeper)>,
    /// Consumers that sleep for a bounded time, and are woken only with all others.
    napping: Vec<(u64, Sleeper)>,
}

/// One stay in the crowd.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Crowd {
    pub(crate) fn new(pair: FencePair) -> Self {
        let waiting = Waiting { next: 0, roused: 0, parked: Vec::new(), napping: Vec::new() };
        Self { pair, parked: AtomicUsize::new(0), waiting: Mutex::new(waiting) }
    }

    /// Reserves room for `consumers` sleepers, so that parking does not allocate.
    pub(crate) fn make_room(&self, consumers: usize) {
        let mut waiting = lock(&self.waiting);
        let (parked, napping) = (waiting.parked.len(), waiting.napping.len());
        waiting.parked.reserve(consumers.saturating_sub(parked));
        waiting.napping.reserve(consumers.saturating_sub(napping));
    }

    /// Returns the pair of fences. Its light fence belongs between putting an event in, or taking
    /// one, and [`has_parked`](Self::has_parked).
    #[inline]
    pub(crate) fn pair(&self) -> FencePair {
        self.pair
    }

    /// Returns whether a consumer is parked. Call it after a light fence of the
    /// [`pair`](Self::pair).
    #[inline]
    pub(crate) fn has_parked(&self) -> bool {
        // ORD(crowd.parked): Relaxed; the fences order it against the store in `enter`.
        self.parked.load(Ordering::Relaxed) > 0
    }

    /// Wakes the consumer that parked last.
    #[inline]
    pub(crate) fn wake_one(&self) {
        if self.has_parked() {
            self.wake_last(usize::MAX);
        }
    }

    /// Wakes a consumer as [`wake_one`](Self::wake_one) does, unless a woken consumer has not left
    /// yet.
    ///
    /// That consumer takes the lock after this call, and so sees at least what the caller sees.
    #[inline]
    pub(crate) fn wake_another(&self) {
        if self.has_parked() {
            self.wake_last(0);
        }
    }

    #[cold]
    fn wake_last(&self, most_roused: usize) {
        let last = {
            let mut waiting = lock(&self.waiting);
            if waiting.roused > most_roused {
                return;
            }
            let last = waiting.parked.pop();
            waiting.roused += usize::from(last.is_some());
            self.parked.store(waiting.parked.len(), Ordering::Relaxed);
            last
        };
        // Outside the lock: a task's waker is user code.
        if let Some((_, sleeper)) = last {
            sleeper.wake();
        }
    }

    /// Wakes one consumer, preferably a napping one, for a publisher that waits for room.
    ///
    /// The events that fill the ring have woken a parked consumer, or are about to. Waking it again
    /// costs one poll.
    #[cold]
    pub(crate) fn wake_one_now(&self) {
        let one = {
            let mut waiting = lock(&self.waiting);
            let Waiting { parked, napping, .. } = &mut *waiting;
            let one = if napping.is_empty() { parked.pop() } else { Some(napping.remove(0)) };
            waiting.roused += usize::from(one.is_some());
            self.parked.store(waiting.parked.len(), Ordering::Relaxed);
            one
        };
        if let Some((_, sleeper)) = one {
            sleeper.wake();
        }
    }

    /// Wakes every consumer, also the napping ones, for a close, a flush or a caller that waits for
    /// all.
    #[cold]
    pub(crate) fn wake_all(&self) {
        // No fence, since the lock is taken in any case. A consumer that entered before is on the
        // list, and one that enters after it sees what precedes this call. The loop wakes as many
        // as are there now: a consumer that returns meanwhile has checked again, and is the last of
        // its list.
        let (napping, parked) = {
            let waiting = lock(&self.waiting);
            (waiting.napping.len(), waiting.parked.len())
        };
        for at in 0..napping + parked {
            let first = {
                let mut waiting = lock(&self.waiting);
                let list = if at < napping { &mut waiting.napping } else { &mut waiting.parked };
                let first = (!list.is_empty()).then(|| list.remove(0));
                waiting.roused += usize::from(first.is_some());
                self.parked.store(waiting.parked.len(), Ordering::Relaxed);
                first
            };
            if let Some((_, sleeper)) = first {
                sleeper.wake();
            }
        }
    }

    fn enter(&self, sleeper: Sleeper, naps: bool) -> Ticket {
        let mut waiting = lock(&self.waiting);
        let ticket = waiting.next;
        waiting.next += 1;
        if naps {
            waiting.napping.push((ticket, sleeper));
        } else {
            waiting.parked.push((ticket, sleeper));
            // ORD(crowd.parked): Relaxed; the fences order it against the load in `has_parked`.
            self.parked.store(waiting.parked.len(), Ordering::Relaxed);
        }
        Ticket(ticket)
    }

    /// Leaves the crowd. Returns `false` when this consumer was woken: it must then poll for an
    /// event, or pass the wake-up on.
    pub(crate) fn leave(&self, ticket: Ticket) -> bool {
        self.left(&ticket)
    }

    fn left(&self, ticket: &Ticket) -> bool {
        let found = {
            let mut waiting = lock(&self.waiting);
            let Waiting { parked, napping, roused, .. } = &mut *waiting;
            let mine = |(other, _): &(u64, Sleeper)| *other == ticket.0;
            let found = if let Some(at) = parked.iter().position(mine) {
                Some(parked.remove(at))
            } else {
                napping.iter().position(mine).map(|at| napping.remove(at))
            };
            *roused -= usize::from(found.is_none());
            self.parked.store(waiting.parked.len(), Ordering::Relaxed);
            found
        };
        // Dropped here, outside the lock.
        found.is_some()
    }

    /// Parks the calling thread until it is woken or the limit has passed, unless `ready` returns
    /// `true`.
    ///
    /// `ready` is called after the thread is announced as parked, and reports whether there is
    /// work. The park may end spuriously. The caller polls for an event afterwards.
    pub(crate) fn park_unless(&self, limit: Option<Duration>, ready: impl FnOnce() -> bool) {
        let thread = Unparker::current();
        let _stay = Stay(self, self.enter(Sleeper::Thread(thread.clone()), false));
        // ORD(crowd.parked): heavy fence; pairs with the light one of a thread that puts an event
        // in or takes one.
        let fenced = heavy_fence(self.pair);
        if !recheck(ready) {
            park_fenced(&thread, limit, fenced);
        }
    }

    /// Parks the calling thread for a bounded time, unless `ready` reports work. Events do not end
    /// the nap; [`wake_all`](Self::wake_all) does.
    pub(crate) fn nap_unless(&self, limit: Duration, ready: impl FnOnce() -> bool) {
        let thread = Unparker::current();
        // No fence: napping consumers are woken only under the lock that `enter` has taken. See
        // `wake_all`.
        let _stay = Stay(self, self.enter(Sleeper::Thread(thread.clone()), true));
        if !recheck(ready) {
            thread.park(Some(limit));
        }
    }

    /// Announces a task as parked. The caller checks for events afterwards, and
    /// [leaves](Self::leave) at once if there are some.
    pub(crate) fn register(&self, task: &Waker) -> Ticket {
        // User code, so before the lock.
        let task = Sleeper::task(task);
        let ticket = self.enter(task, false);
        // ORD(crowd.parked): heavy fence, as in `park_unless`. It must not fail, since a task
        // cannot park with a limit.
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
