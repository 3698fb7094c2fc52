//! Hostile but safe code against the public items of `wait` and `ring`:
//! - callbacks that panic or reenter,
//! - wakers whose clone, wake and destructor run arbitrary code,
//! - values that are forgotten,
//! - parts of two rings mixed together,
//! - several threads.
//!
//! An ordinary test, which Miri also runs: see `.ci/miri`. The tests assert that no value is lost
//! or leaked. Miri or a sanitizer detects undefined behavior.

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

/// Returns the number of rounds: fewer under an interpreter.
pub(crate) const fn rounds(natively: usize, in_miri: usize) -> usize {
    if cfg!(miri) { in_miri } else { natively }
}

/// The number of live values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

impl Census {
    pub(crate) fn value(&self, number: usize) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted { number, panics: Panics::Never, text: number.to_string(), census: self.clone() }
    }

    /// Returns a value whose clone panics.
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

/// A value that owns memory, and is counted while it lives.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) number: usize,
    panics: Panics,
    text: String,
    census: Census,
}

impl Counted {
    /// Reads the whole value.
    pub(crate) fn look(&self) -> usize {
        assert_eq!(self.text, self.number.to_string());
        self.number
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        assert!(self.panics != Panics::InClone, "as requested by the test");
        self.census.value(self.number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.look();
        self.census.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns whether the call unwinds.
pub(crate) fn unwinds<R>(call: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}
