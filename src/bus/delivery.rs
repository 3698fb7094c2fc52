//! The publish path.
//!
//! A publish goes through these steps: put the event into each lane; one fence; settle with those who seal lanes and
//! wake the consumers that sleep; call the direct sinks; and last, push where a wait for room may come, so that
//! nobody who was promised an event sleeps while the publisher waits.

use super::builder::BusHooks;
use super::entry::{Info, Shared};
use super::published::{Published, Tally};
use super::table::{Direct, Fast, Guard, Slow, Table, TableKind, Ticket};
use crate::error::WriteError;
use crate::mailbox::lane::FastLane;
use crate::panics::{caught, discard, event_of};
use crate::sink::Sink;
use crate::sink::lane::Gate;
use crate::stats::{Disposition, DropReason, EntryCounters, HeldBack, Outcome};
use crate::sync::cold_path;
use crate::sync::guarded::{Entered, Hazard};
use crate::sync::membarrier::FencePair;
use crate::time::Deadline;
use crate::wait::nesting::{Held, Nesting, cloned};
use std::mem::needs_drop;

/// Finishes what was put into lanes also when a clone of the event unwinds.
struct Finishing<'a, E: Send + 'static>(&'a mut Table<E>);

impl<E: Send + 'static> Drop for Finishing<'_, E> {
    fn drop(&mut self) {
        self.0.fast.iter_mut().for_each(|fast| fast.owed = false);
        self.0.finish(discard);
    }
}

/// What became of an event that was offered to one sink from a place in memory: if it was refused, it is still there.
///
/// Events go by places because each copy of what was just written in smaller pieces waits for those stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Accepted,
    /// Accepted, and lost already.
    Dropped(DropReason),
    Full,
    Timeout,
    Reentrant,
    Failed,
    /// Refused, and so will be every later one.
    Closed,
}

impl Offer {
    #[inline]
    fn taken(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Dropped(reason) => Self::Dropped(reason),
            Disposition::Partly(parts) => Self::taken(parts.rest()),
            Disposition::Delivered | Disposition::Pending | Disposition::Filtered => Self::Accepted,
        }
    }

    /// Puts the event of a failed attempt back.
    #[inline]
    pub(super) fn of<E>(outcome: Result<Disposition, WriteError<E>>, place: &mut Option<E>) -> Self {
        match outcome {
            Ok(disposition) => Self::taken(disposition),
            Err(error) => Self::refused(error, place),
        }
    }

    #[cold]
    fn refused<E>(error: WriteError<E>, place: &mut Option<E>) -> Self {
        let offer = match &error {
            WriteError::Full(_) => Self::Full,
            WriteError::Closed(_) => Self::Closed,
            WriteError::Timeout(_) => Self::Timeout,
            WriteError::Reentrant(_) => Self::Reentrant,
            WriteError::Failed { .. } => Self::Failed,
        };
        *place = Some(event_of(error));
        offer
    }

    /// Counts it; whether the sink is gone.
    #[inline]
    fn note(self, tally: &mut Tally) -> bool {
        tally.count(self);
        self != Self::Accepted && self == Self::Closed
    }
}

/// The event of a publish and how many sinks are still to get it: clones for all but the last.
struct Supply<'a, E> {
    place: &'a mut Option<E>,
    left: usize,
}

impl<E: Clone> Supply<'_, E> {
    /// Offers the event, or a clone, to the next sink.
    #[inline(always)]
    fn offer(&mut self, to: impl FnOnce(&mut Option<E>) -> Offer) -> Offer {
        debug_assert!(self.place.is_some(), "the event is there until the last sink has it");
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return to(self.place);
        }
        let mut copy = cloned(&*self.place);
        let offer = to(&mut copy);
        if let Some(back) = copy {
            self.give_back(back);
        }
        offer
    }

    fn give_back(&mut self, event: E) {
        if self.place.is_some() {
            discard(event);
        } else {
            *self.place = Some(event);
        }
    }
}

/// What a publish needs to know beside the table.
pub(super) struct Scene<'a, E> {
    /// The publisher's hazard word.
    pub(super) hazard: Option<&'a Hazard>,
    /// The fences of hazard words.
    pub(super) pair: FencePair,
    pub(super) hooks: &'a BusHooks<E>,
    pub(super) deadline: Deadline,
}

impl<E> Clone for Scene<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Scene<'_, E> {}

impl<E> Scene<'_, E> {
    /// Names a sink in the publisher's hazard word; `None` when it was taken off the bus.
    fn enter<'a>(&'a self, guard: &'a Guard<E>) -> Option<Entered<'a, Shared<E>>> {
        guard.enter(self.hazard?, self.pair)
    }
}

impl<E: Clone + Send + 'static> Table<E> {
    /// Publishes the event in `place`, of which the first `done` fast lanes have got theirs, and leaves it there if nobody takes it.
    ///
    /// Events come here by a place in memory that only this path sees: so the fast path keeps them in registers and does not
    /// copy its result.
    pub(super) fn publish(&mut self, place: &mut Option<E>, done: usize, scene: &Scene<'_, E>) -> Tally {
        match self.kind {
            TableKind::Empty => Tally::accepted(0),
            TableKind::Gated => self.through_gates(place, scene),
            TableKind::Fast | TableKind::General => self.publish_generally(place, done, scene),
        }
    }

    /// Puts the event into every fast lane whose gate lets it pass. The event stays in its place in memory while gates look at
    /// it: one that nobody keeps is never copied.
    fn through_gates(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Tally {
        let finishing = Finishing(self);
        let count = finishing.0.fast.len();
        let (mut attention, mut lost) = (0, 0);
        for (done, Fast { lane, gate, .. }) in finishing.0.fast.iter_mut().enumerate() {
            let Some(room) = lane.room() else {
                cold_path();
                std::mem::forget(finishing);
                let mut tally = self.publish_generally(place, done, scene);
                tally.gates_lost(lost);
                return tally;
            };
            let Some(event) = place.as_ref() else { break };
            let held_back = gate.as_mut().and_then(|gate| held_back(gate, event, scene));
            if held_back.is_none() {
                let event = if done + 1 == count { place.take() } else { cloned(&*place) };
                if let Some(event) = event {
                    attention |= room.push_and_look(event);
                }
            } else {
                if held_back != Some(HeldBack::Filtered) {
                    cold_path();
                    lost += 1;
                }
                // Whether the lane is sealed; nothing was put in that a fence would have to come behind.
                attention |= lane.attention();
            }
        }
        // What no gate wanted is dropped, which is foreign code, while the guard still stands.
        if needs_drop::<E>() && place.is_some() {
            discard(place.take());
        }
        *place = None;
        std::mem::forget(finishing);
        let mut tally = Tally::accepted(count);
        tally.gates_lost(lost);
        if self.wants_finish(attention) {
            self.finish_fast(&mut tally, place);
        }
        tally
    }

    /// Whether a lane has something to finish. `attention` is what the lanes said right behind each put.
    #[inline(always)]
    fn wants_finish(&self, attention: u64) -> bool {
        // With full fences one serves all lanes, and what they said before it does not count.
        attention != 0 || self.pair == FencePair::Symmetric
    }

    #[cold]
    fn finish_fast(&mut self, tally: &mut Tally, back: &mut Option<E>) {
        tally.take_back(self.finish(|event| *back = Some(event)));
        self.retire_dead();
    }

    /// Publishes one event of which the first `done` fast lanes have got theirs.
    fn publish_generally(&mut self, place: &mut Option<E>, done: usize, scene: &Scene<'_, E>) -> Tally {
        let left = self.fast.len() + self.slow.len() + self.direct.len() - done;
        let mut supply = Supply { place, left };
        let mut tally = Tally::accepted(done);
        let (mut owed, mut dead) = (false, false);
        let finishing = Finishing(self);
        for Fast { lane, gate, info, owed: owes, dead: gone, .. } in &mut finishing.0.fast[done..] {
            if let Some(gate) = gate
                && let Some(held_back) = supply.place.as_ref().and_then(|event| held_back(gate, event, scene))
            {
                // What did not pass is taken.
                supply.left -= 1;
                tally.count(Offer::taken(held_back.into()));
            } else if let Some(room) = lane.room() {
                let offer = supply.offer(|place| {
                    if let Some(event) = place.take() {
                        room.push(event);
                    }
                    Offer::Accepted
                });
                offer.note(&mut tally);
            } else if lane.may_wait() && scene.deadline != Deadline::NOW {
                *owes = true;
                owed = true;
            } else if supply
                .offer(|place| {
                    push(place, |event| {
                        hooked(lane, info, scene, event, |lane, event| lane.overflow(event, Deadline::NOW))
                    })
                })
                .note(&mut tally)
            {
                *gone = true;
                dead = true;
                info.mark_dead();
            }
        }
        for slow in finishing.0.slow.iter_mut().filter(|slow| !slow.may_wait) {
            dead |= slow.push(&mut supply, &mut tally, scene);
        }
        let refused = finishing.0.finish(|event| supply.give_back(event));
        tally.take_back(refused);
        dead |= refused > 0;
        for direct in &finishing.0.direct {
            if direct.info.is_dead() {
                // As if it were off the bus already.
                supply.left = supply.left.saturating_sub(1);
            } else {
                supply.offer(|place| direct.deliver(place, scene)).note(&mut tally);
            }
        }
        for slow in finishing.0.slow.iter_mut().filter(|slow| slow.may_wait) {
            dead |= slow.push(&mut supply, &mut tally, scene);
        }
        if owed {
            dead |= finishing.0.pay_owed(&mut supply, &mut tally, scene);
        }
        std::mem::forget(finishing);
        if dead {
            self.retire_dead();
        }
        tally
    }

    /// Pushes where there was no room, waiting for it. Whether a sink is gone.
    #[cold]
    fn pay_owed(&mut self, supply: &mut Supply<'_, E>, tally: &mut Tally, scene: &Scene<'_, E>) -> bool {
        let mut gone = false;
        for Fast { lane, info, owed, dead, .. } in &mut self.fast {
            if std::mem::take(owed)
                && supply
                    .offer(|place| {
                        push(place, |event| {
                            hooked(lane, info, scene, event, |lane, event| lane.push(event, scene.deadline))
                        })
                    })
                    .note(tally)
            {
                *dead = true;
                gone = true;
                info.mark_dead();
            }
        }
        gone
    }

    /// Publishes a slice; each lane shows it to its consumer at once, as far as there is room.
    pub(super) fn publish_batch(&mut self, events: &[E], scene: &Scene<'_, E>) -> Published {
        let finishing = Finishing(self);
        let mut lost = 0;
        for Fast { lane, gate, batched, .. } in &mut finishing.0.fast {
            *batched = match gate {
                None => {
                    let _impatient = Nesting::impatient();
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
        let mut published = self.go_on_with_batch(events, scene);
        published.gates_lost(lost);
        published
    }

    /// Publishes what the fast lanes have not taken of a slice; they know how far they are.
    pub(super) fn go_on_with_batch(&mut self, events: &[E], scene: &Scene<'_, E>) -> Published {
        let accepted = self.fast.iter().map(|fast| fast.batched).sum();
        let mut published = Published::accepted(accepted);
        let refused = self.finish(discard);
        published.take_back(refused);
        for direct in &self.direct {
            for event in events {
                if !direct.info.is_dead() {
                    published.count(offer_copy(event, |place| direct.deliver(place, scene)));
                }
            }
        }
        for slow in &mut self.slow {
            for event in events {
                if published.count(offer_copy(event, |place| slow.deliver(place, scene))) {
                    slow.dead = true;
                    slow.info.mark_dead();
                }
            }
        }
        for Fast { lane, gate, info, dead, batched, .. } in &mut self.fast {
            for event in &events[*batched..] {
                let offer = match gate.as_mut().and_then(|gate| held_back(gate, event, scene)) {
                    None => offer_copy(event, |place| {
                        push(place, |event| {
                            hooked(lane, info, scene, event, |lane, event| lane.push(event, scene.deadline))
                        })
                    }),
                    Some(held_back) => Offer::taken(held_back.into()),
                };
                if published.count(offer) {
                    *dead = true;
                    info.mark_dead();
                }
            }
        }
        if self.fast.iter().any(|fast| fast.dead) || self.slow.iter().any(|slow| slow.dead) {
            self.retire_dead();
        }
        published
    }
}

impl<E: Clone + Send + 'static> Slow<E> {
    /// Pushes the next event; whether the sink is gone.
    #[inline(always)]
    fn push(&mut self, supply: &mut Supply<'_, E>, tally: &mut Tally, scene: &Scene<'_, E>) -> bool {
        if supply.offer(|place| self.deliver(place, scene)).note(tally) {
            self.dead = true;
            self.info.mark_dead();
        }
        self.dead
    }

    #[inline(always)]
    fn deliver(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        if self.guard.is_some() {
            return self.deliver_guarded(place, scene);
        }
        push(place, |event| self.lane.offer(event, scene.deadline))
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
            let _held = Held::begin();
            entered.inside(|| push(place, |event| lane.offer(event, scene.deadline)))
        });
        pushed.unwrap_or_else(|text| {
            let counters = info.counters.everybody();
            counters.offered(1);
            counters.count(Outcome::Unwound, 1);
            scene.hooks.panicked(info, &text);
            Offer::Dropped(DropReason::Panicked)
        })
    }
}

/// Offers a clone, and drops it where it was refused.
fn offer_copy<E: Clone>(event: &E, to: impl FnOnce(&mut Option<E>) -> Offer) -> Offer {
    let mut copy = Some(cloned(event));
    let offer = to(&mut copy);
    discard(copy);
    offer
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
    (gate, guard): &mut (Gate<E>, Guard<E>),
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
                self.counters.count(Outcome::RefusedClosed, 1);
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
    let Some(_delivery) = Nesting::delivery() else {
        counters.count(Outcome::RefusedReentrant, 1);
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
            counters.count(Outcome::refused(&error), 1);
            if error.is_closed() {
                info.mark_dead();
            }
            hooks.failed(info, &error);
            Offer::of(Err(error), place)
        }
        Err(text) => {
            counters.count(Outcome::Unwound, 1);
            hooks.panicked(info, &text);
            Offer::Dropped(DropReason::Panicked)
        }
    }
}
