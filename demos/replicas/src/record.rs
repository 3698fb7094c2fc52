//! What the hub accepted, and what the data of every node must be at the end.

use crate::change::{Change, Origin, Vector, Write};
use crate::state::View;
use std::collections::BTreeMap;

/// Every change that the hub accepted, in order.
#[derive(Debug, Default)]
pub(crate) struct Record {
    changes: Vec<Change>,
    /// The indices of the changes of each origin, in the order of their numbers.
    indices: BTreeMap<Origin, Vec<usize>>,
}

/// What becomes of a change that reaches the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one of its origin.
    New,
    /// It was accepted before, and its node did not receive the answer.
    Known,
    /// An earlier one of its origin is missing, which no node of this program does.
    OutOfOrder,
}

impl Record {
    /// Returns what becomes of a change.
    pub(crate) fn judge(&self, change: &Change) -> Verdict {
        let last = self.indices.get(&change.origin).map_or(0, |indices| indices.len() as u64);
        match change.number {
            number if number <= last => Verdict::Known,
            number if number == last + 1 => Verdict::New,
            _ => Verdict::OutOfOrder,
        }
    }

    /// Adds a new change.
    pub(crate) fn add(&mut self, change: Change) {
        self.indices.entry(change.origin).or_default().push(self.changes.len());
        self.changes.push(change);
    }

    /// The number of changes.
    pub(crate) fn len(&self) -> u64 {
        self.changes.len() as u64
    }

    /// Returns which changes were accepted, of every origin.
    pub(crate) fn accepted(&self) -> Vector {
        self.indices.iter().map(|(origin, indices)| (*origin, indices.len() as u64)).collect()
    }

    /// Returns whether a change was accepted exactly as it is.
    pub(crate) fn find(&self, change: &Change) -> bool {
        let index = change.number.checked_sub(1).and_then(|number| usize::try_from(number).ok());
        let indices = self.indices.get(&change.origin);
        let found = indices.zip(index).and_then(|(indices, index)| indices.get(index));
        found.is_some_and(|found| self.changes[*found] == *change)
    }

    /// Returns what the data must be, computed in the plainest way: by all sums, and by the latest
    /// change of each text.
    pub(crate) fn expected(&self) -> View {
        let mut view = View::default();
        let mut latest = BTreeMap::new();
        for change in &self.changes {
            match &change.write {
                Write::Add { key, amount } => *view.sums.entry(key.clone()).or_default() += amount,
                Write::Set { key, .. } | Write::Remove { key } => {
                    let last = latest.entry(key).or_insert(change);
                    if (change.clock, change.origin) > (last.clock, last.origin) {
                        *last = change;
                    }
                }
            }
        }
        for (key, change) in latest {
            if let Write::Set { text, .. } = &change.write {
                view.texts.insert(key.clone(), text.clone());
            }
        }
        view
    }
}
