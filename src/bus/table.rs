//! What one publisher knows: its lanes, and the sinks that it calls.
//!
//! The control plane hands over *changes*, one for each sink that came or went, and a larger table to hold them where the old one has
//! no room. The publisher applies them (the cold path, once per change of the list), and gives everything back that it has no use
//! for any more. It neither allocates nor frees.
//!
//! # Invariants
//! - T1: a change that the control plane has handed over and not got back is counted by kind, and the newest table that it handed over
//!   has room for that many entries of each. An entry keeps the change that brought it; so a table never lacks room.
//! - T2: entries stand in the order of their ids. Changes that bring one come in that order.

use super::entry::{Info, Shared};
use crate::mailbox::lane::{FastLane, PrivateLane};
use crate::panics::{dispose, dispose_each};
use crate::sink::lane::{Gate, Lane, LaneClaims, LaneKind, LaneSealer};
use crate::stats::EntryCounters;
use crate::sync::guarded::Guarded;
use crate::sync::handoff::{Chain, Lease, Parcel};
use crate::sync::membarrier::{FencePair, light_fence, process_pair};
use crate::sync::{self, Mutex, lock};
use crate::wait::nesting::Nesting;
use std::ops::Deref;
use std::sync::Arc;

/// The half of an attachment that publishers keep.
pub(super) type Guard<E> = sync::Arc<Guarded<Shared<E>>>;

/// Which of a table's parts an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fast,
    Slow,
    Direct,
}

/// How many entries of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room([usize; 3]);

impl Room {
    pub(super) fn of(&mut self, kind: Kind) -> &mut usize {
        &mut self.0[kind as usize]
    }

    /// Whether what `used` counts fits.
    pub(super) fn holds(&self, used: &Self) -> bool {
        self.0.iter().zip(used.0).all(|(room, used)| *room >= used)
    }

    /// Whether it is several times what `used` counts.
    pub(super) fn is_wide_for(&self, used: &Self) -> bool {
        self.0.iter().sum::<usize>() > 4 * used.0.iter().sum::<usize>() + 16
    }

    /// Room for what `self` counts, and for as much again.
    pub(super) fn doubled(&self) -> Self {
        Self(self.0.map(|used| 2 * used))
    }
}

/// How one publisher reaches one sink: by a lane, or by calling it. What a publisher has of it is a copy, so that the publisher never
/// frees anything.
pub(super) struct Way<E: Send + 'static> {
    _entry: EntryOnDrop,
    /// The lane, if there is one, for the publisher to take.
    lease: Lease<Option<Lane<E>>>,
    _exit: ExitOnDrop,
    pub(super) kind: Kind,
    /// Whether a push into the lane may wait for room: asked once, since it is user code.
    may_wait: bool,
    /// What the control plane does with the lane from outside, until the sink is gone.
    outside: Mutex<Outside<E>>,
    guard: Option<Guard<E>>,
    counters: Option<Arc<EntryCounters>>,
}

/// What ends a lane, and what takes the user code out of it.
struct Outside<E> {
    sealer: Option<LaneSealer>,
    claims: Option<Arc<LaneClaims<E>>>,
}

/// A lane for a publisher, if the sink has lanes, and all that is asked about it. The answers are user code: it is prepared without a lock.
pub(super) struct Prepared<E: Send + 'static> {
    lane: Option<Lane<E>>,
    kind: Kind,
    is_guarded: bool,
    may_wait: bool,
    outside: Outside<E>,
}

impl<E: Send + 'static> Prepared<E> {
    pub(super) fn new(lane: Option<Lane<E>>) -> Self {
        let sealer = lane.as_ref().and_then(Lane::sealer);
        let (kind, is_guarded) = match &lane {
            None => (Kind::Direct, true),
            Some(Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), gate }) => {
                (Kind::Fast, gate.is_some() || lane.has_hook())
            }
            // With a guard, a removal waits for the push in progress, as for a sink that is called.
            Some(lane) => (Kind::Slow, lane.has_user_code() || sealer.is_none()),
        };
        let may_wait = kind == Kind::Slow && lane.as_ref().is_some_and(Lane::may_wait);
        let claims = lane.as_ref().and_then(Lane::claims).map(Arc::new);
        Self { lane, kind, is_guarded, may_wait, outside: Outside { sealer, claims } }
    }

    pub(super) fn has_lane(&self) -> bool {
        self.lane.is_some()
    }

    /// The lane, where it turns out that no publisher is there for it.
    pub(super) fn into_lane(self) -> Option<Lane<E>> {
        self.lane
    }
}

impl<E: Send + 'static> Way<E> {
    pub(super) fn new(info: &Arc<Info>, guard: &Guard<E>, prepared: Prepared<E>) -> Arc<Self> {
        let Prepared { lane, kind, is_guarded, may_wait, outside } = prepared;
        Arc::new(Self {
            kind,
            may_wait,
            outside: Mutex::new(outside),
            guard: is_guarded.then(|| guard.clone()),
            counters: lane.is_none().then(|| info.counters.for_publisher()),
            _entry: EntryOnDrop(info.clone()),
            lease: Lease::new(lane),
            _exit: ExitOnDrop(info.clone()),
        })
    }

    /// Control plane: takes the lane back, unless the publisher has it.
    pub(super) fn withdraw(&self) -> Option<Option<Lane<E>>> {
        self.lease.withdraw()
    }

    /// What ends the lane from outside.
    pub(super) fn sealer(&self) -> Option<LaneSealer> {
        lock(&self.outside).sealer.clone()
    }

    /// Drops the user code of the sink that is in the lane, wherever the lane is, and what keeps the sink's memory; `false` while another
    /// thread drops it. To be called when the publisher uses the lane no more: it has ended, or the sink's guard is quiet.
    pub(super) fn drop_user_code(&self) -> bool {
        let claims = lock(&self.outside).claims.clone();
        let is_gone = claims.is_none_or(|claims| claims.drop_now());
        if is_gone {
            let outside =
                std::mem::replace(&mut *lock(&self.outside), Outside { sealer: None, claims: None });
            dispose(outside);
        }
        is_gone
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.lease.is_withdrawn()
    }
}

/// One change of a publisher's table: it brings a sink, or takes one away that is gone.
pub(super) struct Change<E: Send + 'static> {
    pub(super) info: Arc<Info>,
    pub(super) way: Arc<Way<E>>,
}

impl<E: Send + 'static> Clone for Change<E> {
    fn clone(&self) -> Self {
        Self { info: self.info.clone(), way: self.way.clone() }
    }
}

impl<E: Send + 'static> Change<E> {
    /// The lane goes back with the change, and is dropped by the control plane.
    fn put_back(&self, lane: Lane<E>) {
        let refused = self.way.lease.put_back(Some(lane));
        debug_assert!(refused.is_none(), "the lane was accepted");
    }
}

/// The change that brought an entry, in which it goes back.
pub(super) struct Ticket<E: Send + 'static>(Box<Parcel<Change<E>>>);

impl<E: Send + 'static> Deref for Ticket<E> {
    type Target = Info;

    fn deref(&self) -> &Info {
        &self.0.value.info
    }
}

impl<E: Send + 'static> Ticket<E> {
    /// The guard of the sink, if publishers run user code of it.
    pub(super) fn guard(&self) -> Option<&Guard<E>> {
        self.0.value.way.guard.as_ref()
    }
}

/// A private lane whose ring has one producer: the fast path. What a publish touches stands in its first line of memory.
#[repr(C, align(64))]
pub(super) struct Fast<E: Send + 'static> {
    pub(super) lane: FastLane<E>,
    /// What keeps events away from the lane, and the guard under which it is asked.
    pub(super) gate: Option<(Gate<E>, Guard<E>)>,
    pub(super) info: Ticket<E>,
    /// How many events of the batch in progress it took.
    pub(super) batched: usize,
    /// The publish in progress owes it the event: there was no room, and it is to wait.
    pub(super) owed: bool,
    /// It takes nothing any more.
    pub(super) dead: bool,
}

/// What is in a table, and so which path a publish takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    /// Nothing.
    Empty,
    /// Fast lanes only.
    Fast,
    /// Fast lanes, some of them behind gates.
    Gated,
    /// Anything.
    General,
}

/// Any other lane: staged, evicting, unbounded.
pub(super) struct Slow<E: Send + 'static> {
    _entry: EntryOnDrop,
    pub(super) lane: Lane<E>,
    pub(super) info: Ticket<E>,
    pub(super) guard: Option<Guard<E>>,
    /// Whether a push may wait for room.
    pub(super) may_wait: bool,
    pub(super) dead: bool,
    _exit: ExitOnDrop,
}

/// As a lane goes, user code of its sink may run: that is a call, for which a removal waits, and in which nothing waits. It begins here,
/// before the lane goes.
struct EntryOnDrop(Arc<Info>);

impl Drop for EntryOnDrop {
    fn drop(&mut self) {
        std::mem::forget((self.0.begin_call(), Nesting::impatient()));
    }
}

/// It ends here, after the lane has gone.
struct ExitOnDrop(Arc<Info>);

impl Drop for ExitOnDrop {
    fn drop(&mut self) {
        drop(Nesting::forgotten_impatient());
        self.0.end_call();
    }
}

/// A sink that is called on the publishing thread.
pub(super) struct Direct<E: Send + 'static> {
    pub(super) guard: Guard<E>,
    pub(super) info: Arc<Info>,
    pub(super) counters: Arc<EntryCounters>,
    gone: bool,
    ticket: Ticket<E>,
}

/// What one publisher knows.
pub(super) struct Table<E: Send + 'static> {
    pub(super) fast: Vec<Fast<E>>,
    pub(super) slow: Vec<Slow<E>>,
    pub(super) direct: Vec<Direct<E>>,
    /// Which path a publish takes. Not changed by lanes that die: each path serves for fewer lanes as well.
    pub(super) kind: TableKind,
    /// The fence that serves all fast lanes.
    pub(super) pair: FencePair,
    /// How many fast lanes have gates, and how many need a full fence.
    gated: usize,
    symmetric: usize,
    /// What is of no use any more, for the control plane to drop.
    done: Chain<Change<E>>,
}

impl<E: Send + 'static> Table<E> {
    /// An empty table, with room for so many entries.
    pub(super) fn with_room(room: &Room) -> Self {
        let [fast, slow, direct] = room.0;
        Self {
            fast: Vec::with_capacity(fast),
            slow: Vec::with_capacity(slow),
            direct: Vec::with_capacity(direct),
            kind: TableKind::Empty,
            pair: process_pair(),
            gated: 0,
            symmetric: 0,
            done: Chain::new(),
        }
    }

    /// Moves everything over from the old table, to which this one is the next.
    pub(super) fn take_over(&mut self, old: &mut Self) {
        self.fast.append(&mut old.fast);
        self.slow.append(&mut old.slow);
        self.direct.append(&mut old.direct);
        (self.kind, self.pair) = (old.kind, old.pair);
        (self.gated, self.symmetric) = (old.gated, old.symmetric);
        self.done = std::mem::replace(&mut old.done, Chain::new());
    }

    /// Applies changes, in the order in which they were handed over. A change may come again: then there is nothing to do.
    pub(super) fn apply(&mut self, changes: Chain<Change<E>>) {
        let mut any_gone = false;
        for change in changes {
            match change.value.way.lease.accept() {
                Some(lane) => self.enter(change, lane),
                None => {
                    any_gone |= change.value.info.is_gone() && self.mark_gone(&change.value);
                    self.done.push(change);
                }
            }
        }
        if any_gone {
            self.retire_dead();
        }
        self.kind = if !(self.slow.is_empty() && self.direct.is_empty()) {
            TableKind::General
        } else if self.gated > 0 {
            TableKind::Gated
        } else if self.fast.is_empty() {
            TableKind::Empty
        } else {
            TableKind::Fast
        };
        self.pair = if self.symmetric > 0 { FencePair::Symmetric } else { process_pair() };
    }

    fn enter(&mut self, change: Box<Parcel<Change<E>>>, lane: Option<Lane<E>>) {
        let guard = change.value.way.guard.clone();
        match lane {
            Some(Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), gate }) => {
                let gate = gate.zip(guard);
                self.gated += usize::from(gate.is_some());
                self.symmetric += usize::from(lane.pair() == FencePair::Symmetric);
                debug_assert!(self.fast.len() < self.fast.capacity(), "T1");
                let info = Ticket(change);
                self.fast.push(Fast { lane, gate, info, owed: false, batched: 0, dead: false });
            }
            Some(lane) => {
                let may_wait = change.value.way.may_wait;
                debug_assert!(self.slow.len() < self.slow.capacity(), "T1");
                let info = change.value.info.clone();
                self.slow.push(Slow {
                    _entry: EntryOnDrop(info.clone()),
                    lane,
                    info: Ticket(change),
                    guard,
                    may_wait,
                    dead: false,
                    _exit: ExitOnDrop(info),
                });
            }
            None => {
                let (info, counters) = (change.value.info.clone(), change.value.way.counters.clone());
                if let (Some(guard), Some(counters)) = (guard, counters) {
                    debug_assert!(self.direct.len() < self.direct.capacity(), "T1");
                    self.direct.push(Direct { guard, info, counters, gone: false, ticket: Ticket(change) });
                }
            }
        }
    }

    /// Marks the entry of a sink that is gone, if it is still here.
    fn mark_gone(&mut self, change: &Change<E>) -> bool {
        let id = change.info.id;
        let mark = match change.way.kind {
            Kind::Fast => {
                let at = self.fast.binary_search_by_key(&id, |fast| fast.info.id);
                at.map(|at| &mut self.fast[at].dead)
            }
            Kind::Slow => {
                let at = self.slow.binary_search_by_key(&id, |slow| slow.info.id);
                at.map(|at| &mut self.slow[at].dead)
            }
            Kind::Direct => {
                let at = self.direct.binary_search_by_key(&id, |direct| direct.info.id);
                at.map(|at| &mut self.direct[at].gone)
            }
        };
        // It may be marked already, and still be here.
        mark.map(|mark| *mark = true).is_ok()
    }

    /// Drops every lane and every way to a sink, each by itself: user code of several sinks may panic there.
    pub(super) fn dispose_entries(&mut self) {
        dispose_each(self.fast.drain(..));
        dispose_each(self.slow.drain(..));
        dispose_each(self.direct.drain(..));
    }

    /// What is of no use any more, for the control plane to drop.
    pub(super) fn done(&mut self) -> Chain<Change<E>> {
        std::mem::replace(&mut self.done, Chain::new())
    }

    /// Whether there are fast lanes without gates, and nothing else.
    pub(super) fn is_fast(&self) -> bool {
        self.kind == TableKind::Fast
    }

    /// Whether nobody would get an event.
    pub(super) fn is_empty(&self) -> bool {
        self.fast.is_empty() && self.slow.is_empty() && self.direct.is_empty()
    }

    /// Moves out of the way what takes nothing any more. The lanes go back in the changes that brought them.
    #[cold]
    pub(super) fn retire_dead(&mut self) {
        let Self { fast, slow, direct, gated, symmetric, done, .. } = self;
        for Fast { lane, gate, info: Ticket(change), .. } in fast.extract_if(.., |fast| fast.dead) {
            *gated -= usize::from(gate.is_some());
            *symmetric -= usize::from(lane.pair() == FencePair::Symmetric);
            // The guard is a copy; the way has its own.
            let gate = gate.map(|(gate, _)| gate);
            change.value.put_back(Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), gate });
            done.push(change);
        }
        for Slow { lane, info: Ticket(change), .. } in slow.extract_if(.., |slow| slow.dead) {
            change.value.put_back(lane);
            done.push(change);
        }
        direct.extract_if(.., |direct| direct.gone).for_each(|Direct { ticket, .. }| done.push(ticket.0));
    }

    /// Behind the fence: not zero if a fast lane has something to finish.
    fn attention(&self) -> u64 {
        self.fast.iter().fold(0, |attention, fast| attention | fast.lane.attention())
    }

    /// The fence, the settling with sealers, the wake-ups. Returns how many events were taken back.
    #[inline(always)]
    pub(super) fn finish(&mut self, taken_back: impl FnMut(E)) -> usize {
        // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of consumers that park.
        light_fence(self.pair);
        if self.attention() == 0 { 0 } else { self.finish_slowly(taken_back) }
    }

    #[cold]
    pub(super) fn finish_slowly(&mut self, mut taken_back: impl FnMut(E)) -> usize {
        self.fast.iter_mut().map(|fast| fast.finish(&mut taken_back)).sum()
    }
}

impl<E: Send + 'static> Fast<E> {
    /// Behind the fence: settles with whoever seals the lane, and wakes its consumer, if there is a need. Returns how many events
    /// were taken back.
    pub(super) fn finish(&mut self, mut taken_back: impl FnMut(E)) -> usize {
        let mut count = 0;
        if self.lane.attention() != 0 {
            let open = self.lane.finish(|event| {
                count += 1;
                taken_back(event);
            });
            if !open {
                self.dead = true;
                self.info.mark_dead();
            }
        }
        count
    }
}
