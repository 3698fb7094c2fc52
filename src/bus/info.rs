//! The record of a sink on a bus.

use crate::sink::{Sink, SinkKey};
use crate::stats::{Counters, SinkId};
use crate::sync::{self, AtomicBool, AtomicUsize, Mutex, Ordering, fence, lock};
use std::panic::Location;
use std::sync::Arc;

/// The sink, as entries hold it.
pub(super) type SinkRef<E> = Arc<dyn Sink<E>>;

/// The record of an attachment, which any thread may read, also after the sink was dropped.
pub(super) struct Info {
    pub(super) id: SinkId,
    pub(super) name: String,
    pub(super) location: &'static Location<'static>,
    pub(super) key: Option<SinkKey>,
    /// Whether the sink has lanes. Its `write` is then implemented by this crate, and may wait.
    pub(super) has_lanes: bool,
    /// Set when the sink has reported that it is closed.
    closed: AtomicBool,
    /// Counters of the direct calls of the sink, and of the calls into its lanes that panicked.
    pub(super) counters: Counters,
    /// Set when the sink is being removed from the bus.
    removed: AtomicBool,
    /// Set together with `closed`, and shared by all attachments of the bus. The control plane then
    /// checks which sink is closed.
    any_closed: sync::Arc<AtomicBool>,
    last_error: Mutex<Option<String>>,
    /// The number of calls in progress that have no hazard word, such as those of `Bus::publish`.
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
    // ORD(info.calls): Release; pairs with the Acquire in `is_called`: a thread that finds the call
    // ended sees its effects.
    calls.fetch_sub(1, Ordering::Release);
}

impl Info {
    pub(super) fn new(
        id: SinkId,
        name: String,
        location: &'static Location<'static>,
        key: Option<SinkKey>,
        has_lanes: bool,
        any_closed: sync::Arc<AtomicBool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            name,
            location,
            key,
            has_lanes,
            closed: AtomicBool::new(false),
            counters: Counters::new(),
            removed: AtomicBool::new(false),
            any_closed,
            last_error: Mutex::new(None),
            calls: AtomicUsize::new(0),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        // Relaxed: this is a hint to skip the sink. A closed sink also refuses events itself.
        self.closed.load(Ordering::Relaxed)
    }

    /// Records that the sink reported that it is closed. Publishers skip the sink, and the control
    /// plane removes it from the bus.
    pub(super) fn mark_closed(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // ORD(info.any_closed): Release; pairs with the Acquire in `Core::purge`: a purge that sees
        // this flag sees which sink is closed.
        self.any_closed.store(true, Ordering::Release);
    }

    /// Returns whether the sink was removed from the bus.
    pub(super) fn is_removed(&self) -> bool {
        // Relaxed: for publishers that have taken the change, whose hand-over publishes this flag.
        self.removed.load(Ordering::Relaxed)
    }

    /// Records that the sink is being removed from the bus. Publishers that receive a change of the
    /// sink then release their link.
    pub(super) fn set_removed(&self) {
        self.removed.store(true, Ordering::Relaxed);
    }

    /// Counts a direct call. The caller must then check whether the sink is still attached. The
    /// fence pairs with the heavy one in `Domain::fence`, so that either the check finds the sink
    /// detached, or the waiting thread finds the call.
    pub(super) fn begin_call(&self) -> DirectCall<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // ORD(info.calls): full fence; pairs with the heavy one in `Domain::fence`.
        fence(Ordering::SeqCst);
        DirectCall(&self.calls)
    }

    /// Ends a call whose [`DirectCall`] was forgotten.
    pub(super) fn end_call(&self) {
        end(&self.calls);
    }

    /// Returns whether a call counted by [`begin_call`](Self::begin_call) is in progress.
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
