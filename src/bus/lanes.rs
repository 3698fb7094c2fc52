//! The fast lanes of one publisher: its private SPSC rings into sinks.
//!
//! Most publishes go into fast lanes only. The loads between the publisher and the ring cost as
//! much as the stores into the ring. So the last lane, which is often the only one, is in the
//! publisher itself, and the others are one pointer away. The lanes stay there: every path that is
//! not a plain push borrows them, together with the [`Table`](super::table::Table).

use super::link::{Change, ChangeTicket, Guard};
use super::tally::PublishTally;
use crate::mailbox::lane::{FastLane, PrivateLane, Room};
use crate::sink::lane::{Lane, LaneFilter, LaneKind};
use crate::stats::SinkId;
use crate::sync::membarrier::{FencePair, light_fence, process_pair};
use crate::sync::{MODEL, cold_path, handoff};
use crate::wait::context::{UserCode, discard, dispose_each};
use std::iter::Chain;
use std::mem::needs_drop;
use std::{option, slice};

/// A version that a bus never has, so that every publish that compares with it takes another path.
pub(super) const NEVER: u64 = u64::MAX;

/// A private lane whose ring has one producer, for the fast path. The fields that a publish touches
/// are in the first cache line.
#[repr(C, align(64))]
pub(super) struct Fast<E: Send + 'static> {
    pub(super) lane: FastLane<E>,
    /// The filter of the lane, and the guard under which the filter is called.
    pub(super) filter: Option<(LaneFilter<E>, Guard<E>)>,
    pub(super) info: ChangeTicket<E>,
    /// The number of events of the batch in progress that the lane accepted.
    pub(super) batched: usize,
    /// Set when the publish in progress has deferred this lane: the lane is full, and its policy is
    /// to wait.
    pub(super) owed: bool,
    /// Set when the lane accepts no further events.
    pub(super) closed: bool,
}

impl<E: Send + 'static> Fast<E> {
    pub(super) fn new(
        lane: FastLane<E>,
        filter: Option<(LaneFilter<E>, Guard<E>)>,
        info: ChangeTicket<E>,
    ) -> Self {
        Self { lane, filter, info, batched: 0, owed: false, closed: false }
    }

    /// After the fences: settles with the thread that seals the lane, and wakes the consumer, if
    /// either is needed. Returns the number of events that were taken back.
    fn settle_and_wake(&mut self, mut taken_back: impl FnMut(E)) -> usize {
        let mut count = 0;
        if self.lane.is_due() {
            let open = self.lane.settle_and_wake(|event| {
                count += 1;
                taken_back(event);
            });
            if !open {
                self.closed = true;
                self.info.mark_closed();
            }
        }
        count
    }
}

/// All fast lanes of a publisher, in the order of the ids of their sinks.
///
/// # Invariant
/// - `last` is `Some` if there is any lane.
/// - `seen` is [`NEVER`] unless there are lanes, none of them has a filter, and the publisher has
///   no other link to a sink.
pub(super) struct FastLanes<E: Send + 'static> {
    /// The version of the list for which a plain push into these lanes is the whole publish.
    pub(super) seen: u64,
    /// Nonzero if a full fence has to come between a push and the check of its lane. The bits that
    /// a lane returns right after a push then do not count.
    needs_fence: u64,
    last: Option<Fast<E>>,
    others: Vec<Fast<E>>,
    /// The number of lanes with a filter.
    filtered: usize,
}

/// The outcome of a push into all lanes.
pub(super) enum Pushed<E> {
    /// All lanes accepted the event; this is their number.
    Done(usize),
    /// The same as [`Done`](Self::Done), but a lane may have a seal to settle or a consumer to
    /// wake, or ask for a full fence.
    Attention(usize),
    /// This number of lanes accepted the event, and the next lane has no room.
    Full(usize, E),
}

/// Settles the lanes that have the event, and wakes their consumers, when user code unwinds: the
/// event's `Clone` or `Drop`, or a filter.
pub(super) struct SettleOnDrop<'a, E: Send + 'static>(pub(super) &'a mut FastLanes<E>);

impl<E: Send + 'static> Drop for SettleOnDrop<'_, E> {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|fast| fast.owed = false);
        self.0.check_and_settle(discard);
    }
}

impl<E: Send + 'static> FastLanes<E> {
    pub(super) fn none() -> Self {
        Self { seen: NEVER, needs_fence: 0, last: None, others: Vec::new(), filtered: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    pub(super) fn len(&self) -> usize {
        self.others.len() + usize::from(self.last.is_some())
    }

    pub(super) fn any_filtered(&self) -> bool {
        self.filtered > 0
    }

    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Fast<E>> {
        self.others.iter().chain(&self.last)
    }

    #[inline(always)]
    pub(super) fn iter_mut(&mut self) -> Chain<slice::IterMut<'_, Fast<E>>, option::IterMut<'_, Fast<E>>> {
        self.others.iter_mut().chain(&mut self.last)
    }

    /// Returns all lanes but the last, and the last lane.
    #[inline(always)]
    pub(super) fn split(&mut self) -> (&mut [Fast<E>], Option<&mut Fast<E>>) {
        (&mut self.others, self.last.as_mut())
    }

    /// Returns the lane at this index, which is less than [`len`](Self::len).
    #[inline(always)]
    pub(super) fn at(&mut self, index: usize) -> Option<&mut Fast<E>> {
        if index < self.others.len() { Some(&mut self.others[index]) } else { self.last.as_mut() }
    }

    /// Returns the lane into this sink.
    pub(super) fn by_id(&mut self, id: SinkId) -> Option<&mut Fast<E>> {
        match self.others.binary_search_by_key(&id, |fast| fast.info.id) {
            Ok(at) => Some(&mut self.others[at]),
            Err(_) => self.last.as_mut().filter(|last| last.info.id == id),
        }
    }

    /// Moves the lanes into the allocation of `room`, and leaves their old allocation there.
    pub(super) fn swap_room(&mut self, room: &mut Vec<Fast<E>>) {
        room.append(&mut self.others);
        std::mem::swap(room, &mut self.others);
    }

    /// Adds the lane into the newest sink.
    pub(super) fn enter(&mut self, fast: Fast<E>) {
        self.filtered += usize::from(fast.filter.is_some());
        debug_assert!(self.len() < self.others.capacity(), "T1");
        self.others.extend(self.last.replace(fast));
    }

    /// Chooses the fence that every publish executes.
    pub(super) fn choose_fence(&mut self) {
        let is_symmetric = process_pair() == FencePair::Symmetric;
        // In a model, both pairs are the same fence. There the word stays 0, so that models cover
        // the fast path too.
        self.needs_fence = u64::from(is_symmetric && !MODEL);
    }

    /// Removes the lanes that accept no further events. Each lane returns to the control plane in
    /// the change that brought it.
    pub(super) fn retire_closed(&mut self, done: &mut handoff::Chain<Change<E>>) {
        let Self { seen, last, others, filtered, .. } = self;
        others.extend(last.take());
        for fast in others.extract_if(.., |fast| fast.closed) {
            *filtered -= usize::from(fast.filter.is_some());
            let Fast { lane, filter, info: ChangeTicket(change), .. } = fast;
            // This guard is a clone; the link has its own.
            let filter = filter.map(|(filter, _)| filter);
            let kind = LaneKind::Private(PrivateLane::Fast(lane));
            change.value.put_back(Lane { kind, filter, ends_with_publisher: true });
            done.push(change);
        }
        *last = others.pop();
        if last.is_none() {
            *seen = NEVER;
        }
    }

    /// Drops the lanes one by one, because user code of several sinks may panic there.
    pub(super) fn dispose_entries(&mut self) {
        self.seen = NEVER;
        dispose_each(self.others.drain(..).chain(self.last.take()));
    }

    /// Returns whether a lane needs a full fence, so that the bits that lanes return right after
    /// each push do not count.
    #[inline(always)]
    pub(super) fn needs_fence(&self) -> bool {
        self.needs_fence != 0
    }

    /// After pushes: issues the fences that the lanes need. Returns whether a lane has a seal to
    /// settle or a consumer to wake.
    #[inline(always)]
    pub(super) fn fence_and_check(&self) -> bool {
        // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and of
        // consumers that park.
        light_fence(if self.needs_fence == 0 { FencePair::Asymmetric } else { FencePair::Symmetric });
        let last = self.last.as_ref().map_or(0, |fast| fast.lane.attention());
        let attention = self.others.iter().fold(last, |attention, fast| attention | fast.lane.attention());
        attention != 0 && self.fence_if_asked_and_check()
    }

    /// After the light fence: issues a full one if a consumer asks for it, and checks again. One
    /// fence serves all lanes. A separate function, so that the publish path holds no locked
    /// instruction.
    #[cold]
    #[inline(never)]
    fn fence_if_asked_and_check(&self) -> bool {
        if self.iter().any(|fast| fast.lane.asks_for_fence()) {
            // ORD(cell.state): full fence; pairs with that of a consumer that has asked for it.
            light_fence(FencePair::Symmetric);
        }
        self.iter().any(|fast| fast.lane.is_due())
    }

    /// After the fences: settles with sealers and wakes consumers. Passes the events that were not
    /// accepted to `taken_back`, and returns their number.
    #[cold]
    pub(super) fn settle_and_wake(&mut self, mut taken_back: impl FnMut(E)) -> usize {
        self.iter_mut().map(|fast| fast.settle_and_wake(&mut taken_back)).sum()
    }

    /// After pushes: issues the fence, settles with sealers and wakes consumers. Returns the number
    /// of events that were taken back.
    #[inline(always)]
    pub(super) fn check_and_settle(&mut self, taken_back: impl FnMut(E)) -> usize {
        if self.fence_and_check() { self.settle_and_wake(taken_back) } else { 0 }
    }

    /// Returns whether a lane accepts no further events.
    pub(super) fn any_closed(&self) -> bool {
        self.iter().any(|fast| fast.closed)
    }

    /// Returns whether every lane has room for one event.
    #[inline]
    pub(super) fn have_room(&mut self) -> bool {
        self.iter_mut().all(|fast| fast.lane.room().is_some())
    }

    /// Returns the room for one event in the only lane, if there is one lane and it has room. The
    /// number is nonzero if a full fence has to follow the push.
    #[inline(always)]
    pub(super) fn only_room(&mut self) -> Option<(Room<'_, E>, u64)> {
        let Self { needs_fence, last: Some(last), others, .. } = self else { return None };
        if others.is_empty() { Some((last.lane.room()?, *needs_fence)) } else { None }
    }
}

impl<E: Clone + Send + 'static> FastLanes<E> {
    /// Pushes the event into every lane: a clone into each lane but the last, which gets the event
    /// itself.
    #[inline(always)]
    pub(super) fn push(&mut self, event: E) -> Pushed<E> {
        let settling = SettleOnDrop(self);
        let FastLanes { needs_fence, last: Some(last), others, .. } = &mut *settling.0 else {
            cold_path();
            std::mem::forget(settling);
            return Pushed::Full(0, event);
        };
        let mut attention = *needs_fence;
        // This thread holds nothing that other threads wait for. But an event with a destructor is
        // usually cloned by user code, in which nothing may wait.
        let user_code = needs_drop::<E>().then(UserCode::enter);
        for fast in others.iter_mut() {
            let Some(room) = fast.lane.room() else {
                cold_path();
                // The index of the full lane is computed here, so that the loop needs no counter.
                let full = std::ptr::from_ref(fast);
                let done = settling.0.others.iter().take_while(|other| !std::ptr::eq(*other, full)).count();
                std::mem::forget(settling);
                return Pushed::Full(done, event);
            };
            attention |= room.push_and_look(event.clone());
        }
        drop(user_code);
        let Some(room) = last.lane.room() else {
            cold_path();
            let done = others.len();
            std::mem::forget(settling);
            return Pushed::Full(done, event);
        };
        attention |= room.push_and_look(event);
        let count = others.len() + 1;
        std::mem::forget(settling);
        if attention == 0 { Pushed::Done(count) } else { Pushed::Attention(count) }
    }

    /// Pushes a slice into every lane, and shows it to each consumer at once. Returns `None` if a
    /// lane did not accept every event, or needs attention. Each lane has then recorded in
    /// `batched` how many events it accepted, for the rest of the publish.
    pub(super) fn push_batch(&mut self, events: &[E]) -> Option<PublishTally> {
        let settling = SettleOnDrop(self);
        let FastLanes { needs_fence, last, others, .. } = &mut *settling.0;
        let (mut attention, mut whole) = (*needs_fence, true);
        let count = others.len() + 1;
        for fast in others.iter_mut().chain(last) {
            let user_code = needs_drop::<E>().then(UserCode::enter);
            fast.batched = fast.lane.put_slice(events);
            drop(user_code);
            whole &= fast.batched == events.len();
            // ORD(spsc.fin), ORD(cell.state): light fence; pairs with the heavy ones of seals and
            // of consumers that park.
            light_fence(FencePair::Asymmetric);
            attention |= fast.lane.attention();
        }
        std::mem::forget(settling);
        (whole && attention == 0).then_some(PublishTally::accepted(count * events.len()))
    }
}
