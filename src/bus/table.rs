//! What one publisher knows beside its fast lanes: the other lanes, and the sinks that it calls.
//!
//! The control plane hands over *changes*, one for each sink that came or went, and a larger table to hold them where the old one has
//! no room. The publisher applies them (the cold path, once per change of the list), and gives everything back that it has no use
//! for any more. It neither allocates nor frees.
//!
//! # Invariants
//! - T1: a change that the control plane has handed over and not got back is counted by kind, and the newest table that it handed over
//!   has room for that many entries of each. An entry keeps the change that brought it; so a table never lacks room. The room for fast
//!   lanes is taken out of the table when the publisher takes the table.
//! - T2: entries are kept in the order of their ids. Changes that bring one come in that order.

use super::info::Info;
use super::lanes::{Fast, Lanes};
use super::link::{Change, EntryOnDrop, ExitOnDrop, Guard, Kind, Room, Ticket};
use crate::mailbox::lane::PrivateLane;
use crate::sink::lane::{Lane, LaneKind};
use crate::stats::EntryCounters;
use crate::sync::handoff::{Chain, Parcel};
use crate::wait::context::dispose_each;
use std::sync::Arc;

/// Which links a publisher has, and so which path a publish takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    /// Nothing.
    Empty,
    /// Fast lanes without gates, and nothing else.
    Plain,
    /// Fast lanes, some of them with gates, and nothing else.
    Gated,
    /// Anything.
    General,
}

/// Any other lane: staged, evicting, unbounded.
pub(super) struct Slow<E: Send + 'static> {
    _entry: EntryOnDrop,
    pub(super) lane: Lane<E>,
    pub(super) info: Ticket<E>,
    pub(super) guard: Option<Guard<E>>,
    /// Whether a push may wait for room.
    pub(super) may_wait: bool,
    pub(super) dead: bool,
    _exit: ExitOnDrop,
}

/// A sink that is called on the publishing thread.
pub(super) struct Direct<E: Send + 'static> {
    pub(super) guard: Guard<E>,
    pub(super) info: Arc<Info>,
    pub(super) counters: Arc<EntryCounters>,
    gone: bool,
    ticket: Ticket<E>,
}

/// What one publisher knows beside its fast lanes.
pub(super) struct Table<E: Send + 'static> {
    pub(super) slow: Vec<Slow<E>>,
    pub(super) direct: Vec<Direct<E>>,
    /// Which path a publish takes. Not changed by lanes that die: each path serves for fewer lanes as well.
    pub(super) kind: TableKind,
    /// Empty: the room for fast lanes of a table that the publisher has not taken yet, or has given back.
    lane_room: Vec<Fast<E>>,
    /// What is of no use any more, for the control plane to drop.
    done: Chain<Change<E>>,
}

impl<E: Send + 'static> Table<E> {
    /// An empty table, with room for so many entries.
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

    /// The publisher takes this table, its first one.
    pub(super) fn begin(&mut self, lanes: &mut Lanes<E>) {
        lanes.swap_room(&mut self.lane_room);
    }

    /// The publisher takes this table in place of the old one, with everything that is in there.
    pub(super) fn take_over(&mut self, old: &mut Self, lanes: &mut Lanes<E>) {
        lanes.swap_room(&mut self.lane_room);
        std::mem::swap(&mut self.lane_room, &mut old.lane_room);
        self.slow.append(&mut old.slow);
        self.direct.append(&mut old.direct);
        self.kind = old.kind;
        self.done = std::mem::replace(&mut old.done, Chain::new());
    }

    /// Applies changes, in the order in which they were handed over. A change may come again: then there is nothing to do.
    pub(super) fn apply(&mut self, lanes: &mut Lanes<E>, changes: Chain<Change<E>>) {
        let mut any_gone = false;
        for change in changes {
            match change.value.link.lease.accept() {
                Some(lane) => self.enter(lanes, change, lane),
                None => {
                    any_gone |= change.value.info.is_gone() && self.mark_gone(lanes, &change.value);
                    self.done.push(change);
                }
            }
        }
        if any_gone {
            self.retire_dead(lanes);
        }
        self.kind = if !(self.slow.is_empty() && self.direct.is_empty()) {
            TableKind::General
        } else if lanes.any_gated() {
            TableKind::Gated
        } else if lanes.is_empty() {
            TableKind::Empty
        } else {
            TableKind::Plain
        };
        lanes.choose_fence();
    }

    fn enter(&mut self, lanes: &mut Lanes<E>, change: Box<Parcel<Change<E>>>, lane: Option<Lane<E>>) {
        let guard = change.value.link.guard.clone();
        match lane {
            Some(Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), gate }) => {
                lanes.enter(Fast::new(lane, gate.zip(guard), Ticket(change)));
            }
            Some(lane) => {
                let may_wait = change.value.link.may_wait;
                debug_assert!(self.slow.len() < self.slow.capacity(), "T1");
                let info = change.value.info.clone();
                self.slow.push(Slow {
                    _entry: EntryOnDrop(info.clone()),
                    lane,
                    info: Ticket(change),
                    guard,
                    may_wait,
                    dead: false,
                    _exit: ExitOnDrop(info),
                });
            }
            None => {
                let (info, counters) = (change.value.info.clone(), change.value.link.counters.clone());
                if let (Some(guard), Some(counters)) = (guard, counters) {
                    debug_assert!(self.direct.len() < self.direct.capacity(), "T1");
                    self.direct.push(Direct { guard, info, counters, gone: false, ticket: Ticket(change) });
                }
            }
        }
    }

    /// Marks the entry of a sink that is gone, if it is still here.
    fn mark_gone(&mut self, lanes: &mut Lanes<E>, change: &Change<E>) -> bool {
        let id = change.info.id;
        let mark = match change.link.kind {
            Kind::Fast => lanes.by_id(id).map(|fast| &mut fast.dead),
            Kind::Slow => {
                let at = self.slow.binary_search_by_key(&id, |slow| slow.info.id);
                at.ok().map(|at| &mut self.slow[at].dead)
            }
            Kind::Direct => {
                let at = self.direct.binary_search_by_key(&id, |direct| direct.info.id);
                at.ok().map(|at| &mut self.direct[at].gone)
            }
        };
        // It may be marked already, and still be here.
        mark.map(|mark| *mark = true).is_some()
    }

    /// Drops every link to a sink, each by itself: user code of several sinks may panic there.
    pub(super) fn dispose_entries(&mut self) {
        dispose_each(self.slow.drain(..));
        dispose_each(self.direct.drain(..));
    }

    /// What is of no use any more, for the control plane to drop.
    pub(super) fn done(&mut self) -> Chain<Change<E>> {
        std::mem::replace(&mut self.done, Chain::new())
    }

    /// Whether there are no links but fast lanes.
    pub(super) fn is_empty(&self) -> bool {
        self.slow.is_empty() && self.direct.is_empty()
    }

    /// Moves out of the way what takes nothing any more. The lanes go back in the changes that brought them.
    #[cold]
    pub(super) fn retire_dead(&mut self, lanes: &mut Lanes<E>) {
        let Self { slow, direct, done, .. } = self;
        lanes.retire_dead(done);
        for Slow { lane, info: Ticket(change), .. } in slow.extract_if(.., |slow| slow.dead) {
            change.value.put_back(lane);
            done.push(change);
        }
        direct.extract_if(.., |direct| direct.gone).for_each(|Direct { ticket, .. }| done.push(ticket.0));
    }
}
