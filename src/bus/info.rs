//! What is known of a sink on a bus.

use crate::sink::{Sink, SinkKey};
use crate::stats::{Counters, SinkId};
use crate::sync::{self, AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};
use std::panic::Location;
use std::sync::Arc;

/// The sink as entries hold it.
pub(super) type SinkRef<E> = Arc<dyn Sink<E>>;

/// What any thread may know about an attachment, also when the sink itself is gone.
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
pub(super) struct DirectCall<'a>(&'a AtomicUsize);

impl Drop for DirectCall<'_> {
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
    /// in `Domain::fence`, so that either the look finds it detached or the waiting thread finds the call.
    pub(super) fn begin_call(&self) -> DirectCall<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // ORD(info.calls): full fence; pairs with the heavy one in `Domain::fence`.
        fence(Ordering::SeqCst);
        DirectCall(&self.calls)
    }

    /// The end of a call whose [`DirectCall`] was forgotten.
    pub(super) fn end_call(&self) {
        end(&self.calls);
    }

    /// Whether a call counted by [`begin_call`](Self::begin_call) is in progress.
    pub(super) fn is_called(&self) -> bool {
        // ORD(info.calls): Acquire; pairs with the Release in `DirectCall::drop`.
        self.calls.load(Ordering::Acquire) > 0
    }

    pub(super) fn set_error(&self, text: String) {
        *lock(&self.last_error) = Some(text);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }
}
