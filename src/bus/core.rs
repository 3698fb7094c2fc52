//! The state that all handles and publishers of a bus share, the handle that keeps the bus open,
//! and the control plane's calls into sinks.

use super::control::ControlState;
use super::entry::SinkEntry;
use super::hooks::BusHooks;
use super::info::{Info, SinkRef};
use super::list::List;
use crate::sink::SinkKey;
use crate::stats::{Counters, Identity, SinkId};
use crate::sync::current::Current;
use crate::sync::guarded::Domain;
use crate::sync::membarrier::process_pair;
use crate::sync::{self, AtomicBool, AtomicU64, AtomicUsize, CachePadded, Mutex, Ordering, lock};
use crate::wait::WaitList;
use crate::wait::context::{UserCode, dispose};
use std::sync::{Arc, Weak};

/// The lowest bit of the version word, which is set when the bus is closed.
pub(super) const CLOSED: u64 = 1;
/// The amount by which each change of the list raises the version word.
pub(super) const STEP: u64 = 2;

/// The state that all handles and publishers of a bus share.
pub(super) struct Core<E: Send + 'static> {
    /// For clones of a publisher that does not keep the bus open: the clone does.
    pub(super) handle: Weak<BusHandle<E>>,
    pub(super) front: CachePadded<Front<E>>,
    pub(super) domain: Domain,
    pub(super) control: Mutex<ControlState<E>>,
    /// Set when a sink is found closed. The control plane then checks which sink it is.
    pub(super) any_closed: sync::Arc<AtomicBool>,
    /// The number of cached publishers that have lanes of their own.
    pub(super) locals: AtomicUsize,
    /// The most dropped publishers whose links are kept for the next ones.
    pub(super) most_kept: usize,
    /// Callers that wait for the report of a close that another thread makes.
    pub(super) closers: WaitList,
    /// Tasks that wait for room inside a sink, which end their wait when the sink is removed.
    pub(super) removals: Arc<WaitList>,
    pub(super) hooks: BusHooks<E>,
    /// Counters of the events that enter this bus as a sink of another bus.
    pub(super) counters: Counters,
    pub(super) identity: Identity,
}

/// What a publish loads first, on one cache line.
pub(super) struct Front<E: Send + 'static> {
    /// Changes with every change of the list. Its lowest bit is set when the bus is closed.
    /// Publishers load it at each publish.
    pub(super) version: AtomicU64,
    /// For [`Bus::publish`](super::Bus::publish).
    pub(super) list: Current<List<E>>,
}

impl<E: Send + 'static> Core<E> {
    pub(super) fn new(hooks: BusHooks<E>, most_kept: usize, handle: Weak<BusHandle<E>>) -> Arc<Self> {
        Arc::new(Self {
            handle,
            front: CachePadded::new(Front {
                version: AtomicU64::new(0),
                list: Current::new(List::default(), process_pair()),
            }),
            domain: Domain::new(process_pair()),
            control: Mutex::new(ControlState::new()),
            any_closed: sync::Arc::new(AtomicBool::new(false)),
            locals: AtomicUsize::new(0),
            most_kept,
            closers: WaitList::new(process_pair()),
            removals: Arc::new(WaitList::new(process_pair())),
            hooks,
            counters: Counters::new(),
            identity: Identity::new(),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        // ORD(bus.version): Acquire; pairs with the Release in `Core::begin_close`.
        self.front.version.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Returns the address of this bus, which identifies it among buses.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(super) fn key(self: &Arc<Self>) -> SinkKey {
        SinkKey::of(self)
    }

    pub(super) fn has_sinks(&self) -> bool {
        // Not under a hazard word, for which a publisher's thread would have to allocate a record.
        self.front.list.snapshot().iter().any(|entry| !entry.info.is_closed())
    }
}

/// Calls of the control plane into the sinks on a bus.
///
/// A call holds the attachment of its sink, and of no other sink, until it returns. So a removal
/// waits for the calls inside its sink, as it waits for a `Bus::publish` there, and a removed sink
/// is not called again. The control plane first collects the ids of all sinks, and then finds each
/// sink again by its id. So a call that is stuck in one sink delays only the removal of that sink.
impl<E: Send + 'static> Core<E> {
    /// Returns the records of all sinks on the bus.
    pub(super) fn infos(&self) -> Vec<Arc<Info>> {
        let entries = lock(&self.control).entries.clone();
        let infos = entries.iter().map(|entry| entry.info.clone()).collect();
        dispose(entries);
        infos
    }

    /// Returns the attachment of a sink, to be held during a call. Returns `None` if the sink was
    /// removed.
    pub(super) fn attachment(&self, id: SinkId) -> Option<SinkEntry<E>> {
        lock(&self.control).entries.get(id).cloned()
    }

    /// Calls a sink as user code: as inside a delivery, nothing in the call waits, not even for a
    /// removal.
    pub(super) fn ask<R>(&self, id: SinkId, call: impl FnOnce(&Info, &SinkRef<E>) -> R) -> Option<R> {
        let entry = self.attachment(id)?;
        let _user_code = UserCode::enter();
        Some(entry.listed.with(|sink| call(&entry.info, sink)))
    }
}

/// Keeps a bus open, and closes it when the last handle is dropped.
pub(super) struct BusHandle<E: Send + 'static> {
    pub(super) core: Arc<Core<E>>,
}

impl<E: Send + 'static> Drop for BusHandle<E> {
    fn drop(&mut self) {
        // While unwinding, the close must not wait, as inside a delivery.
        let _user_code = std::thread::panicking().then(UserCode::enter);
        self.core.let_go();
    }
}
