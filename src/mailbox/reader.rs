//! The one consumer of a mailbox: it reads the lanes in turn, counts the events that it takes, and
//! waits.

mod dormant;
mod single;
mod sole;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use super::activity::ActivityWords;
use super::consume::{Consume, ConsumerTally};
use super::core::{Mailbox, MailboxConfig};
use super::end::End;
use super::intake::{Intake, give_up};
use super::known::Known;
use super::progress::Progress;
use super::registry::{Arrival, LaneReader, settle_seal};
use super::shared_lane::{Events, Find, Source};
use super::view::LaneView;
use crate::error::BuildError;
use crate::ring::mpmc::SoleConsumer;
use crate::ring::spsc;
use crate::sync::{Arc, MODEL, Ordering, lock, recheck, spin_hint, thread};
use crate::wait::linger::Linger;
use crate::wait::list::Want;
use crate::wait::strategy::{Idler, Step};
use dormant::{DormantLanes, Pace};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The most events whose slots are returned together, in a large lane that is at most half full.
const CHUNK: usize = 16;

/// The one consumer of a mailbox.
pub(crate) struct Reader<E> {
    mailbox: Arc<Mailbox<E>>,
    /// The right to be the only consumer of the shared lane, unless it is unbounded or evicts.
    sole: Option<SoleConsumer>,
    lanes: Vec<LaneReader<E>>,
    /// Lanes that are not polled, since they have been empty for long.
    dormant: Option<Box<DormantLanes<E>>>,
    pace: Pace,
    /// Lanes that are not read yet, since the shared lane still holds events that precede theirs.
    arriving: Vec<Arrival<E>>,
    /// The lane that a single read polls first; `lanes.len()` is the shared one.
    next: usize,
    /// The number of events that single reads have taken from that lane in a row, with those of the
    /// run.
    turns: usize,
    /// The number of events that are left of the run: see [`single`].
    run: usize,
    generation: usize,
    /// Whether the reader has seen the end of the shared lane.
    saw_shared_end: bool,
    /// The end of each lane when the last drain began: of the shared lane, of the lanes that are
    /// read, of the new lanes.
    ends: Vec<u64>,
    idler: Idler,
    linger: Linger,
    /// The number of events taken since the reader last lingered.
    taken: usize,
}

impl<E: Send + 'static> Reader<E> {
    /// Makes a mailbox with one consumer, and its reader.
    pub(crate) fn open(config: MailboxConfig<E>) -> Result<(Arc<Mailbox<E>>, Self), BuildError> {
        let (mailbox, sole) = Mailbox::new(config, false)?;
        let reader = Self::new(mailbox.clone(), sole);
        Ok((mailbox, reader))
    }

    fn new(mailbox: Arc<Mailbox<E>>, sole: Option<SoleConsumer>) -> Self {
        let idler = Idler::new(mailbox.wait);
        Self {
            mailbox,
            sole,
            lanes: Vec::new(),
            dormant: None,
            pace: Pace::new(),
            arriving: Vec::new(),
            next: 0,
            turns: 0,
            run: 0,
            generation: 0,
            saw_shared_end: false,
            ends: Vec::with_capacity(1),
            idler,
            linger: Linger::new(),
            taken: 0,
        }
    }

    /// Returns the most events taken from one lane before the next one has its turn: a quarter of
    /// the capacity.
    fn visit(&self) -> usize {
        (self.mailbox.capacity() / 4).max(1)
    }

    /// Picks up the lanes that were added, and tends those that are dormant, if there are any.
    #[inline]
    fn pick_up(&mut self) {
        // ORD(mailbox.generation): Acquire; pairs with the Release in `Mailbox::lane`,
        // `Mailbox::seal`.
        let generation = self.mailbox.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.arriving.append(&mut lock(&self.mailbox.registry).arrivals);
            self.reserve();
        }
        if !self.arriving.is_empty() {
            self.admit();
        }
        self.tend_dormant();
    }

    /// Reserves memory for all lanes, so that reading allocates nothing.
    fn reserve(&mut self) {
        let lanes = self.lanes.len() + self.dormant_lanes() + self.arriving.len();
        self.lanes.reserve(lanes - self.lanes.len());
        self.reserve_dormant(lanes);
        self.ends.clear();
        self.ends.reserve(lanes + 1);
    }

    /// Starts to read the new lanes whose preceding events were read: after the other lanes, in the
    /// order in which they were added.
    #[cold]
    fn admit(&mut self) {
        let read = self.mailbox.shared.read_position();
        let ready = self.arriving.iter().take_while(|arrival| arrival.after <= read).count();
        let known = self.lanes.len();
        self.lanes.extend(self.arriving.drain(..ready).map(|arrival| arrival.lane));
        self.lanes_were_added(known);
    }

    /// Records that lanes were added after the first `known` ones.
    fn lanes_were_added(&mut self, known: usize) {
        // The shared lane follows the new ones: it completes a turn that it has begun, and gets no
        // second one.
        if self.next == known && self.turns > 0 {
            self.next = self.lanes.len();
        } else if self.next > known {
            self.next = 0;
        }
    }

    /// Returns whether there are new lanes to read, after the others had no event.
    #[inline]
    fn admits_more(&mut self) -> bool {
        let known = self.lanes.len();
        if !self.arriving.is_empty() {
            self.admit();
        }
        self.lanes.len() > known
    }

    /// As [`scan`](Intake::scan), for a reader that is not woken for an event that it does not
    /// find.
    #[inline]
    pub(crate) fn scan_written(&mut self, consume: &mut impl Consume<E>) -> usize {
        self.scan_for(Find::Written, consume)
    }

    /// Reads all lanes once, and passes at most a quarter of a lane's capacity from each to
    /// `consume`.
    #[inline(always)]
    fn scan_for(&mut self, find: Find, consume: &mut impl Consume<E>) -> usize {
        self.end_run();
        self.pick_up();
        let visit = self.visit();
        let mailbox = &self.mailbox;
        let mut total = Self::scan_shared(mailbox, self.sole.as_mut(), (visit, find), consume);
        let mut any_ended = false;
        let mut idle = 0;
        for lane in &mut self.lanes {
            let count = match lane {
                LaneReader::Spsc(consumer, view) => {
                    // An idle lane costs only these loads.
                    let known = consumer.look(visit);
                    if known == 0 && !consumer.is_sealed() {
                        idle += 1;
                        continue;
                    }
                    Self::scan_lane(mailbox, consumer, view, known, (visit, find), consume)
                }
                LaneReader::Evicting(ring, view) => {
                    Self::scan_source(mailbox, &**ring, view.progress(), (visit, find), consume)
                }
            };
            total += count;
            any_ended |= count == 0 && lane.is_drained();
        }
        if any_ended {
            self.remove_drained();
        }
        self.pace.polled_idle(idle);
        if total > 0 {
            self.mailbox.signals.blocked.notify_progress();
            self.idler.found(total);
            self.taken += total;
        }
        total
    }

    /// Removes the lanes that were read to their end.
    fn remove_drained(&mut self) {
        let mailbox = &self.mailbox;
        self.lanes.retain(|lane| {
            let stays = lane.stays(&mailbox.registry);
            if !stays {
                mailbox.consumer.passed_evicted(lane.evicted_at_end());
            }
            stays
        });
    }

    /// Passes at most `visit` events of a private lane, of which `known` are known, to `consume`.
    ///
    /// A separate function, called once a visit, so that its loop has all registers.
    #[inline(never)]
    fn scan_lane(
        mailbox: &Mailbox<E>,
        consumer: &mut spsc::Consumer<E>,
        view: &LaneView<E>,
        mut known: usize,
        (visit, find): (usize, Find),
        consume: &mut impl Consume<E>,
    ) -> usize {
        let mut tally = ConsumerTally::open(mailbox, view.progress());
        let capacity = mailbox.capacity();
        let mut count = 0;
        // One load of the tail per visit, before it: events that arrive later are for the next
        // visit.
        if known == 0 && find == Find::Written && settle_seal(consumer, view) {
            known = consumer.look(visit);
        }
        while known > 0 && count < visit {
            mailbox.consumer.saw_depth(known as u64);
            // A slow handler must not hold slots of handled events while room is short.
            let short = known > capacity / 2 || capacity <= 4 * CHUNK;
            let chunk = CHUNK.min(visit - count).min(consume.room());
            let mut position = consumer.position();
            let enter = |event| {
                position += 1;
                let after = position;
                tally.count(event, consume, move |progress| progress.advance_to(after));
            };
            // Its fence is a compiler fence if the process has the asymmetric pair.
            let notify = || mailbox.signals.blocked.notify_room(view.waiter());
            let events = if short {
                consumer.drain_freeing(chunk.min(known), enter, notify)
            } else {
                let events = consumer.drain_known(chunk, enter);
                notify();
                events
            };
            consume.batched(mailbox, events);
            count += events;
            known = consumer.known();
        }
        count
    }

    /// Passes at most `visit` events of the shared lane to `consume`. Matches on the kind of the
    /// lane once for all of its events.
    ///
    /// A separate function, so that the loop over the private lanes is compiled as if it were
    /// alone.
    fn scan_shared(
        mailbox: &Mailbox<E>,
        sole: Option<&mut SoleConsumer>,
        (visit, find): (usize, Find),
        consume: &mut impl Consume<E>,
    ) -> usize {
        let shared = &mailbox.shared;
        match (&shared.events, sole) {
            (Events::Bounded(ring), Some(by)) => Self::scan_sole(mailbox, ring, by, (visit, find), consume),
            (Events::Bounded(ring), None) => {
                Self::scan_source(mailbox, ring, &shared.progress, (visit, find), consume)
            }
            (Events::Unbounded(queue), _) => {
                Self::scan_source(mailbox, &**queue, &shared.progress, (visit, find), consume)
            }
        }
    }

    /// Passes at most `visit` events of a ring, or of the shared lane, to `consume`.
    fn scan_source(
        mailbox: &Mailbox<E>,
        source: &impl Source<E>,
        progress: &Progress,
        (visit, find): (usize, Find),
        consume: &mut impl Consume<E>,
    ) -> usize {
        let mut tally = ConsumerTally::open(mailbox, progress);
        let mut count = 0;
        mailbox.consumer.saw_depth(source.len() as u64);
        while count < visit
            && let Some((position, event)) = Self::claim(mailbox, source, progress, find)
        {
            if source.is_bounded() {
                // The slot is free before the event is handled.
                mailbox.signals.blocked.notify_made(Want::SHARED_ROOM);
            }
            tally.count(event, consume, move |progress| progress.done(position));
            consume.batched(mailbox, 1);
            count += 1;
        }
        count
    }

    /// Takes the oldest event. A flush and a snapshot count it as being handled until its progress
    /// is [`done`](Progress::done).
    #[inline(always)]
    fn claim(
        mailbox: &Mailbox<E>,
        source: &impl Source<E>,
        progress: &Progress,
        find: Find,
    ) -> Option<(u64, E)> {
        let mut found = source.may_have(find);
        while found {
            // Set before the lane removes the event: otherwise a flush could find it neither in the
            // lane nor here.
            progress.take_in_hand();
            if let Some(claimed) = source.pop_alone(find, progress) {
                // Those between the last event that this consumer took from the lane and this one.
                mailbox.consumer.passed_evicted(claimed.0.saturating_sub(progress.handled()));
                return Some(claimed);
            }
            // The event was evicted, or is not filled yet. A flush may have seen the announcement,
            // and wait for it.
            progress.nothing_in_hand();
            mailbox.signals.blocked.notify_progress();
            found = match find {
                Find::Filled => source.has_filled(),
                Find::Written => source.may_have(find),
            };
        }
        None
    }
}

impl<E: Send + 'static> Reader<E> {
    /// Lets publishers off their full fence if this consumer no longer parks often.
    fn let_publishers_off_when_calm(&mut self) {
        if !MODEL && self.idler.has_calmed() && self.mailbox.signals.cell.let_publishers_off() {
            self.idler.consumer_pays();
        }
    }
}

impl<E: Send + 'static> Intake<E> for Reader<E> {
    #[inline]
    fn mailbox(&self) -> &Arc<Mailbox<E>> {
        &self.mailbox
    }

    #[inline]
    fn activity(&self) -> &ActivityWords {
        self.mailbox.consumer.activity()
    }

    #[inline]
    fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        self.scan_for(Find::Filled, consume)
    }

    /// Spins briefly before the next poll if events were taken since the last one and the lane has
    /// run dry: see [`Linger`].
    #[inline]
    fn linger_when_dry(&mut self) {
        // In a model no consumer lingers, and this load would only add states to explore.
        if MODEL || self.taken == 0 || self.run > 0 {
            return;
        }
        self.let_publishers_off_when_calm();
        let knows_more = match self.lanes.get(self.next) {
            Some(LaneReader::Spsc(consumer, _)) => consumer.known() > 0,
            Some(LaneReader::Evicting(ring, _)) => ring.has_filled(),
            None => self.mailbox.shared.may_have(Find::Filled),
        };
        if !knows_more {
            self.linger.ran_dry(std::mem::take(&mut self.taken), self.mailbox.capacity());
        }
    }

    #[inline(always)]
    fn known(&mut self) -> Option<Known<'_, E>> {
        self.known_in_run()
    }

    fn take_known_into(&mut self, into: &mut Vec<E>, most: usize) -> usize {
        self.take_run_into(into, most)
    }

    /// Takes one event, from each lane in turn: a quarter of a lane's capacity at a time.
    #[inline]
    fn take(&mut self, find: Find) -> Option<E> {
        if let Some(mut known) = self.known_in_run() {
            return Some(known.take());
        }
        self.take_from_lanes(find)
    }

    fn take_of(&mut self, find: Find, most: usize) -> Option<E> {
        if let Some(mut known) = self.known_in_run() {
            return Some(known.take());
        }
        self.take_run_of(find, most)
    }

    fn known_len(&self) -> usize {
        self.run
    }

    /// Costs a few loads for each lane. Takes a lock only when a lane was added since the last
    /// read.
    fn len(&self) -> u64 {
        // ORD(mailbox.generation): Acquire; pairs with the Release in `Mailbox::lane`.
        let added = if self.mailbox.generation.load(Ordering::Acquire) == self.generation {
            0
        } else {
            let registry = lock(&self.mailbox.registry);
            registry.arrivals.iter().map(|arrival| arrival.lane.pending()).sum()
        };
        let dormant = self.dormant.iter().flat_map(|dormant| dormant.iter());
        let arriving = self.arriving.iter().map(|arrival| &arrival.lane);
        let known = self.lanes.iter().chain(dormant).chain(arriving).map(LaneReader::pending).sum::<u64>();
        added + known + self.mailbox.shared_len()
    }

    fn drained(&mut self) -> Option<End> {
        let end = self.mailbox.end();
        if end == End::Open {
            return None;
        }
        self.end_run();
        let sealed = {
            let mut registry = lock(&self.mailbox.registry);
            self.arriving.append(&mut registry.arrivals);
            registry.sealed
        };
        self.reserve();
        if self.dormant_lanes() > 0 {
            self.resume_all();
        }
        self.admit();
        self.remove_drained();
        let shared_ended = self.mailbox.shared.is_drained();
        if shared_ended && !self.saw_shared_end {
            self.saw_shared_end = true;
            if self.mailbox.evicts() {
                self.mailbox.consumer.passed_evicted(self.mailbox.shared.unread());
            }
        }
        (sealed && self.lanes.is_empty() && self.arriving.is_empty() && shared_ended).then_some(end)
    }

    fn has_work(&mut self) -> bool {
        // ORD(mailbox.generation): Acquire; pairs with the Release in `Mailbox::lane`,
        // `Mailbox::seal`.
        self.mailbox.generation.load(Ordering::Acquire) != self.generation
            || self.mailbox.shared.has_filled()
            // The end of the lane is reported once: a reader that still has work to do for the seal
            // is woken again.
            // A lane that is not sealed yet is not loaded: writers have its cache line. The thread
            // that seals it stores the end first, and wakes this consumer last.
            || (!self.saw_shared_end
                && self.mailbox.end() != End::Open
                && self.mailbox.shared.shows_end())
            || self.was_told()
            || self.lanes.iter_mut().any(LaneReader::has_work)
            // Otherwise the shared lane holds events that precede, and the writer that has claimed
            // their positions wakes this consumer.
            || self.arriving.first().is_some_and(|arrival| arrival.after <= self.mailbox.shared.read_position())
    }

    fn found_nothing(&mut self) {
        self.mailbox.consumer.saw_empty();
        self.linger.found_nothing();
    }

    fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Mailbox<E>) -> bool) {
        self.found_nothing();
        // A task that was registered here is replaced by this thread, whatever the strategy: the
        // cell holds one waiter, and a thread that finds it occupied could only poll again at once.
        self.unregister();
        let step = self.idler.step(self.mailbox.capacity(), Instant::now);
        let within = |nap: Duration| limit.map_or(nap, |limit| limit.min(nap));
        match step {
            Step::Spin => spin_hint(),
            Step::Yield => thread::yield_now(),
            Step::Nap(nap) => {
                let signals = self.mailbox.signals.clone();
                signals.cell.nap_unless(within(nap), || self.has_work() || other(&self.mailbox));
            }
            Step::Park => {
                let (signals, payer) = (self.mailbox.signals.clone(), self.idler.parks(Instant::now));
                let ready = || self.has_work() || other(&self.mailbox);
                signals.cell.park_unless_paid(payer, limit, ready);
            }
        }
    }

    fn register(&mut self, task: &Waker) -> bool {
        self.found_nothing();
        let (signals, payer) = (self.mailbox.signals.clone(), self.idler.parks(Instant::now));
        let waits = signals.cell.register_paid(payer, task) && !recheck(|| self.has_work());
        if !waits {
            self.unregister();
            spin_hint();
        }
        waits
    }

    fn unregister(&mut self) {
        self.mailbox.signals.cell.cancel();
    }

    fn abandon(&mut self) {
        give_up(self);
    }
}
