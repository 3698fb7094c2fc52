//! What one publisher knows, and the publish path.
//!
//! The control plane builds a publisher's whole next table; the publisher moves its lanes over from the old one (the
//! cold path, once per change of the list) and gives the old one back. It neither allocates nor frees.
//!
//! A publish goes through these steps: put the event into each lane; one fence; settle with those who seal lanes and
//! wake the consumers that sleep; call the direct sinks; and last, push where a wait for room may come, so that
//! nobody who was promised an event sleeps while the publisher waits.

use super::builder::BusHooks;
use super::entry::{Info, Shared};
use super::publisher::Published;
use crate::error::WriteError;
use crate::inbox::Patience;
use crate::inbox::lane::{FastLane, PrivateLane};
use crate::ledger::{EntryCounters, Outcome};
use crate::panics::caught;
use crate::sink::Sink;
use crate::sink::lane::{Lane, LaneKind};
use crate::sync;
use crate::sync::guarded::{Entered, Guarded, Hazard};
use crate::sync::handoff::OneShot;
use crate::sync::membarrier::{FencePair, light_fence, process_pair};
use crate::wait::nesting::Nesting;
use std::sync::Arc;

type Guard<E> = sync::Arc<Guarded<Shared<E>>>;

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
    /// Through a lane that can be sealed.
    pub(super) fn lane(info: Arc<Info>, lane: Arc<OneShot<Lane<E>>>) -> Self {
        Self { info, lane: Some(lane), guard: None, counters: None }
    }

    /// Through a lane that cannot be sealed: a removal waits for the push in progress, as for a direct sink.
    pub(super) fn guarded_lane(info: Arc<Info>, guard: Guard<E>, lane: Arc<OneShot<Lane<E>>>) -> Self {
        Self { info, lane: Some(lane), guard: Some(guard), counters: None }
    }

    /// By calling the sink.
    pub(super) fn direct(info: Arc<Info>, guard: Guard<E>) -> Self {
        let counters = Some(info.counters.for_publisher());
        Self { info, lane: None, guard: Some(guard), counters }
    }
}

/// A private lane whose ring has one producer: the fast path.
struct Fast<E> {
    lane: FastLane<E>,
    info: Arc<Info>,
    /// A publish in progress owes it the event: there was no room, and it is to wait.
    owed: bool,
    /// How many events of the batch in progress it took.
    batched: usize,
    /// It takes nothing any more.
    dead: bool,
}

/// Any other lane: staged, evicting, unbounded.
struct Slow<E: Send + 'static> {
    lane: Lane<E>,
    info: Arc<Info>,
    guard: Option<Guard<E>>,
    dead: bool,
}

impl<E> Scene<'_, E> {
    /// Names a sink in the publisher's hazard word; `None` when it was taken off the bus.
    fn enter<'a>(&'a self, guard: &'a Guard<E>) -> Option<Entered<'a, Shared<E>>> {
        guard.enter(self.hazard?, self.pair)
    }
}

/// A sink that is called on the publishing thread.
struct Direct<E> {
    guard: Guard<E>,
    info: Arc<Info>,
    counters: Arc<EntryCounters>,
}

/// What one publisher knows.
pub(super) struct Table<E: Send + 'static> {
    fast: Vec<Fast<E>>,
    slow: Vec<Slow<E>>,
    direct: Vec<Direct<E>>,
    /// Whether the fast lanes are all that there is.
    only_fast: bool,
    /// The fence that serves all fast lanes.
    pair: FencePair,
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
            only_fast: true,
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
        let Self { fast, slow, direct, only_fast, pair, plan, .. } = self;
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
                match lane.0 {
                    LaneKind::Private(PrivateLane::Fast(lane)) => {
                        fast.push(Fast { lane, info, owed: false, batched: 0, dead: false });
                    }
                    other => {
                        let guard = plan.guard.clone();
                        slow.push(Slow { lane: Lane(other), info, guard, dead: false });
                    }
                }
            }
        }
        fast.reverse();
        slow.reverse();
        direct.reverse();
        *only_fast = slow.is_empty() && direct.is_empty();
        if fast.iter().any(|fast| fast.lane.pair() == FencePair::Symmetric) {
            *pair = FencePair::Symmetric;
        }
    }

    /// Whether nobody would get an event.
    pub(super) fn is_empty(&self) -> bool {
        self.fast.is_empty() && self.slow.is_empty() && self.direct.is_empty()
    }

    /// Moves lanes that take nothing any more out of the way.
    #[cold]
    fn retire_dead(&mut self) {
        let Self { fast, slow, old_fast, old_slow, .. } = self;
        old_fast.extend(fast.extract_if(.., |fast| fast.dead));
        old_slow.extend(slow.extract_if(.., |slow| slow.dead));
    }

    /// The fence, the settling with sealers, the wake-ups. Returns how many events were taken back.
    #[inline(always)]
    fn finish(&mut self, taken_back: impl FnMut(E)) -> usize {
        light_fence(self.pair);
        if self.fast.iter().any(|fast| fast.lane.needs_finish()) { self.finish_slowly(taken_back) } else { 0 }
    }

    #[cold]
    fn finish_slowly(&mut self, mut taken_back: impl FnMut(E)) -> usize {
        let mut count = 0;
        for fast in &mut self.fast {
            if fast.lane.needs_finish() {
                let open = fast.lane.finish(|event| {
                    count += 1;
                    taken_back(event);
                });
                if !open {
                    fast.dead = true;
                    fast.info.mark_dead();
                }
            }
        }
        count
    }
}

/// Finishes what was put into lanes also when a clone of the event unwinds.
struct Finishing<'a, E: Send + 'static>(&'a mut Table<E>);

impl<E: Send + 'static> Drop for Finishing<'_, E> {
    fn drop(&mut self) {
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

/// Nobody took the event; it is still there.
pub(super) struct Untaken<E> {
    pub(super) refused: usize,
    pub(super) event: E,
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

impl<E: Clone + Send + 'static> Table<E> {
    /// Publishes one event.
    #[inline(always)]
    pub(super) fn publish<'a>(
        &mut self,
        event: E,
        scene: impl FnOnce() -> Scene<'a, E>,
    ) -> Result<Published, Untaken<E>> {
        if !self.only_fast {
            return self.publish_generally(Some(event), 0, &scene());
        }
        let finishing = Finishing(self);
        let count = finishing.0.fast.len();
        let Some((last, others)) = finishing.0.fast.split_last_mut() else {
            std::mem::forget(finishing);
            return Ok(Published::default());
        };
        for (done, other) in others.iter_mut().enumerate() {
            if !other.lane.is_ready() {
                std::mem::forget(finishing);
                return self.publish_generally(Some(event), done, &scene());
            }
            other.lane.put(event.clone());
        }
        if !last.lane.is_ready() {
            std::mem::forget(finishing);
            return self.publish_generally(Some(event), count - 1, &scene());
        }
        last.lane.put(event);
        std::mem::forget(finishing);
        light_fence(self.pair);
        if self.fast.iter().any(|fast| fast.lane.needs_finish()) {
            return self.end_fast(count);
        }
        Ok(Published { accepted: count, refused: 0 })
    }

    #[cold]
    fn end_fast(&mut self, count: usize) -> Result<Published, Untaken<E>> {
        let mut back = None;
        let refused = self.finish_slowly(|event| back = Some(event));
        self.retire_dead();
        match back {
            Some(event) if refused == count => Err(Untaken { refused, event }),
            _ => Ok(Published { accepted: count - refused, refused }),
        }
    }

    /// Publishes one event of which the first `done` fast lanes have got theirs.
    ///
    /// It takes the event as an `Option` so that the fast path need not give it a place in memory of which this function
    /// learns: there it would be written in words and read back in vectors, which no store buffer forwards.
    #[inline(never)]
    fn publish_generally(
        &mut self,
        event: Option<E>,
        done: usize,
        scene: &Scene<'_, E>,
    ) -> Result<Published, Untaken<E>> {
        let total = self.fast.len() + self.slow.len() + self.direct.len();
        let mut supply = Supply { event, left: total - done };
        let mut published = Published { accepted: done, refused: 0 };
        let mut owed = false;
        // A clone that unwound may have left a debt behind.
        self.fast.iter_mut().for_each(|fast| fast.owed = false);
        {
            let finishing = Finishing(self);
            let fast = &mut finishing.0.fast;
            for Fast { lane, info, owed: owes, dead, .. } in &mut fast[done..] {
                if lane.is_ready() {
                    if let Some(event) = supply.next() {
                        lane.put(event);
                        published.accepted += 1;
                    }
                } else if lane.may_wait() && scene.patience == Patience::Wait {
                    *owes = true;
                    owed = true;
                } else if let Some(event) = supply.next()
                    && supply.note(lane.overflow(event, Patience::Now), &mut published)
                {
                    *dead = true;
                    info.mark_dead();
                }
            }
            for slow in finishing.0.slow.iter_mut().filter(|slow| !slow.lane.may_wait()) {
                slow.push(&mut supply, &mut published, scene);
            }
            // Dropping `finishing` would do this too, but forget what was taken back.
            let refused = finishing.0.finish(|event| supply.give_back(event));
            published.accepted -= refused;
            published.refused += refused;
            std::mem::forget(finishing);
        }
        for direct in &self.direct {
            if let Some(event) = supply.next() {
                let outcome = direct.deliver(event, scene);
                supply.note(outcome, &mut published);
            }
        }
        for slow in self.slow.iter_mut().filter(|slow| slow.lane.may_wait()) {
            slow.push(&mut supply, &mut published, scene);
        }
        if owed {
            self.pay_owed(&mut supply, &mut published, scene);
        }
        if self.fast.iter().any(|fast| fast.dead) || self.slow.iter().any(|slow| slow.dead) {
            self.retire_dead();
        }
        match supply.event {
            Some(event) if published.accepted == 0 && published.refused > 0 => {
                Err(Untaken { refused: published.refused, event })
            }
            _ => Ok(published),
        }
    }

    /// Pushes where there was no room, waiting for it.
    #[cold]
    fn pay_owed(&mut self, supply: &mut Supply<E>, published: &mut Published, scene: &Scene<'_, E>) {
        for Fast { lane, info, owed, dead, .. } in &mut self.fast {
            if !std::mem::take(owed) {
                continue;
            }
            if let Some(event) = supply.next()
                && supply.note(lane.push(event, scene.patience), published)
            {
                *dead = true;
                info.mark_dead();
            }
        }
    }

    /// Publishes a slice; each lane shows it to its consumer at once, as far as there is room.
    pub(super) fn publish_batch(&mut self, events: &[E], scene: &Scene<'_, E>) -> Published {
        let mut published = Published::default();
        {
            let finishing = Finishing(self);
            for fast in &mut finishing.0.fast {
                let put = fast.lane.put_slice(events);
                fast.batched = put;
                published.accepted += put;
            }
            let refused = finishing.0.finish(drop);
            published.accepted -= refused;
            published.refused += refused;
            std::mem::forget(finishing);
        }
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
                note(direct.deliver(event.clone(), scene));
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
        for Fast { lane, info, dead, batched, .. } in &mut self.fast {
            let mut rest = &events[*batched..];
            while let [event, later @ ..] = rest {
                if note(lane.push(event.clone(), scene.patience)) {
                    *dead = true;
                    info.mark_dead();
                }
                rest = later;
            }
        }
        if self.fast.iter().any(|fast| fast.dead) || self.slow.iter().any(|slow| slow.dead) {
            self.retire_dead();
        }
        published
    }
}

impl<E: Clone + Send + 'static> Slow<E> {
    fn push(&mut self, supply: &mut Supply<E>, published: &mut Published, scene: &Scene<'_, E>) {
        if let Some(event) = supply.next() {
            let outcome = self.deliver(event, scene);
            if supply.note(outcome, published) {
                self.dead = true;
                self.info.mark_dead();
            }
        }
    }

    fn deliver(&mut self, event: E, scene: &Scene<'_, E>) -> Result<(), WriteError<E>> {
        match &self.guard {
            None => self.lane.push(event, scene.patience),
            Some(guard) => match scene.enter(guard) {
                Some(_entered) => self.lane.push(event, scene.patience),
                None => Err(WriteError::Closed(event)),
            },
        }
    }
}

impl<E: Send + 'static> Direct<E> {
    fn deliver(&self, event: E, scene: &Scene<'_, E>) -> Result<(), WriteError<E>> {
        if self.info.is_dead() {
            return Err(WriteError::Closed(event));
        }
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
