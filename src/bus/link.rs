//! The link of one publisher to one sink, and the change that hands it over.

use super::info::{Info, SinkRef};
use crate::mailbox::lane::PrivateLane;
use crate::sink::lane::{Lane, LaneClaims, LaneKind, LaneSealer};
use crate::stats::EntryCounters;
use crate::sync::guarded::Guarded;
use crate::sync::handoff::{Lease, Node};
use crate::sync::{self, Mutex, lock};
use crate::wait::context::{UserCode, dispose};
use std::ops::Deref;
use std::sync::Arc;

/// The part of an attachment that publishers hold.
pub(super) type Guard<E> = sync::Arc<Guarded<SinkRef<E>>>;

/// The kind of an entry, and so where the publisher stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    Fast,
    Slow,
    Direct,
}

/// The number of entries of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room([usize; 3]);

impl Room {
    pub(super) fn of(&mut self, kind: LinkKind) -> &mut usize {
        &mut self.0[kind as usize]
    }

    /// Returns the numbers of fast, slow and direct entries.
    pub(super) fn by_kind(&self) -> [usize; 3] {
        self.0
    }

    /// Returns whether the entries that `used` counts fit.
    pub(super) fn holds(&self, used: &Self) -> bool {
        self.0.iter().zip(used.0).all(|(room, used)| *room >= used)
    }

    /// Returns whether there is room for several times the entries that `used` counts.
    pub(super) fn is_wide_for(&self, used: &Self) -> bool {
        self.0.iter().sum::<usize>() > 4 * used.0.iter().sum::<usize>() + 16
    }

    /// Returns room for twice the entries that `self` counts.
    pub(super) fn doubled(&self) -> Self {
        Self(self.0.map(|used| 2 * used))
    }
}

/// The link of one publisher to one sink: a lane, or a direct call. The publisher holds clones of
/// what it needs from the link, so it never frees anything.
pub(super) struct Link<E: Send + 'static> {
    _entry: EntryOnDrop,
    /// The lane, if the sink has lanes, for the publisher to take.
    pub(super) lease: Lease<Option<Lane<E>>>,
    _exit: ExitOnDrop,
    pub(super) kind: LinkKind,
    /// Whether a push into the lane may wait for room. Determined once, because the check is user
    /// code.
    pub(super) may_wait: bool,
    /// Whether the lane has no user code that ends with its publisher.
    is_lasting: bool,
    /// The control plane's access to the lane, until the sink is dropped.
    outside: Mutex<Outside<E>>,
    pub(super) guard: Option<Guard<E>>,
    pub(super) counters: Option<Arc<EntryCounters>>,
}

/// The sealer of a lane, and the claims that take user code out of it.
struct Outside<E> {
    sealer: Option<LaneSealer>,
    claims: Option<Arc<LaneClaims<E>>>,
}

/// A lane for a publisher, if the sink has lanes, with its properties. The properties come from
/// user code, so they are determined without a lock.
pub(super) struct Prepared<E: Send + 'static> {
    lane: Option<Lane<E>>,
    kind: LinkKind,
    is_guarded: bool,
    may_wait: bool,
    is_lasting: bool,
    outside: Outside<E>,
}

impl<E: Send + 'static> Prepared<E> {
    pub(super) fn new(lane: Option<Lane<E>>) -> Self {
        let sealer = lane.as_ref().and_then(Lane::sealer);
        let (kind, is_guarded) = match &lane {
            None => (LinkKind::Direct, true),
            Some(Lane { kind: LaneKind::Private(PrivateLane::Fast(lane)), filter, .. }) => {
                (LinkKind::Fast, filter.is_some() || lane.has_hook())
            }
            // With a guard, a removal waits for the push in progress, as for the call of a direct
            // sink.
            Some(lane) => (LinkKind::Slow, lane.has_user_code() || sealer.is_none()),
        };
        let may_wait = kind == LinkKind::Slow && lane.as_ref().is_some_and(Lane::may_wait);
        let claims = lane.as_ref().and_then(Lane::claims).map(Arc::new);
        let is_lasting = lane.as_ref().is_none_or(|lane| !lane.ends_with_publisher);
        Self { lane, kind, is_guarded, may_wait, is_lasting, outside: Outside { sealer, claims } }
    }

    pub(super) fn has_lane(&self) -> bool {
        self.lane.is_some()
    }

    /// Returns the lane, for a publisher that no longer exists.
    pub(super) fn into_lane(self) -> Option<Lane<E>> {
        self.lane
    }
}

impl<E: Send + 'static> Link<E> {
    pub(super) fn new(info: &Arc<Info>, guard: &Guard<E>, prepared: Prepared<E>) -> Arc<Self> {
        let Prepared { lane, kind, is_guarded, may_wait, is_lasting, outside } = prepared;
        Arc::new(Self {
            kind,
            may_wait,
            is_lasting,
            outside: Mutex::new(outside),
            guard: is_guarded.then(|| guard.clone()),
            counters: lane.is_none().then(|| info.counters.for_publisher()),
            _entry: EntryOnDrop(info.clone()),
            lease: Lease::new(lane),
            _exit: ExitOnDrop(info.clone()),
        })
    }

    /// Control plane: takes the lane back. Returns `None` if the publisher has it.
    pub(super) fn withdraw(&self) -> Option<Option<Lane<E>>> {
        self.lease.withdraw()
    }

    /// Returns the sealer of the lane, if the lane has one.
    pub(super) fn sealer(&self) -> Option<LaneSealer> {
        lock(&self.outside).sealer.clone()
    }

    /// Drops the user code of the sink that is in the lane, wherever the lane is, and the
    /// references that keep the sink's memory. Returns `false` while another thread drops them.
    ///
    /// To be called when the publisher no longer uses the lane: the publisher has ended, or the
    /// sink's guard is quiet.
    pub(super) fn drop_user_code(&self) -> bool {
        let claims = lock(&self.outside).claims.clone();
        let is_dropped = claims.is_none_or(|claims| claims.drop_now());
        if is_dropped {
            let outside =
                std::mem::replace(&mut *lock(&self.outside), Outside { sealer: None, claims: None });
            dispose(outside);
        }
        is_dropped
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.lease.is_withdrawn()
    }
}

/// One change of a publisher's links: it brings a sink, or takes a removed sink away.
pub(super) struct Change<E: Send + 'static> {
    pub(super) info: Arc<Info>,
    pub(super) link: Arc<Link<E>>,
}

impl<E: Send + 'static> Clone for Change<E> {
    fn clone(&self) -> Self {
        Self { info: self.info.clone(), link: self.link.clone() }
    }
}

impl<E: Send + 'static> Change<E> {
    /// Returns the lane with the change. The control plane drops it.
    pub(super) fn put_back(&self, lane: Lane<E>) {
        let refused = self.link.lease.put_back(Some(lane));
        debug_assert!(refused.is_none(), "only an accepted lane is put back");
    }
}

/// The change that brought an entry, and in which the entry's lane returns.
pub(super) struct ChangeTicket<E: Send + 'static>(pub(super) Box<Node<Change<E>>>);

impl<E: Send + 'static> Deref for ChangeTicket<E> {
    type Target = Info;

    fn deref(&self) -> &Info {
        &self.0.value.info
    }
}

impl<E: Send + 'static> ChangeTicket<E> {
    /// Returns whether the lane may outlive its publisher.
    pub(super) fn is_lasting(&self) -> bool {
        self.0.value.link.is_lasting
    }

    /// Returns the guard of the sink, if publishers run user code of the sink.
    pub(super) fn guard(&self) -> Option<&Guard<E>> {
        self.0.value.link.guard.as_ref()
    }
}

/// Begins a call into the sink before a lane is dropped. The drop of a lane may run user code of
/// its sink, so a removal waits for it, and nothing waits in it.
pub(super) struct EntryOnDrop(pub(super) Arc<Info>);

impl Drop for EntryOnDrop {
    fn drop(&mut self) {
        std::mem::forget((self.0.begin_call(), UserCode::enter()));
    }
}

/// Ends the call that [`EntryOnDrop`] began, after the lane was dropped.
pub(super) struct ExitOnDrop(pub(super) Arc<Info>);

impl Drop for ExitOnDrop {
    fn drop(&mut self) {
        drop(UserCode::forgotten());
        self.0.end_call();
    }
}
