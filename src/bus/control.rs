//! The control plane's state, and how sinks and publishers come onto a bus.
//!
//! One mutex guards it. Nothing waits and no foreign code runs while it is held: lanes are made before, and checked
//! again under the lock; what is to be dropped is carried out of it as [`Garbage`].

use super::entry::{Entry, Info, List, Shared, SinkId};
use super::table::{Plan, Table};
use super::{Core, STEP};
use crate::error::AddError;
use crate::panics::{Leftovers, dispose, dispose_each, foreign};
use crate::report::CloseReport;
use crate::sink::lane::Lane;
use crate::sync::guarded::{Hazard, Listed};
use crate::sync::handoff::{Handoff, OneShot, Parcel};
use crate::sync::swap::Replaced;
use crate::sync::{self, MutexGuard, Ordering, lock};
use crate::wait::nesting::{Nesting, Purpose, Visit};
use std::panic::Location;
use std::sync::Arc;

/// What the control plane and one publisher share.
pub(super) struct PublisherSlot<E: Send + 'static> {
    pub(super) id: u64,
    pub(super) handoff: Handoff<Table<E>>,
    pub(super) hazard: sync::Arc<Hazard>,
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
    /// What the publisher's tables are made of, in the order of the entries.
    pub(super) plan: Vec<Plan<E>>,
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
    pub(super) entries: Vec<Entry<E>>,
    pub(super) publishers: Vec<Registered<E>>,
    next_id: u64,
    pub(super) closing: Closing,
    /// Lists that were replaced, until nobody reads them: a publisher must never be the one who frees a list.
    retired: Vec<Replaced<List<E>>>,
    /// Entries that were removed while somebody was inside.
    pub(super) leaving: Vec<Entry<E>>,
}

/// Asks a sink something: user code, in which nothing waits. A panic is the caller's, who brought the sink.
fn user_code<R>(call: impl FnOnce() -> R) -> R {
    let _impatient = Nesting::impatient();
    call()
}

/// What is to be dropped once the lock is free.
pub(super) struct Garbage<E: Send + 'static> {
    #[expect(clippy::vec_box, reason = "parcels come boxed, and are only kept until they are dropped")]
    tables: Vec<Box<Parcel<Table<E>>>>,
    lists: Vec<Replaced<List<E>>>,
    /// Of sinks that were taken off the bus: with them go lanes that no publisher has taken.
    pub(super) plans: Vec<Plan<E>>,
}

impl<E: Send + 'static> Garbage<E> {
    /// Drops it. Lanes hold closures and events: destructors of users to whom the caller is a stranger.
    pub(super) fn dispose(self) {
        dispose_each(self.tables);
        dispose_each(self.lists);
        dispose_each(self.plans);
    }
}

impl<E: Send + 'static> Control<E> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            publishers: Vec::new(),
            next_id: 1,
            closing: Closing::Idle,
            retired: Vec::new(),
            leaving: Vec::new(),
        }
    }

    pub(super) fn publisher_count(&self) -> usize {
        self.publishers.len()
    }

    pub(super) fn slots(&self) -> Vec<Arc<PublisherSlot<E>>> {
        self.publishers.iter().map(|registered| registered.slot.clone()).collect()
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Tables that publishers have given back.
    #[expect(clippy::vec_box, reason = "parcels come boxed, and are only kept until they are dropped")]
    pub(super) fn returned_tables(&self) -> Vec<Box<Parcel<Table<E>>>> {
        self.publishers.iter().flat_map(|registered| registered.slot.handoff.collect()).collect()
    }

    /// Takes the plans of sinks that are gone out of all publishers' plans; to be dropped when the lock is free.
    pub(super) fn take_plans(&mut self, gone: impl Fn(SinkId) -> bool) -> Vec<Plan<E>> {
        let publishers = self.publishers.iter_mut();
        publishers.flat_map(|registered| registered.plan.extract_if(.., |plan| gone(plan.info.id))).collect()
    }

    /// Keeps a list that was replaced until nobody reads it.
    pub(super) fn retire(&mut self, list: Replaced<List<E>>) {
        self.retired.push(list);
    }

    /// Lists that nobody reads any more.
    pub(super) fn unread_lists(&mut self) -> Vec<Replaced<List<E>>> {
        self.retired.extract_if(.., Replaced::is_unread).collect()
    }
}

impl<E: Send + 'static> Core<E> {
    /// This bus's address: its name among buses.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn add(
        &self,
        name: String,
        location: &'static Location<'static>,
        sink: Shared<E>,
    ) -> Result<SinkId, AddError> {
        let key = user_code(|| sink.key());
        if key == Some(self.key()) {
            return Err(AddError::Itself);
        }
        self.purge();
        // The lanes made so far, by publisher. At least one look at `lane` says whether the sink has any.
        let mut lanes: Leftovers<(u64, Option<Lane<E>>)> = Leftovers(Vec::new());
        let mut probe = None;
        let (id, garbage) = loop {
            let missing: Vec<u64> = {
                let mut control = lock(&self.control);
                if self.is_closed() {
                    return Err(AddError::Closed);
                }
                if let Some(known) =
                    control.entries.iter().find(|entry| key.is_some() && entry.info.key == key)
                {
                    return Ok(known.info.id);
                }
                let missing: Vec<u64> = control
                    .publishers
                    .iter()
                    .map(|registered| registered.slot.id)
                    .filter(|id| !lanes.0.iter().any(|(known, _)| known == id))
                    .collect();
                if missing.is_empty() && probe.is_some() {
                    let id = SinkId(control.id());
                    let info = Info::new(id, name, location, key, probe == Some(true));
                    break (id, self.attach(&mut control, info, sink, &mut lanes.0));
                }
                missing
            };
            // Foreign code: outside the lock.
            let _making = Visit::begin(self.address(), Purpose::MakeLanes);
            for publisher in missing {
                let lane = user_code(|| sink.lane())?;
                probe = Some(lane.is_some());
                lanes.0.push((publisher, lane));
            }
            if probe.is_none() {
                probe = Some(user_code(|| sink.has_lanes()));
            }
        };
        garbage.dispose();
        Ok(id)
    }

    /// Puts an entry into every publisher's next table and into the list. Lanes of publishers that went meanwhile stay with the
    /// caller, to be dropped when the lock is free.
    fn attach(
        &self,
        control: &mut MutexGuard<'_, Control<E>>,
        info: Arc<Info>,
        sink: Shared<E>,
        lanes: &mut Vec<(u64, Option<Lane<E>>)>,
    ) -> Garbage<E> {
        let listed = sync::Arc::new(Listed::new(info.id.0, sink));
        for registered in &mut control.publishers {
            let at = lanes.iter().position(|(publisher, _)| *publisher == registered.slot.id);
            let lane = at.and_then(|at| lanes.swap_remove(at).1);
            registered.plan.push(Self::plan(&info, &listed, registered.slot.id, lane));
        }
        control.entries.push(Entry { info, listed });
        self.changed(control)
    }

    /// How one publisher reaches one sink.
    pub(super) fn plan(
        info: &Arc<Info>,
        listed: &sync::Arc<Listed<Shared<E>>>,
        publisher: u64,
        lane: Option<Lane<E>>,
    ) -> Plan<E> {
        match lane {
            Some(lane) => {
                if let Some(sealer) = lane.sealer() {
                    info.add_sealer(publisher, sealer);
                }
                let guard = lane.needs_guard().then(|| listed.guarded().clone());
                Plan::lane(info.clone(), guard, Arc::new(OneShot::new(lane)))
            }
            None => Plan::direct(info.clone(), listed.guarded().clone()),
        }
    }

    /// Hands every publisher its next table, publishes the list, and says that something changed.
    pub(super) fn changed(&self, control: &mut MutexGuard<'_, Control<E>>) -> Garbage<E> {
        let mut garbage = Garbage { tables: control.returned_tables(), lists: Vec::new(), plans: Vec::new() };
        for registered in &control.publishers {
            garbage.tables.extend(registered.slot.handoff.offer(Parcel::new(Table::new(&registered.plan))));
        }
        let list = List { entries: control.entries.clone() };
        let old = self.list.swap(list);
        control.retire(old);
        garbage.lists = control.unread_lists();
        // ORD(bus.version): AcqRel; Release pairs with the Acquire in `Publisher::publish`: the tables are in place.
        self.version.fetch_add(STEP, Ordering::AcqRel);
        garbage
    }

    /// Registers a publisher; `None` when the bus is closed.
    pub(super) fn register(&self) -> Option<Admission<E>> {
        self.purge();
        let mut lanes: Leftovers<(SinkId, Option<Lane<E>>)> = Leftovers(Vec::new());
        loop {
            let missing: Vec<(SinkId, Shared<E>)> = {
                let mut control = lock(&self.control);
                if self.is_closed() {
                    return None;
                }
                let missing: Vec<_> = control
                    .entries
                    .iter()
                    .filter(|entry| !lanes.0.iter().any(|(known, _)| *known == entry.info.id))
                    .map(|entry| (entry.info.id, entry.listed.with(Shared::clone)))
                    .collect();
                if missing.is_empty() {
                    let id = control.id();
                    let mut plan = Vec::with_capacity(control.entries.len());
                    for entry in &control.entries {
                        let at = lanes.0.iter().position(|(known, _)| *known == entry.info.id);
                        let lane = at.and_then(|at| lanes.0.swap_remove(at).1);
                        plan.push(Self::plan(&entry.info, &entry.listed, id, lane));
                    }
                    let mut table = Parcel::new(Table::new(&plan));
                    table.value.fill();
                    let hazard = self.domain.register();
                    let slot = Arc::new(PublisherSlot { id, handoff: Handoff::new(), hazard });
                    control.publishers.push(Registered { slot: slot.clone(), plan });
                    // ORD(bus.version): Acquire; pairs with the Release in `Core::changed`. Under the lock no change can come
                    // between the table and this version.
                    return Some(Admission { slot, table, seen: self.version.load(Ordering::Acquire) });
                }
                missing
            };
            let _making = Visit::begin(self.address(), Purpose::MakeLanes);
            for (id, sink) in missing {
                // Without memory for a lane the publisher uses the shared one; and where making it panics, which is no concern
                // of this publisher's.
                let lane = foreign(|| sink.lane()).ok().and_then(Result::ok).flatten();
                lanes.0.push((id, lane));
                dispose(sink);
            }
        }
    }

    /// Forgets a publisher that is going.
    pub(super) fn unregister(&self, slot: &PublisherSlot<E>) {
        let (gone, sealers) = {
            let mut control = lock(&self.control);
            let entries = control.entries.iter().chain(&control.leaving);
            let sealers: Vec<_> = entries.flat_map(|entry| entry.info.forget_publisher(slot.id)).collect();
            let gone: Vec<Registered<E>> =
                control.publishers.extract_if(.., |registered| registered.slot.id == slot.id).collect();
            (gone, sealers)
        };
        self.domain.forget(&slot.hazard);
        dispose_each(gone);
        dispose_each(sealers);
    }
}
