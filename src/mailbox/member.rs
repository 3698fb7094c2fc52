//! One of several consumers of a mailbox, and the books that each of them keeps.
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

use super::handled::{Consume, Handled};
use super::intake::give_up;
use super::state::ConsumerCounters;
use super::{End, Find, Mailbox, SharedLane};
use crate::stats::Ledger;
use crate::sync::{Arc, AtomicU64, CachePadded, Mutex, Ordering, lock, no_recheck, spin_hint, thread};
use crate::wait::crowd::Ticket;
use crate::wait::list::Want;
use crate::wait::strategy::{Idler, Step};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The most events taken before the worker looks at what else it has to do.
const VISIT: usize = 16;

/// The books of one member.
pub(crate) struct Seat {
    counters: ConsumerCounters,
    /// One more than the lowest position that may be in this member's hands; 0 when nothing is.
    mark: CachePadded<AtomicU64>,
}

impl Seat {
    pub(crate) fn set_mark(&self, position: u64) {
        // ORD(seat.mark): Release; pairs with the Acquire in `mark`: what was done before is visible to a flush.
        self.mark.store(position + 1, Ordering::Release);
    }

    pub(crate) fn clear_mark(&self) {
        // ORD(seat.mark): Release; pairs with the Acquire in `mark`: what the handler did is visible to a flush.
        self.mark.store(0, Ordering::Release);
    }

    fn mark(&self) -> u64 {
        // ORD(seat.mark): Acquire; pairs with the Release in `set_mark` and `clear_mark`.
        self.mark.load(Ordering::Acquire)
    }
}

/// The members of a mailbox.
#[derive(Default)]
pub(crate) struct Seats(Mutex<Seating>);

#[derive(Default)]
struct Seating {
    taken: Vec<std::sync::Arc<Seat>>,
    /// The sum of the books of members that are gone.
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

impl Seats {
    /// A seat for one more member, and how many there are now.
    pub(crate) fn join(&self) -> (std::sync::Arc<Seat>, usize) {
        let seat =
            std::sync::Arc::new(Seat { counters: ConsumerCounters::default(), mark: CachePadded::default() });
        let mut seating = lock(&self.0);
        seating.taken.push(seat.clone());
        (seat, seating.taken.len())
    }

    /// Gives a seat back unless it is the last one; whether it was given back.
    fn leave_unless_last(&self, seat: &std::sync::Arc<Seat>) -> bool {
        let mut seating = lock(&self.0);
        let leaves = seating.taken.len() > 1;
        if leaves {
            seating.taken.retain(|other| !std::sync::Arc::ptr_eq(other, seat));
            seat.counters.add_to(&mut seating.folded);
            seating.folded_passed += seat.counters.passed();
            seating.folded_sight.take_in(&seat.counters);
        }
        leaves
    }

    /// Whether everything below `target` was handled or evicted; `claimed` says how far claims have come.
    pub(crate) fn are_past(&self, target: u64, claimed: impl Fn() -> u64) -> bool {
        // In this order: see above.
        claimed() >= target
            && lock(&self.0).taken.iter().all(|seat| {
                let mark = seat.mark();
                mark == 0 || mark > target
            })
    }

    pub(super) fn in_hand(&self) -> u64 {
        lock(&self.0).taken.iter().filter(|seat| seat.mark() > 0).count() as u64
    }

    pub(super) fn aborted(&self) -> u64 {
        let seating = lock(&self.0);
        let taken = seating.taken.iter().map(|seat| seat.counters.aborted()).sum::<u64>();
        seating.folded.dropped.aborted + taken
    }

    /// Events that handlers passed on to a sink that decides later.
    pub(super) fn passed(&self) -> u64 {
        let seating = lock(&self.0);
        seating.folded_passed + seating.taken.iter().map(|seat| seat.counters.passed()).sum::<u64>()
    }

    pub(super) fn add_to(&self, ledger: &mut Ledger) -> Sight {
        let seating = lock(&self.0);
        *ledger += seating.folded;
        let mut sight = seating.folded_sight;
        for seat in &seating.taken {
            seat.counters.add_to(ledger);
            sight.take_in(&seat.counters);
        }
        sight
    }
}

impl<E: Send + 'static> Mailbox<E> {
    /// How many events of the shared lane were claimed.
    pub(super) fn claimed(&self) -> u64 {
        match &self.shared {
            SharedLane::Bounded(ring) => ring.claimed(),
            SharedLane::Unbounded(_) => self.shared_progress.handled(),
        }
    }

    /// Why the shared lane ended, once everything in it was claimed.
    fn shared_end(&self) -> Option<End> {
        let end = self.end();
        (end != End::Open && self.shared.is_used_up()).then_some(end)
    }

    /// What a member owes to those who sleep when it has taken an event, or was woken and takes none: one of them is woken
    /// when there is more, and all of them when that was the end.
    fn pass_on(&self) {
        let Some(crowd) = &self.signals.crowd else { return };
        // ORD(crowd.parked): light fence; pairs with the heavy one of a member that parks.
        // Behind the claim and before the looks: whoever looked before us and slept is seen in the count, and what was put
        // in behind a place that was still empty then is seen in the ring.
        crowd.fence();
        if crowd.has_parked() && self.shared.has_filled() {
            crowd.wake_another();
        }
        if self.shared_end().is_some() {
            crowd.wake_all();
        }
    }
}

/// One of several consumers of a mailbox.
pub(crate) struct Member<E: Send + 'static> {
    mailbox: Arc<Mailbox<E>>,
    seat: std::sync::Arc<Seat>,
    idler: Idler,
    /// The place where this member's task sleeps.
    ticket: Option<Ticket>,
}

impl<E: Send + 'static> Member<E> {
    pub(super) fn new(mailbox: Arc<Mailbox<E>>) -> Self {
        let (seat, members) = mailbox.seats.join();
        if let Some(crowd) = &mailbox.signals.crowd {
            crowd.make_room(members);
        }
        let idler = Idler::new(mailbox.wait);
        Self { mailbox, seat, idler, ticket: None }
    }

    /// One more member of the same mailbox.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.mailbox.clone())
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox<E>> {
        &self.mailbox
    }

    /// Claims the next event. The mark is set when there is one.
    fn claim(&mut self, find: Find) -> Option<E> {
        let mailbox = &*self.mailbox;
        loop {
            if !mailbox.shared.may_have(find) {
                return None;
            }
            // Announced before the claim, so that the event is never in neither place.
            self.seat.set_mark(mailbox.claimed());
            if let Some((position, event)) = mailbox.shared.pop(find) {
                match position {
                    Some(position) => self.seat.set_mark(position),
                    None => mailbox.shared_progress.claim(),
                }
                mailbox.pass_on();
                return Some(event);
            }
            self.seat.clear_mark();
            // A flush may have seen the mark.
            mailbox.signals.blocked.notify_progress();
            if find == Find::Filled {
                return None;
            }
        }
    }

    /// Hands some of what is there to `consume`; how much.
    pub(crate) fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        /// Enters an event in the books when it was handled, also when that unwinds: then it counts as delivered.
        struct InHand<'a, E>(&'a Mailbox<E>, &'a Seat, Handled);
        impl<E> Drop for InHand<'_, E> {
            fn drop(&mut self) {
                self.1.counters.note(self.2);
                self.1.clear_mark();
                self.0.signals.blocked.notify_progress();
            }
        }
        self.see_depth();
        let mut count = 0;
        while count < VISIT
            && let Some(event) = self.claim(Find::Filled)
        {
            let mailbox = &*self.mailbox;
            // The slot is free already, before the event is handled.
            mailbox.signals.blocked.notify_made(Want::SHARED_ROOM);
            let mut hand = InHand(mailbox, &self.seat, Handled::Delivered);
            hand.2 = consume.handle(mailbox, event);
            drop(hand);
            consume.batched(mailbox, 1);
            count += 1;
        }
        if count > 0 {
            self.idler.found(count);
        }
        count
    }

    fn see_depth(&self) {
        self.seat.counters.saw_depth(self.mailbox.shared.len() as u64);
    }

    /// Takes one event, which counts as delivered.
    pub(crate) fn take(&mut self, find: Find) -> Option<E> {
        // A task that slept here and was woken looks now; one that was not must not stand in for somebody who sleeps.
        if let Some(ticket) = self.ticket.take()
            && let Some(crowd) = &self.mailbox.signals.crowd
        {
            crowd.leave(ticket);
        }
        self.see_depth();
        let event = self.claim(find)?;
        self.mailbox.taken(&event);
        self.seat.counters.note(Handled::Delivered);
        self.seat.clear_mark();
        self.mailbox.signals.blocked.notify_made(Want::SHARED_ROOM);
        self.idler.found(1);
        Some(event)
    }

    /// Why the stream ended, once everything that was accepted was claimed.
    pub(crate) fn ended(&self) -> Option<End> {
        self.mailbox.shared_end()
    }

    /// Waits as the strategy says, at most for `limit`; returns also for no reason. `other` is other work to look for.
    pub(crate) fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool) {
        self.seat.counters.saw_empty();
        let mailbox = &*self.mailbox;
        let Some(crowd) = &mailbox.signals.crowd else { return };
        let ready = || mailbox.shared.has_filled() || mailbox.shared_end().is_some() || other(mailbox);
        match self.idler.step(mailbox.capacity(), Instant::now) {
            Step::Spin => spin_hint(),
            Step::Yield => thread::yield_now(),
            Step::Nap(nap) => crowd.nap_unless(limit.map_or(nap, |limit| limit.min(nap)), ready),
            Step::Park => {
                crowd.park_unless(limit, ready);
                self.idler.roused();
            }
        }
    }

    /// Announces a task that waits; `false` when there is something to read at once.
    pub(crate) fn register(&mut self, task: &Waker) -> bool {
        self.seat.counters.saw_empty();
        if let Some(crowd) = &self.mailbox.signals.crowd {
            self.ticket = Some(crowd.register(task));
        }
        no_recheck() || (!self.mailbox.shared.has_filled() && self.ended().is_none())
    }

    /// The task no longer waits. If it was woken, it will not look, and somebody else has to.
    pub(crate) fn unregister(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && let Some(crowd) = &self.mailbox.signals.crowd
            && !crowd.leave(ticket)
        {
            self.mailbox.pass_on();
        }
    }

    /// Leaves. The last member seals the mailbox and gives up everything in it; what was accepted is counted.
    pub(crate) fn abandon(&mut self) {
        self.unregister();
        if self.mailbox.seats.leave_unless_last(&self.seat) {
            return;
        }
        give_up(self);
    }
}
