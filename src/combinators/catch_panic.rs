//! A combinator that catches the panics of its inner sink.

use crate::error::{OutOfMemory, WriteError};
use crate::sink::lane::{InnerLane, Internal, Lane, LaneWrite, Lanes};
use crate::sink::{Inner, Sink, SinkKey, control};
use crate::stats::{
    Counters, CountingStage, Disposition, DropReason, EntryCounters, EntryOutcome, Ledgers, SinkState,
    SinkStatus,
};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, lock};
use crate::time::Deadline;
use crate::wait::context::caught;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sink that catches the panics of its inner sink, so that they do not reach the writer.
///
/// Made by [`SinkExt::catch_panic`](crate::SinkExt::catch_panic).
///
/// # Guarantees
/// - **Delivery**: a panic loses the event, which counts as accepted and dropped (`panicked`). The
///   next event is written as usual.
/// - **Closing**: by default, panics never close the sink. After as many panics in a row as
///   [`close_after`](Self::close_after) sets, every write returns [`WriteError::Closed`]. Closing
///   this sink closes the inner sink.
///
/// # Examples
/// ```
/// use buslane::{Sink, sink_fn, SinkExt};
/// use buslane::stats::SinkState;
/// let sink = sink_fn(|n: &u32| assert!(*n < 10)).catch_panic();
/// sink.write(12)?; // lost
/// let mut state = SinkState::default();
/// sink.describe(&mut state);
/// assert_eq!(state.ledger.dropped.panicked, 1); // and counted
/// # Ok::<(), buslane::WriteError<u32>>(())
/// ```
#[must_use = "a catch_panic does nothing until it is written to or added to a bus"]
pub struct CatchPanic<E, S> {
    inner: S,
    guard: Arc<PanicGuard>,
    events: PhantomData<fn(E)>,
}

struct PanicGuard {
    close_after: u64,
    /// The number of panics since the last write that did not panic.
    panics: AtomicU64,
    closed: AtomicBool,
    last_text: Mutex<Option<String>>,
    counters: Counters,
}

impl<E, S> CatchPanic<E, S> {
    pub(crate) fn new(inner: S) -> Self {
        Self::with(inner, u64::MAX)
    }

    fn with(inner: S, close_after: u64) -> Self {
        let guard = PanicGuard {
            close_after,
            panics: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            last_text: Mutex::new(None),
            counters: Counters::new(),
        };
        Self { inner, guard: Arc::new(guard), events: PhantomData }
    }

    /// Closes the sink after `panics` panics in a row; 0 counts as 1.
    ///
    /// All threads that write share one count.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, SinkExt, sink_fn};
    /// let sink = sink_fn(|n: &u32| assert!(*n < 10)).catch_panic().close_after(1);
    /// sink.write(7)?;
    /// sink.write(12)?; // lost, and counted
    /// assert!(sink.write(7).is_err_and(|error| error.is_closed()));
    /// # Ok::<(), buslane::WriteError<u32>>(())
    /// ```
    pub fn close_after(self, panics: u32) -> Self {
        Self::with(self.inner, u64::from(panics.max(1)))
    }
}

impl PanicGuard {
    /// Writes an event; catches and counts a panic.
    fn call<E>(
        &self,
        event: E,
        entry: &EntryCounters,
        write: impl FnOnce(E) -> Result<Disposition, WriteError<E>>,
    ) -> Result<Disposition, WriteError<E>> {
        // Relaxed: a write that happens after the last panic sees the flag, and no other write has
        // to.
        if self.closed.load(Ordering::Relaxed) {
            entry.offered(1);
            entry.count(EntryOutcome::RefusedClosed, 1);
            return Err(WriteError::Closed(event));
        }
        match caught(|| write(event)) {
            Ok(outcome) => {
                if self.panics.load(Ordering::Relaxed) > 0 {
                    self.panics.store(0, Ordering::Relaxed);
                }
                outcome
            }
            Err(text) => {
                entry.offered(1);
                let lost = Disposition::Dropped(DropReason::Panicked);
                entry.disposed(lost);
                self.panicked(text);
                Ok(lost)
            }
        }
    }

    #[cold]
    fn panicked(&self, text: String) {
        *lock(&self.last_text) = Some(format!("the sink panicked: {text}"));
        if self.panics.fetch_add(1, Ordering::Relaxed) + 1 >= self.close_after {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl CountingStage for PanicGuard {
    fn show(&self, state: &mut SinkState) {
        state.add_shown(SinkState { last_error: lock(&self.last_text).clone(), ..SinkState::default() });
    }
}

impl<E: Send + 'static, S: Sink<E>> Sink<E> for CatchPanic<E, S> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        self.offer(event).map(drop)
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        self.guard.call(event, self.guard.counters.shared(), |event| self.inner.offer(event))
    }

    fn inner(&self, visit: &mut Inner<'_>) {
        visit.caught(&self.inner, &drop);
    }

    fn reports_closed(&self) -> bool {
        control::reports_closed(self) || self.guard.is_closed()
    }

    fn describe(&self, state: &mut SinkState) {
        control::describe(self, state);
        self.guard.counters.add_to(&mut state.ledger);
        state.last_error = lock(&self.guard.last_text).clone().or(state.last_error.take());
        if self.guard.is_closed() && state.status == SinkStatus::Open {
            state.status = if state.depth > 0 { SinkStatus::Closed } else { SinkStatus::Drained };
        }
    }

    fn make_lane(&self, _: Internal) -> Result<Option<Lane<E>>, OutOfMemory> {
        Ok(self.inner.lane()?.map(|inner| {
            let entry = self.guard.counters.for_publisher();
            Lane::staged(CatchPanicLane { inner, guard: self.guard.clone(), entry })
        }))
    }

    fn makes_lanes(&self, _: Internal) -> bool {
        self.inner.has_lanes()
    }

    fn add_ledgers(&self, list: &mut Ledgers, _: Internal) {
        control::add_ledgers(self, list);
        list.push(self.guard.clone());
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.guard))
    }
}

impl<E, S: fmt::Debug> fmt::Debug for CatchPanic<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatchPanic")
            .field("inner", &self.inner)
            .field("closed", &self.guard.is_closed())
            .finish_non_exhaustive()
    }
}

struct CatchPanicLane<E> {
    inner: Lane<E>,
    guard: Arc<PanicGuard>,
    entry: Arc<EntryCounters>,
}

impl<E: Send + 'static> LaneWrite<E> for CatchPanicLane<E> {
    fn offer(&mut self, event: E, deadline: Deadline) -> Result<Disposition, WriteError<E>> {
        let Self { inner, guard, entry } = self;
        guard.call(event, entry, |event| inner.offer(event, deadline))
    }

    fn inner(&self) -> Option<&dyn InnerLane> {
        Some(&self.inner)
    }

    fn inner_mut(&mut self) -> Option<&mut dyn InnerLane> {
        Some(&mut self.inner)
    }
}
