//! Hostile but safe code against what is public in `wait` and `ring`: callbacks that panic or come
//! back, wakers whose clone, wake and destructor do as they like, values that are forgotten, parts
//! of two makers put together, and threads.
//!
//! An ordinary test, and the one that Miri runs: see `.ci/miri`. What a test asserts is that
//! nothing is lost and nothing lives on; that nothing is undefined is for Miri, or a sanitizer, to
//! say.

mod blocks;
mod mpmc;
mod sleepers;
mod spsc;
mod unbounded;
mod waiting;
mod wakers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer rounds where an interpreter plays them.
pub(crate) const fn rounds(natively: usize, in_miri: usize) -> usize {
    if cfg!(miri) { in_miri } else { natively }
}

/// The number of values that live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

impl Census {
    pub(crate) fn value(&self, number: usize) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted { number, panics: Panics::Never, text: number.to_string(), census: self.clone() }
    }

    /// A value whose clone panics.
    pub(crate) fn unclonable(&self, number: usize) -> Counted {
        let mut value = self.value(number);
        value.panics = Panics::InClone;
        value
    }

    pub(crate) fn living(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Panics {
    Never,
    InClone,
}

/// A value that owns memory, and is counted as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) number: usize,
    panics: Panics,
    text: String,
    census: Census,
}

impl Counted {
    /// Reads all of it.
    pub(crate) fn look(&self) -> usize {
        assert_eq!(self.text, self.number.to_string());
        self.number
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        assert!(self.panics != Panics::InClone, "as asked by the test");
        self.census.value(self.number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.look();
        self.census.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether the call unwinds.
pub(crate) fn unwinds<R>(call: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}
