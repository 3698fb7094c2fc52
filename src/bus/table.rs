//! What one publisher knows: its lanes, and the sinks that it calls.
//!
//! The control plane builds a publisher's whole next table; the publisher moves its lanes over from the old one (the cold
//! path, once per change of the list) and gives the old one back. It neither allocates nor frees.

use super::entry::{Info, Shared};
use crate::inbox::lane::{FastLane, PrivateLane};
use crate::ledger::EntryCounters;
use crate::sink::lane::{Gate, Lane, LaneKind};
use crate::sync;
use crate::sync::guarded::Guarded;
use crate::sync::handoff::OneShot;
use crate::sync::membarrier::{FencePair, light_fence, process_pair};
use crate::wait::nesting::Nesting;
use std::sync::Arc;

/// The half of an attachment that publishers keep.
pub(super) type Guard<E> = sync::Arc<Guarded<Shared<E>>>;

/// How a publisher reaches one sink.
pub(super) struct Plan<E: Send + 'static> {
    pub(super) info: Arc<Info>,
    lane: Option<Arc<OneShot<Lane<E>>>>,
    guard: Option<Guard<E>>,
    counters: Option<Arc<EntryCounters>>,
}

impl<E: Send + 'static> Clone for Plan<E> {
    fn clone(&self) -> Self {
        Self {
            info: self.info.clone(),
            lane: self.lane.clone(),
            guard: self.guard.clone(),
            counters: self.counters.clone(),
        }
    }
}

impl<E: Send + 'static> Plan<E> {
    /// Through a lane. With a guard, a removal waits for the push in progress, as for a direct sink.
    pub(super) fn lane(info: Arc<Info>, guard: Option<Guard<E>>, lane: Arc<OneShot<Lane<E>>>) -> Self {
        Self { info, lane: Some(lane), guard, counters: None }
    }

    /// By calling the sink.
    pub(super) fn direct(info: Arc<Info>, guard: Guard<E>) -> Self {
        let counters = Some(info.counters.for_publisher());
        Self { info, lane: None, guard: Some(guard), counters }
    }
}

/// A private lane whose ring has one producer: the fast path. What a publish touches stands in its first line of memory.
#[repr(C, align(64))]
pub(super) struct Fast<E> {
    pub(super) lane: FastLane<E>,
    /// What keeps events away from the lane, and the guard under which it is asked.
    pub(super) gate: Option<(Gate<E>, Guard<E>)>,
    pub(super) info: Arc<Info>,
    /// The publish in progress owes it the event: there was no room, and it is to wait.
    pub(super) owed: bool,
    /// How many events of the batch in progress it took.
    pub(super) batched: usize,
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
    pub(super) info: Arc<Info>,
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
pub(super) struct Direct<E> {
    pub(super) guard: Guard<E>,
    pub(super) info: Arc<Info>,
    pub(super) counters: Arc<EntryCounters>,
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
    plan: Vec<Plan<E>>,
    /// Lanes that are of no use any more, for the control plane to drop.
    old_fast: Vec<Fast<E>>,
    old_slow: Vec<Slow<E>>,
}

impl<E: Send + 'static> Table<E> {
    /// A table for the publisher to fill, with room for everything that it will hold.
    pub(super) fn new(plan: &[Plan<E>]) -> Self {
        Self {
            fast: Vec::with_capacity(plan.len()),
            slow: Vec::with_capacity(plan.len()),
            direct: Vec::with_capacity(plan.len()),
            kind: TableKind::Empty,
            pair: process_pair(),
            plan: plan.to_vec(),
            old_fast: Vec::with_capacity(plan.len()),
            old_slow: Vec::with_capacity(plan.len()),
        }
    }

    /// Fills a publisher's first table.
    pub(super) fn fill(&mut self) {
        self.take_over(&mut Self::new(&[]));
    }

    /// Fills this table with the lanes of the old one and those that are new.
    ///
    /// Ids only grow, and plans and lanes stand in their order; so walking all of them backwards meets each lane once.
    pub(super) fn take_over(&mut self, old: &mut Self) {
        let Self { fast, slow, direct, kind, pair, plan, .. } = self;
        for plan in plan.iter().rev() {
            let id = plan.info.id;
            while old.fast.last().is_some_and(|last| last.info.id > id) {
                old.old_fast.extend(old.fast.pop());
            }
            while old.slow.last().is_some_and(|last| last.info.id > id) {
                old.old_slow.extend(old.slow.pop());
            }
            let Some(new_lane) = &plan.lane else {
                if let (Some(guard), Some(counters)) = (&plan.guard, &plan.counters) {
                    direct.push(Direct {
                        guard: guard.clone(),
                        info: plan.info.clone(),
                        counters: counters.clone(),
                    });
                }
                continue;
            };
            if old.fast.last().is_some_and(|last| last.info.id == id) {
                fast.extend(old.fast.pop());
            } else if old.slow.last().is_some_and(|last| last.info.id == id) {
                slow.extend(old.slow.pop());
            } else if let Some(lane) = new_lane.take() {
                let info = plan.info.clone();
                match lane {
                    Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), gate } => {
                        let gate = gate.zip(plan.guard.clone());
                        fast.push(Fast { lane, gate, info, owed: false, batched: 0, dead: false });
                    }
                    lane => {
                        let (guard, may_wait) = (plan.guard.clone(), lane.may_wait());
                        let (entry, exit) = (EntryOnDrop(info.clone()), ExitOnDrop(info.clone()));
                        slow.push(Slow {
                            _entry: entry,
                            lane,
                            info,
                            guard,
                            may_wait,
                            dead: false,
                            _exit: exit,
                        });
                    }
                }
            }
        }
        fast.reverse();
        slow.reverse();
        direct.reverse();
        *kind = if !(slow.is_empty() && direct.is_empty()) {
            TableKind::General
        } else if fast.iter().any(|fast| fast.gate.is_some()) {
            TableKind::Gated
        } else if fast.is_empty() {
            TableKind::Empty
        } else {
            TableKind::Fast
        };
        if fast.iter().any(|fast| fast.lane.pair() == FencePair::Symmetric) {
            *pair = FencePair::Symmetric;
        }
    }

    /// Whether there are fast lanes without gates, and nothing else.
    pub(super) fn is_fast(&self) -> bool {
        self.kind == TableKind::Fast
    }

    /// Whether nobody would get an event.
    pub(super) fn is_empty(&self) -> bool {
        self.fast.is_empty() && self.slow.is_empty() && self.direct.is_empty()
    }

    /// Moves lanes that take nothing any more out of the way.
    #[cold]
    pub(super) fn retire_dead(&mut self) {
        let Self { fast, slow, old_fast, old_slow, .. } = self;
        old_fast.extend(fast.extract_if(.., |fast| fast.dead));
        old_slow.extend(slow.extract_if(.., |slow| slow.dead));
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
