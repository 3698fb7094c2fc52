//! The publish path.
//!
//! A publish goes through these steps:
//!
//! 1. Push the event into each lane that has room.
//! 2. Issue one fence.
//! 3. Settle with the threads that seal lanes, and wake parked consumers.
//! 4. Call the direct sinks.
//! 5. Push into the lanes where the publisher may have to wait for room. This step is last, so that
//!    no consumer that was promised an event is parked while the publisher waits.
//!
//! The fast path, a plain push into fast lanes, is [`FastLanes::push`]. All other paths are here,
//! and borrow the publisher's lanes and table. They pass the event in `place`, an `Option<E>` in
//! memory that the fast path does not use. So the fast path keeps the event in registers and does
//! not copy its result. A sink that refuses the event leaves it in `place`.

use super::hooks::BusHooks;
use super::info::{Info, SinkRef};
use super::lanes::{Fast, FastLanes, SettleOnDrop};
use super::link::{ChangeTicket, Guard};
use super::supply::{Supply, offer_copy};
use super::table::{Direct, Slow, Table, TableKind};
use super::tally::{Offer, PublishTally};
use crate::error::WriteError;
use crate::mailbox::lane::FastLane;
use crate::sink::Sink;
use crate::sink::lane::LaneFilter;
use crate::stats::{Disposition, DropReason, EntryCounters, EntryOutcome, HeldBack};
use crate::sync::cold_path;
use crate::sync::guarded::{Entered, Hazard};
use crate::sync::membarrier::FencePair;
use crate::time::Deadline;
use crate::wait::context::{Delivery, UserCode, WaitedFor, caught, cloned, discard, discard_each};
use std::mem::needs_drop;

/// The context of a publish, beside its lanes and its table.
pub(super) struct Scene<'a, E> {
    /// The publisher's hazard word.
    pub(super) hazard: Option<&'a Hazard>,
    /// The fence pair of hazard words.
    pub(super) pair: FencePair,
    pub(super) hooks: &'a BusHooks<E>,
    pub(super) deadline: &'a Deadline,
}

impl<E> Clone for Scene<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Scene<'_, E> {}

impl<E> Scene<'_, E> {
    /// Names a sink in the publisher's hazard word. Returns `None` if the sink was removed from the
    /// bus.
    pub(super) fn enter<'a>(&'a self, guard: &'a Guard<E>) -> Option<Entered<'a, SinkRef<E>>> {
        guard.enter(self.hazard?, self.pair)
    }
}

impl<E: Clone + Send + 'static> Table<E> {
    /// Publishes the event in `place`, which the first `done` fast lanes already have. Leaves it
    /// there if no sink accepts it.
    pub(super) fn publish(
        &mut self,
        lanes: &mut FastLanes<E>,
        place: &mut Option<E>,
        done: usize,
        scene: &Scene<'_, E>,
    ) -> PublishTally {
        match self.kind {
            TableKind::Empty => PublishTally::accepted(0),
            TableKind::Filtered => self.publish_filtered(lanes, place, scene),
            TableKind::Plain | TableKind::Biased | TableKind::General => {
                self.publish_generally(lanes, place, done, scene)
            }
        }
    }

    /// Pushes the event into every fast lane whose filter lets it pass. The event stays in `place`
    /// while filters check it, so an event that no filter lets pass is never copied.
    fn publish_filtered(
        &mut self,
        lanes: &mut FastLanes<E>,
        place: &mut Option<E>,
        scene: &Scene<'_, E>,
    ) -> PublishTally {
        let count = lanes.len();
        let mut filtered = FilteredPush { attention: 0, lost: 0, scene };
        let settling = SettleOnDrop(lanes);
        let (others, last) = settling.0.split();
        let mut done = 0;
        let mut has_room = true;
        for fast in others {
            has_room = filtered.put(fast, place, false);
            if !has_room {
                break;
            }
            done += 1;
        }
        if has_room && let Some(fast) = last {
            has_room = filtered.put(fast, place, true);
        }
        let FilteredPush { attention, lost, .. } = filtered;
        if !has_room {
            cold_path();
            std::mem::forget(settling);
            let mut tally = self.publish_generally(lanes, place, done, scene);
            tally.filters_panicked(lost);
            return tally;
        }
        // An event that no filter let pass is dropped before the guard is disarmed, because its
        // destructor is user code.
        if needs_drop::<E>() && place.is_some() {
            discard(place.take());
        }
        *place = None;
        std::mem::forget(settling);
        let mut tally = PublishTally::accepted(count);
        tally.filters_panicked(lost);
        if attention != 0 || lanes.needs_fence() {
            cold_path();
            tally.take_back(lanes.check_and_settle(|event| *place = Some(event)));
            self.retire_closed(lanes);
        }
        tally
    }

    /// Publishes one event, which the first `done` fast lanes already have.
    fn publish_generally(
        &mut self,
        lanes: &mut FastLanes<E>,
        place: &mut Option<E>,
        done: usize,
        scene: &Scene<'_, E>,
    ) -> PublishTally {
        let count = lanes.len();
        let mut supply = Supply::new(place, count + self.slow.len() + self.direct.len() - done);
        let mut tally = PublishTally::accepted(done);
        let (mut any_owed, mut any_closed) = (false, false);
        let settling = SettleOnDrop(lanes);
        for index in done..count {
            let Some(Fast { lane, filter, info, owed, closed, .. }) = settling.0.at(index) else { break };
            if let Some(filter) = filter
                && let Some(held_back) = supply.event().and_then(|event| held_back(filter, event, scene))
            {
                // The sink accepts an event that its filter holds back, and needs no clone.
                supply.skip();
                tally.count(Offer::taken(held_back.into()));
            } else if let Some(room) = lane.room() {
                tally.count(supply.offer(|place| {
                    if let Some(event) = place.take() {
                        room.push(event);
                    }
                    Offer::Accepted
                }));
            } else if lane.may_wait() && *scene.deadline != Deadline::NOW {
                *owed = true;
                any_owed = true;
            } else {
                let put = |lane: &mut FastLane<E>, event| lane.overflow(event, Deadline::NOW);
                let offer = supply.offer(|place| push(place, |event| hooked(lane, info, scene, event, put)));
                tally.count(offer);
                if offer.is_closed() {
                    *closed = true;
                    any_closed = true;
                    info.mark_closed();
                }
            }
        }
        for slow in self.slow.iter_mut().filter(|slow| !slow.may_wait) {
            any_closed |= slow.push(&mut supply, &mut tally, scene);
        }
        let refused =
            if count == 0 { 0 } else { settling.0.check_and_settle(|event| supply.give_back(event)) };
        tally.take_back(refused);
        any_closed |= refused > 0;
        for direct in &self.direct {
            if direct.info.is_closed() {
                // A closed sink counts as removed from the bus.
                supply.skip();
            } else {
                tally.count(supply.offer(|place| direct.deliver(place, scene)));
            }
        }
        for slow in self.slow.iter_mut().filter(|slow| slow.may_wait) {
            any_closed |= slow.push(&mut supply, &mut tally, scene);
        }
        if any_owed {
            any_closed |= pay_owed(settling.0, &mut supply, &mut tally, scene);
        }
        std::mem::forget(settling);
        if any_closed {
            self.retire_closed(lanes);
        }
        tally
    }

    /// Publishes a slice. Each lane shows its consumer all events that fit at once.
    pub(super) fn publish_batch(
        &mut self,
        lanes: &mut FastLanes<E>,
        events: &[E],
        scene: &Scene<'_, E>,
    ) -> PublishTally {
        let settling = SettleOnDrop(lanes);
        let mut lost = 0;
        for Fast { lane, filter, batched, .. } in settling.0.iter_mut() {
            *batched = match filter {
                None => {
                    let _user_code = UserCode::enter();
                    lane.put_slice(events)
                }
                Some(filter) => {
                    // The filter checks each event exactly once.
                    let mut taken = 0;
                    while taken < events.len()
                        && let Some(room) = lane.room()
                    {
                        match held_back(filter, &events[taken], scene) {
                            None => room.push(cloned(&events[taken])),
                            Some(held_back) => lost += usize::from(held_back == HeldBack::Panicked),
                        }
                        taken += 1;
                    }
                    taken
                }
            };
        }
        std::mem::forget(settling);
        let mut tally = self.publish_rest_of_batch(lanes, events, scene);
        tally.filters_panicked(lost);
        tally
    }

    /// Publishes the events of a slice that the fast lanes have not accepted. Each lane has
    /// recorded in `batched` how many events it accepted.
    pub(super) fn publish_rest_of_batch(
        &mut self,
        lanes: &mut FastLanes<E>,
        events: &[E],
        scene: &Scene<'_, E>,
    ) -> PublishTally {
        let mut tally = PublishTally::accepted(lanes.iter().map(|fast| fast.batched).sum());
        tally.take_back(lanes.check_and_settle(discard));
        for direct in &self.direct {
            for event in events {
                if !direct.info.is_closed() {
                    tally.count(offer_copy(event, |place| direct.deliver(place, scene)));
                }
            }
        }
        for slow in &mut self.slow {
            for event in events {
                let offer = offer_copy(event, |place| slow.deliver(place, scene));
                tally.count(offer);
                slow.note(offer);
            }
        }
        for Fast { lane, filter, info, closed, batched, .. } in lanes.iter_mut() {
            for event in &events[*batched..] {
                let offer = match filter.as_mut().and_then(|filter| held_back(filter, event, scene)) {
                    None => offer_copy(event, |place| push_waiting(lane, info, place, scene)),
                    Some(held_back) => Offer::taken(held_back.into()),
                };
                tally.count(offer);
                if offer.is_closed() {
                    *closed = true;
                    info.mark_closed();
                }
            }
        }
        if lanes.any_closed() || self.slow.iter().any(|slow| slow.closed) {
            self.retire_closed(lanes);
        }
        tally
    }
}

/// A publish into fast lanes, some of which have filters.
struct FilteredPush<'a, E> {
    /// The bits that the lanes returned right after each push.
    attention: u64,
    /// The number of filters that panicked.
    lost: usize,
    scene: &'a Scene<'a, E>,
}

impl<E: Clone + Send + 'static> FilteredPush<'_, E> {
    /// Pushes the event into one lane if its filter lets it pass: a clone, or for the last lane the
    /// event itself. Returns `false` if the lane has no room.
    #[inline(always)]
    fn put(&mut self, fast: &mut Fast<E>, place: &mut Option<E>, is_last: bool) -> bool {
        let Fast { lane, filter, .. } = fast;
        let Some(room) = lane.room() else { return false };
        let Some(event) = place.as_ref() else { return true };
        let held_back = filter.as_mut().and_then(|filter| held_back(filter, event, self.scene));
        if held_back.is_none() {
            if let Some(event) = if is_last { place.take() } else { cloned(&*place) } {
                self.attention |= room.push_and_look(event);
            }
        } else {
            if held_back != Some(HeldBack::Filtered) {
                cold_path();
                self.lost += 1;
            }
            // Checks whether the lane is being sealed. Nothing was pushed, so no fence has to come
            // between, and a dormant lane stays dormant.
            self.attention |= lane.attention_without_event();
        }
        true
    }
}

/// Pushes into the lanes that had no room, and waits for room. Returns whether a sink is closed.
#[cold]
fn pay_owed<E: Clone + Send + 'static>(
    lanes: &mut FastLanes<E>,
    supply: &mut Supply<'_, E>,
    tally: &mut PublishTally,
    scene: &Scene<'_, E>,
) -> bool {
    let mut any_closed = false;
    for Fast { lane, info, owed, closed, .. } in lanes.iter_mut() {
        if std::mem::take(owed) {
            let offer = supply.offer(|place| push_waiting(lane, info, place, scene));
            tally.count(offer);
            if offer.is_closed() {
                *closed = true;
                any_closed = true;
                info.mark_closed();
            }
        }
    }
    any_closed
}

/// Pushes the event in `place` into a fast lane, and waits for room there.
fn push_waiting<E: Send + 'static>(
    lane: &mut FastLane<E>,
    info: &ChangeTicket<E>,
    place: &mut Option<E>,
    scene: &Scene<'_, E>,
) -> Offer {
    push(place, |event| hooked(lane, info, scene, event, |lane, event| lane.push(event, *scene.deadline)))
}

impl<E: Clone + Send + 'static> Slow<E> {
    /// Pushes the event, or a clone. Returns whether the sink is closed.
    #[inline(always)]
    fn push(&mut self, supply: &mut Supply<'_, E>, tally: &mut PublishTally, scene: &Scene<'_, E>) -> bool {
        let offer = supply.offer(|place| self.deliver(place, scene));
        tally.count(offer);
        self.note(offer);
        self.closed
    }

    /// Pushes the event in `place`, and leaves it there if the sink refuses it.
    pub(super) fn offer(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        let offer = self.deliver(place, scene);
        self.note(offer);
        offer
    }

    /// Records that the sink is closed, if the offer shows it.
    #[inline(always)]
    fn note(&mut self, offer: Offer) {
        if offer.is_closed() {
            self.closed = true;
            self.info.mark_closed();
        }
    }

    #[inline(always)]
    fn deliver(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        if self.guard.is_some() {
            if self.is_biased()
                && let Some(hazard) = scene.hazard
                && let Some(event) = place.take()
            {
                match self.put_biased(event, hazard, scene.pair) {
                    Ok((old, stale)) => {
                        discard_each(old.into_iter().chain(stale));
                        return Offer::Accepted;
                    }
                    Err(event) => *place = Some(event),
                }
            }
            return self.deliver_guarded(place, scene);
        }
        push(place, |event| self.lane.offer(event, *scene.deadline))
    }

    /// Pushes into a lane that runs user code or has no sealer, so that a removal waits for the
    /// push. This is a separate function, because its stack frame would lengthen the path of plain
    /// lanes.
    #[inline(never)]
    fn deliver_guarded(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        let Self { lane, guard, info, .. } = self;
        let Some(entered) = guard.as_ref().and_then(|guard| scene.enter(guard)) else {
            return Offer::Closed;
        };
        // A stage counts the outcome of the event itself, unless it panics. A removal waits for
        // this call, so nothing inside the call waits for a removal.
        let pushed = caught(|| {
            let _held = WaitedFor::begin();
            entered.inside(|| push(place, |event| lane.offer(event, *scene.deadline)))
        });
        pushed.unwrap_or_else(|text| {
            let counters = info.counters.shared();
            counters.offered(1);
            counters.count(EntryOutcome::Unwound, 1);
            scene.hooks.panicked(info, &text);
            Offer::Dropped(DropReason::Panicked)
        })
    }
}

/// Takes the event from `place` for an attempt, and puts it back if the attempt fails.
#[inline(always)]
fn push<E>(place: &mut Option<E>, attempt: impl FnOnce(E) -> Result<Disposition, WriteError<E>>) -> Offer {
    match place.take() {
        Some(event) => Offer::of(attempt(event), place),
        None => Offer::Accepted,
    }
}

/// Calls a filter, and returns what became of an event that does not pass. A filter is user code,
/// so it runs under the hazard word. After its sink was removed, the filter is not called, and the
/// sealed lane refuses the event.
#[inline]
fn held_back<E>(
    (filter, guard): &mut (LaneFilter<E>, Guard<E>),
    event: &E,
    scene: &Scene<'_, E>,
) -> Option<HeldBack> {
    scene.enter(guard).and_then(|_entered| filter(event))
}

/// Pushes an event into a fast lane that may have no room. The push may call a hook of the mailbox,
/// for which a removal waits.
#[cold]
fn hooked<E: Send + 'static>(
    lane: &mut FastLane<E>,
    info: &ChangeTicket<E>,
    scene: &Scene<'_, E>,
    event: E,
    put: impl FnOnce(&mut FastLane<E>, E) -> Result<Disposition, WriteError<E>>,
) -> Result<Disposition, WriteError<E>> {
    match info.guard().filter(|_| lane.has_hook()) {
        None => put(lane, event),
        Some(guard) => match scene.enter(guard) {
            Some(entered) => entered.inside(|| put(lane, event)),
            None => Err(WriteError::Closed(event)),
        },
    }
}

impl<E: Send + 'static> Direct<E> {
    fn deliver(&self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        match scene.enter(&self.guard) {
            Some(entered) => entered.inside(|| {
                entered.with(|sink| deliver_to(&**sink, place, &self.info, &self.counters, scene.hooks))
            }),
            None => {
                self.counters.offered(1);
                self.counters.count(EntryOutcome::RefusedClosed, 1);
                Offer::Closed
            }
        }
    }
}

/// Calls a sink on the publishing thread, and counts the outcome in its ledger.
///
/// A panic loses the event and counts as accepted, like a failure downstream of a queue.
pub(super) fn deliver_to<E: Send + 'static>(
    sink: &dyn Sink<E>,
    place: &mut Option<E>,
    info: &Info,
    counters: &EntryCounters,
    hooks: &BusHooks<E>,
) -> Offer {
    counters.offered(1);
    let Some(_delivery) = Delivery::enter() else {
        counters.count(EntryOutcome::RefusedReentrant, 1);
        return Offer::Reentrant;
    };
    let written = caught(|| match place.take() {
        Some(event) => sink.offer(event),
        None => Ok(Disposition::Delivered),
    });
    match written {
        Ok(Ok(disposition)) => {
            counters.disposed(disposition);
            Offer::of(Ok(disposition), place)
        }
        Ok(Err(error)) => {
            counters.count(EntryOutcome::refused(&error), 1);
            if error.is_closed() {
                info.mark_closed();
            }
            hooks.failed(info, &error);
            Offer::of(Err(error), place)
        }
        Err(text) => {
            counters.count(EntryOutcome::Unwound, 1);
            hooks.panicked(info, &text);
            Offer::Dropped(DropReason::Panicked)
        }
    }
}
