//! What one thread is to this crate: whether its events are muted, its number, and the lane that its
//! events take.
//!
//! A thread is mute:
//!
//! - while it makes and publishes an event: a `Debug` implementation, an allocator's hook or a sink
//!   that logs would otherwise publish without end;
//! - for its whole life, if it is a worker of this crate: what a writer logs would become lines that
//!   the writer has to write.
//!
//! The caller counts what it suppresses.

use buslane::error::Closed;
use buslane::{Bus, Published};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of events that each thread publishes through the shared lanes, before it gets the
/// cached publisher of [`Bus::with_local`].
///
/// A thread that logs a few lines so takes no lane, and none of the limited number of cached
/// publishers that have lanes.
pub(crate) const SHARED_EVENTS: u8 = 16;

/// The state of a thread. Nothing in it has a destructor, so it can be used until the thread ends,
/// also in the destructors of other thread-local values.
struct State {
    /// The number of marks that mute the thread.
    muted: Cell<u32>,
    /// The events that the thread has published through the shared lanes, at most
    /// [`SHARED_EVENTS`].
    shared: Cell<u8>,
    /// The number of the thread, or 0 before it has one.
    number: Cell<u32>,
    /// The number of its last line.
    sequence: Cell<u32>,
}

thread_local! {
    static STATE: State = const {
        State { muted: Cell::new(0), shared: Cell::new(0), number: Cell::new(0), sequence: Cell::new(0) }
    };
}

/// Returns whether events of the calling thread are suppressed.
#[inline]
pub(crate) fn is_muted() -> bool {
    STATE.try_with(|state| state.muted.get() > 0).unwrap_or(true)
}

/// Mutes the calling thread until the mark is dropped. Returns `None` if it is mute already: the
/// caller suppresses its event and counts it.
#[inline]
pub(crate) fn mute() -> Option<Muted> {
    STATE
        .try_with(|state| {
            let first = state.muted.get() == 0;
            first.then(|| {
                state.muted.set(1);
                Muted(PhantomData)
            })
        })
        .ok()
        .flatten()
}

/// Mutes the calling thread, a worker of this crate, for the rest of its life.
pub(crate) fn mute_worker() {
    let _ = STATE.try_with(|state| state.muted.set(u32::MAX));
}

/// A mark that mutes its thread. It stays on that thread.
#[must_use = "the thread is mute until the mark is dropped"]
pub(crate) struct Muted(PhantomData<*const ()>);

impl Drop for Muted {
    #[inline]
    fn drop(&mut self) {
        // A thread that became a worker meanwhile stays mute.
        let _ = STATE.try_with(|state| {
            if state.muted.get() == 1 {
                state.muted.set(0);
            }
        });
    }
}

/// Returns the number of the calling thread, and the next number for a line of it.
///
/// Threads are numbered from 1, in the order in which they first ask. No two threads have the same
/// number.
#[inline]
pub(crate) fn number_and_sequence() -> (u32, u32) {
    STATE
        .try_with(|state| {
            let number = if state.number.get() == 0 { assign(state) } else { state.number.get() };
            let next = state.sequence.get().wrapping_add(1);
            state.sequence.set(next);
            (number, next)
        })
        .unwrap_or((0, 0))
}

#[cold]
fn assign(state: &State) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    // Relaxed: the number publishes nothing.
    state.number.set(NEXT.fetch_add(1, Ordering::Relaxed).max(1));
    state.number.get()
}

/// Publishes an event through the lane that suits the calling thread: the shared lanes for its first
/// [`SHARED_EVENTS`] events, then those of its cached publisher.
///
/// The events of a thread keep their order: the consumer reads what a thread wrote into the shared
/// lane before it reads the lane that the thread gets later.
#[inline]
pub(crate) fn publish<E: Clone + Send + 'static>(bus: &Bus<E>, event: E) -> Result<Published, Closed<E>> {
    if has_published_enough() {
        bus.with_local(|publisher| publisher.publish(event))
    } else {
        bus.publish(event)
    }
}

/// Publishes the event that `begin` returns and `complete` changes in its slot, through the same lanes
/// as [`publish`]. Once the thread has its cached publisher, nothing is made while the bus has no sink.
///
/// A closure with more than two words of its own is passed through memory, as one value that was just
/// written in several. Such a load waits until the stores have left the processor's store buffer, and
/// thus for the cache lines of the last event. That took half of the time of a record.
#[inline]
pub(crate) fn publish_in_place<E: Clone + Send + 'static>(
    bus: &Bus<E>,
    begin: impl FnOnce() -> E,
    complete: impl FnOnce(&mut E),
) -> Result<Published, Closed<()>> {
    if has_published_enough() {
        bus.with_local(|publisher| publisher.publish_in_place(begin, complete))
    } else {
        publish_first(bus, begin, complete)
    }
}

/// Publishes one of the first events of a thread.
#[cold]
#[inline(never)]
fn publish_first<E: Clone + Send + 'static>(
    bus: &Bus<E>,
    begin: impl FnOnce() -> E,
    complete: impl FnOnce(&mut E),
) -> Result<Published, Closed<()>> {
    let mut event = begin();
    complete(&mut event);
    bus.publish(event).map_err(|_| Closed(()))
}

/// Counts one event, and returns whether the thread may use a lane of its own.
#[inline]
fn has_published_enough() -> bool {
    STATE
        .try_with(|state| {
            let shared = state.shared.get();
            let enough = shared >= SHARED_EVENTS;
            if !enough {
                state.shared.set(shared + 1);
            }
            enough
        })
        .unwrap_or(false)
}
