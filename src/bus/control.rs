//! The control plane's state.
//!
//! One mutex guards this state. While it is held, no thread waits and no user code runs. Lanes are
//! made before the lock is taken, and are checked again under it. Values to drop leave the lock as
//! [`Garbage`].
//!
//! The work under the lock grows with the number of publishers that a change concerns, and not with
//! the number of sinks on the bus. The control plane hands over changes, not tables, and lists
//! share the parts that did not change.

use super::entry::SinkEntry;
use super::link::{Change, Room};
use super::links::Links;
use super::list::List;
use super::table::Table;
use crate::sink::SinkKey;
use crate::sink::lane::{Lane, LaneSealer};
use crate::stats::{CloseReport, SinkId};
use crate::sync::current::Retired;
use crate::sync::guarded::Hazard;
use crate::sync::handoff::{Chain, Handoff, Node};
use crate::sync::swap::Replaced;
use crate::sync::{self, AtomicU64, Ordering};
use crate::wait::context::dispose_each;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// The state that the control plane and one publisher share.
pub(super) struct PublisherSlot<E: Send + 'static> {
    pub(super) id: u64,
    /// Changes, each of which adds or removes one sink.
    pub(super) changes: Handoff<Change<E>>,
    /// A larger table, if the changes need one.
    pub(super) tables: Handoff<Table<E>>,
    /// The version up to which the publisher has applied changes.
    pub(super) seen: AtomicU64,
    pub(super) hazard: sync::Arc<Hazard>,
}

impl<E: Send + 'static> PublisherSlot<E> {
    /// Publisher: records that it has applied the changes up to this version.
    pub(super) fn saw(&self, version: u64) {
        // ORD(slot.seen): Release; pairs with the Acquire in `has_seen`.
        self.seen.store(version, Ordering::Release);
    }

    /// Control plane: returns whether the publisher has applied the changes of this version. If so,
    /// everything that the publisher did before is visible.
    pub(super) fn has_seen(&self, version: u64) -> bool {
        // ORD(slot.seen): Acquire; pairs with the Release in `saw`.
        self.seen.load(Ordering::Acquire) >= version
    }
}

/// The control plane's record of one publisher.
pub(super) struct Registered<E: Send + 'static> {
    pub(super) slot: Arc<PublisherSlot<E>>,
    /// Changes that the publisher may not have taken yet, in the order in which they were handed
    /// over.
    pub(super) pending: Vec<Change<E>>,
    /// The number of pending changes whose lanes were withdrawn.
    pub(super) stale: usize,
    /// Changes that the publisher has returned and that are not counted yet.
    pub(super) returned: Chain<Change<E>>,
    /// The number of changes that were handed over and are not counted as returned.
    pub(super) out: Room,
    /// The room of the newest table, which is at least `out`.
    pub(super) room: Room,
}

impl<E: Send + 'static> Registered<E> {
    /// Hands a change over, after the table that has room for it.
    pub(super) fn hand_over(&mut self, change: Change<E>, garbage: &mut Garbage<E>) {
        *self.out.of(change.link.kind) += 1;
        self.make_room(garbage);
        if self.slot.changes.push(Node::new(change.clone())) {
            self.all_taken(garbage);
        }
        self.pending.push(change);
    }

    /// Clears the pending changes, all of which the publisher has taken.
    fn all_taken(&mut self, garbage: &mut Garbage<E>) {
        garbage.changes.append(&mut self.pending);
        self.stale = 0;
    }

    fn make_room(&mut self, garbage: &mut Garbage<E>) {
        if !self.room.holds(&self.out) || self.room.is_wide_for(&self.out) {
            self.room = self.out.doubled();
            let mut table = Chain::new();
            table.push(Node::new(Table::with_room(&self.room)));
            garbage.tables.push(self.slot.tables.replace(table));
        }
    }

    /// Counts a pending change as stale, because its lane was withdrawn. Returns whether at least
    /// half of the pending changes are stale.
    fn withdrew_one(&mut self) -> bool {
        self.stale += 1;
        2 * self.stale >= self.pending.len()
    }

    /// Replaces all pending changes by those that are not stale, so that an idle publisher takes no
    /// more memory than the changes that it still needs.
    pub(super) fn compact(&mut self, garbage: &mut Garbage<E>) {
        self.stale = 0;
        garbage.changes.extend(self.pending.extract_if(.., |change| change.link.is_withdrawn()));
        let mut changes = Chain::new();
        for change in &self.pending {
            *self.out.of(change.link.kind) += 1;
            changes.push(Node::new(change.clone()));
        }
        // If the publisher has taken the old changes meanwhile, it finds nothing to do in the new
        // ones, and they need no room.
        self.returned.extend(self.slot.changes.replace(changes));
        self.count_returned(usize::MAX, garbage);
    }

    /// Collects everything that the publisher has returned.
    ///
    /// For a publisher that is being dropped: its links may be kept, and then they keep no memory of
    /// removed sinks.
    pub(super) fn settle(&mut self, garbage: &mut Garbage<E>) {
        let PublisherSlot { changes, tables, .. } = &*self.slot;
        let is_settled = self.pending.is_empty()
            && self.returned.is_empty()
            && !(changes.has_returned() || tables.has_returned());
        if !is_settled {
            self.collect(usize::MAX, garbage);
            self.count_returned(usize::MAX, garbage);
        }
    }

    /// Collects the tables and changes that the publisher has returned, and counts at most `most`
    /// of the changes. Returns the number of changes that it counted.
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

/// The links of a dropped publisher, which the next publisher may take.
///
/// Nothing uses them meanwhile: the hazard word names nothing, and no thread writes into the lanes.
/// The sinks still know the links, as those of a live publisher.
pub(super) struct Kept<E: Send + 'static> {
    pub(super) registered: Registered<E>,
    pub(super) links: Links<E>,
}

/// The progress of a close.
pub(super) enum Closing {
    /// No thread is closing the bus, and there is no final report.
    Idle,
    /// One thread is closing the bus.
    Running,
    /// The bus is closed, with this report.
    Reported(CloseReport),
}

pub(super) struct ControlState<E: Send + 'static> {
    pub(super) entries: List<E>,
    pub(super) keys: HashMap<SinkKey, SinkId>,
    pub(super) publishers: BTreeMap<u64, Registered<E>>,
    /// Links of dropped publishers, the most recently used last. All of them are current: each
    /// change of the list, and a close, takes them out (see [`Core::leave`](super::core::Core)).
    pub(super) kept: VecDeque<Kept<E>>,
    next_id: u64,
    /// The sink that was last checked for being closed.
    pub(super) asked: SinkId,
    /// The publisher whose returned changes were last collected.
    collected: u64,
    /// Publishers of whose pending changes at least half are stale.
    pub(super) stale: BTreeSet<u64>,
    pub(super) closing: Closing,
    /// The sinks without lanes whose close has begun, or is to begin, and has not returned.
    pub(super) unfinished: BTreeSet<SinkId>,
    /// The reports of sinks without lanes that a close from inside a delivery has closed.
    pub(super) ended: BTreeMap<SinkId, CloseReport>,
    /// Replaced lists, kept until no publisher reads them: a publisher must never free a list.
    pub(super) retired: Retired<List<E>>,
    /// Entries of sinks that were removed while a call was inside.
    pub(super) leaving: Vec<SinkEntry<E>>,
}

/// Values to drop once the lock is free.
pub(super) struct Garbage<E: Send + 'static> {
    tables: Vec<Chain<Table<E>>>,
    #[expect(clippy::vec_box, reason = "nodes arrive boxed, and are only stored until they are dropped")]
    returned: Vec<Box<Node<Change<E>>>>,
    changes: Vec<Change<E>>,
    pub(super) lanes: Vec<Lane<E>>,
    pub(super) lists: Vec<Replaced<List<E>>>,
    /// For [`Core::release`](super::core::Core), which also takes them off the sinks.
    pub(super) kept: VecDeque<Kept<E>>,
}

/// Lanes hold closures and events, whose destructors are user code. A panic there must not reach
/// the caller, which may belong to another user.
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
            kept: VecDeque::new(),
        }
    }
}

/// A sink that the control plane has removed from the list, and that publishers may still reach.
pub(super) struct Detached<E: Send + 'static> {
    pub(super) entry: SinkEntry<E>,
    pub(super) sealers: Vec<LaneSealer>,
    /// The publishers that have a link to the sink.
    pub(super) publishers: Vec<Arc<PublisherSlot<E>>>,
}

impl<E: Send + 'static> ControlState<E> {
    pub(super) fn new() -> Self {
        Self {
            entries: List::default(),
            keys: HashMap::new(),
            publishers: BTreeMap::new(),
            kept: VecDeque::new(),
            next_id: 1,
            asked: SinkId(0),
            collected: 0,
            stale: BTreeSet::new(),
            closing: Closing::Idle,
            unfinished: BTreeSet::new(),
            ended: BTreeMap::new(),
            retired: Retired::new(),
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

    /// Collects returned tables and changes from the next publishers: from at most `publishers` of
    /// them, and about `changes` changes.
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

    /// Removes a sink from the list, and hands the change over to the publishers that have a link
    /// to it.
    pub(super) fn detach(&mut self, id: SinkId, garbage: &mut Garbage<E>) -> Option<Detached<E>> {
        let entry = self.entries.remove(id)?;
        if let Some(key) = &entry.info.key {
            self.keys.remove(key);
        }
        entry.info.set_removed();
        let mut detached = Detached { sealers: Vec::new(), publishers: Vec::new(), entry };
        for (publisher, link) in detached.entry.reached.end() {
            detached.sealers.extend(link.sealer());
            let withdrawn = link.withdraw();
            // A publisher that is being registered has the link and is not in the map yet. Its lane
            // is withdrawn, because the publisher has not begun to use it.
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
