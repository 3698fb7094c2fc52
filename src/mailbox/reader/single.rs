//! Reading single events, in runs.
//!
//! When it is the turn of a lane, the events that are found in it become a *run*, at most as many as
//! the turn has left. What does not depend on the single event is settled once for the run: the new
//! lanes, the lane whose turn it is, the turn itself, the high-water mark, and how long the consumer
//! waits when it finds nothing. A read within a run only takes its event from the lane, counts it,
//! and checks whether a thread waits for room or for progress. So it is short enough that a
//! processor has several reads in progress at a time, and their cache misses overlap.
//!
//! A run is a decision about events that stay in their lane: each one still leaves the lane, and
//! counts as delivered, when it is read. A flush, a snapshot and a publisher that waits for room see
//! no difference. A lane that is added during a run has its turn after it.
//!
//! # Invariants
//! - R1: during a run, `next` is the place of its lane, and no lane is added, removed or made
//!   dormant. A method that moves lanes ends the run first.
//! - R2: the events of a run are known to be readable, and stay in the lane until this reader takes
//!   them, also if the lane is sealed meanwhile. That holds for private rings, and for a shared lane
//!   from which this reader alone takes events. Lanes with evictions and unbounded lanes have no
//!   runs.

use super::Reader;
use super::sole::RUN;
use crate::mailbox::core::Mailbox;
use crate::mailbox::counters::Handled;
use crate::mailbox::known::{Known, RunLane};
use crate::mailbox::progress::Progress;
use crate::mailbox::registry::{LaneReader, settle_seal};
use crate::mailbox::shared_lane::{Events, Find, Source};
use crate::wait::list::Want;
use crate::wait::turn;

impl<E: Send + 'static> Reader<E> {
    /// Returns the next event of the run.
    #[inline(always)]
    pub(super) fn known_in_run(&mut self) -> Option<Known<'_, E>> {
        if self.run == 0 {
            return None;
        }
        let lane = match self.lanes.get_mut(self.next) {
            Some(LaneReader::Spsc(consumer, view)) => RunLane::Private(consumer, view),
            _ => match (&self.mailbox.shared.events, &self.sole) {
                (Events::Bounded(ring), Some(sole)) => RunLane::Shared(ring, sole),
                _ => return None,
            },
        };
        Some(Known::new(lane, &self.mailbox, &mut self.run))
    }

    /// Moves up to `most` events of the run to the end of `into`. Returns their number.
    pub(super) fn take_run_into(&mut self, into: &mut Vec<E>, most: usize) -> usize {
        let most = most.min(self.run);
        if most == 0 {
            return 0;
        }
        if let Some(LaneReader::Spsc(consumer, view)) = self.lanes.get_mut(self.next) {
            let count = consumer.move_known(most, into);
            self.run -= count;
            // Counted first, as in `Known`.
            self.mailbox.consumer.note_many(Handled::Delivered, count as u64);
            view.progress().advance_to(consumer.position());
            self.mailbox.signals.blocked.notify_room(view.waiter());
            return count;
        }
        let before = into.len();
        into.extend((0..most).map_while(|_| Some(self.known_in_run()?.take())));
        into.len() - before
    }

    /// Ends the run: its events stay in their lane, for the next read.
    #[inline]
    pub(super) fn end_run(&mut self) {
        self.turns = self.turns.saturating_sub(self.run);
        self.taken = self.taken.saturating_sub(self.run);
        self.idler.left_unread(self.run);
        self.run = 0;
    }

    /// Takes an event from the first lane that has one, beginning with the lane whose turn it is,
    /// and begins a run there.
    #[inline(never)]
    pub(super) fn take_from_lanes(&mut self, find: Find) -> Option<E> {
        self.begin_run_in_turn(find, |_| usize::MAX)
    }

    /// Takes an event as [`take_from_lanes`](Self::take_from_lanes) does, and begins a run of at most
    /// `most` events with it.
    #[inline(never)]
    pub(super) fn take_run_of(&mut self, find: Find, most: usize) -> Option<E> {
        self.begin_run_in_turn(find, |_| most)
    }

    #[inline(always)]
    fn begin_run_in_turn(&mut self, find: Find, wanted: impl Fn(&Self) -> usize) -> Option<E> {
        self.pick_up();
        loop {
            if let Some(event) = self.take_in_turn(find, &wanted) {
                return Some(event);
            }
            if self.lanes.iter().any(LaneReader::is_drained) {
                self.remove_drained();
            }
            if !self.admits_more() {
                self.let_publishers_off_when_calm();
                return None;
            }
        }
    }

    /// Begins a drain of the events that are in the lanes now. Each lane is read up to its current
    /// end: an event that arrives later in one lane takes the place of none in another.
    pub(crate) fn begin_drain(&mut self) {
        self.let_publishers_off_when_calm();
        self.end_run();
        self.pick_up();
        self.ends.clear();
        self.ends.push(self.mailbox.shared.end_position());
        self.ends.extend(self.lanes.iter().map(LaneReader::accepted));
        // They are read after the others, in this order, once the shared lane was read.
        self.ends.extend(self.arriving.iter().map(|arrival| arrival.lane.accepted()));
    }

    /// Takes the next event of the current drain.
    #[inline]
    pub(crate) fn drain_one(&mut self) -> Option<E> {
        if let Some(mut known) = self.known_in_run() {
            return Some(known.take());
        }
        self.drain_from_lanes()
    }

    #[inline(never)]
    fn drain_from_lanes(&mut self) -> Option<E> {
        if !self.arriving.is_empty() {
            self.admit();
        }
        loop {
            let event = self.take_in_turn(Find::Written, |this| {
                let (at, position) = match this.lanes.get(this.next) {
                    Some(lane) => (this.next + 1, lane.position()),
                    None => (0, this.mailbox.shared.read_position()),
                };
                // No more than a task reads in a row: a poll may follow.
                this.ends.get(at).map_or(0, |end| (end.saturating_sub(position) as usize).min(turn::MOST))
            });
            if event.is_some() || !self.admits_more() {
                return event;
            }
        }
    }

    /// Takes an event from the first lane that has one, beginning with the lane whose turn it is,
    /// and begins a run there. `wanted` returns how many events of the lane at `next` are wanted.
    fn take_in_turn(&mut self, find: Find, wanted: impl Fn(&Self) -> usize) -> Option<E> {
        if self.turns >= self.visit() {
            self.pass_turn();
        }
        for _ in 0..=self.lanes.len() {
            if self.next > self.lanes.len() {
                self.next = 0;
            }
            let most = wanted(self);
            if most > 0
                && !self.is_turn_of_idle_lane()
                && let Some(event) = self.begin_run(find, most)
            {
                return Some(event);
            }
            self.pass_turn();
        }
        None
    }

    /// Returns whether it is the turn of a lane that has no event and no end. Costs two loads, so
    /// that idle lanes delay the others little.
    #[inline(always)]
    fn is_turn_of_idle_lane(&mut self) -> bool {
        let Some(LaneReader::Spsc(consumer, _)) = self.lanes.get_mut(self.next) else { return false };
        let is_idle = consumer.look(1) == 0 && !consumer.is_sealed();
        self.pace.polled_idle(usize::from(is_idle));
        is_idle
    }

    fn pass_turn(&mut self) {
        self.turns = 0;
        self.next += 1;
    }

    /// Takes the next event from the lane whose turn it is, and begins a run of at most `most`
    /// events with it. Returns `None` if the lane has no event.
    fn begin_run(&mut self, find: Find, most: usize) -> Option<E> {
        let mailbox = &*self.mailbox;
        let most = most.min(self.visit() - self.turns);
        let known = match self.lanes.get_mut(self.next) {
            Some(LaneReader::Spsc(consumer, view)) => {
                let mut known = consumer.look(1);
                if known == 0 && settle_seal(consumer, view) {
                    known = consumer.look(1);
                }
                mailbox.consumer.saw_depth(known as u64);
                known.min(most)
            }
            Some(LaneReader::Evicting(ring, view)) => {
                let event = Self::take_from(mailbox, &**ring, view.progress(), find);
                return self.took_alone(event);
            }
            None => match (&mailbox.shared.events, &self.sole) {
                (Events::Bounded(ring), Some(by)) => {
                    let mut found = ring.filled_for_sole(by, RUN);
                    if found == 0 && find == Find::Written && ring.has_written() {
                        found = ring.filled_for_sole(by, RUN);
                    }
                    mailbox.consumer.saw_depth(ring.depth_for_sole(by, found, RUN));
                    found.min(most)
                }
                _ => {
                    let event = Self::take_from(mailbox, &mailbox.shared, &mailbox.shared.progress, find);
                    return self.took_alone(event);
                }
            },
        };
        if known == 0 {
            return None;
        }
        // Asked after the events were found, so that a stage that wrote one of them is seen. A batch
        // that such a stage weighs is counted by itself.
        let weighed = !mailbox.scales.is_empty();
        self.found(if weighed { 1 } else { known });
        let mut known = self.known_in_run()?;
        let event = known.take();
        if weighed {
            // Before the event counts as read: a flush that sees the progress sees the weight.
            known.weigh(&event);
        }
        Some(event)
    }

    /// Counts an event that was taken from a lane without runs.
    fn took_alone(&mut self, event: Option<E>) -> Option<E> {
        if event.is_some() {
            self.found(1);
            self.run = 0;
            self.mailbox.signals.blocked.notify_made(Want::SHARED_ROOM);
        }
        event
    }

    /// Records a run of `count` events.
    fn found(&mut self, count: usize) {
        self.run = count;
        self.turns += count;
        self.taken += count;
        self.idler.found(count);
    }

    #[inline]
    fn take_from(
        mailbox: &Mailbox<E>,
        source: &impl Source<E>,
        progress: &Progress,
        find: Find,
    ) -> Option<E> {
        if !source.may_have(find) {
            return None;
        }
        mailbox.consumer.saw_depth(source.len() as u64);
        let (position, event) = Self::claim(mailbox, source, progress, find)?;
        mailbox.taken(&event);
        mailbox.consumer.note(Handled::Delivered);
        progress.done(position);
        Some(event)
    }
}
