//! The bytes of records that do not fit inline, and the budget that limits them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The most bytes that one record holds. A text in a record is not longer than 16 bits can say.
pub(crate) const RECORD_LIMIT: usize = u16::MAX as usize;

/// The capacity that a record on the heap begins with, at least.
const SMALLEST: usize = 512;

/// A number of bytes that the waiting records of one layer may hold on the heap.
///
/// All accesses are `Relaxed`: the numbers protect no other memory.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
    /// The number of records that were cut because the budget, or the limit of one record, was
    /// reached.
    truncated: AtomicU64,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: AtomicUsize::new(bytes), truncated: AtomicU64::new(0) }
    }

    /// Takes `bytes` from the budget, and returns whether they were left.
    fn take(&self, bytes: usize) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }

    #[cold]
    pub(crate) fn count_truncated(&self) {
        self.truncated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn truncated(&self) -> u64 {
        self.truncated.load(Ordering::Relaxed)
    }
}

/// The bytes of one record on the heap. They return to the budget when the last clone of the record
/// is dropped.
pub(crate) struct Spill {
    bytes: Vec<u8>,
    /// How many bytes are taken from the budget.
    taken: usize,
    budget: Arc<Budget>,
}

impl Spill {
    /// Moves `inline` to the heap, with room for at least one byte more.
    ///
    /// Returns `None` when the budget or the limit of one record has no room.
    #[cold]
    pub(crate) fn begin(inline: &[u8], wanted: usize, budget: &Arc<Budget>) -> Option<Self> {
        let mut spill = Self { bytes: Vec::new(), taken: 0, budget: budget.clone() };
        if spill.grow(inline.len(), wanted) <= inline.len() {
            return None;
        }
        spill.bytes.extend_from_slice(inline);
        Some(spill)
    }

    /// Returns how many of `wanted` more bytes there is room for.
    pub(crate) fn room(&mut self, wanted: usize) -> usize {
        let len = self.bytes.len();
        wanted.min(self.grow(len, wanted).saturating_sub(len))
    }

    /// Makes room for `wanted` bytes after the first `len`, or for as many as possible, and returns
    /// the capacity.
    fn grow(&mut self, len: usize, wanted: usize) -> usize {
        let needed = len.saturating_add(wanted);
        if needed > self.taken && self.taken < RECORD_LIMIT {
            // Doubled, so that a long text that is written in pieces is not moved for each piece.
            let doubled = needed.max(2 * self.taken).clamp(SMALLEST, RECORD_LIMIT);
            let exact = needed.min(RECORD_LIMIT);
            for capacity in [doubled, exact] {
                if self.budget.take(capacity - self.taken) {
                    self.taken = capacity;
                    self.bytes.reserve_exact(capacity - self.bytes.len());
                    break;
                }
            }
        }
        self.taken
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}
