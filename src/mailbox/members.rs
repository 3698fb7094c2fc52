//! The consumers of a mailbox when there are several: their counters, and the events that they are
//! handling.
//!
//! All events are in the shared lane, and each goes to the member that claims it first. Members
//! finish events in any order, so the number of handled events does not tell which ones were
//! handled. A member has a *mark* instead. Before it claims an event it stores the lowest position
//! that it may get; when it knows the position, that position; and when it has finished, none.
//!
//! # Why a flush may believe the marks
//! A flush waits until the ring's claims have reached its target, and then until no mark is below
//! the target. A claim is a read-modify-write of the ring's head with Release. A flush that loads,
//! with Acquire, a head at or above the target therefore happens after each claim below the target.
//! It sees the mark stored before that claim, or a later mark of the same member. The mark is at
//! most the claimed position, so it is below the target, and the flush waits. A later mark at or
//! above the target, or none, was stored with Release after the event was handled, so what the
//! handler did is visible. A mark may be too low only between the announcement and the claim; then
//! the flush waits slightly too long.
//!
//! The unbounded lane has no positions. There, members count the claims, each after its pop, and
//! the mark is the count at the announcement. That is at most the number of earlier pops, and so at
//! most the position of the event in the lane.

#[cfg(test)]
mod models;

use super::activity::Work;
use super::counters::ConsumerCounters;
use crate::stats::Ledger;
use crate::sync::{AtomicU64, CachePadded, Mutex, Ordering, lock};
use std::sync::Arc;

/// The counters of one member, and the mark of the event that it is handling.
pub(crate) struct MemberState {
    pub(super) counters: ConsumerCounters,
    /// One more than the lowest position that this member may be handling, or 0 if it handles none.
    mark: CachePadded<AtomicU64>,
}

impl MemberState {
    pub(crate) fn set_mark(&self, position: u64) {
        // ORD(member.mark): Release; pairs with the Acquire in `mark`: what the handler did with
        // earlier events is visible to a flush.
        self.mark.store(position + 1, Ordering::Release);
    }

    pub(crate) fn clear_mark(&self) {
        // ORD(member.mark): Release; pairs with the Acquire in `mark`: what the handler did is
        // visible to a flush.
        self.mark.store(0, Ordering::Release);
    }

    fn mark(&self) -> u64 {
        // ORD(member.mark): Acquire; pairs with the Release in `set_mark` and `clear_mark`.
        self.mark.load(Ordering::Acquire)
    }
}

/// The members of a mailbox.
#[derive(Default)]
pub(crate) struct Members {
    list: Mutex<MemberList>,
    /// The number of events taken from a shared lane without positions.
    claimed: AtomicU64,
}

#[derive(Default)]
struct MemberList {
    present: Vec<Arc<MemberState>>,
    /// The sum of the counters of members that have left.
    folded: Ledger,
    folded_passed: u64,
    folded_sight: Sight,
    folded_work: Work,
}

/// The members' observations of the backlog.
#[derive(Clone, Copy, Default)]
pub(super) struct Sight {
    pub(super) high_water: u64,
    pub(super) emptied: u64,
}

impl Sight {
    fn take_in(&mut self, counters: &ConsumerCounters) {
        self.high_water = self.high_water.max(counters.high_water());
        self.emptied += counters.emptied();
    }
}

impl Members {
    /// Adds a member. Returns it and the number of members.
    pub(crate) fn join(&self) -> (Arc<MemberState>, usize) {
        let member =
            Arc::new(MemberState { counters: ConsumerCounters::default(), mark: CachePadded::default() });
        let mut list = lock(&self.list);
        list.present.push(member.clone());
        (member, list.present.len())
    }

    /// Removes a member unless it is the last one. Returns whether it was removed.
    pub(super) fn leave_unless_last(&self, member: &Arc<MemberState>) -> bool {
        let mut list = lock(&self.list);
        let leaves = list.present.len() > 1;
        if leaves {
            list.present.retain(|other| !Arc::ptr_eq(other, member));
            list.folded_passed += member.counters.add_to(&mut list.folded);
            list.folded_sight.take_in(&member.counters);
            member.counters.add_work(&mut list.folded_work, false);
        }
        leaves
    }

    /// Counts an event taken from a lane without positions, after its pop.
    pub(crate) fn claim(&self) {
        // ORD(members.claimed): Release; pairs with `claimed`: a flush sees the mark of the member
        // that took the event. It also sees the marks of earlier claims, since a read-modify-write
        // continues the release sequence of those before it.
        self.claimed.fetch_add(1, Ordering::Release);
    }

    /// Returns the number of events taken from a lane without positions.
    pub(crate) fn claimed(&self) -> u64 {
        // ORD(members.claimed): Acquire; pairs with the Release in `claim`.
        self.claimed.load(Ordering::Acquire)
    }

    /// Returns whether every event below `target` was handled or evicted. `claimed` returns the
    /// position up to which members have claimed events.
    pub(crate) fn have_reached(&self, target: u64, claimed: impl Fn() -> u64) -> bool {
        // In this order: see the module's documentation.
        claimed() >= target
            && lock(&self.list).present.iter().all(|member| {
                let mark = member.mark();
                mark == 0 || mark > target
            })
    }

    pub(super) fn in_hand(&self) -> u64 {
        lock(&self.list).present.iter().filter(|member| member.mark() > 0).count() as u64
    }

    /// Adds the work of all members, also of those that have left.
    pub(super) fn add_work(&self, work: &mut Work, is_pending: bool) {
        let list = lock(&self.list);
        work.batches += list.folded_work.batches;
        work.largest_batch = work.largest_batch.max(list.folded_work.largest_batch);
        work.batch_time += list.folded_work.batch_time;
        for member in &list.present {
            member.counters.add_work(work, is_pending);
        }
    }

    pub(super) fn aborted(&self) -> u64 {
        let list = lock(&self.list);
        let present = list.present.iter().map(|member| member.counters.aborted()).sum::<u64>();
        list.folded.dropped.aborted + present
    }

    /// Adds the counters to a ledger. Also returns how many of the events that it added as delivered
    /// were passed on.
    pub(super) fn add_to(&self, ledger: &mut Ledger) -> (Sight, u64) {
        let list = lock(&self.list);
        *ledger += list.folded;
        let (mut sight, mut passed) = (list.folded_sight, list.folded_passed);
        for member in &list.present {
            passed += member.counters.add_to(ledger);
            sight.take_in(&member.counters);
        }
        (sight, passed)
    }
}
