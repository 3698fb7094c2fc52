//! The links of one publisher beside its fast lanes: its other lanes, and the direct sinks.
//!
//! The control plane hands over *changes*, one for each sink that was added or removed, and a
//! larger table if the old table has no room for them. The publisher applies changes on the cold
//! path, once per change of the list. It returns everything that it no longer needs. It neither
//! allocates nor frees.
//!
//! # Invariants
//! - T1: the control plane counts, by kind, the changes that it has handed over and not received
//!   back. The newest table that it handed over has room for that many entries of each kind. An
//!   entry keeps the change that brought it, so a table never lacks room. The room for fast lanes
//!   is taken out of the table when the publisher takes the table.
//! - T2: entries are in the order of their ids. Changes that bring an entry arrive in that order.

use super::info::Info;
use super::lanes::{Fast, FastLanes};
use super::link::{Change, ChangeTicket, EntryOnDrop, ExitOnDrop, Guard, LinkKind, Room};
use crate::mailbox::lane::PrivateLane;
use crate::sink::biased::Overwritten;
use crate::sink::lane::{Lane, LaneKind};
use crate::stats::EntryCounters;
use crate::sync::guarded::Hazard;
use crate::sync::handoff::{Chain, Node};
use crate::sync::membarrier::FencePair;
use crate::wait::context::dispose_each;
use std::sync::Arc;

/// The kinds of links that a publisher has, which select the path of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    /// No links.
    Empty,
    /// Only fast lanes without filters.
    Plain,
    /// Only fast lanes, some of them with filters.
    Filtered,
    /// Only one journal, without a filter.
    Biased,
    /// Links of any kind.
    General,
}

/// A lane that is not a fast lane: staged, evicting or unbounded.
pub(super) struct Slow<E: Send + 'static> {
    _entry: EntryOnDrop,
    pub(super) lane: Lane<E>,
    pub(super) info: ChangeTicket<E>,
    pub(super) guard: Option<Guard<E>>,
    /// Whether a push may wait for room.
    pub(super) may_wait: bool,
    pub(super) closed: bool,
    _exit: ExitOnDrop,
}

impl<E: Send + 'static> Slow<E> {
    /// Returns whether this is the lane into a journal, without a filter.
    #[inline(always)]
    pub(super) fn is_biased(&self) -> bool {
        matches!(self.lane, Lane { kind: LaneKind::Biased(..), filter: None, .. })
    }

    /// Publishes an event into a journal, unless it begins a block, or the lane has a filter or is
    /// not that of a journal. Returns what the caller has to discard, and otherwise the event as an
    /// error.
    ///
    /// No user code runs, so no panic is caught, and no mark is set.
    #[inline(always)]
    pub(super) fn put_biased(
        &mut self,
        event: E,
        hazard: &Hazard,
        pair: FencePair,
    ) -> Result<Overwritten<E>, E> {
        let Lane { kind: LaneKind::Biased(sealable), filter: None, .. } = &mut self.lane else {
            return Err(event);
        };
        let Some(guard) = &self.guard else { return Err(event) };
        // The guard is left before the caller discards an event.
        match guard.enter(hazard, pair) {
            Some(_entered) => sealable.lane.put(event),
            None => Err(event),
        }
    }
}

/// A sink that is called on the publishing thread.
pub(super) struct Direct<E: Send + 'static> {
    pub(super) guard: Guard<E>,
    pub(super) info: Arc<Info>,
    pub(super) counters: Arc<EntryCounters>,
    removed: bool,
    ticket: ChangeTicket<E>,
}

/// The links of one publisher beside its fast lanes.
pub(super) struct Table<E: Send + 'static> {
    pub(super) slow: Vec<Slow<E>>,
    pub(super) direct: Vec<Direct<E>>,
    /// Selects the path of a publish. Lanes that close do not change it: each path works with fewer
    /// lanes as well.
    pub(super) kind: TableKind,
    /// Always empty: the room for fast lanes, in a table that the publisher has not taken yet or
    /// has returned.
    lane_room: Vec<Fast<E>>,
    /// Changes that the publisher no longer needs, for the control plane to drop.
    done: Chain<Change<E>>,
}

impl<E: Send + 'static> Table<E> {
    /// Makes an empty table with this room.
    pub(super) fn with_room(room: &Room) -> Self {
        let [lane_room, slow, direct] = room.by_kind();
        Self {
            slow: Vec::with_capacity(slow),
            direct: Vec::with_capacity(direct),
            kind: TableKind::Empty,
            lane_room: Vec::with_capacity(lane_room),
            done: Chain::new(),
        }
    }

    /// Moves the room for fast lanes out of this table, which is the publisher's first.
    pub(super) fn begin(&mut self, lanes: &mut FastLanes<E>) {
        lanes.swap_room(&mut self.lane_room);
    }

    /// Replaces the publisher's old table by this one, and moves everything in it over.
    pub(super) fn take_over(&mut self, old: &mut Self, lanes: &mut FastLanes<E>) {
        lanes.swap_room(&mut self.lane_room);
        std::mem::swap(&mut self.lane_room, &mut old.lane_room);
        self.slow.append(&mut old.slow);
        self.direct.append(&mut old.direct);
        self.kind = old.kind;
        self.done = std::mem::replace(&mut old.done, Chain::new());
    }

    /// Applies changes in the order in which they were handed over. A change that arrives again has
    /// no effect.
    pub(super) fn apply(&mut self, lanes: &mut FastLanes<E>, changes: Chain<Change<E>>) {
        let mut any_removed = false;
        for change in changes {
            match change.value.link.lease.accept() {
                Some(lane) => self.enter(lanes, change, lane),
                None => {
                    any_removed |= change.value.info.is_removed() && self.mark_removed(lanes, &change.value);
                    self.done.push(change);
                }
            }
        }
        if any_removed {
            self.retire_closed(lanes);
        }
        self.kind = if !(self.slow.is_empty() && self.direct.is_empty()) {
            let is_alone = lanes.is_empty() && self.direct.is_empty() && self.slow.len() == 1;
            if is_alone && self.slow[0].is_biased() { TableKind::Biased } else { TableKind::General }
        } else if lanes.any_filtered() {
            TableKind::Filtered
        } else if lanes.is_empty() {
            TableKind::Empty
        } else {
            TableKind::Plain
        };
        lanes.choose_fence();
    }

    /// Publishes an event into the only sink, a journal, as [`Slow::put_biased`] does.
    #[inline(always)]
    pub(super) fn put_biased(
        &mut self,
        event: E,
        hazard: &Hazard,
        pair: FencePair,
    ) -> Result<Overwritten<E>, E> {
        match self.slow.first_mut() {
            Some(slow) => slow.put_biased(event, hazard, pair),
            None => Err(event),
        }
    }

    fn enter(&mut self, lanes: &mut FastLanes<E>, change: Box<Node<Change<E>>>, lane: Option<Lane<E>>) {
        let guard = change.value.link.guard.clone();
        match lane {
            Some(Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), filter, .. }) => {
                lanes.enter(Fast::new(lane, filter.zip(guard), ChangeTicket(change)));
            }
            Some(lane) => {
                let may_wait = change.value.link.may_wait;
                debug_assert!(self.slow.len() < self.slow.capacity(), "T1");
                let info = change.value.info.clone();
                self.slow.push(Slow {
                    _entry: EntryOnDrop(info.clone()),
                    lane,
                    info: ChangeTicket(change),
                    guard,
                    may_wait,
                    closed: false,
                    _exit: ExitOnDrop(info),
                });
            }
            None => {
                let (info, counters) = (change.value.info.clone(), change.value.link.counters.clone());
                if let (Some(guard), Some(counters)) = (guard, counters) {
                    debug_assert!(self.direct.len() < self.direct.capacity(), "T1");
                    self.direct.push(Direct {
                        guard,
                        info,
                        counters,
                        removed: false,
                        ticket: ChangeTicket(change),
                    });
                }
            }
        }
    }

    /// Marks the entry of a removed sink. Returns whether the entry is still here.
    fn mark_removed(&mut self, lanes: &mut FastLanes<E>, change: &Change<E>) -> bool {
        let id = change.info.id;
        let mark = match change.link.kind {
            LinkKind::Fast => lanes.by_id(id).map(|fast| &mut fast.closed),
            LinkKind::Slow => {
                let at = self.slow.binary_search_by_key(&id, |slow| slow.info.id);
                at.ok().map(|at| &mut self.slow[at].closed)
            }
            LinkKind::Direct => {
                let at = self.direct.binary_search_by_key(&id, |direct| direct.info.id);
                at.ok().map(|at| &mut self.direct[at].removed)
            }
        };
        // An entry that is marked already is still here.
        mark.map(|mark| *mark = true).is_some()
    }

    /// Drops the links one by one, because user code of several sinks may panic there.
    pub(super) fn dispose_entries(&mut self) {
        dispose_each(self.slow.drain(..));
        dispose_each(self.direct.drain(..));
    }

    /// Removes and returns the changes that the publisher no longer needs, for the control plane to
    /// drop.
    pub(super) fn take_done(&mut self) -> Chain<Change<E>> {
        std::mem::replace(&mut self.done, Chain::new())
    }

    /// Returns whether there are no links other than fast lanes.
    pub(super) fn is_empty(&self) -> bool {
        self.slow.is_empty() && self.direct.is_empty()
    }

    /// Removes lanes that accept no further events, and removed sinks. Each lane returns to the
    /// control plane in the change that brought it.
    #[cold]
    pub(super) fn retire_closed(&mut self, lanes: &mut FastLanes<E>) {
        let Self { slow, direct, done, .. } = self;
        lanes.retire_closed(done);
        for Slow { lane, info: ChangeTicket(change), .. } in slow.extract_if(.., |slow| slow.closed) {
            change.value.put_back(lane);
            done.push(change);
        }
        direct.extract_if(.., |direct| direct.removed).for_each(|Direct { ticket, .. }| done.push(ticket.0));
    }
}
