//! Publishers that wait for subscribers: those who asked for it, and at the beginning of a block only.
//!
//! A block may be entered when every gating subscriber is past the events that lie in it. A subscriber first takes its place
//! among the gates, as if it wanted everything that is kept; then it fences, and then looks where the journal ends and so where
//! it begins. A publisher fences between showing the position at which it enters a block, and looking at the gates. So either the
//! publisher sees the gate, or the subscriber begins at a place that the publisher leaves whole.
//!
//! # How many are woken
//! A publisher that waits needs one slot, and a gate that opens makes room for one block, which may be one slot. So a subscriber that
//! moves wakes the publisher that has waited longest, and only if there is room. A publisher that got a slot wakes the next
//! publisher if there is more room: see [`WaitList`].
//!
//! - L1: there is room if the tail lies within a block, or if no gate bars the block that begins there. Only a gate that moves or is
//!   taken down makes room; the tail uses it.
//! - L2: a subscriber stores its position, fences, and then loads the tail and all gates. Of two subscribers that both barred the way
//!   and both move, the last one to fence sees both positions. So it wakes a publisher, or no publisher is on the list; a
//!   publisher that enters the list later sees both positions itself.
//! - L3: a publisher on the list makes its whole attempt there: it claims, and writes its event at the position that it gets. An attempt
//!   that fails has seen that there is no room, so the wake-up is used up. After an attempt that succeeds the publisher checks for
//!   more room (A2 of the list), and sees at least what the thread that woke it has seen.
//! - L4: a subscriber reports each position once. Otherwise one that polls an empty journal would wake one more publisher with each
//!   poll, before the first of them runs.

use super::seat::Seat;
use crate::sync::membarrier::{FencePair, light_fence};
use crate::sync::swap::Swap;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};
use crate::time::Deadline;
use crate::wait::WaitList;
use crate::wait::context::WaitLimit;
use crate::wait::list::{Waiter, Want};
use std::sync::Arc;
use std::time::Duration;

/// What a publisher brings along that must not allocate when it waits, and by which its wait is ended from outside.
pub(super) struct GateWaiter {
    waiter: Waiter,
    /// Its bus has let go of the journal, or is closed.
    ended: AtomicBool,
}

impl GateWaiter {
    pub(super) fn new() -> Self {
        Self { waiter: Waiter::wanting(Want::SHARED_ROOM), ended: AtomicBool::new(false) }
    }

    /// The publisher waits no more. To be followed by [`Gates::ended`].
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

    /// Takes a gate down. To be followed by [`moved`](Self::moved).
    pub(super) fn remove(&self, seat: &Arc<Seat>) {
        self.change(|list| list.retain(|other| !Arc::ptr_eq(other, seat)));
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
    pub(super) fn bar_slowly(&self, position: u64, capacity: u64) -> bool {
        self.list.load().iter().any(|seat| seat.position() + capacity < position)
    }

    /// When a publisher that begins to wait now gives up.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.limit).min(WaitLimit::deadline())
    }

    /// Waits until `attempt` succeeds, among the publishers that wait for room; `None` when the deadline is over. `more` returns
    /// whether there is room for the next one. A publisher without a [`GateWaiter`] allocates.
    #[cold]
    pub(super) fn wait<R>(
        &self,
        waiter: Option<&GateWaiter>,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Option<R>,
        more: impl Fn() -> bool,
    ) -> Option<R> {
        let own;
        let waiter = match waiter {
            Some(waiter) => &waiter.waiter,
            None => {
                own = Waiter::wanting(Want::SHARED_ROOM);
                &own
            }
        };
        let attempt = || {
            let outcome = attempt();
            if outcome.is_none() {
                // A subscriber that naps does not know that a publisher waits for it.
                self.list.load().iter().for_each(|seat| seat.cell.wake_now());
            }
            outcome
        };
        self.blocked.wait_for(waiter, deadline, attempt, more)
    }

    /// A gating subscriber has moved, or has gone: wakes the publisher that has waited longest, if `has_room`.
    #[inline]
    pub(super) fn moved(&self, has_room: impl FnOnce() -> bool) {
        if self.blocked.is_waited_at() {
            self.moved_beside_waiters(has_room);
        }
    }

    #[cold]
    fn moved_beside_waiters(&self, has_room: impl FnOnce() -> bool) {
        // ORD(seat.position): full fence; pairs with itself: of two subscribers that move, one sees the positions of both (L2).
        fence(Ordering::SeqCst);
        if has_room() {
            self.blocked.notify_one(Want::SHARED_ROOM);
        }
    }

    /// Wakes the publisher of a [`GateWaiter`] that was ended, if it waits.
    pub(super) fn ended(&self, waiter: &GateWaiter) {
        self.blocked.notify_waiter(&waiter.waiter);
    }

    /// The journal is closed: no publisher waits any more.
    pub(super) fn closed(&self) {
        self.blocked.notify();
    }
}
