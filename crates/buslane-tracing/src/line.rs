//! A line on its way to the worker: in the slot of its lane, or in memory of its own if it is long.

use crate::order::Stamp;
use buslane::bus::InlineBytes;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of a line that fit into its slot, so that a slot has 256 bytes.
pub(crate) const INLINE: usize = 230;

/// One line, with what its order needs.
// The fields are in this order in memory, so that a short line needs the first cache lines only.
#[derive(Clone)]
#[repr(C)]
// Smaller pointers leave the last line unfilled.
#[cfg_attr(not(target_pointer_width = "64"), repr(align(64)))]
pub(crate) struct Line {
    pub(crate) stamp: Stamp,
    /// All bytes, if they do not fit inline.
    spilled: Option<Arc<Spilled>>,
    inline: InlineBytes<INLINE>,
}

// A slot that is no multiple of a cache line would share one with its neighbor.
const _: () = assert!(size_of::<Line>() == 256);

impl Line {
    /// Creates a line without bytes.
    #[inline(always)]
    pub(crate) fn new(stamp: Stamp) -> Self {
        Self { stamp, spilled: None, inline: InlineBytes::new() }
    }

    /// Sets the bytes of a new line, at most [`INLINE`] of them.
    #[inline(always)]
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        let fits = self.inline.append(bytes);
        debug_assert!(fits, "{} bytes are too many", bytes.len());
    }

    /// Creates a long line. Returns `None` if the budget is used up.
    #[cold]
    pub(crate) fn spilled(bytes: &[u8], stamp: Stamp, budget: &Arc<Budget>) -> Option<Self> {
        let spilled = Arc::new(Spilled::new(bytes, budget)?);
        Some(Self { stamp, spilled: Some(spilled), inline: InlineBytes::new() })
    }

    /// Returns the bytes of the line.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.spilled.as_ref().map_or(&self.inline, |spilled| &spilled.bytes)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

/// The bytes of a long line, which count in the budget until they are dropped.
struct Spilled {
    bytes: Box<[u8]>,
    budget: Arc<Budget>,
}

impl Spilled {
    fn new(bytes: &[u8], budget: &Arc<Budget>) -> Option<Self> {
        budget.take(bytes.len()).then(|| Self { bytes: bytes.into(), budget: budget.clone() })
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        // Relaxed: the count publishes nothing.
        self.budget.used.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// The limit on the bytes of all long lines together.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// Creates a budget of this number of bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    /// Takes bytes, unless that would exceed the limit.
    fn take(&self, bytes: usize) -> bool {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed);
        // Other threads may see too many bytes for a moment, and refuse a line that would fit: the
        // limit holds in return.
        let fits = used.checked_add(bytes).is_some_and(|used| used <= self.limit);
        if !fits {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}
