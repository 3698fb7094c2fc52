//! How deep inside deliveries the current thread is.
//!
//! Inside a delivery (a handler, a direct sink, a worker) nothing of ours waits: whoever waits there may wait for
//! itself. The depth also ends cycles of buses. Both counters belong to the thread and are read on cold paths only.

use crate::sync::per_thread;
use std::cell::Cell;

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
    foreign: u32,
}

impl Nesting {
    /// Enters a call into foreign code: a sink, a handler. `None` when the limit is reached.
    pub(crate) fn delivery() -> Option<Self> {
        Self::enter(1)
    }

    /// Enters a bus inside a bus, where waiting is still allowed. `None` when the limit is reached.
    pub(crate) fn nested() -> Option<Self> {
        Self::enter(0)
    }

    fn enter(foreign: u32) -> Option<Self> {
        let depth = DEPTH.try_with(Cell::get).unwrap_or(0);
        if depth >= DEPTH_LIMIT {
            return None;
        }
        let _ = DEPTH.try_with(|cell| cell.set(depth + 1));
        if foreign != 0 {
            let _ = FOREIGN.try_with(|cell| cell.set(cell.get() + foreign));
        }
        Some(Self { foreign })
    }
}

impl Drop for Nesting {
    fn drop(&mut self) {
        let _ = DEPTH.try_with(|cell| cell.set(cell.get().saturating_sub(1)));
        if self.foreign != 0 {
            let _ = FOREIGN.try_with(|cell| cell.set(cell.get().saturating_sub(self.foreign)));
        }
    }
}

/// Whether the current thread is inside a delivery, and so must not wait.
pub(crate) fn inside_delivery() -> bool {
    FOREIGN.try_with(|cell| cell.get() > 0).unwrap_or(false)
}
