//! The control plane's state, and how sinks and publishers come onto a bus.
//!
//! One mutex guards it. Nothing waits and no user code runs while it is held: lanes are made before, and checked again under the lock;
//! what is to be dropped is carried out of it as [`Garbage`]. What is done under the lock grows with the publishers that a change
//! concerns, and not with the sinks that are on the bus: changes are handed over, not tables, and lists share what did not change.

use super::entry::{Entry, Info, Reached, Shared};
use super::list::List;
use super::table::{Change, Prepared, Room, Table, Way};
use super::{Core, STEP};
use crate::error::AddError;
use crate::panics::{dispose, dispose_each, foreign};
use crate::sink::SinkKey;
use crate::sink::lane::{Lane, LaneSealer, Lanes};
use crate::stats::{CloseReport, SinkId};
use crate::sync::guarded::{Hazard, Listed};
use crate::sync::handoff::{Chain, Handoff, Parcel};
use crate::sync::swap::Replaced;
use crate::sync::{self, AtomicU64, MutexGuard, Ordering, lock};
use crate::wait::nesting::{Nesting, Purpose, Visit};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::Location;
use std::sync::Arc;

/// The most sinks that an add or a registration asks whether they are closed; each asks the next ones.
const LOOKS: usize = 16;

/// What the control plane and one publisher share.
pub(super) struct PublisherSlot<E: Send + 'static> {
    pub(super) id: u64,
    /// Sinks that came and went.
    pub(super) changes: Handoff<Change<E>>,
    /// A table with more room, when there is one.
    pub(super) tables: Handoff<Table<E>>,
    /// The version up to which the publisher has applied changes.
    seen: AtomicU64,
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

/// What a new publisher gets.
pub(super) struct Admission<E: Send + 'static> {
    pub(super) slot: Arc<PublisherSlot<E>>,
    pub(super) table: Box<Parcel<Table<E>>>,
    /// The version of the list for which the table is made.
    pub(super) seen: u64,
}

/// A publisher as the control plane knows it.
pub(super) struct Registered<E: Send + 'static> {
    pub(super) slot: Arc<PublisherSlot<E>>,
    /// What the publisher may not have taken yet, in the order in which it was handed over.
    pending: Vec<Change<E>>,
    /// How many of those bring a sink that was withdrawn since.
    stale: usize,
    /// Changes that came back and are not counted yet.
    returned: Chain<Change<E>>,
    /// Changes that were handed over and are not counted as returned.
    out: Room,
    /// What the newest table has room for: at least `out`.
    room: Room,
}

impl<E: Send + 'static> Registered<E> {
    /// Hands a change over, behind the table that has room for it.
    fn hand_over(&mut self, change: Change<E>, garbage: &mut Garbage<E>) {
        *self.out.of(change.way.kind) += 1;
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
    fn compact(&mut self, garbage: &mut Garbage<E>) {
        self.stale = 0;
        garbage.changes.extend(self.pending.extract_if(.., |change| change.way.is_withdrawn()));
        let mut changes = Chain::new();
        for change in &self.pending {
            *self.out.of(change.way.kind) += 1;
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
            *self.out.of(change.value.way.kind) -= 1;
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
    keys: HashMap<SinkKey, SinkId>,
    pub(super) publishers: BTreeMap<u64, Registered<E>>,
    next_id: u64,
    /// The sink that was asked last whether it is closed.
    pub(super) asked: SinkId,
    /// The publisher whose returns were collected last.
    collected: u64,
    /// Publishers of whose pending changes half are stale.
    stale: BTreeSet<u64>,
    pub(super) closing: Closing,
    /// Lists that were replaced, until no publisher reads them: a publisher must never free a list.
    retired: Vec<Replaced<List<E>>>,
    /// Entries that were removed while a publisher was inside.
    pub(super) leaving: Vec<Entry<E>>,
}

/// Asks a sink something: user code, in which nothing waits. A panic is the caller's, who brought the sink.
fn user_code<R>(call: impl FnOnce() -> R) -> R {
    let _impatient = Nesting::impatient();
    call()
}

/// Lanes that were made for publishers. Those that no publisher gets are dropped when no lock is held.
struct Made<E: Send + 'static>(BTreeMap<u64, Prepared<E>>);

impl<E: Send + 'static> Drop for Made<E> {
    fn drop(&mut self) {
        dispose_each(std::mem::take(&mut self.0).into_values());
    }
}

/// What is to be dropped once the lock is free.
pub(super) struct Garbage<E: Send + 'static> {
    tables: Vec<Chain<Table<E>>>,
    #[expect(clippy::vec_box, reason = "parcels come boxed, and are only kept until they are dropped")]
    returned: Vec<Box<Parcel<Change<E>>>>,
    changes: Vec<Change<E>>,
    lanes: Vec<Lane<E>>,
    lists: Vec<Replaced<List<E>>>,
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
    /// The publishers that have a way to it.
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

    fn id(&mut self) -> u64 {
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

    /// Takes a sink off the list, and tells the publishers that have a way to it.
    pub(super) fn detach(&mut self, id: SinkId, garbage: &mut Garbage<E>) -> Option<Detached<E>> {
        let entry = self.entries.remove(id)?;
        if let Some(key) = &entry.info.key {
            self.keys.remove(key);
        }
        entry.info.set_gone();
        let mut detached = Detached { sealers: Vec::new(), publishers: Vec::new(), entry };
        for (publisher, way) in detached.entry.reached.end() {
            detached.sealers.extend(way.sealer());
            let withdrawn = way.withdraw();
            // One that is being registered has the way, and is not known yet: its lane is taken back, since it has not begun.
            if let Some(registered) = self.publishers.get_mut(&publisher) {
                if withdrawn.is_some() {
                    if registered.withdrew_one() {
                        self.stale.insert(publisher);
                    }
                } else {
                    registered.hand_over(Change { info: detached.entry.info.clone(), way }, garbage);
                    detached.publishers.push(registered.slot.clone());
                }
            }
            garbage.lanes.extend(withdrawn.flatten());
        }
        Some(detached)
    }
}

/// A publisher that is being registered: sinks know it already, the control plane does not.
struct Joining<'a, E: Send + 'static> {
    core: &'a Core<E>,
    id: u64,
    changes: Chain<Change<E>>,
    room: Room,
    /// The newest sink to which it has a way.
    newest: SinkId,
}

impl<E: Send + 'static> Drop for Joining<'_, E> {
    fn drop(&mut self) {
        self.core.forget_publisher(self.id);
    }
}

impl<E: Send + 'static> Core<E> {
    /// This bus's address: its name among buses.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn add(
        self: &Arc<Self>,
        name: String,
        location: &'static Location<'static>,
        sink: Shared<E>,
    ) -> Result<SinkId, AddError> {
        let key = user_code(|| sink.key());
        if key == Some(self.key()) {
            return Err(AddError::Itself);
        }
        self.purge(LOOKS);
        // The lanes made so far, by publisher. At least one look at `lane` says whether the sink has any.
        let mut lanes = Made(BTreeMap::new());
        let mut probe = None;
        let (id, info, garbage) = loop {
            let missing: Vec<u64> = {
                let mut control = lock(&self.control);
                if self.is_closed() {
                    return Err(AddError::Closed);
                }
                if let Some(known) = key.and_then(|key| control.keys.get(&key)) {
                    return Ok(*known);
                }
                let missing: Vec<u64> =
                    control.publishers.keys().filter(|id| !lanes.0.contains_key(id)).copied().collect();
                if missing.is_empty()
                    && let Some(has_lanes) = probe
                {
                    let id = SinkId(control.id());
                    let info = Info::new(id, name, location, key, has_lanes, self.deaths.clone());
                    // A lane for a publisher that has gone is dropped below, which a removal waits for.
                    std::mem::forget(info.begin_call());
                    break (id, info.clone(), self.attach(&mut control, info, sink, lanes));
                }
                missing
            };
            // User code: outside the lock.
            let _making = Visit::begin(self.address(), Purpose::MakeLanes);
            for publisher in missing {
                let lane = user_code(|| sink.lane().map(Prepared::new))?;
                probe = Some(lane.has_lane());
                lanes.0.insert(publisher, lane);
            }
            if probe.is_none() {
                probe = Some(user_code(|| sink.has_lanes()));
            }
        };
        drop(garbage);
        info.end_call();
        Ok(id)
    }

    /// Hands the sink over to every publisher, and puts it on the list.
    fn attach(
        &self,
        control: &mut MutexGuard<'_, Control<E>>,
        info: Arc<Info>,
        sink: Shared<E>,
        mut lanes: Made<E>,
    ) -> Garbage<E> {
        let mut garbage = Garbage::new();
        let listed = sync::Arc::new(Listed::new(info.id.0, sink));
        let mut ways = BTreeMap::new();
        for (publisher, lane) in std::mem::take(&mut lanes.0) {
            match control.publishers.get_mut(&publisher) {
                Some(registered) => {
                    let way = Way::new(&info, listed.guarded(), lane);
                    registered.hand_over(Change { info: info.clone(), way: way.clone() }, &mut garbage);
                    ways.insert(publisher, way);
                }
                // It has gone meanwhile.
                None => garbage.lanes.extend(lane.into_lane()),
            }
        }
        if let Some(key) = info.key {
            control.keys.insert(key, info.id);
        }
        control.entries.push(Entry { info, listed, reached: Reached::new(ways) });
        self.changed(control, &mut garbage);
        garbage
    }

    /// Publishes the list, and says that something changed: this is the version in which it has.
    pub(super) fn changed(&self, control: &mut MutexGuard<'_, Control<E>>, garbage: &mut Garbage<E>) -> u64 {
        let old = self.list.swap(control.entries.clone());
        control.retire(old);
        garbage.lists.extend(control.unread_lists());
        // ORD(bus.version): AcqRel; Release pairs with the Acquire in `Publisher::publish`: the changes are handed over.
        self.version.fetch_add(STEP, Ordering::AcqRel) + STEP
    }

    /// Lets go of stale changes, one publisher's at a time, so that no other call waits long for the lock.
    pub(super) fn compact(&self) {
        loop {
            let mut garbage = Garbage::new();
            let mut control = lock(&self.control);
            let Some(publisher) = control.stale.pop_first() else { return };
            if let Some(registered) = control.publishers.get_mut(&publisher) {
                registered.compact(&mut garbage);
            }
            drop(control);
            drop(garbage);
        }
    }

    /// Registers a publisher; `None` when the bus is closed.
    pub(super) fn register(&self) -> Option<Admission<E>> {
        self.purge(LOOKS);
        let id = lock(&self.control).id();
        let mut joining =
            Joining { core: self, id, changes: Chain::new(), room: Room::default(), newest: SinkId(0) };
        loop {
            let entries = {
                let mut control = lock(&self.control);
                if self.is_closed() {
                    return None;
                }
                if control.entries.last().is_none_or(|last| last.info.id <= joining.newest) {
                    break Some(self.join(&mut control, joining));
                }
                control.entries.clone()
            };
            joining.reach(entries);
        }
        .map(|(slot, changes, room, seen)| {
            let mut table = Parcel::new(Table::with_room(&room));
            table.value.apply(changes.reversed());
            Admission { slot, table, seen }
        })
    }

    /// The publisher has a way to every sink: from now on changes are handed over to it.
    fn join(
        &self,
        control: &mut MutexGuard<'_, Control<E>>,
        mut joining: Joining<'_, E>,
    ) -> (Arc<PublisherSlot<E>>, Chain<Change<E>>, Room, u64) {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`. Under the lock no change can come between the
        // table and this version.
        let seen = self.version.load(Ordering::Acquire);
        let slot = Arc::new(PublisherSlot {
            id: joining.id,
            changes: Handoff::new(),
            tables: Handoff::new(),
            seen: AtomicU64::new(seen),
            hazard: self.domain.register(),
        });
        let changes = std::mem::replace(&mut joining.changes, Chain::new());
        let (out, room) = (joining.room, joining.room);
        std::mem::forget(joining);
        let registered = Registered {
            slot: slot.clone(),
            pending: Vec::new(),
            stale: 0,
            returned: Chain::new(),
            out,
            room,
        };
        control.publishers.insert(slot.id, registered);
        (slot, changes, room, seen)
    }

    /// Forgets a publisher that is going.
    pub(super) fn unregister(&self, slot: &PublisherSlot<E>) {
        let gone = lock(&self.control).publishers.remove(&slot.id);
        dispose_each(gone);
        self.forget_publisher(slot.id);
        self.domain.forget(&slot.hazard);
    }

    /// Forgets the ways of a publisher that is not registered, or not any more: no sink that is added from now on has one.
    fn forget_publisher(&self, publisher: u64) {
        let entries = lock(&self.control).entries.clone();
        for entry in entries.iter() {
            dispose(entry.reached.forget(publisher));
        }
        dispose(entries);
    }
}

impl<E: Send + 'static> Joining<'_, E> {
    /// Makes ways to the sinks that are newer than those it has ways to.
    fn reach(&mut self, entries: List<E>) {
        let fresh: Vec<SinkId> = entries.after(self.newest).map(|entry| entry.info.id).collect();
        dispose(entries);
        let _making = Visit::begin(self.core.address(), Purpose::MakeLanes);
        for id in fresh {
            self.newest = id;
            // The attachment is held meanwhile, so that a removal waits for this call. One that was removed is not missed.
            let Some(entry) = self.core.attachment(id) else { continue };
            // Without memory for a lane the publisher uses the shared one; and where making it panics, which is no concern of
            // this publisher's.
            let lane = foreign(|| entry.listed.with(|sink| sink.lane()).map(Prepared::new));
            let lane = lane.ok().and_then(Result::ok).unwrap_or_else(|| Prepared::new(None));
            let way = Way::new(&entry.info, entry.listed.guarded(), lane);
            if entry.reached.add(self.id, &way) {
                *self.room.of(way.kind) += 1;
                self.changes.push(Parcel::new(Change { info: entry.info.clone(), way }));
            }
        }
    }
}
