//! The consumer's half of an inbox: it walks the lanes, keeps the books, and waits.

use super::lane::LaneView;
use super::state::Tally;
use super::{End, Inbox, SharedLane};
use crate::ledger::DropReason;
use crate::ring::mpmc::{Pop, Ring};
use crate::ring::spsc;
use crate::sync::{Arc, MODEL, Ordering, lock, spin_hint, thread};
use crate::wait::strategy::{Idler, Step};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The most events whose slots are given back together. A flush and the books are behind by no more than this.
const CHUNK: usize = 16;

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    Delivered,
    Failed,
    Panicked,
    Aborted,
    Disconnected,
}

impl Tally {
    #[inline(always)]
    fn note(&mut self, handled: Handled) {
        match handled {
            Handled::Delivered => self.delivered += 1,
            Handled::Failed => self.failed += 1,
            Handled::Panicked => self.panicked += 1,
            Handled::Aborted => self.aborted += 1,
            Handled::Disconnected => self.disconnected += 1,
        }
    }
}

/// The consumer's half of one lane.
pub(crate) enum LaneReader<E> {
    Spsc(spsc::Consumer<E>),
    Evicting(Arc<Ring<E>>, std::sync::Arc<LaneView<E>>),
}

impl<E> LaneReader<E> {
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Spsc(consumer) => consumer.is_ended(),
            Self::Evicting(ring, _) => ring.is_ended(),
        }
    }

    fn has_work(&mut self) -> bool {
        match self {
            Self::Spsc(consumer) => consumer.has_next() || consumer.is_ended(),
            Self::Evicting(ring, _) => ring.has_filled() || ring.is_ended(),
        }
    }
}

/// The one consumer of an inbox.
pub(crate) struct Reader<E> {
    inbox: Arc<Inbox<E>>,
    lanes: Vec<LaneReader<E>>,
    /// The lane that a single read looks at first; `lanes.len()` is the shared one.
    next: usize,
    /// How many events single reads have taken from that lane in a row.
    turns: usize,
    generation: usize,
    idler: Idler,
}

impl<E: Send + 'static> Reader<E> {
    pub(super) fn new(inbox: Arc<Inbox<E>>) -> Self {
        let idler = Idler::new(inbox.wait);
        Self { inbox, lanes: Vec::new(), next: 0, turns: 0, generation: 0, idler }
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox<E>> {
        &self.inbox
    }

    /// The most events taken from one lane before the next one has its turn: a quarter of the capacity.
    fn visit(&self) -> usize {
        (self.inbox.capacity() / 4).max(1)
    }

    /// Takes over lanes that were added, when there are any.
    #[inline]
    fn pick_up(&mut self) {
        // ORD(inbox.generation): Acquire; pairs with the Release in `Inbox::lane`, `Inbox::seal`.
        let generation = self.inbox.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.lanes.append(&mut lock(&self.inbox.book).arrivals);
        }
    }

    /// Walks all lanes once and hands at most a quarter of a lane's capacity from each to `handle`.
    pub(crate) fn scan(&mut self, mut handle: impl FnMut(&Inbox<E>, E) -> Handled) -> usize {
        self.pick_up();
        let visit = self.visit();
        let mut total = self.scan_shared(visit, &mut handle);
        let inbox = &self.inbox;
        let mut any_ended = false;
        for lane in &mut self.lanes {
            let count = match lane {
                LaneReader::Spsc(consumer) => {
                    let mut count = 0;
                    while count < visit {
                        let mut tally = Tally::default();
                        let got = consumer
                            .drain(CHUNK.min(visit - count), |event| tally.note(handle(inbox, event)));
                        if got == 0 {
                            break;
                        }
                        inbox.consumer.add(tally);
                        count += got;
                    }
                    if count > 0 {
                        inbox.consumer.saw_depth(count as u64 + consumer.known() as u64);
                    }
                    count
                }
                LaneReader::Evicting(ring, view) => match view.progress() {
                    Some(progress) => Self::scan_ring(inbox, ring, progress, visit, &mut handle),
                    None => 0,
                },
            };
            total += count;
            any_ended |= count == 0 && lane.is_ended();
        }
        if any_ended {
            self.lanes.retain(|lane| !lane.is_ended());
        }
        if total > 0 {
            self.inbox.signals.blocked.notify();
            self.idler.found(total);
        }
        total
    }

    fn scan_shared(&mut self, visit: usize, handle: &mut impl FnMut(&Inbox<E>, E) -> Handled) -> usize {
        let inbox = &*self.inbox;
        match &inbox.shared {
            SharedLane::Bounded(ring) => Self::scan_ring(inbox, ring, &inbox.shared_progress, visit, handle),
            SharedLane::Unbounded(queue) => {
                let mut count = 0;
                while count < visit {
                    inbox.shared_progress.take_in_hand();
                    let Some(event) = queue.pop() else {
                        inbox.shared_progress.nothing_in_hand();
                        break;
                    };
                    let mut tally = Tally::default();
                    tally.note(handle(inbox, event));
                    inbox.shared_progress.done(inbox.shared_progress.handled());
                    inbox.consumer.add(tally);
                    count += 1;
                }
                count
            }
        }
    }

    fn scan_ring(
        inbox: &Inbox<E>,
        ring: &Ring<E>,
        progress: &super::lane::Progress,
        visit: usize,
        handle: &mut impl FnMut(&Inbox<E>, E) -> Handled,
    ) -> usize {
        let mut count = 0;
        if !ring.has_filled() {
            return 0;
        }
        inbox.consumer.saw_depth(ring.len() as u64);
        while count < visit {
            // Set before the ring forgets the event, so that it is never in neither place.
            progress.take_in_hand();
            match ring.pop_at() {
                Pop::Value((position, event)) => {
                    let mut tally = Tally::default();
                    tally.note(handle(inbox, event));
                    progress.done(position);
                    inbox.consumer.add(tally);
                    count += 1;
                }
                Pop::Empty | Pop::Pending => {
                    progress.nothing_in_hand();
                    break;
                }
            }
        }
        count
    }

    /// Takes one event, fairly over the lanes: a quarter of a lane's capacity at a time.
    #[inline]
    pub(crate) fn take_one(&mut self) -> Option<E> {
        self.pick_up();
        let lanes = self.lanes.len();
        for _ in 0..=lanes {
            if self.next > lanes {
                self.next = 0;
            }
            if let Some(event) = self.take_from_next() {
                self.inbox.consumer.delivered_one();
                self.inbox.signals.blocked.notify();
                self.idler.found(1);
                self.turns += 1;
                if self.turns >= self.visit() {
                    self.turns = 0;
                    self.next += 1;
                }
                return Some(event);
            }
            self.turns = 0;
            self.next += 1;
        }
        self.lanes.retain(|lane| !lane.is_ended());
        None
    }

    #[inline]
    fn take_from_next(&mut self) -> Option<E> {
        match self.lanes.get_mut(self.next) {
            Some(LaneReader::Spsc(consumer)) => {
                let event = consumer.pop()?;
                self.inbox.consumer.saw_depth(1 + consumer.known() as u64);
                Some(event)
            }
            Some(LaneReader::Evicting(ring, view)) => {
                view.progress().and_then(|progress| Self::take_from(ring, progress))
            }
            None => match &self.inbox.shared {
                SharedLane::Bounded(ring) => {
                    self.inbox.consumer.saw_depth(ring.len() as u64);
                    Self::take_from(ring, &self.inbox.shared_progress)
                }
                SharedLane::Unbounded(queue) => queue.pop().inspect(|_| {
                    self.inbox.shared_progress.done(self.inbox.shared_progress.handled());
                }),
            },
        }
    }

    fn take_from(ring: &Ring<E>, progress: &super::lane::Progress) -> Option<E> {
        match ring.pop_at() {
            Pop::Value((position, event)) => {
                progress.done(position);
                Some(event)
            }
            Pop::Empty | Pop::Pending => None,
        }
    }

    /// Why the stream ended, once everything that was accepted has been read.
    pub(crate) fn ended(&mut self) -> Option<End> {
        let end = self.inbox.end();
        if end == End::Open {
            return None;
        }
        {
            let mut book = lock(&self.inbox.book);
            self.lanes.append(&mut book.arrivals);
            if !book.sealed {
                return None;
            }
        }
        self.lanes.retain(|lane| !lane.is_ended());
        let shared_ended = match &self.inbox.shared {
            SharedLane::Bounded(ring) => ring.is_ended(),
            SharedLane::Unbounded(queue) => queue.is_empty(),
        };
        (self.lanes.is_empty() && shared_ended).then_some(end)
    }

    /// Whether a look at the lanes would find something: an event, an added lane, an ended one.
    fn has_work(&mut self) -> bool {
        self.inbox.generation.load(Ordering::Acquire) != self.generation
            || match &self.inbox.shared {
                SharedLane::Bounded(ring) => ring.has_filled(),
                SharedLane::Unbounded(queue) => !queue.is_empty(),
            }
            || self.lanes.iter_mut().any(LaneReader::has_work)
    }

    /// Waits as the strategy says, at most for `limit`; returns also for no reason. `other` is other work to look for.
    pub(crate) fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Inbox<E>) -> bool) {
        self.inbox.consumer.saw_empty();
        let step = self.idler.step(self.inbox.capacity(), Instant::now);
        let within = |nap: Duration| limit.map_or(nap, |limit| limit.min(nap));
        match step {
            Step::Spin => spin_hint(),
            Step::Yield => thread::yield_now(),
            Step::Nap(nap) => self.inbox.signals.cell.nap(within(nap)),
            Step::Park => {
                let signals = self.inbox.signals.clone();
                signals.cell.park_unless(limit, || self.has_work() || other(&self.inbox));
            }
        }
    }

    /// Announces a task that waits; `false` when there is something to read at once.
    pub(crate) fn register(&mut self, task: &Waker) -> bool {
        self.inbox.consumer.saw_empty();
        let signals = self.inbox.signals.clone();
        signals.cell.register(task) && !self.has_work()
    }

    /// The task no longer waits.
    pub(crate) fn unregister(&self) {
        self.inbox.signals.cell.cancel();
    }

    /// Seals the inbox and gives up everything in it; what was accepted is counted.
    pub(crate) fn abandon(&mut self) {
        self.inbox.seal(End::Closed);
        while self.ended().is_none() {
            let got = self.scan(|inbox, event| {
                inbox.dropped(event, DropReason::Disconnected);
                Handled::Disconnected
            });
            if got == 0 {
                // A writer has claimed a position and not filled it yet; it will as soon as it runs.
                if MODEL { spin_hint() } else { thread::yield_now() }
            }
        }
        self.inbox.finish();
    }
}
