//! The list of members, under one lock that is held for a few instructions.
//!
//! The lock of a record may be taken under it, and never the other way round. No user code runs and no
//! thread waits under either.

use super::key::Epoch;
use super::record::{Presence, Record};
use super::roster::{Roster, RosterEntry};
use crate::journal::Sequence;
use crate::sync::{Mutex, lock};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Registry<E: Clone + Send + Sync + 'static>(Mutex<Members<E>>);

pub(super) struct Members<E: Clone + Send + Sync + 'static> {
    pub(super) records: BTreeMap<Arc<str>, Arc<Record<E>>>,
    pub(super) is_closed: bool,
    /// The number of members that have left.
    pub(super) left: u64,
    last_number: u64,
    last_epoch: u64,
}

impl<E: Clone + Send + Sync + 'static> Members<E> {
    /// Returns the number of a new member.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Returns a new epoch.
    pub(super) fn epoch(&mut self) -> Epoch {
        self.last_epoch += 1;
        Epoch::new(self.last_epoch)
    }
}

impl<E: Clone + Send + Sync + 'static> Registry<E> {
    pub(super) fn new() -> Self {
        let records = BTreeMap::new();
        Self(Mutex::new(Members { records, is_closed: false, left: 0, last_number: 0, last_epoch: 0 }))
    }

    /// Reads or changes the list.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Members<E>) -> R) -> R {
        f(&mut lock(&self.0))
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Record<E>>> {
        self.with(|members| members.records.get(name).cloned())
    }

    pub(super) fn all(&self) -> Vec<Arc<Record<E>>> {
        self.with(|members| members.records.values().cloned().collect())
    }

    /// Returns the members, with the position of the first event that can follow.
    pub(super) fn roster(&self, next: u64) -> Roster {
        let entry = |record: Arc<Record<E>>| {
            let (epoch, attached) = {
                let state = lock(&record.state);
                (state.epoch, state.presence == Presence::Attached)
            };
            RosterEntry { name: record.name.to_string(), epoch, attached }
        };
        Roster { members: self.all().into_iter().map(entry).collect(), next: Sequence::new(next) }
    }
}
