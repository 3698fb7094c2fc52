//! How deep inside deliveries the current thread is.
//!
//! Inside a delivery (a handler, a direct sink, a worker) nothing of ours waits: whoever waits there may wait for
//! itself. The depth also ends cycles of buses. Both counters belong to the thread and are read on cold paths only.
//!
//! One wait is allowed: the worker of a queue may wait for its turn behind another thread, if that one waits for nobody. See
//! [`AtWork`].

use crate::sync::per_thread;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// How deep buses and sinks may call each other on one thread.
pub(crate) const DEPTH_LIMIT: u32 = 16;

per_thread! {
    static DEPTH: Cell<u32> = Cell::new(0)
}
per_thread! {
    static FOREIGN: Cell<u32> = Cell::new(0)
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

    /// From here on nothing waits, as inside a delivery, at any depth.
    #[inline]
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

    #[inline]
    fn enter(depth: u32, foreign: u32) -> Self {
        let _ = DEPTH.try_with(|cell| cell.set(cell.get() + depth));
        let _ = FOREIGN.try_with(|cell| cell.set(cell.get() + foreign));
        Self { depth, foreign }
    }
}

impl Drop for Nesting {
    #[inline]
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|cell| cell.set(cell.get().saturating_sub(self.depth)));
        let _ = FOREIGN.try_with(|cell| cell.set(cell.get().saturating_sub(self.foreign)));
    }
}

/// Whether the current thread is inside a delivery, and so must not wait.
pub(crate) fn inside_delivery() -> bool {
    FOREIGN.try_with(|cell| cell.get() > 0).unwrap_or(false)
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
        let here = FOREIGN.try_with(Cell::get).ok();
        Self { outer: WORK.try_with(|cell| cell.replace(here)).ok().flatten() }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let _ = WORK.try_with(|cell| cell.set(self.outer));
    }
}

/// Whether the current thread is a worker at its own work.
pub(crate) fn may_wait_for_a_turn() -> bool {
    work().is_some_and(|level| FOREIGN.try_with(|cell| cell.get() == level).unwrap_or(false))
}

/// What a worker does with something in its hands that other workers wait for: it waits for nobody in turn, also in a flush.
pub(crate) fn carrying() -> Option<Nesting> {
    work().map(|_| Nesting::impatient())
}

/// Whether this thread is a queue's worker.
pub(crate) fn is_worker() -> bool {
    work().is_some()
}

fn work() -> Option<u32> {
    WORK.try_with(Cell::get).ok().flatten()
}

per_thread! {
    /// What this thread is doing with which bus, by address.
    static VISITS: RefCell<Vec<(usize, Purpose)>> = RefCell::new(Vec::new())
}

/// What is done with a bus that may lead back to it, where buses are sinks of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    MakeLanes,
    Flush,
    Signal,
}

/// One visit to a bus, until it is dropped.
#[must_use]
pub(crate) struct Visit(());

impl Visit {
    /// `None` when this thread is there already for the same purpose: it has come round a cycle of buses.
    pub(crate) fn begin(address: usize, purpose: Purpose) -> Option<Self> {
        VISITS
            .try_with(|visits| {
                let mut visits = visits.borrow_mut();
                let first = !visits.contains(&(address, purpose));
                first.then(|| visits.push((address, purpose)))
            })
            .ok()
            .flatten()
            .map(|()| Self(()))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // Visits end in the reverse order of their beginnings.
        let _ = VISITS.try_with(|visits| visits.borrow_mut().pop());
    }
}

/// Whether this thread is on its way through the place, for this purpose. One that no longer knows is not.
pub(crate) fn is_on_the_way(address: usize, purpose: Purpose) -> bool {
    VISITS.try_with(|visits| visits.borrow().contains(&(address, purpose))).unwrap_or(false)
}

/// What keeps a removal waiting.
type Hold = Arc<dyn Any + Send + Sync>;

per_thread! {
    /// What the flushes in progress on this thread hold.
    static HOLDS: RefCell<Vec<Hold>> = RefCell::new(Vec::new())
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
        // Holds end in the reverse order of their beginnings. What they keep is user code: dropped when nothing is borrowed.
        let hold = HOLDS.try_with(|holds| holds.borrow_mut().pop());
        drop(hold);
    }
}

/// Where a thread is on its way through a graph of buses and queues, and what it holds there, to be carried on to another thread that
/// goes on for it.
#[derive(Default)]
pub(crate) struct Visits {
    places: Vec<(usize, Purpose)>,
    holds: Vec<Hold>,
}

impl Visits {
    pub(crate) fn of_this_thread() -> Self {
        Self {
            places: VISITS.try_with(|visits| visits.borrow().clone()).unwrap_or_default(),
            holds: HOLDS.try_with(|holds| holds.borrow().clone()).unwrap_or_default(),
        }
    }

    /// One step further.
    pub(crate) fn and(mut self, address: usize, purpose: Purpose) -> Self {
        self.places.push((address, purpose));
        self
    }

    /// Whether both have come by the same places.
    pub(crate) fn came_like(&self, other: &Self) -> bool {
        self.places == other.places
    }

    /// Goes on from here on the calling thread, until the guard is dropped.
    pub(crate) fn adopt(&self) -> Adopted {
        Adopted {
            places: VISITS.try_with(|visits| visits.replace(self.places.clone())).ok(),
            holds: HOLDS.try_with(|holds| holds.replace(self.holds.clone())).ok(),
        }
    }
}

/// The visits of the thread itself, which come back when it is dropped.
#[must_use]
pub(crate) struct Adopted {
    places: Option<Vec<(usize, Purpose)>>,
    holds: Option<Vec<Hold>>,
}

impl Drop for Adopted {
    fn drop(&mut self) {
        if let Some(own) = self.places.take() {
            let _ = VISITS.try_with(|visits| visits.replace(own));
        }
        if let Some(own) = self.holds.take() {
            let adopted = HOLDS.try_with(|holds| holds.replace(own));
            drop(adopted);
        }
    }
}
