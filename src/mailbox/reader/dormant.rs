//! Dormant lanes: lanes that the reader does not poll, because they have been empty for long.
//!
//! [`ring::spsc`](crate::ring::spsc) has the handshake of one lane, and
//! [`ActiveGroups`](crate::mailbox::dormant::ActiveGroups) how the reader is told that a lane is no
//! longer dormant. Here is what the reader does with its lanes, and when.
//!
//! # When
//! A poll of an idle lane is a loss of a few nanoseconds. A pass that makes lanes dormant costs one
//! heavy fence, which interrupts the threads of the process, and its lanes cost their publishers two
//! read-modify-writes when they speak again. So the reader counts its polls of idle lanes, and makes
//! a pass when they have cost as much. A pass makes every lane dormant that had no event since the
//! pass before. If many of these lanes soon have events again, the next pass comes later.
//!
//! # Invariants
//! - L1: a lane of the reader is in `lanes`, in `arriving` or in `dormant`; only lanes in `dormant`
//!   are dormant, except during a pass.
//! - L2: a lane in `dormant` is dormant, or the bit of its group is set or will be set by the thread
//!   that has changed the lane.
//! - L3: a mailbox that has ended has no dormant lane once its reader has asked whether it is
//!   drained. So the end waits for no thread that has changed a lane and not set the bit.

#[cfg(test)]
mod models;
mod pace;

use super::Reader;
use crate::mailbox::dormant::{GROUPS, each_group};
use crate::mailbox::registry::LaneReader;
use crate::sync::membarrier::{heavy_fence, process_pair};
pub(super) use pace::Pace;

/// With this number of lanes or fewer, none is made dormant.
const FEW: usize = 8;
/// The end of a list of seats.
const NONE: usize = usize::MAX;

/// One dormant lane, or a vacancy.
struct Seat<E> {
    lane: Option<LaneReader<E>>,
    /// The next seat of the same group, or the next vacancy.
    next: usize,
}

/// The dormant lanes of a reader, by group.
pub(super) struct DormantLanes<E> {
    seats: Vec<Seat<E>>,
    /// The first seat of each group.
    first: [usize; GROUPS],
    /// The first vacancy.
    vacant: usize,
    count: usize,
}

impl<E> DormantLanes<E> {
    fn new() -> Self {
        Self { seats: Vec::new(), first: [NONE; GROUPS], vacant: NONE, count: 0 }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LaneReader<E>> {
        self.seats.iter().filter_map(|seat| seat.lane.as_ref())
    }

    fn put(&mut self, lane: LaneReader<E>) {
        let first = &mut self.first[lane.group()];
        let seat = Seat { next: *first, lane: Some(lane) };
        if self.vacant == NONE {
            *first = self.seats.len();
            self.seats.push(seat);
        } else {
            *first = self.vacant;
            self.vacant = std::mem::replace(&mut self.seats[*first], seat).next;
        }
        self.count += 1;
    }

    /// Passes every lane of a group for which `leaves` returns `true` to `take`.
    fn leave(
        &mut self,
        group: usize,
        leaves: impl Fn(&LaneReader<E>) -> bool,
        mut take: impl FnMut(LaneReader<E>),
    ) {
        let mut before = NONE;
        let mut at = self.first[group];
        while at != NONE {
            let seat = &mut self.seats[at];
            let next = seat.next;
            if let Some(lane) = seat.lane.take_if(|lane| leaves(lane)) {
                seat.next = self.vacant;
                self.vacant = at;
                self.count -= 1;
                let link = if before == NONE { &mut self.first[group] } else { &mut self.seats[before].next };
                *link = next;
                take(lane);
            } else {
                before = at;
            }
            at = next;
        }
    }
}

impl<E: Send + 'static> Reader<E> {
    /// Reserves memory for a number of lanes, so that a pass allocates nothing.
    pub(super) fn reserve_dormant(&mut self, lanes: usize) {
        if lanes > FEW {
            let dormant = self.dormant.get_or_insert_with(|| Box::new(DormantLanes::new()));
            dormant.seats.reserve(lanes.saturating_sub(dormant.seats.len()));
        }
    }

    /// Returns the number of dormant lanes.
    #[inline(always)]
    pub(super) fn dormant_lanes(&self) -> usize {
        self.dormant.as_ref().map_or(0, |dormant| dormant.count)
    }

    /// Polls the lanes again that are no longer dormant, and makes a pass if it is due. Called where
    /// lanes may move: no run is in progress.
    #[inline]
    pub(super) fn tend_dormant(&mut self) {
        if self.was_told() {
            self.resume_told();
        }
        if self.pace.is_due() {
            self.make_idle_dormant_if_many();
        }
    }

    /// Returns whether the reader was told that a dormant lane is active.
    #[inline]
    pub(super) fn was_told(&self) -> bool {
        self.dormant_lanes() > 0 && self.mailbox.signals.active.any()
    }

    #[cold]
    fn resume_told(&mut self) {
        let bits = self.mailbox.signals.active.take();
        self.resume(bits, |lane| !lane.stays_dormant());
    }

    /// Polls all lanes again, since the mailbox has ended (L3).
    pub(super) fn resume_all(&mut self) {
        self.resume(u64::MAX, |lane| {
            lane.make_active();
            true
        });
    }

    fn resume(&mut self, bits: u64, leaves: impl Fn(&LaneReader<E>) -> bool) {
        let known = self.lanes.len();
        let Self { lanes, dormant: Some(dormant), .. } = self else { return };
        each_group(bits, |group| dormant.leave(group, &leaves, |lane| lanes.push(lane)));
        self.pace.resumed(self.lanes.len() - known);
        self.lanes_were_added(known);
    }

    #[cold]
    fn make_idle_dormant_if_many(&mut self) {
        if self.lanes.len() > FEW {
            self.make_idle_dormant();
        } else {
            self.pace.passed(0);
        }
    }

    /// Makes every private ring dormant that had no event since the last call.
    fn make_idle_dormant(&mut self) {
        let Self { lanes, dormant: Some(dormant), next, turns, .. } = self else { return };
        if *next > lanes.len() {
            *next = 0;
        }
        let shared_is_next = *next == lanes.len();
        // The lanes from here on are being made dormant.
        let mut polled = lanes.len();
        let mut at = 0;
        while at < polled {
            if lanes[at].was_idle() && lanes[at].make_dormant() {
                polled -= 1;
                lanes.swap(at, polled);
                if *next == at {
                    *turns = 0;
                } else if *next == polled {
                    *next = at;
                }
            } else {
                at += 1;
            }
        }
        let before = lanes.len();
        if polled < before {
            self.mailbox.signals.active.set_used();
            // ORD(spsc.fin): heavy fence; pairs with the light ones of the publishers. It serves all
            // of these lanes.
            if heavy_fence(process_pair()) {
                let mut at = polled;
                while at < lanes.len() {
                    if lanes[at].stays_dormant() {
                        dormant.put(lanes.swap_remove(at));
                    } else {
                        at += 1;
                    }
                }
            } else {
                // Publishers may not have seen that their lanes are dormant.
                lanes[polled..].iter().for_each(LaneReader::make_active);
                self.pace.never();
            }
        }
        if shared_is_next {
            *next = lanes.len();
        }
        self.pace.passed(before - lanes.len());
    }
}
