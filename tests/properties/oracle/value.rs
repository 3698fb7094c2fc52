//! Values that know how many of their kind are alive, and the bytes from which random operations
//! are made.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Which values of one case are alive. One that is dropped twice, or made twice, fails at once.
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
        assert!(new, "the value {id} is there twice");
    }

    fn gone(&self, id: u64) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        assert!(known, "the value {id} was dropped twice");
    }
}

/// A value that is counted from its making to its drop, and cannot be cloned.
pub(crate) struct Value {
    pub(crate) id: u64,
    census: Census,
}

impl Drop for Value {
    fn drop(&mut self) {
        self.census.gone(self.id);
    }
}

/// One step of a case, as random bytes: what to do, and two numbers for it. Small bytes stand for
/// simple operations, so that a failing case shrinks towards them.
pub(crate) type Step = [u8; 3];

/// A number from `0..below` made of a byte.
pub(crate) fn pick(byte: u8, below: usize) -> usize {
    if below == 0 { 0 } else { usize::from(byte) % below }
}
