//! A sink that keeps the events that it gets.

use super::GUARD;
use crate::error::WriteError;
use crate::sink::{Sink, SinkKey};
use crate::stats::{
    CloseReport, Counters, Disposition, EntryOutcome, FlushReport, SinkKind, SinkState, SinkStatus,
};
use crate::sync::{Mutex, lock};
use crate::time::{Deadline, Pause};
use std::fmt;
use std::sync::Arc;
use std::thread::{self, ThreadId};

/// A sink that keeps the events that it gets, for a test to inspect.
///
/// Clones share the events.
///
/// Once closed, it refuses events ([`WriteError::Closed`]). It accepts events on the writing thread
/// and has no lanes.
///
/// # Examples
/// ```
/// use buslane::testing::Collect;
/// use buslane::{Bus, SinkExt};
/// let seen = Collect::new();
/// let bus = Bus::new();
/// bus.add(seen.clone().filter(|n: &u32| n % 2 == 0).queue(64)?)?;
/// for n in 0..6 {
///     bus.publish(n)?;
/// }
/// seen.wait_for(3);
/// assert_eq!(seen.events(), [0, 2, 4]);
/// assert!(bus.close().is_done());
/// assert!(seen.is_closed());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Collect<E>(Arc<CollectCore<E>>);

struct CollectCore<E> {
    state: Mutex<CollectState<E>>,
    counters: Counters,
    /// Where tests wait for events.
    changed: Pause,
    /// What `offer` reports of an accepted event. The ledger counts the event as delivered.
    reported: Disposition,
}

struct CollectState<E> {
    events: Vec<E>,
    calls: Calls,
    /// The thread that wrote the last event, of a sink that does not report it as delivered.
    writer: Option<ThreadId>,
}

/// The number of calls from the control plane, by kind.
#[derive(Clone, Copy, Default)]
struct Calls {
    closes: usize,
    flushes: usize,
    batches: usize,
    aborts: usize,
}

impl<E> Collect<E> {
    /// Returns a sink without events.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, testing::Collect};
    /// let (bus, seen) = (Bus::new(), Collect::new());
    /// bus.add(seen.clone())?;
    /// bus.publish("event")?;
    /// assert_eq!(seen.events(), ["event"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::reporting(Disposition::Delivered)
    }

    /// Returns a sink whose `offer` reports this disposition of each accepted event.
    pub(super) fn reporting(reported: Disposition) -> Self {
        let state = CollectState { events: Vec::new(), calls: Calls::default(), writer: None };
        Self(Arc::new(CollectCore {
            state: Mutex::new(state),
            counters: Counters::new(),
            changed: Pause::new(),
            reported,
        }))
    }

    /// Removes the events of a sink made by [`reporting`](Self::reporting), and returns them if the
    /// current thread wrote the last one.
    pub(super) fn taken_if_written_here(&self) -> Option<Vec<E>> {
        let mut state = lock(&self.0.state);
        let events = std::mem::take(&mut state.events);
        (state.writer.take() == Some(thread::current().id())).then_some(events)
    }

    /// Removes and returns the events, in the order of arrival.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, testing::Collect};
    /// let seen = Collect::new();
    /// seen.write("event")?;
    /// assert_eq!(seen.taken(), ["event"]);
    /// assert!(seen.is_empty());
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    #[must_use]
    pub fn taken(&self) -> Vec<E> {
        std::mem::take(&mut lock(&self.0.state).events)
    }

    /// Returns a copy of the events, in the order of arrival.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, testing::Collect};
    /// let seen = Collect::new();
    /// seen.write("event")?;
    /// assert_eq!(seen.events(), ["event"]);
    /// assert_eq!(seen.len(), 1); // the sink still has it
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    #[must_use]
    pub fn events(&self) -> Vec<E>
    where
        E: Clone,
    {
        lock(&self.0.state).events.clone()
    }

    /// Returns the number of events.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, testing::Collect};
    /// let seen = Collect::new();
    /// seen.write("one")?;
    /// seen.write("two")?;
    /// assert_eq!(seen.len(), 2);
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.0.state).events.len()
    }

    /// Returns `true` if there are no events.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, testing::Collect};
    /// let seen = Collect::new();
    /// assert!(seen.is_empty());
    /// seen.write("event")?;
    /// assert!(!seen.is_empty());
    /// # Ok::<(), buslane::WriteError<&str>>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits, in real time, until there are `count` events.
    ///
    /// # Panics
    /// If that does not happen within half a minute.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, SinkExt, testing::Collect};
    /// let (bus, seen) = (Bus::new(), Collect::new());
    /// bus.add(seen.clone().queue(64)?)?;
    /// bus.publish("event")?;
    /// seen.wait_for(1); // the queue's worker forwards it
    /// assert_eq!(seen.events(), ["event"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        let there = self.0.changed.wait(Deadline::after(GUARD), || self.len() >= count);
        assert!(there, "{} events arrived within {GUARD:?}, and the test waits for {count}", self.len());
    }

    /// Returns `true` if the sink was closed.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, testing::Collect};
    /// let (bus, seen) = (Bus::<u32>::new(), Collect::new());
    /// bus.add(seen.clone())?;
    /// assert!(!seen.is_closed());
    /// assert!(bus.close().is_done() && seen.is_closed());
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closes() > 0
    }

    /// Returns how often the sink was closed.
    ///
    /// # Examples
    /// ```
    /// use buslane::Sink;
    /// use buslane::testing::Collect;
    /// use buslane::time::Deadline;
    /// let seen = Collect::<u32>::new();
    /// seen.end_of_batch();
    /// seen.abort_now();
    /// assert!(seen.close_by(Deadline::NOW).is_done());
    /// assert_eq!((seen.ends_of_batch(), seen.aborts(), seen.closes(), seen.flushes()), (1, 1, 1, 0));
    /// ```
    #[must_use]
    pub fn closes(&self) -> usize {
        self.calls().closes
    }

    /// Returns how often the sink was flushed.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, SinkExt, testing::Collect};
    /// let (bus, seen) = (Bus::<u32>::new(), Collect::new());
    /// bus.add(seen.clone().queue(64)?)?;
    /// assert!(bus.flush_timeout(std::time::Duration::from_secs(60)).is_done());
    /// assert_eq!(seen.flushes(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn flushes(&self) -> usize {
        self.calls().flushes
    }

    /// Returns how often the sink was called at the end of a batch.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Queue, Sink, testing::Collect};
    /// let seen = Collect::new();
    /// let queue = Queue::builder().max_batch(1).spawn_sink(seen.clone())?;
    /// queue.write("one")?;
    /// queue.write("two")?;
    /// assert!(queue.close().is_done());
    /// assert!(seen.ends_of_batch() >= 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn ends_of_batch(&self) -> usize {
        self.calls().batches
    }

    /// Returns how often the sink was aborted.
    ///
    /// # Examples
    /// ```
    /// use buslane::Sink;
    /// use buslane::testing::Collect;
    /// let seen = Collect::<u32>::new();
    /// seen.abort_now();
    /// assert_eq!(seen.aborts(), 1);
    /// ```
    #[must_use]
    pub fn aborts(&self) -> usize {
        self.calls().aborts
    }

    fn calls(&self) -> Calls {
        lock(&self.0.state).calls
    }
}

impl<E: Send> Sink<E> for Collect<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        let counters = self.0.counters.shared();
        counters.offered(1);
        {
            let mut state = lock(&self.0.state);
            if state.calls.closes > 0 {
                counters.count(EntryOutcome::RefusedClosed, 1);
                return Err(WriteError::Closed(event));
            }
            state.events.push(event);
            if self.0.reported != Disposition::Delivered {
                state.writer = Some(thread::current().id());
            }
        }
        counters.count(EntryOutcome::Delivered, 1);
        self.0.changed.poke();
        Ok(())
    }

    fn offer(&self, event: E) -> Result<Disposition, WriteError<E>> {
        self.write(event).map(|()| self.0.reported)
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        lock(&self.0.state).calls.closes += 1;
        CloseReport::done()
    }

    fn flush_by(&self, _deadline: Deadline, _report: &mut FlushReport) {
        lock(&self.0.state).calls.flushes += 1;
    }

    fn abort_now(&self) {
        lock(&self.0.state).calls.aborts += 1;
    }

    fn end_of_batch(&self) {
        lock(&self.0.state).calls.batches += 1;
    }

    fn reports_closed(&self) -> bool {
        self.calls().closes > 0
    }

    fn describe(&self, state: &mut SinkState) {
        state.kind = SinkKind::Custom("collect");
        if self.calls().closes > 0 {
            state.status = SinkStatus::Drained;
        }
        self.0.counters.add_to(&mut state.ledger);
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.0))
    }
}

impl<E> Clone for Collect<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> Default for Collect<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Collect<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect")
            .field("events", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
