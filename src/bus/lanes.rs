//! The fast lanes of one publisher: its private SPSC rings into sinks.
//!
//! A publish to lanes only is what most publishes are. Its cost is the loads between the publisher and the ring as much as the
//! stores into the ring, so the last lane, which is the only one more often than not, is in the publisher itself, and the others
//! are one pointer away. They stay there: whatever is not a plain push borrows them, together with the [`Table`](super::table::Table).

use super::link::{Change, Guard, Ticket};
use super::tally::Tally;
use crate::mailbox::lane::{FastLane, PrivateLane};
use crate::sink::lane::{Lane, LaneFilter, LaneKind};
use crate::stats::SinkId;
use crate::sync::membarrier::{FencePair, light_fence, process_pair};
use crate::sync::{MODEL, cold_path, handoff};
use crate::wait::context::{UserCode, discard, dispose_each};
use std::iter::Chain;
use std::mem::needs_drop;
use std::{option, slice};

/// A version that a bus never has: every publish that compares with it takes another path.
pub(super) const NEVER: u64 = u64::MAX;

/// A private lane whose ring has one producer: the fast path. What a publish touches is in its first cache line.
#[repr(C, align(64))]
pub(super) struct Fast<E: Send + 'static> {
    pub(super) lane: FastLane<E>,
    /// What keeps events away from the lane, and the guard under which it is asked.
    pub(super) gate: Option<(LaneFilter<E>, Guard<E>)>,
    pub(super) info: Ticket<E>,
    /// How many events of the batch in progress it took.
    pub(super) batched: usize,
    /// The publish in progress owes it the event: there was no room, and it is to wait.
    pub(super) owed: bool,
    /// It takes nothing any more.
    pub(super) dead: bool,
}

impl<E: Send + 'static> Fast<E> {
    pub(super) fn new(lane: FastLane<E>, gate: Option<(LaneFilter<E>, Guard<E>)>, info: Ticket<E>) -> Self {
        Self { lane, gate, info, batched: 0, owed: false, dead: false }
    }

    fn is_symmetric(&self) -> bool {
        self.lane.pair() == FencePair::Symmetric
    }

    /// After the fence: settles with the thread that seals the lane, and wakes its consumer, if there is a need. Returns how many
    /// events were taken back.
    fn settle_and_wake(&mut self, mut taken_back: impl FnMut(E)) -> usize {
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

/// All fast lanes of a publisher, in the order of the ids of their sinks.
///
/// # Invariant
/// - `last` is there if any lane is. `seen` is [`NEVER`] unless there are lanes, none of them has a gate, and the publisher has no
///   other link to a sink.
pub(super) struct Lanes<E: Send + 'static> {
    /// The version of the list for which a plain push into these lanes is a whole publish.
    pub(super) seen: u64,
    /// Not zero if what lanes report right after a put does not count, because a full fence has to come between.
    needs_fence: u64,
    last: Option<Fast<E>>,
    others: Vec<Fast<E>>,
    /// How many lanes have gates, and how many need a full fence.
    gated: usize,
    symmetric: usize,
}

/// What became of a push into all lanes.
pub(super) enum Pushed<E> {
    /// So many lanes took it.
    Done(usize),
    /// So many lanes took it, and one of them may have something to finish.
    Attention(usize),
    /// The first so many lanes took it, and the next has no room.
    Full(usize, E),
}

/// Finishes what was put into lanes when user code of the event unwinds: its clone, its drop, a gate.
pub(super) struct Finishing<'a, E: Send + 'static>(pub(super) &'a mut Lanes<E>);

impl<E: Send + 'static> Drop for Finishing<'_, E> {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|fast| fast.owed = false);
        self.0.finish(discard);
    }
}

impl<E: Send + 'static> Lanes<E> {
    pub(super) fn none() -> Self {
        Self { seen: NEVER, needs_fence: 0, last: None, others: Vec::new(), gated: 0, symmetric: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.others.len() + usize::from(self.last.is_some())
    }

    pub(super) fn any_gated(&self) -> bool {
        self.gated > 0
    }

    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Fast<E>> {
        self.others.iter().chain(&self.last)
    }

    #[inline(always)]
    pub(super) fn iter_mut(&mut self) -> Chain<slice::IterMut<'_, Fast<E>>, option::IterMut<'_, Fast<E>>> {
        self.others.iter_mut().chain(&mut self.last)
    }

    /// All lanes but the last, and the last.
    #[inline(always)]
    pub(super) fn split(&mut self) -> (&mut [Fast<E>], Option<&mut Fast<E>>) {
        (&mut self.others, self.last.as_mut())
    }

    /// The lane at this index, which is less than [`len`](Self::len).
    #[inline(always)]
    pub(super) fn at(&mut self, index: usize) -> Option<&mut Fast<E>> {
        if index < self.others.len() { Some(&mut self.others[index]) } else { self.last.as_mut() }
    }

    /// The lane into this sink.
    pub(super) fn by_id(&mut self, id: SinkId) -> Option<&mut Fast<E>> {
        match self.others.binary_search_by_key(&id, |fast| fast.info.id) {
            Ok(at) => Some(&mut self.others[at]),
            Err(_) => self.last.as_mut().filter(|last| last.info.id == id),
        }
    }

    /// Takes `room` for the lanes, and leaves there what they were in.
    pub(super) fn swap_room(&mut self, room: &mut Vec<Fast<E>>) {
        room.append(&mut self.others);
        std::mem::swap(room, &mut self.others);
    }

    /// Adds the lane into the newest sink.
    pub(super) fn enter(&mut self, fast: Fast<E>) {
        self.gated += usize::from(fast.gate.is_some());
        self.symmetric += usize::from(fast.is_symmetric());
        debug_assert!(self.len() < self.others.capacity(), "T1");
        self.others.extend(self.last.replace(fast));
    }

    /// Chooses the fence that serves all lanes.
    pub(super) fn choose_fence(&mut self) {
        let is_symmetric = self.symmetric > 0 || process_pair() == FencePair::Symmetric;
        // In a model both pairs are the same fence, and the short path is to be seen there too.
        self.needs_fence = u64::from(is_symmetric && !MODEL);
    }

    /// Moves lanes out of the way that accept no further events. They go back in the changes that brought them.
    pub(super) fn retire_dead(&mut self, done: &mut handoff::Chain<Change<E>>) {
        let Self { seen, last, others, gated, symmetric, .. } = self;
        others.extend(last.take());
        for fast in others.extract_if(.., |fast| fast.dead) {
            *gated -= usize::from(fast.gate.is_some());
            *symmetric -= usize::from(fast.is_symmetric());
            let Fast { lane, gate, info: Ticket(change), .. } = fast;
            // The guard is a copy; the link has its own.
            let gate = gate.map(|(gate, _)| gate);
            change.value.put_back(Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), gate });
            done.push(change);
        }
        *last = others.pop();
        if last.is_none() {
            *seen = NEVER;
        }
    }

    /// Drops every lane, each by itself: user code of several sinks may panic there.
    pub(super) fn dispose_entries(&mut self) {
        self.seen = NEVER;
        dispose_each(self.others.drain(..).chain(self.last.take()));
    }

    /// Whether the fences of one of the lanes cost something, so that what lanes report right after each put does not count.
    #[inline(always)]
    pub(super) fn needs_fence(&self) -> bool {
        self.needs_fence != 0
    }

    /// After puts: the fence that the lanes need, and whether one of them has something to settle or a consumer to wake.
    #[inline(always)]
    pub(super) fn fence_and_check(&self) -> bool {
        // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of consumers that park.
        light_fence(if self.needs_fence == 0 { FencePair::Asymmetric } else { FencePair::Symmetric });
        let last = self.last.as_ref().map_or(0, |fast| fast.lane.attention());
        self.others.iter().fold(last, |attention, fast| attention | fast.lane.attention()) != 0
    }

    /// After the fence: the settling with sealers, the wake-ups. What was not accepted goes to `taken_back`; returns how many events.
    #[cold]
    pub(super) fn settle_and_wake(&mut self, mut taken_back: impl FnMut(E)) -> usize {
        self.iter_mut().map(|fast| fast.settle_and_wake(&mut taken_back)).sum()
    }

    /// After puts: the fence, the settling with sealers, the wake-ups.
    #[inline(always)]
    pub(super) fn finish(&mut self, taken_back: impl FnMut(E)) -> usize {
        if self.fence_and_check() { self.settle_and_wake(taken_back) } else { 0 }
    }

    /// Whether a lane accepts no further events.
    pub(super) fn any_dead(&self) -> bool {
        self.iter().any(|fast| fast.dead)
    }
}

impl<E: Clone + Send + 'static> Lanes<E> {
    /// Puts the event into every lane, and the last one gets it without a clone.
    #[inline(always)]
    pub(super) fn push(&mut self, event: E) -> Pushed<E> {
        let finishing = Finishing(self);
        let Lanes { needs_fence, last: Some(last), others, .. } = &mut *finishing.0 else {
            cold_path();
            std::mem::forget(finishing);
            return Pushed::Full(0, event);
        };
        let mut attention = *needs_fence;
        // This thread holds nothing that others wait for; but what owns something is cloned by user code, most of the time, and
        // in that nothing waits.
        let user_code = needs_drop::<E>().then(UserCode::enter);
        for fast in others.iter_mut() {
            let Some(room) = fast.lane.room() else {
                cold_path();
                // Which one it is, is looked up here and not counted on the way.
                let full = std::ptr::from_ref(fast);
                let done = finishing.0.others.iter().take_while(|other| !std::ptr::eq(*other, full)).count();
                std::mem::forget(finishing);
                return Pushed::Full(done, event);
            };
            attention |= room.push_and_look(event.clone());
        }
        drop(user_code);
        let Some(room) = last.lane.room() else {
            cold_path();
            let done = others.len();
            std::mem::forget(finishing);
            return Pushed::Full(done, event);
        };
        attention |= room.push_and_look(event);
        let count = others.len() + 1;
        std::mem::forget(finishing);
        if attention == 0 { Pushed::Done(count) } else { Pushed::Attention(count) }
    }

    /// Puts a slice into every lane and shows it at once. `None` when that was not all; the lanes then know how far they are, for
    /// the rest of the publish.
    pub(super) fn push_batch(&mut self, events: &[E]) -> Option<Tally> {
        let finishing = Finishing(self);
        let Lanes { needs_fence, last, others, .. } = &mut *finishing.0;
        let (mut attention, mut whole) = (*needs_fence, true);
        let count = others.len() + 1;
        for fast in others.iter_mut().chain(last) {
            let user_code = needs_drop::<E>().then(UserCode::enter);
            fast.batched = fast.lane.put_slice(events);
            drop(user_code);
            whole &= fast.batched == events.len();
            // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of consumers that park.
            light_fence(FencePair::Asymmetric);
            attention |= fast.lane.attention();
        }
        std::mem::forget(finishing);
        (whole && attention == 0).then_some(Tally::accepted(count * events.len()))
    }
}
