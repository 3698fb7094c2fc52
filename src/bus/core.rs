//! What all handles and publishers of a bus share, what keeps it open, and how the control plane calls sinks.

use super::control::Control;
use super::entry::Entry;
use super::hooks::BusHooks;
use super::info::{Info, SinkRef};
use super::list::List;
use crate::sink::SinkKey;
use crate::stats::{Counters, Identity, SinkId};
use crate::sync::guarded::Domain;
use crate::sync::membarrier::process_pair;
use crate::sync::swap::Swap;
use crate::sync::{self, AtomicBool, AtomicU64, AtomicUsize, CachePadded, Mutex, Ordering, lock};
use crate::wait::WaitList;
use crate::wait::context::{UserCode, dispose};
use std::sync::{Arc, Weak};

/// The lowest bit of the version word: the bus is closed.
pub(super) const CLOSED: u64 = 1;
/// What a change of the list adds to the version word.
pub(super) const STEP: u64 = 2;

/// What all handles and publishers of a bus share.
pub(super) struct Core<E: Send + 'static> {
    /// For clones of publishers that do not keep the bus open.
    pub(super) handle: Weak<Handle<E>>,
    /// Changes with every change of the list; its lowest bit says closed. Publishers read it at each publish.
    pub(super) version: CachePadded<AtomicU64>,
    pub(super) list: Swap<List<E>>,
    pub(super) domain: Domain,
    pub(super) control: Mutex<Control<E>>,
    /// A sink was found to be closed: the control plane looks which.
    pub(super) deaths: sync::Arc<AtomicBool>,
    /// How many publishers that threads keep have lanes of their own.
    pub(super) locals: AtomicUsize,
    /// Those who wait for the report of a close that another thread makes.
    pub(super) closers: WaitList,
    pub(super) hooks: BusHooks<E>,
    /// What entered through the bus as a sink of another one.
    pub(super) counters: Counters,
    pub(super) identity: Identity,
}

impl<E: Send + 'static> Core<E> {
    pub(super) fn new(hooks: BusHooks<E>, handle: Weak<Handle<E>>) -> Arc<Self> {
        Arc::new(Self {
            handle,
            version: CachePadded::new(AtomicU64::new(0)),
            list: Swap::new(List::default()),
            domain: Domain::new(process_pair()),
            control: Mutex::new(Control::new()),
            deaths: sync::Arc::new(AtomicBool::new(false)),
            locals: AtomicUsize::new(0),
            closers: WaitList::new(process_pair()),
            hooks,
            counters: Counters::new(),
            identity: Identity::new(),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::close`.
        self.version.load(Ordering::Acquire) & CLOSED != 0
    }

    /// This bus's address: its name among buses.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn key(self: &Arc<Self>) -> SinkKey {
        SinkKey::of(self)
    }

    pub(super) fn has_sinks(&self) -> bool {
        self.list.load().iter().any(|entry| !entry.info.is_dead())
    }
}

/// Calls of the control plane into the sinks on a bus.
///
/// A call holds the attachment of its sink, and of no other one, for as long as it lasts; so a removal waits for the calls that are
/// inside its sink, as it waits for a `Bus::publish` there, and a sink that was removed is not called any more. The sinks are named
/// first and looked up again, one by one: a call that is stuck in one of them holds up the removal of that one only.
impl<E: Send + 'static> Core<E> {
    /// Every sink on the bus, by what is known of it.
    pub(super) fn infos(&self) -> Vec<Arc<Info>> {
        let entries = lock(&self.control).entries.clone();
        let infos = entries.iter().map(|entry| entry.info.clone()).collect();
        dispose(entries);
        infos
    }

    /// The attachment of a sink, to be held during a call; none when it was removed.
    pub(super) fn attachment(&self, id: SinkId) -> Option<Entry<E>> {
        lock(&self.control).entries.get(id).cloned()
    }

    /// Calls a sink, as inside a delivery: user code in there does not wait, and removes no sink that it would wait for.
    pub(super) fn ask<R>(&self, id: SinkId, call: impl FnOnce(&Info, &SinkRef<E>) -> R) -> Option<R> {
        let entry = self.attachment(id)?;
        let _user_code = UserCode::enter();
        Some(entry.listed.with(|sink| call(&entry.info, sink)))
    }
}

/// Keeps a bus open; closes it when the last one goes.
pub(super) struct Handle<E: Send + 'static> {
    pub(super) core: Arc<Core<E>>,
}

impl<E: Send + 'static> Drop for Handle<E> {
    fn drop(&mut self) {
        // While unwinding nothing waits, as inside a delivery.
        let _user_code = std::thread::panicking().then(UserCode::enter);
        self.core.let_go();
    }
}
