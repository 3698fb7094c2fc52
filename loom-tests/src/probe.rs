//! Detectors of unordered accesses: a sink that a thread enters after its end, and traces that are
//! read too early.
#![expect(unsafe_code, reason = "under loom a cell shows an access that nothing orders after the end")]

use buslane::stats::CloseReport;
use buslane::time::Deadline;
use buslane::{Sink, WriteError};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[cfg(loom)]
type Cell = loom::cell::UnsafeCell<()>;

/// The state that a probe and the test share.
struct Inside {
    #[cfg(loom)]
    cell: Cell,
    over: AtomicBool,
    writes: AtomicUsize,
    dropped: AtomicBool,
}

// SAFETY: loom only watches the cell, which holds nothing.
unsafe impl Sync for Inside {}
// SAFETY: as above.
unsafe impl Send for Inside {}

/// The test's view of a [`Probe`].
#[derive(Clone)]
pub struct Watch(Arc<Inside>);

/// A sink without a mailbox, which counts its writes. The drop of the last entry that holds it
/// drops it.
pub struct Probe(Arc<Inside>);

impl Probe {
    /// Returns a probe and the view of it.
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
            // SAFETY: a read, for loom to order against the end.
            unsafe { std::ptr::read_volatile(inside) };
        });
        assert!(!self.0.over.load(Ordering::Relaxed), "a write after the end");
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Closes the sink, which requires that no thread is inside.
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
    /// Ends the probe: from here on no thread may be inside. Under loom, every earlier call must
    /// also be ordered before this one.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
        #[cfg(loom)]
        self.0.cell.with_mut(|inside| {
            // SAFETY: a write, for loom to order against the reads.
            unsafe { std::ptr::write_volatile(inside, ()) };
        });
    }

    /// Returns the number of writes to the sink.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.0.writes.load(Ordering::Relaxed)
    }

    /// Returns whether the sink itself is dropped.
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

/// One slot for a trace.
#[derive(Default)]
struct Place {
    #[cfg(loom)]
    cell: Cell,
}

// SAFETY: loom only watches the cell, which holds nothing.
unsafe impl Sync for Place {}
// SAFETY: as above.
unsafe impl Send for Place {}

/// Slots in which a thread leaves a trace, and which other threads read later: under loom, the
/// trace must be ordered before the read. Neither adds a step to a model.
#[derive(Clone, Default)]
pub struct Traces(Arc<[Place; 5]>);

impl Traces {
    /// Leaves a trace.
    pub fn leave(&self, at: usize) {
        let _place = &self.0[at];
        #[cfg(loom)]
        _place.cell.with_mut(|place| {
            // SAFETY: a write, for loom to order against the reads.
            unsafe { std::ptr::write_volatile(place, ()) };
        });
    }

    /// Reads the traces in these slots, one bit for each.
    pub fn look(&self, bits: usize) {
        for _place in (0..self.0.len()).filter(|at| bits & (1 << at) != 0).map(|at| &self.0[at]) {
            #[cfg(loom)]
            _place.cell.with(|place| {
                // SAFETY: a read, for loom to order against the write.
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
