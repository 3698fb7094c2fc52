//! Backpressure of gating subscribers on publishers, checked only at the beginning of a block.
//!
//! A publisher may enter a block when every gating subscriber has read the events in it. A new
//! gating subscriber:
//! 1. adds its gate, at the oldest kept position;
//! 2. executes a heavy fence;
//! 3. loads the tail, and with it chooses where it begins.
//!
//! A publisher executes a light fence between storing the position at which it enters a block and
//! loading the gates. So either the publisher sees the gate, or the subscriber begins at a position
//! that the publisher does not overwrite.
//!
//! # How many are woken
//! A waiting publisher needs one slot. A gate that opens makes room for one block, which may be one
//! slot. So a subscriber that advances wakes the publisher that has waited longest, and only if
//! there is room. A publisher that got a slot wakes the next publisher if there is more room: see
//! [`WaitList`].
//!
//! - L1: there is room if the tail is inside a block, or if no gate blocks the block that begins
//!   there. Only a gate that advances or is removed makes room; an advance of the tail uses it.
//! - L2: a subscriber stores its position, fences, and then loads the tail and all gates. If two
//!   subscribers both blocked a block and both advance, the last one to fence sees both positions.
//!   So that subscriber wakes a publisher, or no publisher is on the list. A publisher that enters
//!   the list later sees both positions itself.
//! - L3: a publisher on the list makes its whole attempt there: it claims, and writes its event at
//!   the claimed position. A failed attempt has seen that there is no room, so the wake-up is used
//!   up. After a successful attempt the publisher checks for more room (A2 of the list), and sees
//!   at least what the thread that woke it saw.
//! - L4: a subscriber reports each position once. Otherwise a subscriber that polls an empty
//!   journal would wake one more publisher with each poll, before the first of them runs.

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

/// The preallocated waiter of a publisher that must not allocate when it waits. Another thread can
/// cancel its wait.
pub(super) struct GateWaiter {
    waiter: Waiter,
    /// The publisher's bus has removed the journal, or is closed.
    cancelled: AtomicBool,
}

impl GateWaiter {
    pub(super) fn new() -> Self {
        Self { waiter: Waiter::wanting(Want::SHARED_ROOM), cancelled: AtomicBool::new(false) }
    }

    /// Cancels the publisher's waits. The caller calls [`Gates::wake_cancelled`] next.
    pub(super) fn cancel(&self) {
        // Relaxed: the fences of the list order this store before the check for waiting threads.
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Returns the waiter, for the task of the same publisher.
    pub(super) fn waiter(&self) -> Waiter {
        self.waiter.clone()
    }
}

/// The gating subscribers, and the publishers that wait for them.
pub(super) struct Gates {
    count: AtomicUsize,
    list: Swap<Vec<Arc<Seat>>>,
    /// Held while the list is changed.
    changing: Mutex<()>,
    blocked: WaitList,
    /// The limit of a publisher's wait.
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

    /// Removes a gate. The caller calls [`moved`](Self::moved) next.
    pub(super) fn remove(&self, seat: &Arc<Seat>) {
        self.change(|list| list.retain(|other| !Arc::ptr_eq(other, seat)));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Seat>>)) {
        let _changing = lock(&self.changing);
        let mut list = self.list.load().to_vec();
        change(&mut list);
        let count = list.len();
        let old = self.list.swap(list);
        // ORD(gate.count): Release; pairs with the Acquire in `bar`, which then sees the list.
        self.count.store(count, Ordering::Release);
        drop(old);
    }

    /// Returns `true` if a gate blocks the block that begins at `position`, in a journal of this
    /// capacity.
    #[inline]
    pub(super) fn bar(&self, position: u64, capacity: u64) -> bool {
        // ORD(gate.count): light fence; pairs with the heavy fence of a new subscriber in
        // `Subscription::subscribe`.
        light_fence(self.pair);
        // ORD(gate.count): Acquire; pairs with the Release in `change`.
        self.count.load(Ordering::Acquire) > 0 && self.bar_slowly(position, capacity)
    }

    #[cold]
    pub(super) fn bar_slowly(&self, position: u64, capacity: u64) -> bool {
        self.list.load().iter().any(|seat| seat.position() + capacity < position)
    }

    /// Returns the deadline of a publisher that begins to wait now.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.limit).min(WaitLimit::deadline())
    }

    /// Waits among the publishers that need room until `attempt` succeeds. Returns `None` after the
    /// deadline. `more` returns whether there is room for the next publisher. A wait without a
    /// [`GateWaiter`] allocates.
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
                self.hurry();
            }
            outcome
        };
        self.blocked.wait_for(waiter, deadline, attempt, more)
    }

    /// Returns the list on which publishers wait for room.
    pub(super) fn blocked(&self) -> &WaitList {
        &self.blocked
    }

    /// Wakes the gating subscribers. A napping one does not notice that a publisher waits for it.
    #[cold]
    pub(super) fn hurry(&self) {
        self.list.load().iter().for_each(|seat| seat.cell.wake_now());
    }

    /// Wakes the publisher that has waited longest, if `has_room`. Called after a gating subscriber
    /// advanced or its gate was removed.
    #[inline]
    pub(super) fn moved(&self, has_room: impl FnOnce() -> bool) {
        if self.blocked.is_waited_at() {
            self.moved_beside_waiters(has_room);
        }
    }

    #[cold]
    fn moved_beside_waiters(&self, has_room: impl FnOnce() -> bool) {
        // ORD(seat.position): full fence; pairs with itself: of two subscribers that advance, one
        // sees the positions of both (L2).
        fence(Ordering::SeqCst);
        if has_room() {
            self.blocked.notify_one(Want::SHARED_ROOM);
        }
    }

    /// Wakes the publisher of a cancelled [`GateWaiter`], if it waits.
    pub(super) fn wake_cancelled(&self, waiter: &GateWaiter) {
        self.blocked.notify_waiter(&waiter.waiter);
    }

    /// Wakes all waiting publishers after the journal was closed.
    pub(super) fn closed(&self) {
        self.blocked.notify();
    }
}
