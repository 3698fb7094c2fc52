//! Values that count how many of their kind are alive, and the bytes that encode random operations.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The live values of one case. A value that is created or dropped twice fails at once.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<Mutex<HashSet<u64>>>);

impl Census {
    pub(crate) fn make(&self, id: u64) -> Value {
        self.born(id);
        Value { id, census: self.clone() }
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn born(&self, id: u64) {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        assert!(new, "the value {id} exists twice");
    }

    fn gone(&self, id: u64) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        assert!(known, "the value {id} was dropped twice");
    }
}

/// A value that is counted from creation to drop, and cannot be cloned.
pub(crate) struct Value {
    pub(crate) id: u64,
    census: Census,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.census.gone(self.id);
    }
}

/// One step of a case, as random bytes: the operation, and two numbers for it. Small bytes encode
/// simple operations, so a failing case shrinks toward them.
pub(crate) type Step = [u8; 3];

/// Maps a byte to a number in `0..below`.
pub(crate) fn pick(byte: u8, below: usize) -> usize {
    if below == 0 { 0 } else { usize::from(byte) % below }
}
