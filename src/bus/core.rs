//! What all handles and publishers of a bus share, and what keeps it open.

use super::control::Control;
use super::hooks::BusHooks;
use super::list::List;
use crate::sink::SinkKey;
use crate::stats::{Counters, Identity};
use crate::sync::guarded::Domain;
use crate::sync::membarrier::process_pair;
use crate::sync::swap::Swap;
use crate::sync::{self, AtomicBool, AtomicU64, AtomicUsize, CachePadded, Mutex, Ordering};
use crate::wait::WaitList;
use crate::wait::context::UserCode;
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
    pub(super) any_closed: sync::Arc<AtomicBool>,
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
            any_closed: sync::Arc::new(AtomicBool::new(false)),
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
        self.list.load().iter().any(|entry| !entry.info.is_closed())
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
