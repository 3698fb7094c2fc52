//! The control plane's state.
//!
//! One mutex guards it. Nothing waits and no user code runs while it is held: lanes are made before, and checked again under the lock;
//! what is to be dropped is carried out of it as [`Garbage`]. What is done under the lock grows with the publishers that a change
//! concerns, and not with the sinks that are on the bus: changes are handed over, not tables, and lists share what did not change.

use super::entry::Entry;
use super::link::{Change, Room};
use super::list::List;
use super::table::Table;
use crate::sink::SinkKey;
use crate::sink::lane::{Lane, LaneSealer};
use crate::stats::{CloseReport, SinkId};
use crate::sync::guarded::Hazard;
use crate::sync::handoff::{Chain, Handoff, Parcel};
use crate::sync::swap::Replaced;
use crate::sync::{self, AtomicU64, Ordering};
use crate::wait::context::dispose_each;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What the control plane and one publisher share.
pub(super) struct PublisherSlot<E: Send + 'static> {
    pub(super) id: u64,
    /// Sinks that came and went.
    pub(super) changes: Handoff<Change<E>>,
    /// A table with more room, when there is one.
    pub(super) tables: Handoff<Table<E>>,
    /// The version up to which the publisher has applied changes.
    pub(super) seen: AtomicU64,
    pub(super) hazard: sync::Arc<Hazard>,
}

impl<E: Send + 'static> PublisherSlot<E> {
    /// Publisher: it is through with what was before this version.
    pub(super) fn saw(&self, version: u64) {
        // ORD(slot.seen): Release; pairs with the Acquire in `has_seen`.
        self.seen.store(version, Ordering::Release);
    }

    /// Control plane: whether the publisher has applied the changes of this version. If so, all that it did before is visible.
    pub(super) fn has_seen(&self, version: u64) -> bool {
        // ORD(slot.seen): Acquire; pairs with the Release in `saw`.
        self.seen.load(Ordering::Acquire) >= version
    }
}

/// A publisher as the control plane knows it.
pub(super) struct Registered<E: Send + 'static> {
    pub(super) slot: Arc<PublisherSlot<E>>,
    /// What the publisher may not have taken yet, in the order in which it was handed over.
    pub(super) pending: Vec<Change<E>>,
    /// How many of those bring a sink that was withdrawn since.
    pub(super) stale: usize,
    /// Changes that came back and are not counted yet.
    pub(super) returned: Chain<Change<E>>,
    /// Changes that were handed over and are not counted as returned.
    pub(super) out: Room,
    /// What the newest table has room for: at least `out`.
    pub(super) room: Room,
}

impl<E: Send + 'static> Registered<E> {
    /// Hands a change over, behind the table that has room for it.
    pub(super) fn hand_over(&mut self, change: Change<E>, garbage: &mut Garbage<E>) {
        *self.out.of(change.link.kind) += 1;
        self.make_room(garbage);
        if self.slot.changes.push(Parcel::new(change.clone())) {
            self.all_taken(garbage);
        }
        self.pending.push(change);
    }

    /// The publisher has taken everything that is pending.
    fn all_taken(&mut self, garbage: &mut Garbage<E>) {
        garbage.changes.append(&mut self.pending);
        self.stale = 0;
    }

    fn make_room(&mut self, garbage: &mut Garbage<E>) {
        if !self.room.holds(&self.out) || self.room.is_wide_for(&self.out) {
            self.room = self.out.doubled();
            let mut table = Chain::new();
            table.push(Parcel::new(Table::with_room(&self.room)));
            garbage.tables.push(self.slot.tables.replace(table));
        }
    }

    /// A change that the publisher may not have taken brings nothing any more; whether that is true of half of them by now.
    fn withdrew_one(&mut self) -> bool {
        self.stale += 1;
        2 * self.stale >= self.pending.len()
    }

    /// Hands over anew, in place of all pending changes, those that are not stale: an idle publisher costs no more than what is news
    /// to it.
    pub(super) fn compact(&mut self, garbage: &mut Garbage<E>) {
        self.stale = 0;
        garbage.changes.extend(self.pending.extract_if(.., |change| change.link.is_withdrawn()));
        let mut changes = Chain::new();
        for change in &self.pending {
            *self.out.of(change.link.kind) += 1;
            changes.push(Parcel::new(change.clone()));
        }
        // Should the publisher have taken the old ones meanwhile, it finds nothing to do in the new ones, which need no room.
        self.returned.extend(self.slot.changes.replace(changes));
        self.count_returned(usize::MAX, garbage);
    }

    /// Collects what the publisher has given back, and counts at most `most` changes of it. Returns how many it counted.
    fn collect(&mut self, most: usize, garbage: &mut Garbage<E>) -> usize {
        if self.slot.changes.is_taken() {
            self.all_taken(garbage);
        }
        garbage.tables.push(self.slot.tables.collect());
        if self.returned.is_empty() {
            self.returned = self.slot.changes.collect();
        }
        let counted = self.count_returned(most, garbage);
        self.make_room(garbage);
        counted
    }

    fn count_returned(&mut self, most: usize, garbage: &mut Garbage<E>) -> usize {
        let before = garbage.returned.len();
        for change in self.returned.by_ref().take(most) {
            *self.out.of(change.value.link.kind) -= 1;
            garbage.returned.push(change);
        }
        garbage.returned.len() - before
    }
}

/// How far a close is.
pub(super) enum Closing {
    /// Nobody is closing the bus, or nobody has the final report.
    Idle,
    /// One thread is.
    Running,
    /// This came of it.
    Reported(CloseReport),
}

pub(super) struct Control<E: Send + 'static> {
    pub(super) entries: List<E>,
    pub(super) keys: HashMap<SinkKey, SinkId>,
    pub(super) publishers: BTreeMap<u64, Registered<E>>,
    next_id: u64,
    /// The sink that was asked last whether it is closed.
    pub(super) asked: SinkId,
    /// The publisher whose returns were collected last.
    collected: u64,
    /// Publishers of whose pending changes half are stale.
    pub(super) stale: BTreeSet<u64>,
    pub(super) closing: Closing,
    /// Lists that were replaced, until no publisher reads them: a publisher must never free a list.
    retired: Vec<Replaced<List<E>>>,
    /// Entries that were removed while a publisher was inside.
    pub(super) leaving: Vec<Entry<E>>,
}

/// What is to be dropped once the lock is free.
pub(super) struct Garbage<E: Send + 'static> {
    tables: Vec<Chain<Table<E>>>,
    #[expect(clippy::vec_box, reason = "parcels come boxed, and are only kept until they are dropped")]
    returned: Vec<Box<Parcel<Change<E>>>>,
    changes: Vec<Change<E>>,
    pub(super) lanes: Vec<Lane<E>>,
    pub(super) lists: Vec<Replaced<List<E>>>,
}

/// Lanes hold closures and events: destructors of users to whom the caller is a stranger.
impl<E: Send + 'static> Drop for Garbage<E> {
    fn drop(&mut self) {
        dispose_each(self.tables.drain(..));
        dispose_each(self.returned.drain(..));
        dispose_each(self.changes.drain(..));
        dispose_each(self.lanes.drain(..));
        dispose_each(self.lists.drain(..));
    }
}

impl<E: Send + 'static> Garbage<E> {
    pub(super) fn new() -> Self {
        Self {
            tables: Vec::new(),
            returned: Vec::new(),
            changes: Vec::new(),
            lanes: Vec::new(),
            lists: Vec::new(),
        }
    }
}

/// A sink that is off the bus for the control plane, and that publishers may still reach.
pub(super) struct Detached<E: Send + 'static> {
    pub(super) entry: Entry<E>,
    pub(super) sealers: Vec<LaneSealer>,
    /// The publishers that have a link to it.
    pub(super) publishers: Vec<Arc<PublisherSlot<E>>>,
}

impl<E: Send + 'static> Control<E> {
    pub(super) fn new() -> Self {
        Self {
            entries: List::default(),
            keys: HashMap::new(),
            publishers: BTreeMap::new(),
            next_id: 1,
            asked: SinkId(0),
            collected: 0,
            stale: BTreeSet::new(),
            closing: Closing::Idle,
            retired: Vec::new(),
            leaving: Vec::new(),
        }
    }

    pub(super) fn publisher_count(&self) -> usize {
        self.publishers.len()
    }

    pub(super) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Collects what the next publishers have given back: at most `publishers` of them, and about `changes` changes.
    pub(super) fn collect(&mut self, publishers: usize, mut changes: usize, garbage: &mut Garbage<E>) {
        let after = self.publishers.range(self.collected + 1..);
        let ids = after.chain(self.publishers.range(..=self.collected)).map(|(id, _)| *id);
        for id in ids.take(publishers).collect::<Vec<_>>() {
            self.collected = id;
            if let Some(registered) = self.publishers.get_mut(&id) {
                changes -= registered.collect(changes, garbage);
            }
            if changes == 0 {
                break;
            }
        }
    }

    /// Keeps a list that was replaced until nobody reads it.
    pub(super) fn retire(&mut self, list: Replaced<List<E>>) {
        self.retired.push(list);
    }

    /// Lists that no publisher reads any more.
    pub(super) fn unread_lists(&mut self) -> Vec<Replaced<List<E>>> {
        self.retired.extract_if(.., Replaced::is_unread).collect()
    }

    /// Takes a sink off the list, and tells the publishers that have a link to it.
    pub(super) fn detach(&mut self, id: SinkId, garbage: &mut Garbage<E>) -> Option<Detached<E>> {
        let entry = self.entries.remove(id)?;
        if let Some(key) = &entry.info.key {
            self.keys.remove(key);
        }
        entry.info.set_gone();
        let mut detached = Detached { sealers: Vec::new(), publishers: Vec::new(), entry };
        for (publisher, link) in detached.entry.reached.end() {
            detached.sealers.extend(link.sealer());
            let withdrawn = link.withdraw();
            // One that is being registered has the link, and is not known yet: its lane is taken back, since it has not begun.
            if let Some(registered) = self.publishers.get_mut(&publisher) {
                if withdrawn.is_some() {
                    if registered.withdrew_one() {
                        self.stale.insert(publisher);
                    }
                } else {
                    registered.hand_over(Change { info: detached.entry.info.clone(), link }, garbage);
                    detached.publishers.push(registered.slot.clone());
                }
            }
            garbage.lanes.extend(withdrawn.flatten());
        }
        Some(detached)
    }
}
