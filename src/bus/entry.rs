//! One attachment of a sink to a bus.

use super::table::Way;
use crate::panics::dispose;
use crate::sink::{Sink, SinkKey};
use crate::stats::{Counters, SinkId};
use crate::sync::guarded::Listed;
use crate::sync::{self, AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

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
    /// The sink was taken off the bus.
    gone: AtomicBool,
    /// Set with `dead`, and shared by all attachments of the bus: the control plane has to look which of them it is.
    deaths: sync::Arc<AtomicBool>,
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
        deaths: sync::Arc<AtomicBool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            location,
            key,
            has_lanes,
            dead: AtomicBool::new(false),
            counters: Counters::new(),
            gone: AtomicBool::new(false),
            deaths,
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
        // ORD(info.deaths): Release; pairs with the Acquire in `Core::purge`: a purge that sees it sees which sink is dead.
        self.deaths.store(true, Ordering::Release);
    }

    /// Whether the sink was taken off the bus.
    pub(super) fn is_gone(&self) -> bool {
        // Relaxed: for publishers that were handed the change, which publishes it.
        self.gone.load(Ordering::Relaxed)
    }

    /// The sink is being taken off the bus: publishers that are handed the attachment once more let go of it.
    pub(super) fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
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
}

/// An attachment: what lists and the control plane hold.
pub(super) struct Entry<E: Send + 'static> {
    pub(super) info: Arc<Info>,
    pub(super) listed: sync::Arc<Listed<Shared<E>>>,
    pub(super) reached: Arc<Reached<E>>,
}

impl<E: Send + 'static> Clone for Entry<E> {
    fn clone(&self) -> Self {
        Self { info: self.info.clone(), listed: self.listed.clone(), reached: self.reached.clone() }
    }
}

/// The ways of this bus's publishers to one sink, by publisher.
pub(super) struct Reached<E: Send + 'static>(Mutex<ReachedBy<E>>);

struct ReachedBy<E: Send + 'static> {
    ways: BTreeMap<u64, Arc<Way<E>>>,
    /// The sink is being taken off the bus.
    ended: bool,
}

impl<E: Send + 'static> Reached<E> {
    pub(super) fn new(ways: BTreeMap<u64, Arc<Way<E>>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(ReachedBy { ways, ended: false })))
    }

    /// Adds the way of a new publisher; not when the sink is being taken off the bus.
    pub(super) fn add(&self, publisher: u64, way: &Arc<Way<E>>) -> bool {
        let mut reached = lock(&self.0);
        if !reached.ended {
            reached.ways.insert(publisher, way.clone());
        }
        !reached.ended
    }

    /// Forgets a publisher that has ended and uses its lanes no more.
    pub(super) fn forget(&self, publisher: u64) -> Option<Arc<Way<E>>> {
        // As long as the way is here, no removal reports the sink as quiet.
        let way = lock(&self.0).ways.get(&publisher).cloned();
        way.inspect(|way| {
            way.drop_user_code();
        });
        lock(&self.0).ways.remove(&publisher)
    }

    /// Drops the user code of the sink that publishers still have in their lanes; `false` while another thread drops some of it. To be
    /// called when the sink is being taken off the bus, and its guard is quiet.
    pub(super) fn drop_user_code(&self) -> bool {
        let ways = self.end();
        let is_gone = ways.iter().fold(true, |is_gone, (_, way)| way.drop_user_code() && is_gone);
        if is_gone {
            dispose(self.take());
        }
        dispose(ways);
        is_gone
    }

    /// Adds no more ways, and returns those that there are.
    pub(super) fn end(&self) -> Vec<(u64, Arc<Way<E>>)> {
        let mut reached = lock(&self.0);
        reached.ended = true;
        reached.ways.iter().map(|(publisher, way)| (*publisher, way.clone())).collect()
    }

    /// Adds no more ways, and lets go of those that there are.
    pub(super) fn take(&self) -> BTreeMap<u64, Arc<Way<E>>> {
        let mut reached = lock(&self.0);
        reached.ended = true;
        std::mem::take(&mut reached.ways)
    }
}
