//! One attachment of a sink to a bus.

use crate::ledger::Counters;
use crate::sink::lane::LaneSealer;
use crate::sink::{Sink, SinkKey};
use crate::sync::guarded::Listed;
use crate::sync::{self, AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Names one attachment of a sink to a bus. Never used again, also after the sink was removed.
///
/// # Examples
/// ```
/// use buslane::{Bus, noop};
/// let bus = Bus::<u32>::new();
/// let (one, other) = (bus.add(noop())?, bus.add(noop())?);
/// assert_ne!(one, other);
/// bus.remove(one)?;
/// assert_eq!(bus.snapshot().sinks[0].id, other);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkId(pub(super) u64);

impl fmt::Display for SinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The sink as entries hold it.
pub(super) type Shared<E> = Arc<dyn Sink<E>>;

/// What everybody may know about an attachment, also when the sink itself is gone.
pub(super) struct Info {
    pub(super) id: SinkId,
    pub(super) name: String,
    pub(super) location: &'static Location<'static>,
    pub(super) key: Option<SinkKey>,
    /// The sink gives out lanes, so that its `write` is ours and may wait.
    pub(super) has_lanes: bool,
    /// The sink has reported that it is closed.
    dead: AtomicBool,
    /// What was counted for the sink while it was called directly.
    pub(super) counters: Counters,
    /// The lanes of this bus's publishers into the sink, by publisher.
    sealers: Mutex<Vec<(u64, LaneSealer)>>,
    last_error: Mutex<Option<String>>,
    /// Direct calls in progress that have no hazard word: those of `Bus::publish`.
    calls: AtomicUsize,
}

/// One direct call in progress.
pub(super) struct Call<'a>(&'a AtomicUsize);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        end(self.0);
    }
}

fn end(calls: &AtomicUsize) {
    // ORD(info.calls): Release; pairs with the Acquire in `is_called`: what the call did is visible.
    calls.fetch_sub(1, Ordering::Release);
}

impl Info {
    pub(super) fn new(
        id: SinkId,
        name: String,
        location: &'static Location<'static>,
        key: Option<SinkKey>,
        has_lanes: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            location,
            key,
            has_lanes,
            dead: AtomicBool::new(false),
            counters: Counters::new(),
            sealers: Mutex::new(Vec::new()),
            last_error: Mutex::new(None),
            calls: AtomicUsize::new(0),
        })
    }

    pub(super) fn is_dead(&self) -> bool {
        // Relaxed: a hint to skip the sink; that it takes nothing any more, it says itself.
        self.dead.load(Ordering::Relaxed)
    }

    /// The sink reported that it is closed: it is skipped, and the control plane takes it off the bus.
    pub(super) fn mark_dead(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// Counts a direct call. To be followed by a look whether the sink is still attached: the fence pairs with the heavy one
    /// in `Domain::fence`, so that either the look finds it detached or whoever waits finds the call.
    pub(super) fn begin_call(&self) -> Call<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // ORD(info.calls): full fence; pairs with the heavy one in `Domain::fence`.
        fence(Ordering::SeqCst);
        Call(&self.calls)
    }

    /// The end of a call whose [`Call`] was forgotten.
    pub(super) fn end_call(&self) {
        end(&self.calls);
    }

    /// Whether a call counted by [`begin_call`](Self::begin_call) is in progress.
    pub(super) fn is_called(&self) -> bool {
        // ORD(info.calls): Acquire; pairs with the Release in `Call::drop`.
        self.calls.load(Ordering::Acquire) > 0
    }

    pub(super) fn set_error(&self, text: String) {
        *lock(&self.last_error) = Some(text);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    pub(super) fn add_sealer(&self, publisher: u64, sealer: LaneSealer) {
        lock(&self.sealers).push((publisher, sealer));
    }

    pub(super) fn forget_publisher(&self, publisher: u64) {
        lock(&self.sealers).retain(|(known, _)| *known != publisher);
    }

    pub(super) fn sealers(&self) -> Vec<LaneSealer> {
        lock(&self.sealers).iter().map(|(_, sealer)| sealer.clone()).collect()
    }
}

/// An attachment: what lists and the control plane hold.
pub(super) struct Entry<E> {
    pub(super) info: Arc<Info>,
    pub(super) listed: sync::Arc<Listed<Shared<E>>>,
}

impl<E> Clone for Entry<E> {
    fn clone(&self) -> Self {
        Self { info: self.info.clone(), listed: self.listed.clone() }
    }
}

/// The copy-on-write list. Only those who publish hold one, and the control plane until they let go.
pub(super) struct List<E> {
    pub(super) entries: Vec<Entry<E>>,
}

impl<E> Default for List<E> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}
