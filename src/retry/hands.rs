//! The number of threads that have an event of a retry in hand, and the wait for its end.
//!
//! # Invariants
//! - H1: a thread counts itself before it attempts an event, and until the event has its outcome,
//!   its letter included.
//! - H2: the word is changed by read-modify-writes only. So they have one order: either a thread
//!   that takes its count back finds the mark of the wait, and notifies, or the wait finds that the
//!   count was taken back.
//! - H3: a wait that finds no count sees everything that the counted threads did.

#[cfg(test)]
mod models;

use crate::sync::{AtomicU64, Ordering};
use crate::time::Deadline;
use crate::wait::{FencePair, WaitList};

/// Set when a thread has waited for the end of the counts. It stays set.
const AWAITED: u64 = 1;
/// One thread.
const ONE: u64 = 2;

/// The number of threads that have an event in hand.
pub(super) struct Hands {
    word: AtomicU64,
    none: WaitList,
}

/// A thread that has an event in hand, until this is dropped.
#[must_use = "the count ends when this is dropped"]
pub(super) struct Hand<'a>(&'a Hands);

impl Hands {
    pub(super) fn new() -> Self {
        Self { word: AtomicU64::new(0), none: WaitList::new(FencePair::Symmetric) }
    }

    /// Counts the calling thread.
    #[inline]
    pub(super) fn hold(&self) -> Hand<'_> {
        // Relaxed: H3 concerns what follows the count, and a close that misses it comes first.
        self.word.fetch_add(ONE, Ordering::Relaxed);
        Hand(self)
    }

    /// Waits until no thread is counted, and returns whether that was before the deadline.
    pub(super) fn wait_none(&self, deadline: Deadline) -> bool {
        // ORD(hands.word): Acquire; pairs with the Release in `Hand::drop`: H3.
        if self.word.fetch_or(AWAITED, Ordering::Acquire) < ONE {
            return true;
        }
        // ORD(hands.word): Acquire; pairs with the Release in `Hand::drop`: H3.
        let is_none = || (self.word.load(Ordering::Acquire) < ONE).then_some(());
        self.none.wait_until(deadline, is_none).is_some()
    }
}

impl Drop for Hand<'_> {
    #[inline]
    fn drop(&mut self) {
        // ORD(hands.word): Release; pairs with the Acquire in `wait_none`: H3.
        if self.0.word.fetch_sub(ONE, Ordering::Release) == ONE | AWAITED {
            self.0.none.notify();
        }
    }
}
