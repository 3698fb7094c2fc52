//! Publishers that wait for subscribers: those who asked for it, and at the beginning of a block only.
//!
//! A block may be entered when every gating subscriber is past the events that lie in it. A subscriber first takes its place
//! among the gates, as if it wanted everything that is kept; then it fences, and then looks where the journal ends and so where
//! it begins. A publisher fences between showing the position at which it enters a block, and looking at the gates. So either the
//! publisher sees the gate, or the subscriber begins at a place that the publisher leaves whole.

use super::seat::Seat;
use crate::sync::membarrier::{FencePair, light_fence};
use crate::sync::swap::Swap;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, lock};
use crate::wait::allowance::Allowance;
use crate::wait::list::Waiter;
use crate::wait::{Deadline, WaitList};
use std::sync::Arc;
use std::time::Duration;

/// What a publisher brings along that must not allocate when it waits, and by which its wait is ended from outside.
pub(super) struct Place {
    waiter: Waiter,
    /// Its bus has let go of the journal, or is closed.
    ended: AtomicBool,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { waiter: Waiter::new(), ended: AtomicBool::new(false) }
    }

    /// The publisher waits no more. To be followed by [`Gates::moved`].
    pub(super) fn end(&self) {
        // Relaxed: the fences of the list order it before the look at who waits.
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// The gating subscribers, and the publishers that wait for them.
pub(super) struct Gates {
    count: AtomicUsize,
    list: Swap<Vec<Arc<Seat>>>,
    /// Held by those who change the list.
    changing: Mutex<()>,
    blocked: WaitList,
    /// How long a publisher waits.
    limit: Duration,
    pair: FencePair,
}

impl Gates {
    pub(super) fn new(limit: Duration, pair: FencePair) -> Self {
        Self {
            count: AtomicUsize::new(0),
            list: Swap::new(Vec::new()),
            changing: Mutex::new(()),
            blocked: WaitList::new(pair),
            limit,
            pair,
        }
    }

    pub(super) fn add(&self, seat: &Arc<Seat>) {
        self.change(|list| list.push(seat.clone()));
    }

    pub(super) fn remove(&self, seat: &Arc<Seat>) {
        self.change(|list| list.retain(|other| !Arc::ptr_eq(other, seat)));
        self.blocked.notify();
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Seat>>)) {
        let _changing = lock(&self.changing);
        let mut list = self.list.load().to_vec();
        change(&mut list);
        let count = list.len();
        let old = self.list.swap(list);
        // ORD(gate.count): Release; pairs with the Acquire in `bar`: the list is there.
        self.count.store(count, Ordering::Release);
        drop(old);
    }

    /// Whether a subscriber bars the way into the block that begins at `position`, in a journal of this capacity.
    #[inline]
    pub(super) fn bar(&self, position: u64, capacity: u64) -> bool {
        // ORD(gate.count): light fence; pairs with the heavy one of a subscriber that begins, in `Subscription::subscribe`.
        light_fence(self.pair);
        // ORD(gate.count): Acquire; pairs with the Release in `change`.
        self.count.load(Ordering::Acquire) > 0 && self.bar_slowly(position, capacity)
    }

    #[cold]
    fn bar_slowly(&self, position: u64, capacity: u64) -> bool {
        self.list.load().iter().any(|seat| seat.position() + capacity < position)
    }

    /// When a publisher that begins to wait now gives up.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.limit).min(Allowance::deadline())
    }

    /// Waits until no subscriber bars the way, `over` says that there is no way any more, or the place was ended; `false` when it
    /// took too long. A publisher without a place allocates.
    #[cold]
    pub(super) fn wait(
        &self,
        place: Option<&Place>,
        deadline: Deadline,
        (position, capacity): (u64, u64),
        over: impl Fn() -> bool,
    ) -> bool {
        // Those who nap do not know that somebody waits for them.
        self.list.load().iter().for_each(|seat| seat.cell.wake_now());
        let ended = || place.is_some_and(Place::is_ended);
        let passable = || (!self.bar_slowly(position, capacity) || over() || ended()).then_some(());
        match place {
            Some(place) => self.blocked.wait_as(&place.waiter, deadline, passable).is_some(),
            None => self.blocked.wait_until(deadline, passable).is_some(),
        }
    }

    /// Tells publishers that wait that a gating subscriber has gone on, that the journal is closed, or that a place was ended.
    #[inline]
    pub(super) fn moved(&self) {
        self.blocked.notify();
    }
}
