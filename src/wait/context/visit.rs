//! The objects that this thread visits, and for which purpose, so that a call that closes a cycle
//! is recognized.

use super::{Hold, of_this_thread};
use crate::sync::MODEL;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

/// An operation on an object that may lead back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    MakeLanes,
    Flush,
    Control,
    /// Reading from it, or closing it: other threads wait for this thread there.
    Work,
    /// Continuing a flush up to this goal.
    FlushTo(u64),
}

/// An object, by address, and what this thread does with it.
type Place = (usize, Purpose);

/// The number of visits that need no memory.
pub(super) const NEAR: usize = 8;

/// The visits of this thread.
///
/// It has no destructor, so that it can be read also while the thread's other locals are dropped. A
/// failed read there would have to mean "not here", and a cycle would not end, or "here already",
/// and a close would be reported that never took place. It frees its memory when the last visit
/// ends.
pub(super) struct Here {
    near: [Cell<Option<Place>>; NEAR],
    far: RefCell<ManuallyDrop<Vec<Place>>>,
}

impl Here {
    pub(super) const fn nowhere() -> Self {
        Self { near: [const { Cell::new(None) }; NEAR], far: RefCell::new(ManuallyDrop::new(Vec::new())) }
    }

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

    /// Returns the goal at this address of the flush that continues here.
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
    /// Begins a visit. Returns `None` if this thread is there already for the same purpose: the
    /// call has closed a cycle.
    pub(crate) fn begin(address: usize, purpose: Purpose) -> Option<Self> {
        let place = (address, purpose);
        let begin = |visits: &Here| {
            let first = !visits.has(place);
            if first {
                visits.push(place);
            }
            first
        };
        // Only in a model, where no cycle is built, can the thread-locals be gone.
        debug_assert!(MODEL || of_this_thread(false, |_| true), "without a destructor it stays accessible");
        of_this_thread(true, |context| begin(&context.visits)).then(|| Self(place))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        of_this_thread((), |context| context.visits.end(self.0));
    }
}

/// Returns whether this thread visits this address for this purpose.
pub(crate) fn is_on_the_way(address: usize, purpose: Purpose) -> bool {
    of_this_thread(false, |context| context.visits.has((address, purpose)))
}

/// Returns the goal at this address of the flush that continues on this thread. Returns `None` if
/// the flush begins here.
pub(crate) fn flush_goal(address: usize) -> Option<u64> {
    of_this_thread(None, |context| context.visits.flush_goal(address))
}

/// A mark: each sink that a flush tells on this thread keeps the attachment through which the flush
/// came, until it is done.
#[must_use]
pub(crate) struct Holding(());

impl Holding {
    pub(crate) fn begin(hold: Hold) -> Self {
        of_this_thread((), |context| context.holds.borrow_mut().push(hold));
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
        // Holds end in the reverse order of their beginnings. Their contents are user code, dropped
        // when nothing is borrowed.
        let held = of_this_thread((None, None), |context| end(&context.holds));
        drop(held);
    }
}

/// The visits and holds of a thread in a graph of buses and queues.
///
/// They are carried to another thread that continues for it.
#[derive(Default)]
pub(crate) struct Visits {
    places: Vec<Place>,
    holds: Vec<Hold>,
}

impl Visits {
    pub(crate) fn of_this_thread() -> Self {
        Self {
            places: of_this_thread(Vec::new(), |context| context.visits.all()),
            holds: of_this_thread(Vec::new(), |context| context.holds.borrow().to_vec()),
        }
    }

    /// Adds a visit.
    pub(crate) fn and(mut self, address: usize, purpose: Purpose) -> Self {
        self.places.push((address, purpose));
        self
    }

    /// Returns the same visits, to continue a flush up to these goals at their addresses.
    pub(crate) fn again(&self, goals: &[(usize, u64)]) -> Self {
        let mut places = self.places.clone();
        for (address, goal) in goals {
            places.retain(|place| place.0 != *address || !matches!(place.1, Purpose::FlushTo(_)));
            places.push((*address, Purpose::FlushTo(*goal)));
        }
        Self { places, holds: self.holds.clone() }
    }

    /// Returns whether both have the same visits.
    pub(crate) fn came_like(&self, other: &Self) -> bool {
        self.places == other.places
    }

    /// Continues these visits on the calling thread, which keeps its own, until the guard is
    /// dropped.
    ///
    /// The original thread waits for the calling thread, which therefore must not wait where the
    /// original thread must not.
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
