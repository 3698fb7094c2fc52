//! What the current thread is doing for the crate, and so which waits it may enter.
//!
//! The crate calls user code in many places: sinks, handlers, hooks, clones and destructors of events. User code may call the
//! crate again, and a wait that it enters there may be a wait for its own caller. Four marks on the thread rule that out. All of
//! them are plain thread-local words without a destructor, so they answer until the very end of the thread; only cold paths read
//! them.
//!
//! | mark | set around | no wait for |
//! |---|---|---|
//! | [`Nesting::impatient`], [`Nesting::delivery`] | user code | anything |
//! | [`Held`] | what a removal, a close or a flush on another thread waits for | calls in progress, closes, flushes |
//! | [`Crew::enter`], [`Crew::read`] | the consumer of a mailbox, the closer of a batch | room in, and the end of, that very object |
//! | [`AtWork`] | the worker of a queue | calls in progress |
//!
//! The first mark is for code that needs no wait to be correct. The second is for code that waits for room as part of its job (a
//! publish into a sink that blocks), and that others must not be waited for in. A thread that holds nothing waits only for other
//! threads, and none of those waits for it, since they hold nothing while they wait for calls, closes or flushes.
//!
//! The depth of deliveries also ends cycles of buses. One more wait is allowed: the worker of a queue may wait for its turn behind
//! another thread, if that one waits for no thread. See [`AtWork`].

use crate::sync::{MODEL, per_thread};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// How deep buses and sinks may call each other on one thread.
pub(crate) const DEPTH_LIMIT: u32 = 16;

per_thread! {
    static DEPTH: Cell<u32> = Cell::new(0)
}
per_thread! {
    static FOREIGN: Cell<u32> = Cell::new(0)
}
per_thread! {
    static HELD: Cell<u32> = Cell::new(0)
}
per_thread! {
    static TURNS: Cell<u32> = Cell::new(0)
}
per_thread! {
    /// How deep in user code a destructor runs that may still wait for a queue to end.
    static DISPOSING: Cell<Option<u32>> = Cell::new(None)
}

/// One level of nesting, until it is dropped.
#[must_use]
pub(crate) struct Nesting {
    depth: u32,
    foreign: u32,
}

impl Nesting {
    /// Enters a delivery: the call of a sink. `None` when the limit is reached.
    pub(crate) fn delivery() -> Option<Self> {
        Self::is_shallow().then(|| Self::enter(1, 1))
    }

    /// Enters a bus inside a bus, where waiting is still allowed. `None` when the limit is reached.
    pub(crate) fn nested() -> Option<Self> {
        Self::is_shallow().then(|| Self::enter(1, 0))
    }

    /// Enters user code, in which nothing waits, at any depth.
    #[inline(always)]
    pub(crate) fn impatient() -> Self {
        Self::enter(0, 1)
    }
    /// The guard of [`impatient`](Self::impatient) that was forgotten on this thread.
    pub(crate) fn forgotten_impatient() -> Self {
        Self { depth: 0, foreign: 1 }
    }

    fn is_shallow() -> bool {
        DEPTH.try_with(Cell::get).unwrap_or(0) < DEPTH_LIMIT
    }

    #[inline(always)]
    fn enter(depth: u32, foreign: u32) -> Self {
        if depth > 0 {
            let _ = DEPTH.try_with(|cell| cell.set(cell.get() + depth));
        }
        if foreign > 0 {
            let _ = FOREIGN.try_with(|cell| cell.set(cell.get() + foreign));
        }
        Self { depth, foreign }
    }
}

impl Drop for Nesting {
    #[inline(always)]
    fn drop(&mut self) {
        if self.depth > 0 {
            let _ = DEPTH.try_with(|cell| cell.set(cell.get().wrapping_sub(self.depth)));
        }
        if self.foreign > 0 {
            let _ = FOREIGN.try_with(|cell| cell.set(cell.get().wrapping_sub(self.foreign)));
        }
    }
}

/// Clones an event as user code, in which nothing waits.
#[inline(always)]
pub(crate) fn cloned<T: Clone>(value: &T) -> T {
    let _impatient = Nesting::impatient();
    value.clone()
}

/// This thread holds what removals, closes and flushes wait for, until this is dropped: here it enters none of those waits. It may
/// still wait for room.
#[must_use]
pub(crate) struct Held(());

impl Held {
    #[inline(always)]
    pub(crate) fn begin() -> Self {
        let _ = HELD.try_with(|cell| cell.set(cell.get() + 1));
        Self(())
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        let _ = HELD.try_with(|cell| cell.set(cell.get().wrapping_sub(1)));
    }
}

/// This thread has its turn at something that is done by one thread at a time, until this is dropped.
#[must_use]
pub(crate) struct InTurn(());

impl InTurn {
    pub(crate) fn begin() -> Self {
        let _ = TURNS.try_with(|cell| cell.set(cell.get() + 1));
        Self(())
    }

    /// Whether the current thread has a turn. Two threads that each have one and wait for that of the other would wait for ever, so
    /// a thread that has one waits for no other.
    pub(crate) fn is_now() -> bool {
        TURNS.try_with(Cell::get).unwrap_or(0) > 0
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        let _ = TURNS.try_with(|cell| cell.set(cell.get().wrapping_sub(1)));
    }
}

fn reading() -> usize {
    READING.try_with(Cell::get).unwrap_or(0)
}

fn foreign_depth() -> u32 {
    FOREIGN.try_with(Cell::get).unwrap_or(0)
}

/// Whether the current thread is in user code, or holds what others wait for, and so must not wait for a call in progress, a
/// close or a flush.
pub(crate) fn inside_delivery() -> bool {
    foreign_depth() > 0 || HELD.try_with(|cell| cell.get() > 0).unwrap_or(false) || reading() != 0
}

/// Whether the current thread may wait for room: everywhere but in user code.
pub(crate) fn may_wait_for_room() -> bool {
    foreign_depth() == 0
}

/// The destructors of what a user gave to the crate: user code, in which nothing waits but the drop of a last handle, where that
/// may wait outside.
#[must_use]
pub(crate) struct Disposal {
    outer: Option<u32>,
    _impatient: Nesting,
}

impl Disposal {
    pub(crate) fn begin() -> Self {
        let waits = may_wait_to_drop();
        let impatient = Nesting::impatient();
        let here = waits.then(foreign_depth);
        Self { outer: DISPOSING.try_with(|cell| cell.replace(here)).unwrap_or(None), _impatient: impatient }
    }
}

impl Drop for Disposal {
    fn drop(&mut self) {
        let _ = DISPOSING.try_with(|cell| cell.set(self.outer));
    }
}

/// Whether the drop of a last handle may wait a moment for what it closes.
pub(crate) fn may_wait_to_drop() -> bool {
    let disposing = DISPOSING.try_with(Cell::get).unwrap_or(None);
    !inside_delivery() || disposing == Some(foreign_depth())
}

per_thread! {
    /// On the worker of a queue: how deep in foreign code its own work is.
    static WORK: Cell<Option<u32>> = Cell::new(None)
}

/// The worker of a queue at its own work, until it is dropped: what it calls from here, and not what is called by a bus or a
/// hook further down.
///
/// There, and only there, it may wait for a turn ([`may_wait_for_a_turn`]), behind whoever is inside a delivery or carries
/// something ([`carrying`]). Those wait for nobody's room and at no other batch; so nobody waits for itself.
#[must_use]
pub(crate) struct AtWork {
    outer: Option<u32>,
}

impl AtWork {
    pub(crate) fn begin() -> Self {
        let here = Some(foreign_depth());
        Self { outer: WORK.try_with(|cell| cell.replace(here)).unwrap_or(None) }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let _ = WORK.try_with(|cell| cell.set(self.outer));
    }
}

/// Whether the current thread is a worker at its own work.
pub(crate) fn may_wait_for_a_turn() -> bool {
    work().is_some_and(|level| foreign_depth() == level)
}

/// Whether the current thread is the worker of a queue. A call in progress may wait for room that this worker makes, so it waits
/// for no call.
pub(crate) fn is_worker() -> bool {
    work().is_some()
}

/// What a worker does with something in its hands that other workers wait for: it waits for nobody in turn, also in a flush.
pub(crate) fn carrying() -> Option<Nesting> {
    work().map(|_| Nesting::impatient())
}

fn work() -> Option<u32> {
    WORK.try_with(Cell::get).unwrap_or(None)
}

/// What is done with an object that may lead back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    MakeLanes,
    Flush,
    Signal,
    /// Reading from it, or ending it: the thread is the one that others wait for there.
    Work,
    /// Continuing a flush that has to come this far.
    FlushTo(u64),
}

/// An object, by address, and what this thread is doing with it.
type Place = (usize, Purpose);

/// Visits that need no memory.
const NEAR: usize = 8;

/// What this thread is doing with which object.
///
/// It has no destructor, so that it answers also while the thread's other locals are dropped: an answer that fails there would have
/// to mean "not here", and a cycle would not end, or "here already", and a close would be reported that never took place. It
/// gives its memory back when the last visit ends.
struct Here {
    near: [Cell<Option<Place>>; NEAR],
    far: RefCell<ManuallyDrop<Vec<Place>>>,
}

per_thread! {
    static VISITS: Here = Here {
        near: [const { Cell::new(None) }; NEAR],
        far: RefCell::new(ManuallyDrop::new(Vec::new())),
    }
}

impl Here {
    fn has(&self, place: Place) -> bool {
        self.near.iter().any(|near| near.get() == Some(place)) || self.far.borrow().contains(&place)
    }

    fn push(&self, place: Place) {
        match self.near.iter().find(|near| near.get().is_none()) {
            Some(near) => near.set(Some(place)),
            None => self.far.borrow_mut().push(place),
        }
    }

    fn all(&self) -> Vec<Place> {
        let near = self.near.iter().filter_map(Cell::get);
        near.chain(self.far.borrow().iter().copied()).collect()
    }

    /// How far the flush that continues here has to come at this address.
    fn flush_goal(&self, address: usize) -> Option<u64> {
        let goal = |place: Place| match place.1 {
            Purpose::FlushTo(goal) if place.0 == address => Some(goal),
            _ => None,
        };
        let near = self.near.iter().filter_map(|near| goal(near.get()?)).max();
        near.max(self.far.borrow().iter().filter_map(|place| goal(*place)).max())
    }

    /// Ends the latest visit to this place.
    fn end(&self, place: Place) {
        let mut far = self.far.borrow_mut();
        if let Some(at) = far.iter().rposition(|known| *known == place) {
            far.remove(at);
            if far.is_empty() {
                drop(std::mem::take(&mut **far));
            }
        } else if let Some(near) = self.near.iter().rev().find(|near| near.get() == Some(place)) {
            near.set(None);
        }
    }
}

/// One visit to an object, until it is dropped.
#[must_use]
pub(crate) struct Visit(Place);

impl Visit {
    /// `None` when this thread is there already for the same purpose: it has come round a cycle.
    pub(crate) fn begin(address: usize, purpose: Purpose) -> Option<Self> {
        let place = (address, purpose);
        let begin = |visits: &Here| {
            let first = !visits.has(place);
            if first {
                visits.push(place);
            }
            first
        };
        // Only a model's thread-locals can be gone, where no cycle is built.
        debug_assert!(MODEL || VISITS.try_with(|_| ()).is_ok(), "without a destructor it is never gone");
        VISITS.try_with(begin).unwrap_or(true).then(|| Self(place))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let _ = VISITS.try_with(|visits| visits.end(self.0));
    }
}

per_thread! {
    /// Whose events this thread shows to user code, by the address of the crew: the innermost. Others are visits.
    static READING: Cell<usize> = Cell::new(0)
}

/// This thread shows events to user code, until this is dropped: it holds what flushes and removals wait for, and it is the one that
/// makes room. As [`Held`] and [`Crew::enter`] together, for a few instructions.
#[must_use]
pub(crate) struct Reading {
    outer: usize,
    _visit: Option<Visit>,
}

impl Drop for Reading {
    #[inline]
    fn drop(&mut self) {
        let _ = READING.try_with(|cell| cell.set(self.outer));
    }
}

/// Those who read from a mailbox, or end an object: others wait for them there, so they must not.
///
/// Clones name the same crew.
#[derive(Clone)]
pub(crate) struct Crew(Arc<u8>);

impl Crew {
    pub(crate) fn new() -> Self {
        Self(Arc::new(0))
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// This thread is one of them, until the visit is dropped. `None` when it is already.
    pub(crate) fn enter(&self) -> Option<Visit> {
        Visit::begin(self.address(), Purpose::Work)
    }

    /// This thread is one of them, and shows what it reads to user code.
    #[inline]
    pub(crate) fn read(&self) -> Reading {
        let outer = READING.try_with(|cell| cell.replace(self.address())).unwrap_or(0);
        // Seldom: one read is inside another.
        let visit = if outer == 0 { None } else { Visit::begin(outer, Purpose::Work) };
        Reading { outer, _visit: visit }
    }

    /// Whether this thread is one of them.
    pub(crate) fn is_here(&self) -> bool {
        reading() == self.address() || is_on_the_way(self.address(), Purpose::Work)
    }
}

/// Whether this thread is at this place for this purpose.
pub(crate) fn is_on_the_way(address: usize, purpose: Purpose) -> bool {
    VISITS.try_with(|visits| visits.has((address, purpose))).unwrap_or(false)
}

/// How far the flush that continues on this thread has to come at this address; nothing if it begins here.
pub(crate) fn flush_goal(address: usize) -> Option<u64> {
    VISITS.try_with(|visits| visits.flush_goal(address)).unwrap_or(None)
}

/// What keeps a removal waiting.
type Hold = Arc<dyn Any + Send + Sync>;

per_thread! {
    /// What the flushes in progress on this thread hold. Without a destructor, as [`Here`].
    static HOLDS: RefCell<ManuallyDrop<Vec<Hold>>> = RefCell::new(ManuallyDrop::new(Vec::new()))
}

/// While it lives, whatever a flush tells on this thread holds the attachment of the sink through which it came, until that is done.
#[must_use]
pub(crate) struct Holding(());

impl Holding {
    pub(crate) fn begin(hold: Hold) -> Self {
        let _ = HOLDS.try_with(|holds| holds.borrow_mut().push(hold));
        Self(())
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let end = |holds: &RefCell<ManuallyDrop<Vec<Hold>>>| {
            let mut holds = holds.borrow_mut();
            let last = holds.pop();
            let emptied = holds.is_empty().then(|| std::mem::take(&mut **holds));
            (last, emptied)
        };
        // Holds end in the reverse order of their beginnings. What they keep is user code: dropped when nothing is borrowed.
        let held = HOLDS.try_with(end);
        drop(held);
    }
}

/// Where a thread is on its way through a graph of buses and queues, and what it holds there, to be carried to another thread that
/// continues for it.
#[derive(Default)]
pub(crate) struct Visits {
    places: Vec<Place>,
    holds: Vec<Hold>,
}

impl Visits {
    pub(crate) fn of_this_thread() -> Self {
        Self {
            places: VISITS.try_with(Here::all).unwrap_or_default(),
            holds: HOLDS.try_with(|holds| holds.borrow().to_vec()).unwrap_or_default(),
        }
    }

    /// One step further.
    pub(crate) fn and(mut self, address: usize, purpose: Purpose) -> Self {
        self.places.push((address, purpose));
        self
    }

    /// The same way once more, to continue a flush that has to come so far at these addresses.
    pub(crate) fn again(&self, goals: &[(usize, u64)]) -> Self {
        let mut places = self.places.clone();
        for (address, goal) in goals {
            places.retain(|place| place.0 != *address || !matches!(place.1, Purpose::FlushTo(_)));
            places.push((*address, Purpose::FlushTo(*goal)));
        }
        Self { places, holds: self.holds.clone() }
    }

    /// Whether both have the same visits.
    pub(crate) fn came_like(&self, other: &Self) -> bool {
        self.places == other.places
    }

    /// Continues from here on the calling thread, which keeps its own visits, until the guard is dropped. The thread that it continues for
    /// waits for it, so it must not wait where that one must not.
    pub(crate) fn adopt(&self) -> Adopted {
        let begin = |place: &Place| Visit::begin(place.0, place.1);
        Adopted {
            _visits: self.places.iter().filter_map(begin).collect(),
            _holds: self.holds.iter().cloned().map(Holding::begin).collect(),
        }
    }
}

/// Visits of another thread, which end when it is dropped.
#[must_use]
pub(crate) struct Adopted {
    _visits: Vec<Visit>,
    _holds: Vec<Holding>,
}

#[cfg(test)]
mod tests {
    use super::{Crew, Disposal, Held, NEAR, Nesting, Purpose, Visit};
    use super::{inside_delivery, may_wait_for_room, may_wait_to_drop};

    #[test]
    fn marks_end_with_their_scopes() {
        assert!(!inside_delivery() && may_wait_for_room() && may_wait_to_drop());
        {
            let _held = Held::begin();
            assert!(inside_delivery() && may_wait_for_room() && !may_wait_to_drop());
            let _disposal = Disposal::begin();
            assert!(!may_wait_for_room() && !may_wait_to_drop());
        }
        {
            let _disposal = Disposal::begin();
            assert!(inside_delivery() && !may_wait_for_room() && may_wait_to_drop());
            {
                let _inner = Disposal::begin();
                assert!(may_wait_to_drop());
            }
            assert!(may_wait_to_drop());
            let _impatient = Nesting::impatient();
            assert!(!may_wait_to_drop());
        }
        assert!(!inside_delivery() && may_wait_for_room() && may_wait_to_drop());
    }

    #[test]
    fn visits_are_told_apart_at_any_number() {
        let visits: Vec<_> = (0..3 * NEAR).map(|at| Visit::begin(at, Purpose::Signal)).collect();
        assert!(visits.iter().all(Option::is_some));
        assert!((0..3 * NEAR).all(|at| Visit::begin(at, Purpose::Signal).is_none()));
        assert!(Visit::begin(0, Purpose::Flush).is_some());
        drop(visits);
        assert!((0..3 * NEAR).all(|at| Visit::begin(at, Purpose::Signal).is_some()));
    }

    #[test]
    fn a_crew_is_known_by_its_clones() {
        let (crew, other) = (Crew::new(), Crew::new());
        let visit = crew.enter();
        assert!(visit.is_some() && crew.clone().is_here() && !other.is_here());
        assert!(crew.enter().is_none());
        assert!(crew.is_here(), "an attempt to enter again ends nothing");
        drop(visit);
        assert!(!crew.is_here());
        {
            let _outer = crew.read();
            let _inner = other.read();
            assert!(crew.is_here() && other.is_here() && inside_delivery() && may_wait_for_room());
        }
        assert!(!crew.is_here() && !other.is_here() && !inside_delivery());
    }
}
