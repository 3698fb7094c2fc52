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
use crate::panics::caught;
use crate::sink::Sink;
use crate::sink::lane::Gate;
use crate::sync::guarded::{Entered, Hazard};
use crate::sync::membarrier::FencePair;
use crate::wait::nesting::Nesting;
use std::hint::cold_path;

/// Finishes what was put into lanes also when a clone of the event unwinds.
struct Finishing<'a, E: Send + 'static>(&'a mut Table<E>);

impl<E: Send + 'static> Drop for Finishing<'_, E> {
    fn drop(&mut self) {
        self.0.fast.iter_mut().for_each(|fast| fast.owed = false);
        self.0.finish(drop);
    }
}

/// The event of a publish and how many sinks are still to get it: clones for all but the last.
struct Supply<E> {
    event: Option<E>,
    left: usize,
}

impl<E: Clone> Supply<E> {
    fn next(&mut self) -> Option<E> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { self.event.take() } else { self.event.clone() }
    }

    fn give_back(&mut self, event: E) {
        self.event.get_or_insert(event);
    }

    /// Notes what became of one push; whether the sink is gone.
    fn note(&mut self, outcome: Result<(), WriteError<E>>, published: &mut Published) -> bool {
        match outcome {
            Ok(()) => {
                published.accepted += 1;
                false
            }
            Err(error) => {
                published.refused += 1;
                let closed = error.is_closed();
                self.give_back(error.into_event());
                closed
            }
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
            let Some(vacant) = lane.vacant() else {
                cold_path();
                std::mem::forget(finishing);
                return self.publish_generally(place, done, scene);
            };
            let Some(event) = place.as_ref() else { break };
            if gate.as_mut().is_none_or(|gate| passes(gate, event, scene)) {
                let event = if done + 1 == count { place.take() } else { place.clone() };
                if let Some(event) = event {
                    vacant.push(event);
                }
                attention |= lane.attention_now();
            }
        }
        // What no gate wanted is dropped, which is foreign code, while the guard still stands.
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
    fn publish_generally(&mut self, event: &mut Option<E>, done: usize, scene: &Scene<'_, E>) -> Published {
        let left = self.fast.len() + self.slow.len() + self.direct.len() - done;
        let mut supply = Supply { event: event.take(), left };
        let mut published = Published { accepted: done, refused: 0 };
        let (mut owed, mut dead) = (false, false);
        let finishing = Finishing(self);
        for Fast { lane, gate, info, owed: owes, dead: gone, .. } in &mut finishing.0.fast[done..] {
            if let Some(gate) = gate
                && supply.event.as_ref().is_some_and(|event| !passes(gate, event, scene))
            {
                // What did not pass is taken.
                supply.left -= 1;
                published.accepted += 1;
            } else if let Some(vacant) = lane.vacant() {
                if let Some(event) = supply.next() {
                    vacant.push(event);
                    published.accepted += 1;
                }
            } else if lane.may_wait() && scene.patience == Patience::Wait {
                *owes = true;
                owed = true;
            } else if let Some(event) = supply.next()
                && supply.note(lane.overflow(event, Patience::Now), &mut published)
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
            } else if let Some(event) = supply.next() {
                let outcome = direct.deliver(event, scene);
                supply.note(outcome, &mut published);
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
        *event = supply.event;
        published
    }

    /// Pushes where there was no room, waiting for it. Whether a sink is gone.
    #[cold]
    fn pay_owed(&mut self, supply: &mut Supply<E>, published: &mut Published, scene: &Scene<'_, E>) -> bool {
        let mut gone = false;
        for Fast { lane, info, owed, dead, .. } in &mut self.fast {
            if std::mem::take(owed)
                && let Some(event) = supply.next()
                && supply.note(lane.push(event, scene.patience), published)
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
                None => lane.put_slice(events),
                Some(gate) => {
                    // A gate is asked about each event, and is asked once.
                    let mut taken = 0;
                    while taken < events.len()
                        && let Some(vacant) = lane.vacant()
                    {
                        if passes(gate, &events[taken], scene) {
                            vacant.push(events[taken].clone());
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
        let mut note = |outcome: Result<(), WriteError<E>>| match outcome {
            Ok(()) => {
                published.accepted += 1;
                false
            }
            Err(error) => {
                published.refused += 1;
                error.is_closed()
            }
        };
        for direct in &self.direct {
            for event in events {
                if !direct.info.is_dead() {
                    note(direct.deliver(event.clone(), scene));
                }
            }
        }
        for slow in &mut self.slow {
            for event in events {
                if note(slow.deliver(event.clone(), scene)) {
                    slow.dead = true;
                    slow.info.mark_dead();
                }
            }
        }
        for Fast { lane, gate, info, dead, batched, .. } in &mut self.fast {
            for event in &events[*batched..] {
                let through = gate.as_mut().is_none_or(|gate| passes(gate, event, scene));
                if note(if through { lane.push(event.clone(), scene.patience) } else { Ok(()) }) {
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
    fn push(&mut self, supply: &mut Supply<E>, published: &mut Published, scene: &Scene<'_, E>) -> bool {
        if let Some(event) = supply.next() {
            let outcome = self.deliver(event, scene);
            if supply.note(outcome, published) {
                self.dead = true;
                self.info.mark_dead();
            }
        }
        self.dead
    }

    fn deliver(&mut self, event: E, scene: &Scene<'_, E>) -> Result<(), WriteError<E>> {
        let Self { lane, guard, info, .. } = self;
        match guard {
            None => lane.push(event, scene.patience),
            Some(guard) => match scene.enter(guard) {
                // A stage is foreign code; what it does with the event is its own to count, unless it panics.
                Some(_entered) => caught(|| lane.push(event, scene.patience)).unwrap_or_else(|text| {
                    let counters = info.counters.everybody();
                    counters.offered(1);
                    counters.count(Outcome::DroppedPanicked, 1);
                    scene.hooks.panicked(info, &text);
                    Ok(())
                }),
                None => Err(WriteError::Closed(event)),
            },
        }
    }
}

/// Asks a gate. It is foreign code, so it runs under the hazard word; once its sink is off the bus it is not asked any more,
/// and the sealed lane behind it refuses the event.
#[inline]
fn passes<E>((gate, guard): &mut (Gate<E>, Guard<E>), event: &E, scene: &Scene<'_, E>) -> bool {
    scene.enter(guard).is_none_or(|_entered| gate(event))
}

impl<E: Send + 'static> Direct<E> {
    fn deliver(&self, event: E, scene: &Scene<'_, E>) -> Result<(), WriteError<E>> {
        match scene.enter(&self.guard) {
            Some(entered) => {
                entered.with(|sink| deliver_to(&**sink, event, &self.info, &self.counters, scene.hooks))
            }
            None => {
                self.counters.offered(1);
                self.counters.count(Outcome::RefusedClosed, 1);
                Err(WriteError::Closed(event))
            }
        }
    }
}

/// Calls a sink on the publishing thread, and keeps its books.
///
/// A panic costs the event and counts as accepted, like a failure behind a queue.
pub(super) fn deliver_to<E: Send + 'static>(
    sink: &dyn Sink<E>,
    event: E,
    info: &Info,
    counters: &EntryCounters,
    hooks: &BusHooks<E>,
) -> Result<(), WriteError<E>> {
    counters.offered(1);
    let Some(_delivery) = Nesting::delivery() else {
        counters.count(Outcome::RefusedReentrant, 1);
        return Err(WriteError::Reentrant(event));
    };
    match caught(|| sink.write(event)) {
        Ok(Ok(())) => {
            counters.count(Outcome::Delivered, 1);
            Ok(())
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
            Err(error)
        }
        Err(text) => {
            counters.count(Outcome::DroppedPanicked, 1);
            hooks.panicked(info, &text);
            Ok(())
        }
    }
}
