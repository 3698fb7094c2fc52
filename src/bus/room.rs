//! What a task waits for that publishes: room in each sink whose policy is to wait, or the removal of
//! that sink; and the publish that waits for none.

use super::core::Core;
use super::delivery::Scene;
use super::entry::SinkEntry;
use super::lanes::FastLanes;
use super::link::Guard;
use super::table::{Slow, Table};
use super::tally::{Offer, PublishTally};
use crate::sink::lane::{Lane, LaneKind, RoomWait};
use crate::stats::SinkId;
use crate::wait::WaitList;
use crate::wait::context::{WaitedFor, caught, cloned, discard, user_code};
use crate::wait::list::task::{Condition, TaskWait};
use std::sync::Arc;

/// The removal of a sink, which ends the wait of a task inside the sink.
///
/// A removal seals the lanes into a sink of its own bus. It does not know the lanes inside that sink,
/// such as those of a nested bus, nor a wait in a shared lane. So a task waits for the removal, too.
struct Removal<E: Send + 'static> {
    /// The list of the bus, which each removal notifies.
    list: Arc<WaitList>,
    sink: Guard<E>,
}

impl<E: Send + 'static> Condition for Removal<E> {
    fn list(&self) -> &WaitList {
        &self.list
    }

    fn holds(&self) -> bool {
        !self.sink.is_attached()
    }
}

fn removal<E: Send + 'static>(list: &Arc<WaitList>, sink: &Guard<E>) -> TaskWait {
    TaskWait::for_end(Arc::new(Removal { list: list.clone(), sink: sink.clone() }))
}

impl<E: Send + 'static> Slow<E> {
    /// Returns the wait of a task for room, if a push would wait here now.
    fn full(&self, scene: &Scene<'_, E>, removals: &Arc<WaitList>) -> Option<RoomWait> {
        if !self.may_wait || self.closed {
            return None;
        }
        // A removed sink has taken the user code back that is in its lane.
        let _entered = match &self.guard {
            Some(guard) => Some(scene.enter(guard)?),
            None => None,
        };
        let room = user_code(|| self.lane.full()).ok().flatten()?;
        Some(match (&self.guard, &self.lane.kind) {
            (Some(guard), LaneKind::Staged(_)) => room.or_removed(removal(removals, guard)),
            // The seal of the lane ends the wait.
            _ => room,
        })
    }
}

impl<E: Send + 'static> Table<E> {
    /// Returns the wait of a task for room in the first sink in which a publish would wait now.
    ///
    /// `removals` is the list of the bus on which a removal is reported.
    pub(super) fn full(
        &self,
        lanes: &FastLanes<E>,
        scene: &Scene<'_, E>,
        removals: &Arc<WaitList>,
    ) -> Option<RoomWait> {
        let fast = lanes.iter().find_map(|fast| fast.lane.full()).map(RoomWait::new);
        fast.or_else(|| self.slow.iter().find_map(|slow| slow.full(scene, removals)))
    }

    /// Returns the wait of a task for room in this sink, if a publish would wait there now.
    pub(super) fn full_at(
        &self,
        id: SinkId,
        scene: &Scene<'_, E>,
        removals: &Arc<WaitList>,
    ) -> Option<RoomWait> {
        self.slow.iter().find(|slow| slow.info.id == id)?.full(scene, removals)
    }
}

/// Puts the lanes that a publish has left out back into their table, also when it unwinds.
struct LeftOut<'a, E: Send + 'static> {
    table: &'a mut Table<E>,
    lanes: Vec<Slow<E>>,
}

impl<E: Send + 'static> Drop for LeftOut<'_, E> {
    fn drop(&mut self) {
        // T1: there is room, since they came from there. T2: in the order of their ids.
        self.table.slow.append(&mut self.lanes);
        self.table.slow.sort_unstable_by_key(|slow| slow.info.id);
    }
}

impl<E: Clone + Send + 'static> Table<E> {
    /// Publishes a clone of `event` into every sink but those with a slow lane that may wait, whose
    /// ids it adds to `owed`. Without such sinks, takes the event itself.
    ///
    /// In a fast lane there is room, or the policy is not to wait: the deadline of the scene has
    /// passed.
    pub(super) fn publish_without_waits(
        &mut self,
        lanes: &mut FastLanes<E>,
        event: &mut Option<E>,
        owed: &mut Vec<SinkId>,
        scene: &Scene<'_, E>,
    ) -> PublishTally {
        let left_out: Vec<_> = self.slow.extract_if(.., |slow| slow.may_wait && !slow.closed).collect();
        if left_out.is_empty() {
            return self.publish(lanes, event, 0, scene);
        }
        owed.extend(left_out.iter().map(|slow| slow.info.id));
        let left_out = LeftOut { table: self, lanes: left_out };
        if lanes.is_empty() && left_out.table.is_empty() {
            return PublishTally::accepted(0);
        }
        let mut copy = cloned(&*event);
        let tally = left_out.table.publish(lanes, &mut copy, 0, scene);
        discard(copy);
        tally
    }

    /// Publishes the event in `place` into one sink with a slow lane. Leaves it there if the sink
    /// refuses it. Returns `None` if the sink was removed.
    pub(super) fn publish_at(
        &mut self,
        lanes: &mut FastLanes<E>,
        id: SinkId,
        place: &mut Option<E>,
        scene: &Scene<'_, E>,
    ) -> Option<Offer> {
        let offer = self.slow.iter_mut().find(|slow| slow.info.id == id)?.offer(place, scene);
        if offer.is_closed() {
            self.retire_closed(lanes);
        }
        Some(offer)
    }
}

/// What a lane keeps that branches: an event that some of its sinks have, and others are owed.
impl<E: Send + 'static> Table<E> {
    /// Lets the lane into a sink continue. Returns whether it keeps no event, which holds if the sink
    /// was removed.
    pub(super) fn resume_at(&mut self, id: SinkId, scene: &Scene<'_, E>) -> bool {
        self.stage_at(id, scene, Lane::resume).unwrap_or(true)
    }

    /// Takes the event back from the lane into a sink.
    pub(super) fn give_up_at(&mut self, id: SinkId, scene: &Scene<'_, E>) {
        self.stage_at(id, scene, Lane::give_up);
    }

    /// Calls the lane into a sink, unless the sink was removed.
    fn stage_at<R>(
        &mut self,
        id: SinkId,
        scene: &Scene<'_, E>,
        call: impl FnOnce(&mut Lane<E>) -> R,
    ) -> Option<R> {
        let Slow { lane, guard, info, .. } = self.slow.iter_mut().find(|slow| slow.info.id == id)?;
        // Only a stage keeps an event, and every stage has a guard.
        let entered = scene.enter(guard.as_ref()?)?;
        // A removal waits for this call, as for a push.
        let called = caught(|| {
            let _held = WaitedFor::begin();
            entered.inside(|| call(lane))
        });
        called.map_err(|text| scene.hooks.panicked(info, &text)).ok()
    }
}

impl<E: Send + 'static> Core<E> {
    /// Returns the wait of a task for room in the first shared lane in which a publish without a
    /// publisher of its own would wait now.
    pub(super) fn full_shared(&self) -> Option<RoomWait> {
        self.front.list.snapshot().iter().find_map(|entry| self.full_entry(entry))
    }

    /// Returns the wait of a task for room in the shared lane of this sink, if a publish would wait
    /// there now.
    pub(super) fn full_shared_at(&self, id: SinkId) -> Option<RoomWait> {
        let list = self.front.list.snapshot();
        self.full_entry(list.iter().find(|entry| entry.info.id == id)?)
    }

    fn full_entry(&self, entry: &SinkEntry<E>) -> Option<RoomWait> {
        let room = RoomWait::new(entry.shared.as_ref()?.full()?);
        Some(room.or_removed(removal(&self.removals, entry.listed.guarded())))
    }
}
