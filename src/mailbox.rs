//! The mailbox: what `Queue` and `Channel` have in common.
//!
//! One private lane for each publisher, one shared lane for everybody else, a cell in which the consumer sleeps, an
//! overflow policy and the books. Publishers hold a [`PrivateLane`] or call [`Mailbox::write`]; the consumer holds the
//! one [`Reader`]. Where several consumers share the events there are no private rings, and each of them is a [`Member`].
//!
//! Sealing ends all lanes at once: the shared one by the closed bit in its tail word, the private ones by the seal of
//! their rings, with one heavy fence for all of them. The `book` lock is held for that, and by nobody who waits or runs
//! foreign code; publishers take it only to cut off a mailbox that overflowed (`Disconnect`).

pub(crate) mod handled;
pub(crate) mod intake;
pub(crate) mod lane;
pub(crate) mod member;
pub(crate) mod overflow;
mod plain;
pub(crate) mod reader;
mod shared;
mod state;

use crate::error::{InvalidConfig, WriteError};
use crate::ring::mpmc::{PushError, Ring};
use crate::stats::{Disposition, DropReason, EntryCounters, FoldPace, Outcome, Scales};
use crate::sync::membarrier::{FencePair, heavy_fence_or_wait, process_pair};
use crate::sync::quiet::Quiet;
use crate::sync::unbounded::Unbounded;
use crate::sync::{
    Arc, AtomicBool, AtomicU64, AtomicUsize, CachePadded, Mutex, Ordering, cold_path, fence, lock,
};
use crate::time::Deadline;
use crate::wait::allowance::Allowance;
use crate::wait::crowd::Crowd;
use crate::wait::linger::look_ever_less;
use crate::wait::list::{Waiter, Want};
use crate::wait::nesting::{Crew, may_wait_for_room};
use crate::wait::strategy::spin_looks;
use crate::wait::{WaitCell, WaitList, WaitStrategy};
use lane::{Arrival, LaneView, PrivateLane};
use member::{Member, Seats};
use overflow::Overflow;
use reader::Reader;
pub(crate) use shared::{Find, SharedLane};
use state::{BacklogMark, ConsumerCounters, FoldedLanes};

/// Told of each event that is dropped after it was accepted, with the reason.
pub(crate) type OnDrop<E> = std::sync::Arc<dyn Fn(E, DropReason) + Send + Sync>;

/// A hook whose destructor may panic: its last owner may be a publisher that drops its lane.
pub(crate) fn quiet_hook<E>(hook: impl Fn(E, DropReason) + Send + Sync + 'static) -> OnDrop<E> {
    let hook = Quiet::new(hook);
    std::sync::Arc::new(move |event, reason| (*hook)(event, reason))
}

/// Whether a write may wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// It may, where the policy says so.
    Wait,
    /// It may not: `Block` and `BlockFor` act as `Refuse`.
    Now,
}

/// The settings of a mailbox. Clones share the hook.
pub(crate) struct MailboxConfig<E> {
    pub(crate) capacity: usize,
    pub(crate) unbounded: bool,
    pub(crate) overflow: Overflow,
    pub(crate) wait: WaitStrategy,
    pub(crate) on_drop: Option<OnDrop<E>>,
    /// Those who read from it, and from the other mailboxes of the same queue.
    pub(crate) crew: Crew,
    /// Where events are batches: what becomes of the events in them, here and in the other mailboxes of the same queue.
    pub(crate) scales: std::sync::Arc<Scales>,
}

impl<E> Clone for MailboxConfig<E> {
    fn clone(&self) -> Self {
        let (on_drop, crew, scales) = (self.on_drop.clone(), self.crew.clone(), self.scales.clone());
        Self { on_drop, crew, scales, ..*self }
    }
}

/// Why a mailbox takes no more events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
    Disconnected,
}

impl End {
    fn of(word: u64) -> Self {
        match word {
            0 => Self::Open,
            1 => Self::Closed,
            _ => Self::Disconnected,
        }
    }
}

/// Where the two sides wait for each other.
pub(crate) struct Signals {
    /// Where the one consumer sleeps.
    pub(crate) cell: CachePadded<WaitCell>,
    /// Publishers that wait for room, and flushes and closes that wait for progress.
    pub(crate) blocked: WaitList,
    /// Where the consumers sleep when there are several; then nobody is ever in the cell.
    pub(crate) crowd: Option<Crowd>,
}

impl Signals {
    /// An event was put into the shared lane: wakes a consumer if none is awake to see it.
    #[inline]
    fn wake(&self) {
        // ORD(cell.state), ORD(crowd.parked): light fence; pairs with the heavy one of a consumer that parks.
        self.cell.fence();
        match &self.crowd {
            None => self.cell.wake(),
            Some(crowd) => crowd.wake_one(),
        }
    }

    /// The last event may be gone, and not by a consumer: wakes whoever has to see that.
    fn wake_at_end(&self) {
        match &self.crowd {
            None => self.wake(),
            Some(crowd) => crowd.wake_all(),
        }
    }

    /// Wakes a consumer also if it naps: for a publisher that waits for room, which any of them makes.
    #[cold]
    fn wake_for_room(&self) {
        match &self.crowd {
            None => self.cell.wake_now(),
            Some(crowd) => crowd.wake_one_now(),
        }
    }

    /// Wakes all consumers, also those who nap: for those who wait for them.
    #[cold]
    pub(crate) fn wake_now(&self) {
        match &self.crowd {
            None => self.cell.wake_now(),
            Some(crowd) => crowd.wake_all(),
        }
    }
}

/// How far the consumers have to come in each lane.
pub(crate) struct Goal<E> {
    shared: u64,
    lanes: Vec<(std::sync::Arc<LaneView<E>>, u64)>,
}

struct Book<E> {
    views: Vec<std::sync::Arc<LaneView<E>>>,
    /// Lanes that the consumer has not picked up yet.
    arrivals: Vec<Arrival<E>>,
    folded: FoldedLanes,
    pace: FoldPace,
    sealed: bool,
}

pub(crate) struct Mailbox<E> {
    pub(crate) signals: std::sync::Arc<Signals>,
    pub(crate) shared: SharedLane<E>,
    shared_entry: EntryCounters,
    /// Position up to which the shared lane was handled, and whether an event of it is in the consumer's hands.
    pub(crate) shared_progress: lane::Progress,
    capacity: usize,
    overflow: Overflow,
    pub(crate) wait: WaitStrategy,
    on_drop: Option<OnDrop<E>>,
    /// Those who read from it: no wait of theirs is for room in it, or for its end.
    pub(crate) crew: Crew,
    /// Where events are batches: what becomes of the events in them.
    pub(crate) scales: std::sync::Arc<Scales>,
    book: Mutex<Book<E>>,
    /// Grows with each change of the book that concerns the consumer.
    generation: AtomicUsize,
    end: AtomicU64,
    /// The backlog is to be given up.
    aborted: AtomicBool,
    /// The consumer is gone, or has handled the last event.
    finished: AtomicBool,
    pub(crate) consumer: ConsumerCounters,
    /// The consumers' books when there are several.
    seats: Seats,
    backlog: Mutex<BacklogMark>,
}

impl<E: Send + 'static> Mailbox<E> {
    /// A mailbox with one consumer.
    pub(crate) fn new(config: MailboxConfig<E>) -> Result<(Arc<Self>, Reader<E>), InvalidConfig> {
        let mailbox = Self::build(config, false)?;
        let reader = Reader::new(mailbox.clone());
        Ok((mailbox, reader))
    }

    /// A mailbox with several consumers: all events go through the shared lane. More members are made of the first.
    pub(crate) fn shared(config: MailboxConfig<E>) -> Result<(Arc<Self>, Member<E>), InvalidConfig> {
        let mailbox = Self::build(config, true)?;
        let member = Member::new(mailbox.clone());
        Ok((mailbox, member))
    }

    fn build(config: MailboxConfig<E>, several: bool) -> Result<Arc<Self>, InvalidConfig> {
        let wait = config.wait.check()?;
        // Asked once per process, and here rather than by the first publisher that meets a full lane: it reads files.
        let _ = spin_looks();
        let pair = if wait.parks_rarely() { process_pair() } else { FencePair::Symmetric };
        let (shared, shared_entry) = if config.unbounded {
            (SharedLane::Unbounded(Unbounded::new()), EntryCounters::shared())
        } else {
            (SharedLane::Bounded(Ring::new(config.capacity)?), EntryCounters::shared_by_position())
        };
        Ok(Arc::new(Self {
            signals: std::sync::Arc::new(Signals {
                cell: CachePadded::new(WaitCell::new(pair)),
                blocked: WaitList::new(process_pair()),
                crowd: several.then(|| Crowd::new(pair)),
            }),
            shared,
            shared_entry,
            shared_progress: lane::Progress::default(),
            capacity: config.capacity,
            overflow: config.overflow,
            wait,
            on_drop: config.on_drop,
            crew: config.crew,
            scales: config.scales,
            book: Mutex::new(Book {
                views: Vec::new(),
                arrivals: Vec::new(),
                folded: FoldedLanes::default(),
                pace: FoldPace::default(),
                sealed: false,
            }),
            generation: AtomicUsize::new(0),
            end: AtomicU64::new(0),
            aborted: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            consumer: ConsumerCounters::default(),
            seats: Seats::default(),
            backlog: Mutex::new(BacklogMark::default()),
        }))
    }

    /// Makes a lane for one publisher. On a sealed mailbox the lane refuses everything.
    pub(crate) fn lane(this: &Arc<Self>) -> Result<PrivateLane<E>, InvalidConfig> {
        let (lane, reader) = PrivateLane::new(this)?;
        let view = lane.view().clone();
        // What the caller has put into the shared lane lies below.
        let after = match &this.shared {
            SharedLane::Bounded(ring) => ring.position(),
            SharedLane::Unbounded(_) => 0,
        };
        // Dropped outside the lock: lanes of publishers that are gone, and what was left in them.
        let mut finished = Vec::new();
        {
            let mut book = lock(&this.book);
            if book.sealed {
                view.seal_now();
            }
            if book.pace.is_due(book.views.len()) {
                book.fold();
                finished.extend(book.arrivals.extract_if(.., |arrival| arrival.lane.is_ended()));
            }
            book.views.push(view);
            book.arrivals.extend(reader.map(|lane| Arrival { after, lane }));
            // ORD(mailbox.generation): Release; pairs with the Acquire in `Reader::pick_up`, `Reader::has_work`.
            this.generation.fetch_add(1, Ordering::Release);
        }
        drop(finished);
        Ok(lane)
    }

    /// Puts an event into the shared lane, from any thread.
    #[inline]
    pub(crate) fn write(&self, event: E, patience: Patience) -> Result<Disposition, WriteError<E>> {
        self.shared_entry.offered(1);
        match self.push_shared(event) {
            Ok(()) => {
                self.signals.wake();
                Ok(Disposition::Pending)
            }
            Err(error) => {
                self.overflowed(error, &self.shared_entry, patience, None, |event| self.push_shared(event))
            }
        }
    }

    #[inline]
    fn push_shared(&self, event: E) -> Result<(), PushError<E>> {
        match &self.shared {
            SharedLane::Bounded(ring) => self.push_ring(ring, event, &self.shared_entry),
            SharedLane::Unbounded(queue) => self.push_unbounded(queue, event, &self.shared_entry),
        }
    }

    /// Pushes into a ring of this mailbox, under its policy for the oldest.
    #[inline]
    fn push_ring(&self, ring: &Ring<E>, event: E, entry: &EntryCounters) -> Result<(), PushError<E>> {
        if self.overflow == Overflow::DropOldest {
            self.push_evicting(ring, event, entry)
        } else {
            ring.push(event)
        }
    }

    #[inline(never)]
    fn push_evicting(&self, ring: &Ring<E>, event: E, entry: &EntryCounters) -> Result<(), PushError<E>> {
        let mut evicts = false;
        let outcome = ring.push_evicting(event, |oldest| {
            evicts = true;
            entry.count(Outcome::Evicted, 1);
            self.dropped(oldest, DropReason::Evicted);
        });
        if evicts && matches!(outcome, Err(PushError::Closed(_))) {
            cold_path();
            // It may have been the last event, and no consumer reports that to the flushes.
            self.signals.wake_at_end();
            self.signals.blocked.notify_progress();
        }
        outcome
    }

    #[inline(never)]
    fn push_unbounded(
        &self,
        queue: &Unbounded<E>,
        event: E,
        entry: &EntryCounters,
    ) -> Result<(), PushError<E>> {
        if self.end() != End::Open {
            return Err(PushError::Closed(event));
        }
        // Counted before it is there, since a flush takes its goal from this count: a count that came later could miss an event that
        // lies before one that it counts. And behind the check, so that what is counted is never taken back.
        entry.count(Outcome::Queued, 1);
        queue.push(event);
        // ORD(mailbox.finished): full fence; pairs with that in `finish`: a push that the last sweep missed is swept by its pusher.
        fence(Ordering::SeqCst);
        if self.finished.load(Ordering::Relaxed) {
            self.sweep_unbounded(queue);
        }
        Ok(())
    }

    fn sweep_unbounded(&self, queue: &Unbounded<E>) {
        while let Some(late) = queue.pop() {
            self.shared_entry.count(Outcome::Aborted, 1);
            self.dropped(late, DropReason::Aborted);
        }
    }

    /// Applies the policy to an event for which `attempt` found no room, or a closed lane.
    #[cold]
    fn overflowed(
        &self,
        error: PushError<E>,
        entry: &EntryCounters,
        patience: Patience,
        waiter: Option<&Waiter>,
        mut attempt: impl FnMut(E) -> Result<(), PushError<E>>,
    ) -> Result<Disposition, WriteError<E>> {
        let event = match error {
            PushError::Closed(event) => return Err(Self::refused_closed(event, entry)),
            PushError::Full(event) => event,
        };
        let deadline = match self.overflow {
            Overflow::DropNewest | Overflow::DropOldest => {
                entry.count(Outcome::DroppedFull, 1);
                self.dropped(event, DropReason::Full);
                return Ok(Disposition::Dropped(DropReason::Full));
            }
            Overflow::Disconnect => {
                self.seal(End::Disconnected);
                entry.count(Outcome::RefusedClosed, 1);
                return Err(WriteError::Closed(event));
            }
            Overflow::Block if patience == Patience::Wait && self.may_wait() => Allowance::deadline(),
            Overflow::BlockFor(limit) if patience == Patience::Wait && self.may_wait() => {
                Deadline::after(limit).min(Allowance::deadline())
            }
            Overflow::Refuse | Overflow::Block | Overflow::BlockFor(_) => {
                entry.count(Outcome::RefusedFull, 1);
                return Err(WriteError::Full(event));
            }
        };
        let mut event = Some(event);
        // A consumer at work makes room soon, and parking costs both sides more than a moment's patience.
        self.signals.wake_for_room();
        let mut once = || match attempt(event.take()?) {
            Ok(()) => Some(Ok(())),
            Err(PushError::Closed(back)) => Some(Err(back)),
            Err(PushError::Full(back)) => {
                event = Some(back);
                None
            }
        };
        let outcome = look_ever_less(deadline, &mut once).or_else(|| {
            // A publisher's lane brings a waiter along; a shared write that comes to waiting may allocate one.
            let own;
            let waiter = match waiter {
                Some(waiter) => waiter,
                None => {
                    own = Waiter::wanting(Want::SHARED_ROOM);
                    &own
                }
            };
            let attempt = || {
                // A consumer that naps has no reason to hurry but ours.
                self.signals.wake_for_room();
                once()
            };
            // A lane's own ring has one publisher, and nobody to pass room on to.
            let more = || waiter.wants() == Want::SHARED_ROOM && self.has_shared_room();
            self.signals.blocked.wait_for(waiter, deadline, attempt, more)
        });
        match (outcome, event) {
            (Some(Ok(())), _) => {
                self.signals.wake();
                Ok(Disposition::Pending)
            }
            (Some(Err(event)), _) => Err(Self::refused_closed(event, entry)),
            (None, Some(event)) => {
                entry.count(Outcome::RefusedTimeout, 1);
                Err(WriteError::Timeout(event))
            }
            (None, None) => unreachable!("an attempt that fails gives the event back"),
        }
    }

    /// Refuses an event whose lane is closed. The writer sees what was done before the close.
    #[cold]
    fn refused_closed(event: E, entry: &EntryCounters) -> WriteError<E> {
        // ORD(mpmc.tail): Acquire fence, after the load of the closed bit; pairs with the Release in `close`.
        fence(Ordering::Acquire);
        entry.count(Outcome::RefusedClosed, 1);
        WriteError::Closed(event)
    }

    fn has_shared_room(&self) -> bool {
        matches!(&self.shared, SharedLane::Bounded(ring) if ring.has_room())
    }

    /// Whether this thread may wait for room here: not in user code, and not where room is what this very thread makes.
    fn may_wait(&self) -> bool {
        may_wait_for_room() && !self.crew.is_here()
    }

    /// Whether there is a hook for dropped events: then a write may run user code of the mailbox.
    pub(crate) fn has_hook(&self) -> bool {
        self.on_drop.is_some()
    }

    /// Tells the hook of an event that was accepted and dropped.
    pub(crate) fn dropped(&self, event: E, reason: DropReason) {
        // The writer was told of one that found no room, and a worker counts what its sink has failed with.
        if !matches!(reason, DropReason::Full | DropReason::Failed) && !self.scales.is_empty() {
            self.scales.count(&event, Disposition::Dropped(reason));
        }
        // The event's destructor is as foreign as the hook.
        crate::panics::quietly(|| match &self.on_drop {
            Some(hook) => hook(event, reason),
            None => drop(event),
        });
    }

    /// A reader takes an event, which counts as delivered.
    #[inline]
    pub(crate) fn taken(&self, event: &E) {
        if !self.scales.is_empty() {
            self.scales.count(event, Disposition::Delivered);
        }
    }

    /// Takes no more events, from any lane. What was accepted stays to be handled. Whether this call was the first.
    pub(crate) fn seal(&self, end: End) -> bool {
        let word = if end == End::Disconnected { 2 } else { 1 };
        // ORD(mailbox.end): AcqRel; Release pairs with the Acquire in `end`: whoever sees the end sees what came before it.
        let first = self.end.compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if let SharedLane::Bounded(ring) = &self.shared {
            ring.close();
        }
        {
            let mut book = lock(&self.book);
            book.sealed = true;
            // Marked, fenced once, fixed: see `ring::spsc`.
            book.views.iter().for_each(|view| view.mark());
            // ORD(spsc.fin): heavy fence; pairs with the light ones of publishers and of `Consumer::refresh`.
            heavy_fence_or_wait(process_pair());
            book.views.iter().for_each(|view| view.fix());
            // ORD(mailbox.generation): Release; pairs with the Acquire in `Reader::pick_up`, `Reader::has_work`.
            self.generation.fetch_add(1, Ordering::Release);
        }
        self.signals.wake_now();
        // All of them: once for each mailbox, no writer gets room any more, and each goal may be nearer than it was.
        self.signals.blocked.notify();
        first
    }

    /// Gives up the backlog: the consumer counts what is left as aborted, and nobody waits for room any more.
    pub(crate) fn abort(&self) {
        // ORD(mailbox.aborted): Release; whoever sees the generation that `seal` moves on behind it sees this, too.
        self.aborted.store(true, Ordering::Release);
        self.seal(End::Closed);
    }

    pub(crate) fn is_aborted(&self) -> bool {
        // ORD(mailbox.aborted): Relaxed; a hint, asked for at each event; behind the generation, sure.
        self.aborted.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) -> End {
        // ORD(mailbox.end): Acquire; pairs with the Release in `seal`.
        End::of(self.end.load(Ordering::Acquire))
    }

    pub(crate) fn is_finished(&self) -> bool {
        // ORD(mailbox.finished): Acquire; pairs with the Release in `finish`: the last handler's work is visible.
        self.finished.load(Ordering::Acquire)
    }

    /// The consumer has handled the last event, or is gone.
    pub(crate) fn finish(&self) {
        // ORD(mailbox.finished): Release; pairs with the Acquire in `is_finished`.
        self.finished.store(true, Ordering::Release);
        // ORD(mailbox.finished): full fence; pairs with that in `push_unbounded`.
        fence(Ordering::SeqCst);
        if let SharedLane::Unbounded(queue) = &self.shared {
            self.sweep_unbounded(queue);
        }
        // All of them: this is what every flush and every close waits for.
        self.signals.blocked.notify();
    }

    /// How many events were given up.
    pub(crate) fn aborted(&self) -> u64 {
        self.consumer.aborted() + self.seats.aborted() + self.shared_entry.aborted()
    }

    /// What has to be handled so that everything accepted by now is.
    pub(crate) fn goal(&self) -> Goal<E> {
        let (lanes, unbounded) = {
            let book = lock(&self.book);
            let lanes: Vec<_> = book.views.iter().map(|view| (view.clone(), view.accepted())).collect();
            // See `push_unbounded`: for a moment this sum may be too high, and it is never too low.
            let views = book.views.iter().map(|view| view.entry().queued()).sum::<u64>();
            (lanes, views + book.folded.queued() + self.shared_entry.queued())
        };
        let shared = match &self.shared {
            SharedLane::Bounded(ring) => ring.position(),
            SharedLane::Unbounded(_) => unbounded,
        };
        Goal { shared, lanes }
    }

    /// Waits until a goal is reached; whether it is.
    pub(crate) fn wait_reached(this: &Arc<Self>, goal: &std::sync::Arc<Goal<E>>, deadline: Deadline) -> bool {
        let (mailbox, to) = (this.clone(), goal.clone());
        let waiter = Waiter::for_goal(move || mailbox.has_reached(&to));
        // A consumer that naps does not know that a flush waits. One that begins to nap later sees first what is there by now.
        this.signals.blocked.wait_for_goal(&waiter, deadline, || this.signals.wake_now())
    }

    /// Whether a goal is reached. The goal was taken from numbers that may have been lowered since: each lane says how far it goes.
    pub(crate) fn has_reached(&self, goal: &Goal<E>) -> bool {
        self.is_finished()
            || (self.shared_is_past(goal.shared)
                && goal.lanes.iter().all(|(view, target)| view.is_past(*target)))
    }

    fn shared_is_past(&self, target: u64) -> bool {
        match &self.shared {
            _ if self.signals.crowd.is_some() => self.seats.are_past(target, || self.claimed()),
            SharedLane::Bounded(ring) => self.shared_progress.is_past(ring, target),
            SharedLane::Unbounded(_) => self.shared_progress.handled() >= target,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }
}

impl<E> Book<E> {
    /// Takes over the counters of lanes whose publisher is gone and whose events are handled.
    fn fold(&mut self) {
        let folded = &mut self.folded;
        self.views.retain(|view| {
            let over = view.is_over();
            if over {
                folded.take_in(view);
            }
            !over
        });
        self.pace.walked(self.views.len());
    }
}
