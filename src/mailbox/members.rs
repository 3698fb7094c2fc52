//! The consumers of a mailbox when there are several: what each of them counts, and which events they have in hand.
//!
//! All events are in the shared lane, and each goes to whichever member claims it first. Events are finished in any order,
//! so how many were handled does not say which. A member has a *mark* instead: before it claims an event it stores the
//! lowest position that it may get, then, when it knows it, the very position, and when it is done, none.
//!
//! # Why a flush may believe the marks
//! A flush waits until the ring's claims have reached its target, and then until no mark lies below the target. A claim is a
//! read-modify-write of the ring's head with Release; so whoever reads, with Acquire, a head at the target or beyond has
//! each claim below the target behind it, and sees the mark that was stored before that claim, or a later one of the same
//! member. The mark is at most the position claimed, so it lies below the target, and the flush waits. A later mark at or
//! above the target, or none, was stored with Release when the event had been handled: what the handler did is visible.
//! A mark may be too low only between the announcement and the claim; then the flush waits a moment too long.
//!
//! The unbounded lane has no positions. There the claims are counted, each after its pop, and the mark is the count at the
//! announcement: at most the number of pops before this one, and so at most the event's place in the queue.

#[cfg(test)]
mod models;

use super::counters::ConsumerCounters;
use crate::stats::Ledger;
use crate::sync::{AtomicU64, CachePadded, Mutex, Ordering, lock};
use std::sync::Arc;

/// What one member counts, and which event it has in hand.
pub(crate) struct MemberState {
    pub(super) counters: ConsumerCounters,
    /// One more than the lowest position that may be in this member's hands; 0 when nothing is.
    mark: CachePadded<AtomicU64>,
}

impl MemberState {
    pub(crate) fn set_mark(&self, position: u64) {
        // ORD(member.mark): Release; pairs with the Acquire in `mark`: what was done before is visible to a flush.
        self.mark.store(position + 1, Ordering::Release);
    }

    pub(crate) fn clear_mark(&self) {
        // ORD(member.mark): Release; pairs with the Acquire in `mark`: what the handler did is visible to a flush.
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
    /// How many events were taken from a shared lane without positions.
    claimed: AtomicU64,
}

#[derive(Default)]
struct MemberList {
    present: Vec<Arc<MemberState>>,
    /// The sum of the counters of members that are gone.
    folded: Ledger,
    folded_passed: u64,
    folded_sight: Sight,
}

/// What members saw of the backlog.
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
    /// Adds a member; also returns how many there are now.
    pub(crate) fn join(&self) -> (Arc<MemberState>, usize) {
        let member =
            Arc::new(MemberState { counters: ConsumerCounters::default(), mark: CachePadded::default() });
        let mut list = lock(&self.list);
        list.present.push(member.clone());
        (member, list.present.len())
    }

    /// Removes a member unless it is the last one; whether it was removed.
    pub(super) fn leave_unless_last(&self, member: &Arc<MemberState>) -> bool {
        let mut list = lock(&self.list);
        let leaves = list.present.len() > 1;
        if leaves {
            list.present.retain(|other| !Arc::ptr_eq(other, member));
            member.counters.add_to(&mut list.folded);
            list.folded_passed += member.counters.passed();
            list.folded_sight.take_in(&member.counters);
        }
        leaves
    }

    /// One more event was taken from a lane without positions, after its pop.
    pub(crate) fn claim(&self) {
        // ORD(members.claimed): Release; pairs with `claimed`: a flush sees who announced that it would take one. Also those whose
        // claims came before, since an addition keeps what the ones before it have published.
        self.claimed.fetch_add(1, Ordering::Release);
    }

    /// How many events were taken from a lane without positions.
    pub(crate) fn claimed(&self) -> u64 {
        // ORD(members.claimed): Acquire; pairs with the Release in `claim`.
        self.claimed.load(Ordering::Acquire)
    }

    /// Whether everything below `target` was handled or evicted; `claimed` says how far claims have come.
    pub(crate) fn are_past(&self, target: u64, claimed: impl Fn() -> u64) -> bool {
        // In this order: see above.
        claimed() >= target
            && lock(&self.list).present.iter().all(|member| {
                let mark = member.mark();
                mark == 0 || mark > target
            })
    }

    pub(super) fn in_hand(&self) -> u64 {
        lock(&self.list).present.iter().filter(|member| member.mark() > 0).count() as u64
    }

    pub(super) fn aborted(&self) -> u64 {
        let list = lock(&self.list);
        let present = list.present.iter().map(|member| member.counters.aborted()).sum::<u64>();
        list.folded.dropped.aborted + present
    }

    /// Events that handlers passed on to a sink that decides later.
    pub(super) fn passed(&self) -> u64 {
        let list = lock(&self.list);
        list.folded_passed + list.present.iter().map(|member| member.counters.passed()).sum::<u64>()
    }

    pub(super) fn add_to(&self, ledger: &mut Ledger) -> Sight {
        let list = lock(&self.list);
        *ledger += list.folded;
        let mut sight = list.folded_sight;
        for member in &list.present {
            member.counters.add_to(ledger);
            sight.take_in(&member.counters);
        }
        sight
    }
}
