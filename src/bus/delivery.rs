//! The publish path.
//!
//! A publish goes through these steps: put the event into each lane; one fence; settle with the threads that seal lanes and
//! wake the consumers that are parked; call the direct sinks; and last, push where a wait for room may come, so that
//! no consumer that was promised an event is parked while the publisher waits.
//!
//! The shortest path, a plain push into fast lanes, is [`Lanes::push`]. All others are here, and borrow the publisher's lanes and
//! table. Events are passed by a place in memory that only this path sees: so the short path keeps them in registers and does not
//! copy its result. A sink that refuses the event leaves it in its place.

use super::hooks::BusHooks;
use super::info::{Info, SinkRef};
use super::lanes::{Fast, Finishing, Lanes};
use super::link::{Guard, Ticket};
use super::supply::{Supply, offer_copy};
use super::table::{Direct, Slow, Table, TableKind};
use super::tally::{Offer, Tally};
use crate::error::WriteError;
use crate::mailbox::lane::FastLane;
use crate::sink::Sink;
use crate::sink::lane::LaneFilter;
use crate::stats::{Disposition, DropReason, EntryCounters, EntryOutcome, HeldBack};
use crate::sync::cold_path;
use crate::sync::guarded::{Entered, Hazard};
use crate::sync::membarrier::FencePair;
use crate::time::Deadline;
use crate::wait::context::{Delivery, UserCode, WaitedFor, caught, cloned, discard};
use std::mem::needs_drop;

/// What a publish needs to know beside the table.
pub(super) struct Scene<'a, E> {
    /// The publisher's hazard word.
    pub(super) hazard: Option<&'a Hazard>,
    /// The fences of hazard words.
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
    /// Names a sink in the publisher's hazard word; `None` when it was taken off the bus.
    fn enter<'a>(&'a self, guard: &'a Guard<E>) -> Option<Entered<'a, SinkRef<E>>> {
        guard.enter(self.hazard?, self.pair)
    }
}

impl<E: Clone + Send + 'static> Table<E> {
    /// Publishes the event in `place`, of which the first `done` fast lanes have got theirs, and leaves it there if no sink takes it.
    pub(super) fn publish(
        &mut self,
        lanes: &mut Lanes<E>,
        place: &mut Option<E>,
        done: usize,
        scene: &Scene<'_, E>,
    ) -> Tally {
        match self.kind {
            TableKind::Empty => Tally::accepted(0),
            TableKind::Gated => self.publish_gated(lanes, place, scene),
            TableKind::Plain | TableKind::General => self.publish_generally(lanes, place, done, scene),
        }
    }

    /// Puts the event into every fast lane whose gate lets it pass. The event stays in its place in memory while gates check
    /// it: one that no gate lets pass is never copied.
    fn publish_gated(&mut self, lanes: &mut Lanes<E>, place: &mut Option<E>, scene: &Scene<'_, E>) -> Tally {
        let count = lanes.len();
        let mut gated = Gated { attention: 0, lost: 0, scene };
        let finishing = Finishing(lanes);
        let (others, last) = finishing.0.split();
        let mut done = 0;
        let mut has_room = true;
        for fast in others {
            has_room = gated.put(fast, place, false);
            if !has_room {
                break;
            }
            done += 1;
        }
        if has_room && let Some(fast) = last {
            has_room = gated.put(fast, place, true);
        }
        let Gated { attention, lost, .. } = gated;
        if !has_room {
            cold_path();
            std::mem::forget(finishing);
            let mut tally = self.publish_generally(lanes, place, done, scene);
            tally.gates_lost(lost);
            return tally;
        }
        // What no gate let pass is dropped, which is user code, while the guard is there.
        if needs_drop::<E>() && place.is_some() {
            discard(place.take());
        }
        *place = None;
        std::mem::forget(finishing);
        let mut tally = Tally::accepted(count);
        tally.gates_lost(lost);
        if attention != 0 || lanes.needs_fence() {
            cold_path();
            tally.take_back(lanes.finish(|event| *place = Some(event)));
            self.retire_dead(lanes);
        }
        tally
    }

    /// Publishes one event of which the first `done` fast lanes have got theirs.
    fn publish_generally(
        &mut self,
        lanes: &mut Lanes<E>,
        place: &mut Option<E>,
        done: usize,
        scene: &Scene<'_, E>,
    ) -> Tally {
        let count = lanes.len();
        let mut supply = Supply::new(place, count + self.slow.len() + self.direct.len() - done);
        let mut tally = Tally::accepted(done);
        let (mut any_owed, mut any_dead) = (false, false);
        let finishing = Finishing(lanes);
        for index in done..count {
            let Some(Fast { lane, gate, info, owed, dead, .. }) = finishing.0.at(index) else { break };
            if let Some(gate) = gate
                && let Some(held_back) = supply.event().and_then(|event| held_back(gate, event, scene))
            {
                // What did not pass is taken.
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
                    *dead = true;
                    any_dead = true;
                    info.mark_dead();
                }
            }
        }
        for slow in self.slow.iter_mut().filter(|slow| !slow.may_wait) {
            any_dead |= slow.push(&mut supply, &mut tally, scene);
        }
        let refused = if count == 0 { 0 } else { finishing.0.finish(|event| supply.give_back(event)) };
        tally.take_back(refused);
        any_dead |= refused > 0;
        for direct in &self.direct {
            if direct.info.is_dead() {
                // As if it were off the bus already.
                supply.skip();
            } else {
                tally.count(supply.offer(|place| direct.deliver(place, scene)));
            }
        }
        for slow in self.slow.iter_mut().filter(|slow| slow.may_wait) {
            any_dead |= slow.push(&mut supply, &mut tally, scene);
        }
        if any_owed {
            any_dead |= pay_owed(finishing.0, &mut supply, &mut tally, scene);
        }
        std::mem::forget(finishing);
        if any_dead {
            self.retire_dead(lanes);
        }
        tally
    }

    /// Publishes a slice; each lane shows it to its consumer at once, as far as there is room.
    pub(super) fn publish_batch(
        &mut self,
        lanes: &mut Lanes<E>,
        events: &[E],
        scene: &Scene<'_, E>,
    ) -> Tally {
        let finishing = Finishing(lanes);
        let mut lost = 0;
        for Fast { lane, gate, batched, .. } in finishing.0.iter_mut() {
            *batched = match gate {
                None => {
                    let _user_code = UserCode::enter();
                    lane.put_slice(events)
                }
                Some(gate) => {
                    // A gate is asked about each event, and is asked once.
                    let mut taken = 0;
                    while taken < events.len()
                        && let Some(room) = lane.room()
                    {
                        match held_back(gate, &events[taken], scene) {
                            None => room.push(cloned(&events[taken])),
                            Some(held_back) => lost += usize::from(held_back == HeldBack::Panicked),
                        }
                        taken += 1;
                    }
                    taken
                }
            };
        }
        std::mem::forget(finishing);
        let mut tally = self.publish_rest_of_batch(lanes, events, scene);
        tally.gates_lost(lost);
        tally
    }

    /// Publishes what the fast lanes have not taken of a slice; they know how much they have.
    pub(super) fn publish_rest_of_batch(
        &mut self,
        lanes: &mut Lanes<E>,
        events: &[E],
        scene: &Scene<'_, E>,
    ) -> Tally {
        let mut tally = Tally::accepted(lanes.iter().map(|fast| fast.batched).sum());
        tally.take_back(lanes.finish(discard));
        for direct in &self.direct {
            for event in events {
                if !direct.info.is_dead() {
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
        for Fast { lane, gate, info, dead, batched, .. } in lanes.iter_mut() {
            for event in &events[*batched..] {
                let offer = match gate.as_mut().and_then(|gate| held_back(gate, event, scene)) {
                    None => offer_copy(event, |place| push_waiting(lane, info, place, scene)),
                    Some(held_back) => Offer::taken(held_back.into()),
                };
                tally.count(offer);
                if offer.is_closed() {
                    *dead = true;
                    info.mark_dead();
                }
            }
        }
        if lanes.any_dead() || self.slow.iter().any(|slow| slow.dead) {
            self.retire_dead(lanes);
        }
        tally
    }
}

/// A publish into lanes of which some have gates.
struct Gated<'a, E> {
    /// What the lanes reported right after each put.
    attention: u64,
    /// How many gates panicked.
    lost: usize,
    scene: &'a Scene<'a, E>,
}

impl<E: Clone + Send + 'static> Gated<'_, E> {
    /// Puts the event into one lane, if its gate lets it pass, or a clone unless this is the last lane; `false` without room.
    #[inline(always)]
    fn put(&mut self, fast: &mut Fast<E>, place: &mut Option<E>, is_last: bool) -> bool {
        let Fast { lane, gate, .. } = fast;
        let Some(room) = lane.room() else { return false };
        let Some(event) = place.as_ref() else { return true };
        let held_back = gate.as_mut().and_then(|gate| held_back(gate, event, self.scene));
        if held_back.is_none() {
            if let Some(event) = if is_last { place.take() } else { cloned(&*place) } {
                self.attention |= room.push_and_look(event);
            }
        } else {
            if held_back != Some(HeldBack::Filtered) {
                cold_path();
                self.lost += 1;
            }
            // Whether the lane is sealed; nothing was put in that a fence would have to follow.
            self.attention |= lane.attention();
        }
        true
    }
}

/// Pushes where there was no room, waiting for it. Whether a sink is closed.
#[cold]
fn pay_owed<E: Clone + Send + 'static>(
    lanes: &mut Lanes<E>,
    supply: &mut Supply<'_, E>,
    tally: &mut Tally,
    scene: &Scene<'_, E>,
) -> bool {
    let mut any_dead = false;
    for Fast { lane, info, owed, dead, .. } in lanes.iter_mut() {
        if std::mem::take(owed) {
            let offer = supply.offer(|place| push_waiting(lane, info, place, scene));
            tally.count(offer);
            if offer.is_closed() {
                *dead = true;
                any_dead = true;
                info.mark_dead();
            }
        }
    }
    any_dead
}

/// Pushes the event in `place` into a fast lane, and waits for room there.
fn push_waiting<E: Send + 'static>(
    lane: &mut FastLane<E>,
    info: &Ticket<E>,
    place: &mut Option<E>,
    scene: &Scene<'_, E>,
) -> Offer {
    push(place, |event| hooked(lane, info, scene, event, |lane, event| lane.push(event, *scene.deadline)))
}

impl<E: Clone + Send + 'static> Slow<E> {
    /// Pushes the next event; whether the sink is gone.
    #[inline(always)]
    fn push(&mut self, supply: &mut Supply<'_, E>, tally: &mut Tally, scene: &Scene<'_, E>) -> bool {
        let offer = supply.offer(|place| self.deliver(place, scene));
        tally.count(offer);
        self.note(offer);
        self.dead
    }

    /// Whether the sink is closed is noted.
    #[inline(always)]
    fn note(&mut self, offer: Offer) {
        if offer.is_closed() {
            self.dead = true;
            self.info.mark_dead();
        }
    }

    #[inline(always)]
    fn deliver(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        if self.guard.is_some() {
            return self.deliver_guarded(place, scene);
        }
        push(place, |event| self.lane.offer(event, *scene.deadline))
    }

    /// Through a lane that runs user code, or that cannot be sealed: a removal waits for the push. Apart from the plain lanes,
    /// whose path its frame would make longer.
    #[inline(never)]
    fn deliver_guarded(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        let Self { lane, guard, info, .. } = self;
        let Some(entered) = guard.as_ref().and_then(|guard| scene.enter(guard)) else {
            return Offer::Closed;
        };
        // What a stage does with the event is its own to count, unless it panics.
        // A removal waits for it, so nothing in it waits for a removal.
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

/// Takes the event from its place for an attempt, and puts it back if that fails.
#[inline(always)]
fn push<E>(place: &mut Option<E>, attempt: impl FnOnce(E) -> Result<Disposition, WriteError<E>>) -> Offer {
    match place.take() {
        Some(event) => Offer::of(attempt(event), place),
        None => Offer::Accepted,
    }
}

/// Asks a gate. It is foreign code, so it runs under the hazard word; once its sink is off the bus it is not asked any more,
/// and the sealed lane behind it refuses the event. Says what became of an event that does not pass.
#[inline]
fn held_back<E>(
    (gate, guard): &mut (LaneFilter<E>, Guard<E>),
    event: &E,
    scene: &Scene<'_, E>,
) -> Option<HeldBack> {
    scene.enter(guard).and_then(|_entered| gate(event))
}

/// Puts an event into a fast lane for which there may be no room. That may call a hook of the mailbox, which a removal waits for.
#[cold]
fn hooked<E: Send + 'static>(
    lane: &mut FastLane<E>,
    info: &Ticket<E>,
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

/// Calls a sink on the publishing thread, and keeps its books.
///
/// A panic costs the event and counts as accepted, like a failure behind a queue.
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
                info.mark_dead();
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
