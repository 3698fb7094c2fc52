//! The consumer's half of an inbox: it walks the lanes, keeps the books, and waits.

use super::lane::{LaneView, Progress};
use super::{End, Inbox, SharedLane};
use crate::ledger::{Disposition, DropReason};
use crate::ring::mpmc::{Pop, Ring};
use crate::ring::spsc;
use crate::sync::{Arc, MODEL, Ordering, lock, no_recheck, spin_hint, thread};
use crate::wait::linger::Linger;
use crate::wait::strategy::{Idler, Step};
use std::task::Waker;
use std::time::{Duration, Instant};

/// The most events whose slots are given back together, in a lane that is large and no more than half full.
const CHUNK: usize = 16;

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    Delivered,
    /// The handler passed it on to a sink that decides later.
    Passed,
    Filtered,
    Full,
    Evicted,
    Failed,
    Panicked,
    Aborted,
    Disconnected,
}

impl Handled {
    pub(crate) const KINDS: usize = 9;

    #[inline]
    pub(crate) fn of(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Delivered => Self::Delivered,
            Disposition::Pending => Self::Passed,
            Disposition::Filtered => Self::Filtered,
            Disposition::Dropped(reason) => match reason {
                DropReason::Full => Self::Full,
                DropReason::Evicted => Self::Evicted,
                DropReason::Disconnected => Self::Disconnected,
                DropReason::Aborted => Self::Aborted,
                DropReason::Failed => Self::Failed,
                DropReason::Panicked => Self::Panicked,
            },
        }
    }
}

/// What is done with the events of an inbox.
pub(crate) trait Consume<E> {
    /// Handles one event.
    fn handle(&mut self, inbox: &Inbox<E>, event: E) -> Handled;

    /// How many events may come before [`batched`](Self::batched) wants to be told; at least one.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// So many events were handled since the last call, at most as many as there was room for.
    fn batched(&mut self, inbox: &Inbox<E>, events: usize) {
        let _ = (inbox, events);
    }
}

/// Events go to a function.
pub(crate) struct With<F>(pub(crate) F);

impl<E, F: FnMut(&Inbox<E>, E) -> Handled> Consume<E> for With<F> {
    #[inline(always)]
    fn handle(&mut self, inbox: &Inbox<E>, event: E) -> Handled {
        (self.0)(inbox, event)
    }
}

/// The books of the events that are handled one after another.
///
/// It carries the counters that change with each event, so that they are stored and never loaded: a counter in memory
/// that is loaded again right after its store holds the next event up.
struct Books<'a, E> {
    inbox: &'a Inbox<E>,
    progress: &'a Progress,
    delivered: u64,
}

impl<'a, E> Books<'a, E> {
    fn open(inbox: &'a Inbox<E>, progress: &'a Progress) -> Self {
        Self { inbox, progress, delivered: inbox.consumer.delivered() }
    }

    /// Has one event handled and entered, also when that unwinds: then it counts as delivered. `done` says where it lay.
    #[inline(always)]
    fn enter(&mut self, event: E, consume: &mut impl Consume<E>, done: impl Fn(&Progress)) {
        /// What is entered if the handling unwinds. It has copies of everything: borrowed, the books and the reader's position would lie
        /// in memory for its sake, and each event would wait for the store of the one before it.
        struct Unwound<'a, E, D: Fn(&Progress)> {
            inbox: &'a Inbox<E>,
            progress: &'a Progress,
            delivered: u64,
            done: D,
        }
        impl<E, D: Fn(&Progress)> Drop for Unwound<'_, E, D> {
            fn drop(&mut self) {
                self.inbox.consumer.set_delivered(self.delivered);
                (self.done)(self.progress);
            }
        }
        let Self { inbox, progress, delivered } = *self;
        let unwound = Unwound { inbox, progress, delivered: delivered + 1, done };
        let handled = consume.handle(inbox, event);
        if handled == Handled::Delivered {
            self.delivered = delivered + 1;
            inbox.consumer.set_delivered(delivered + 1);
        } else {
            inbox.consumer.note(handled);
        }
        (unwound.done)(progress);
        std::mem::forget(unwound);
    }
}

/// The consumer's half of one lane.
pub(crate) enum LaneReader<E> {
    Spsc(spsc::Consumer<E>, std::sync::Arc<LaneView<E>>),
    Evicting(Arc<Ring<E>>, std::sync::Arc<LaneView<E>>),
}

impl<E> LaneReader<E> {
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Spsc(consumer, _) => consumer.is_ended(),
            Self::Evicting(ring, _) => ring.is_ended(),
        }
    }

    fn has_work(&mut self) -> bool {
        match self {
            Self::Spsc(consumer, _) => consumer.has_next() || consumer.is_ended(),
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
    /// The end of the shared lane has been noticed.
    saw_shared_end: bool,
    idler: Idler,
    linger: Linger,
    /// Events taken since the reader last lingered.
    taken: usize,
}

impl<E: Send + 'static> Reader<E> {
    pub(super) fn new(inbox: Arc<Inbox<E>>) -> Self {
        let idler = Idler::new(inbox.wait);
        Self {
            inbox,
            lanes: Vec::new(),
            next: 0,
            turns: 0,
            generation: 0,
            saw_shared_end: false,
            idler,
            linger: Linger::new(),
            taken: 0,
        }
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
    pub(crate) fn scan(&mut self, consume: &mut impl Consume<E>) -> usize {
        self.pick_up();
        let visit = self.visit();
        let mut total = self.scan_shared(visit, consume);
        let inbox = &self.inbox;
        let mut any_ended = false;
        for lane in &mut self.lanes {
            let count = match lane {
                LaneReader::Spsc(consumer, view) => {
                    let mut books = Books::open(inbox, view.progress());
                    let capacity = inbox.capacity();
                    let mut count = 0;
                    // One look a visit: what has come meanwhile is the next one's.
                    let mut more = consumer.has_next();
                    while more && count < visit {
                        let known = consumer.known();
                        inbox.consumer.saw_depth(known as u64);
                        // A slow handler holds no slots of handled events while room is short.
                        let short = known > capacity / 2 || capacity <= 4 * CHUNK;
                        let chunk = CHUNK.min(visit - count).min(consume.room());
                        let mut position = consumer.position();
                        let enter = |event| {
                            position += 1;
                            let after = position;
                            books.enter(event, consume, move |progress| progress.advance_to(after));
                        };
                        // Its fence is a compiler's where the process has the asymmetric pair.
                        let notify = || inbox.signals.blocked.notify();
                        let events = if short {
                            consumer.drain_freeing(chunk.min(known), enter, notify)
                        } else {
                            let events = consumer.drain(chunk, enter);
                            notify();
                            events
                        };
                        consume.batched(inbox, events);
                        count += events;
                        more = consumer.known() > 0;
                    }
                    count
                }
                LaneReader::Evicting(ring, view) => {
                    Self::scan_ring(inbox, ring, view.progress(), visit, consume)
                }
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
            self.taken += total;
        }
        total
    }

    fn scan_shared(&mut self, visit: usize, consume: &mut impl Consume<E>) -> usize {
        let inbox = &*self.inbox;
        match &inbox.shared {
            SharedLane::Bounded(ring) => Self::scan_ring(inbox, ring, &inbox.shared_progress, visit, consume),
            SharedLane::Unbounded(queue) => {
                inbox.consumer.saw_depth(queue.len() as u64);
                let mut books = Books::open(inbox, &inbox.shared_progress);
                let mut count = 0;
                while count < visit && !queue.is_empty() {
                    inbox.shared_progress.take_in_hand();
                    let Some(event) = queue.pop() else {
                        inbox.shared_progress.nothing_in_hand();
                        break;
                    };
                    let position = inbox.shared_progress.handled();
                    books.enter(event, consume, move |progress| progress.done(position));
                    consume.batched(inbox, 1);
                    count += 1;
                }
                count
            }
        }
    }

    fn scan_ring(
        inbox: &Inbox<E>,
        ring: &Ring<E>,
        progress: &Progress,
        visit: usize,
        consume: &mut impl Consume<E>,
    ) -> usize {
        let mut books = Books::open(inbox, progress);
        let mut count = 0;
        inbox.consumer.saw_depth(ring.len() as u64);
        while count < visit && ring.has_filled() {
            // Set before the ring forgets the event, so that it is never in neither place.
            progress.take_in_hand();
            match ring.pop_at() {
                Pop::Value((position, event)) => {
                    // The slot is free already, before the event is handled.
                    inbox.signals.blocked.notify();
                    books.enter(event, consume, move |progress| progress.done(position));
                    consume.batched(inbox, 1);
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

    /// Waits a moment before the next look when something was taken since the last one and the lane has run dry: see
    /// [`Linger`].
    #[inline]
    pub(crate) fn linger_when_dry(&mut self) {
        // In a model nothing lingers, and a look would only be one more thing to try out.
        if MODEL || self.taken == 0 {
            return;
        }
        let knows_more = match self.lanes.get(self.next) {
            Some(LaneReader::Spsc(consumer, _)) => consumer.known() > 0,
            Some(LaneReader::Evicting(ring, _)) => ring.has_filled(),
            None => match &self.inbox.shared {
                SharedLane::Bounded(ring) => ring.has_filled(),
                SharedLane::Unbounded(queue) => !queue.is_empty(),
            },
        };
        if !knows_more {
            self.linger.ran_dry(std::mem::take(&mut self.taken), self.inbox.capacity());
        }
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
                self.inbox.signals.blocked.notify();
                self.idler.found(1);
                self.taken += 1;
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
        let inbox = &*self.inbox;
        match self.lanes.get_mut(self.next) {
            Some(LaneReader::Spsc(consumer, view)) => {
                let event = consumer.pop()?;
                // Counted first: whoever sees the progress, as a flush does, sees it in the books.
                inbox.consumer.note(Handled::Delivered);
                view.progress().advance_to(consumer.position());
                inbox.consumer.saw_depth(1 + consumer.known() as u64);
                Some(event)
            }
            Some(LaneReader::Evicting(ring, view)) => Self::take_from(inbox, ring, view.progress()),
            None => match &inbox.shared {
                SharedLane::Bounded(ring) => Self::take_from(inbox, ring, &inbox.shared_progress),
                SharedLane::Unbounded(queue) => {
                    inbox.consumer.saw_depth(queue.len() as u64);
                    let event = queue.pop()?;
                    inbox.consumer.note(Handled::Delivered);
                    inbox.shared_progress.done(inbox.shared_progress.handled());
                    Some(event)
                }
            },
        }
    }

    fn take_from(inbox: &Inbox<E>, ring: &Ring<E>, progress: &Progress) -> Option<E> {
        inbox.consumer.saw_depth(ring.len() as u64);
        match ring.pop_at() {
            Pop::Value((position, event)) => {
                inbox.consumer.note(Handled::Delivered);
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
        let sealed = {
            let mut book = lock(&self.inbox.book);
            self.lanes.append(&mut book.arrivals);
            book.sealed
        };
        self.lanes.retain(|lane| !lane.is_ended());
        let shared_ended = match &self.inbox.shared {
            SharedLane::Bounded(ring) => ring.is_ended(),
            SharedLane::Unbounded(queue) => queue.is_empty(),
        };
        self.saw_shared_end |= shared_ended;
        (sealed && self.lanes.is_empty() && shared_ended).then_some(end)
    }

    /// Whether a look at the lanes would find something: an event, an added lane, an ended one.
    pub(crate) fn has_work(&mut self) -> bool {
        // ORD(inbox.generation): Acquire; pairs with the Release in `Inbox::lane`, `Inbox::seal`.
        self.inbox.generation.load(Ordering::Acquire) != self.generation
            || match &self.inbox.shared {
                // The end of the lane is news once: whoever still has something to do for the seal wakes again.
                SharedLane::Bounded(ring) => ring.has_filled() || (ring.is_ended() && !self.saw_shared_end),
                SharedLane::Unbounded(queue) => !queue.is_empty(),
            }
            || self.lanes.iter_mut().any(LaneReader::has_work)
    }

    /// Waits as the strategy says, at most for `limit`; returns also for no reason. `other` is other work to look for.
    pub(crate) fn wait(&mut self, limit: Option<Duration>, other: impl Fn(&Inbox<E>) -> bool) {
        self.inbox.consumer.saw_empty();
        self.linger.found_nothing();
        let step = self.idler.step(self.inbox.capacity(), Instant::now);
        let within = |nap: Duration| limit.map_or(nap, |limit| limit.min(nap));
        match step {
            Step::Spin => spin_hint(),
            Step::Yield => thread::yield_now(),
            Step::Nap(nap) => {
                let signals = self.inbox.signals.clone();
                signals.cell.nap_unless(within(nap), || self.has_work() || other(&self.inbox));
            }
            Step::Park => {
                let signals = self.inbox.signals.clone();
                // A task that waited here before has given way to this thread.
                signals.cell.cancel();
                signals.cell.park_unless(limit, || self.has_work() || other(&self.inbox));
            }
        }
    }

    /// Announces a task that waits; `false` when there is something to read at once.
    pub(crate) fn register(&mut self, task: &Waker) -> bool {
        self.inbox.consumer.saw_empty();
        let signals = self.inbox.signals.clone();
        signals.cell.register(task) && (no_recheck() || !self.has_work())
    }

    /// The task no longer waits.
    pub(crate) fn unregister(&self) {
        self.inbox.signals.cell.cancel();
    }

    /// Seals the inbox and gives up everything in it; what was accepted is counted.
    pub(crate) fn abandon(&mut self) {
        self.inbox.seal(End::Closed);
        while self.ended().is_none() {
            let got = self.scan(&mut With(|inbox: &Inbox<E>, event| {
                inbox.dropped(event, DropReason::Disconnected);
                Handled::Disconnected
            }));
            if got == 0 {
                // A writer has claimed a position and not filled it yet; it will as soon as it runs.
                if MODEL { spin_hint() } else { thread::yield_now() }
            }
        }
        self.inbox.finish();
    }
}
