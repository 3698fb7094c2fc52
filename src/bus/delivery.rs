//! The publish path.
//!
//! A publish goes through these steps: put the event into each lane; one fence; settle with those who seal lanes and
//! wake the consumers that sleep; call the direct sinks; and last, push where a wait for room may come, so that
//! nobody who was promised an event sleeps while the publisher waits.

use super::builder::BusHooks;
use super::entry::{Info, Shared};
use super::publisher::Published;
use super::table::{Direct, Fast, Guard, Slow, Table, TableKind};
use crate::error::WriteError;
use crate::inbox::Patience;
use crate::ledger::{EntryCounters, Outcome};
use crate::panics::{caught, event_of, quietly};
use crate::sink::Sink;
use crate::sink::lane::Gate;
use crate::sync::guarded::{Entered, Hazard};
use crate::sync::membarrier::FencePair;
use crate::wait::nesting::{Held, Nesting, cloned, dropped};
use std::hint::cold_path;
use std::mem::needs_drop;

/// Finishes what was put into lanes also when a clone of the event unwinds.
struct Finishing<'a, E: Send + 'static>(&'a mut Table<E>);

impl<E: Send + 'static> Drop for Finishing<'_, E> {
    fn drop(&mut self) {
        self.0.fast.iter_mut().for_each(|fast| fast.owed = false);
        // It unwinds already: a second panic would end the process.
        self.0.finish(|event| quietly(|| drop(event)));
    }
}

/// What became of an event that was offered to one sink from a place in memory: unless it was accepted, it is still there.
///
/// Events go by places because each copy of what was just written in smaller pieces waits for those stores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Accepted,
    Refused,
    /// And so will be every later one.
    Closed,
}

impl Offer {
    /// Puts the event of a failed attempt back.
    #[inline]
    fn of<E>(outcome: Result<(), WriteError<E>>, place: &mut Option<E>) -> Self {
        match outcome {
            Ok(()) => Self::Accepted,
            Err(error) => {
                let closed = error.is_closed();
                *place = Some(event_of(error));
                if closed { Self::Closed } else { Self::Refused }
            }
        }
    }

    /// Counts it; whether the sink is gone.
    fn note(self, published: &mut Published) -> bool {
        published.count(self == Self::Accepted);
        self == Self::Closed
    }
}

/// The event of a publish and how many sinks are still to get it: clones for all but the last.
struct Supply<'a, E> {
    place: &'a mut Option<E>,
    left: usize,
}

impl<E: Clone> Supply<'_, E> {
    /// Offers the event, or a clone, to the next sink.
    #[inline]
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
        if self.place.is_none() {
            *self.place = Some(event);
        } else {
            dropped(event);
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
    pub(super) patience: Patience,
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
    pub(super) fn publish(&mut self, place: &mut Option<E>, done: usize, scene: &Scene<'_, E>) -> Published {
        match self.kind {
            TableKind::Empty => Published::default(),
            TableKind::Gated => self.through_gates(place, scene),
            TableKind::Fast | TableKind::General => self.publish_generally(place, done, scene),
        }
    }

    /// Puts the event into every fast lane whose gate lets it pass. The event stays in its place in memory while gates look at
    /// it: one that nobody keeps is never copied.
    fn through_gates(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Published {
        let finishing = Finishing(self);
        let count = finishing.0.fast.len();
        let mut attention = 0;
        for (done, Fast { lane, gate, .. }) in finishing.0.fast.iter_mut().enumerate() {
            let Some(room) = lane.room() else {
                cold_path();
                std::mem::forget(finishing);
                return self.publish_generally(place, done, scene);
            };
            let Some(event) = place.as_ref() else { break };
            if gate.as_mut().is_none_or(|gate| passes(gate, event, scene)) {
                let event = if done + 1 == count { place.take() } else { cloned(&*place) };
                if let Some(event) = event {
                    attention |= room.push_and_look(event);
                }
            } else {
                // Whether the lane is sealed; nothing was put in that a fence would have to come behind.
                attention |= lane.attention();
            }
        }
        // What no gate wanted is dropped, which is foreign code, while the guard still stands.
        if needs_drop::<E>() && place.is_some() {
            dropped(place.take());
        }
        *place = None;
        std::mem::forget(finishing);
        if self.wants_finish(attention) {
            self.finish_fast(count, place)
        } else {
            Published { accepted: count, refused: 0 }
        }
    }

    /// Whether a lane has something to finish. `attention` is what the lanes said right behind each put.
    #[inline(always)]
    fn wants_finish(&self, attention: u64) -> bool {
        // With full fences one serves all lanes, and what they said before it does not count.
        attention != 0 || self.pair == FencePair::Symmetric
    }

    #[cold]
    fn finish_fast(&mut self, count: usize, back: &mut Option<E>) -> Published {
        let refused = self.finish(|event| *back = Some(event));
        self.retire_dead();
        Published { accepted: count - refused, refused }
    }

    /// Publishes one event of which the first `done` fast lanes have got theirs.
    fn publish_generally(&mut self, place: &mut Option<E>, done: usize, scene: &Scene<'_, E>) -> Published {
        let left = self.fast.len() + self.slow.len() + self.direct.len() - done;
        let mut supply = Supply { place, left };
        let mut published = Published { accepted: done, refused: 0 };
        let (mut owed, mut dead) = (false, false);
        let finishing = Finishing(self);
        for Fast { lane, gate, info, owed: owes, dead: gone, .. } in &mut finishing.0.fast[done..] {
            if let Some(gate) = gate
                && supply.place.as_ref().is_some_and(|event| !passes(gate, event, scene))
            {
                // What did not pass is taken.
                supply.left -= 1;
                published.accepted += 1;
            } else if let Some(room) = lane.room() {
                let offer = supply.offer(|place| {
                    if let Some(event) = place.take() {
                        room.push(event);
                    }
                    Offer::Accepted
                });
                offer.note(&mut published);
            } else if lane.may_wait() && scene.patience == Patience::Wait {
                *owes = true;
                owed = true;
            } else if supply
                .offer(|place| push(place, |event| lane.overflow(event, Patience::Now)))
                .note(&mut published)
            {
                *gone = true;
                dead = true;
                info.mark_dead();
            }
        }
        for slow in finishing.0.slow.iter_mut().filter(|slow| !slow.may_wait) {
            dead |= slow.push(&mut supply, &mut published, scene);
        }
        let refused = finishing.0.finish(|event| supply.give_back(event));
        published.accepted -= refused;
        published.refused += refused;
        dead |= refused > 0;
        for direct in &finishing.0.direct {
            if direct.info.is_dead() {
                // As if it were off the bus already.
                supply.left = supply.left.saturating_sub(1);
            } else {
                supply.offer(|place| direct.deliver(place, scene)).note(&mut published);
            }
        }
        for slow in finishing.0.slow.iter_mut().filter(|slow| slow.may_wait) {
            dead |= slow.push(&mut supply, &mut published, scene);
        }
        if owed {
            dead |= finishing.0.pay_owed(&mut supply, &mut published, scene);
        }
        std::mem::forget(finishing);
        if dead {
            self.retire_dead();
        }
        published
    }

    /// Pushes where there was no room, waiting for it. Whether a sink is gone.
    #[cold]
    fn pay_owed(
        &mut self,
        supply: &mut Supply<'_, E>,
        published: &mut Published,
        scene: &Scene<'_, E>,
    ) -> bool {
        let mut gone = false;
        for Fast { lane, info, owed, dead, .. } in &mut self.fast {
            if std::mem::take(owed)
                && supply.offer(|place| push(place, |event| lane.push(event, scene.patience))).note(published)
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
                        if passes(gate, &events[taken], scene) {
                            room.push(cloned(&events[taken]));
                        }
                        taken += 1;
                    }
                    taken
                }
            };
        }
        std::mem::forget(finishing);
        self.go_on_with_batch(events, scene)
    }

    /// Publishes what the fast lanes have not taken of a slice; they know how far they are.
    pub(super) fn go_on_with_batch(&mut self, events: &[E], scene: &Scene<'_, E>) -> Published {
        let accepted = self.fast.iter().map(|fast| fast.batched).sum();
        let mut published = Published { accepted, refused: 0 };
        let refused = self.finish(drop);
        published.accepted -= refused;
        published.refused += refused;
        for direct in &self.direct {
            for event in events {
                if !direct.info.is_dead() {
                    direct.deliver(&mut Some(cloned(event)), scene).note(&mut published);
                }
            }
        }
        for slow in &mut self.slow {
            for event in events {
                if slow.deliver(&mut Some(cloned(event)), scene).note(&mut published) {
                    slow.dead = true;
                    slow.info.mark_dead();
                }
            }
        }
        for Fast { lane, gate, info, dead, batched, .. } in &mut self.fast {
            for event in &events[*batched..] {
                let through = gate.as_mut().is_none_or(|gate| passes(gate, event, scene));
                let offer = if through {
                    push(&mut Some(cloned(event)), |event| lane.push(event, scene.patience))
                } else {
                    Offer::Accepted
                };
                if offer.note(&mut published) {
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
    fn push(&mut self, supply: &mut Supply<'_, E>, published: &mut Published, scene: &Scene<'_, E>) -> bool {
        if supply.offer(|place| self.deliver(place, scene)).note(published) {
            self.dead = true;
            self.info.mark_dead();
        }
        self.dead
    }

    fn deliver(&mut self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        let Self { lane, guard, info, .. } = self;
        let mut put = || push(place, |event| lane.push(event, scene.patience));
        match guard {
            None => put(),
            Some(guard) => match scene.enter(guard) {
                // A stage is foreign code; what it does with the event is its own to count, unless it panics.
                // A removal waits for it, so nothing in it waits for a removal.
                Some(_entered) => caught(|| {
                    let _held = Held::begin();
                    put()
                })
                .unwrap_or_else(|text| {
                    let counters = info.counters.everybody();
                    counters.offered(1);
                    counters.count(Outcome::DroppedPanicked, 1);
                    scene.hooks.panicked(info, &text);
                    Offer::Accepted
                }),
                None => Offer::Closed,
            },
        }
    }
}

/// Takes the event from its place for an attempt, and puts it back if that fails.
#[inline(always)]
fn push<E>(place: &mut Option<E>, attempt: impl FnOnce(E) -> Result<(), WriteError<E>>) -> Offer {
    match place.take() {
        Some(event) => Offer::of(attempt(event), place),
        None => Offer::Accepted,
    }
}

/// Asks a gate. It is foreign code, so it runs under the hazard word; once its sink is off the bus it is not asked any more,
/// and the sealed lane behind it refuses the event.
#[inline]
fn passes<E>((gate, guard): &mut (Gate<E>, Guard<E>), event: &E, scene: &Scene<'_, E>) -> bool {
    scene.enter(guard).is_none_or(|_entered| gate(event))
}

impl<E: Send + 'static> Direct<E> {
    fn deliver(&self, place: &mut Option<E>, scene: &Scene<'_, E>) -> Offer {
        match scene.enter(&self.guard) {
            Some(entered) => {
                entered.with(|sink| deliver_to(&**sink, place, &self.info, &self.counters, scene.hooks))
            }
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
        return Offer::Refused;
    };
    let written = caught(|| match place.take() {
        Some(event) => sink.write(event),
        None => Ok(()),
    });
    match written {
        Ok(Ok(())) => {
            counters.count(Outcome::Delivered, 1);
            Offer::Accepted
        }
        Ok(Err(error)) => {
            let outcome = match &error {
                WriteError::Full(_) => Outcome::RefusedFull,
                WriteError::Closed(_) => Outcome::RefusedClosed,
                WriteError::Timeout(_) => Outcome::RefusedTimeout,
                WriteError::Reentrant(_) => Outcome::RefusedReentrant,
                WriteError::Failed { .. } => Outcome::RefusedFailed,
            };
            counters.count(outcome, 1);
            if error.is_closed() {
                info.mark_dead();
            }
            hooks.failed(info, &error);
            Offer::of(Err(error), place)
        }
        Err(text) => {
            counters.count(Outcome::DroppedPanicked, 1);
            hooks.panicked(info, &text);
            Offer::Accepted
        }
    }
}
