//! What notices an access that nothing orders: a sink with somebody inside who should not be, and
//! traces seen too early.
#![expect(unsafe_code, reason = "under loom a cell shows an access that nothing orders after the end")]

use buslane::stats::CloseReport;
use buslane::time::Deadline;
use buslane::{Sink, WriteError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[cfg(loom)]
type Cell = loom::cell::UnsafeCell<()>;

/// What a probe and the test share.
struct Inside {
    #[cfg(loom)]
    cell: Cell,
    over: AtomicBool,
    writes: AtomicUsize,
    dropped: AtomicBool,
}

// SAFETY: under loom the cell is only there to be watched: it holds nothing.
unsafe impl Sync for Inside {}
// SAFETY: as above.
unsafe impl Send for Inside {}

/// The test's view of a [`Probe`].
#[derive(Clone)]
pub struct Watch(Arc<Inside>);

/// A sink without a mailbox, which counts its writes, and which is dropped with the last entry that
/// holds it.
pub struct Probe(Arc<Inside>);

impl Probe {
    /// A probe and the view of it.
    #[must_use]
    pub fn new() -> (Self, Watch) {
        let inside = Arc::new(Inside {
            #[cfg(loom)]
            cell: Cell::new(()),
            over: AtomicBool::new(false),
            writes: AtomicUsize::new(0),
            dropped: AtomicBool::new(false),
        });
        (Self(inside.clone()), Watch(inside))
    }
}

impl Sink<u32> for Probe {
    fn write(&self, _event: u32) -> Result<(), WriteError<u32>> {
        #[cfg(loom)]
        self.0.cell.with(|inside| {
            // SAFETY: a look, for loom to order against the end.
            unsafe { std::ptr::read_volatile(inside) };
        });
        assert!(!self.0.over.load(Ordering::Relaxed), "a write after the end");
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whoever closes it has to know that nobody is inside.
    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        Watch(self.0.clone()).end();
        CloseReport::done()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    /// From here on nobody may be inside; under loom, also nobody who is not ordered before.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
        #[cfg(loom)]
        self.0.cell.with_mut(|inside| {
            // SAFETY: a change, for loom to order against the looks.
            unsafe { std::ptr::write_volatile(inside, ()) };
        });
    }

    /// How often the sink was written to.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Whether the sink itself is gone.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// One place for a trace.
#[derive(Default)]
struct Place {
    #[cfg(loom)]
    cell: Cell,
}

// SAFETY: under loom the cell is only there to be watched: it holds nothing.
unsafe impl Sync for Place {}
// SAFETY: as above.
unsafe impl Send for Place {}

/// Places where somebody leaves a trace, at which others look later: under loom something has to
/// order the look behind it. Neither adds a step to a model.
#[derive(Clone, Default)]
pub struct Traces(Arc<[Place; 5]>);

impl Traces {
    /// Leaves a trace.
    pub fn leave(&self, at: usize) {
        let _place = &self.0[at];
        #[cfg(loom)]
        _place.cell.with_mut(|place| {
            // SAFETY: a change, for loom to order against the looks.
            unsafe { std::ptr::write_volatile(place, ()) };
        });
    }

    /// Looks at the traces in these places, one bit for each.
    pub fn look(&self, bits: usize) {
        for _place in (0..self.0.len()).filter(|at| bits & (1 << at) != 0).map(|at| &self.0[at]) {
            #[cfg(loom)]
            _place.cell.with(|place| {
                // SAFETY: a look, for loom to order against the change.
                unsafe { std::ptr::read_volatile(place) };
            });
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}
