//! The handle of a monitor.

use super::core::Core;
use super::state::{MonitorSnapshot, MonitorState, NotLive, StopReport};
use crate::deadline::{CLOSE_LIMIT, DROP_LIMIT};
use crate::time::Deadline;
use crate::wait::context::{HandleDrop, may_wait_to_drop};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The supervisor of one [`Source`](crate::source::Source): one thread, which keeps one connection
/// open and forwards what it reads to a sink.
///
/// Cloning makes another handle to the same monitor. [`builder`](Self::builder) makes one; the
/// module page has the [states](crate::source#states).
///
/// # Guarantees
/// - **One connection**: the monitor drops a connection before it opens the next one, also under
///   concurrent calls of its handles.
/// - **Start**: starting neither waits for the source nor fails because of it. The monitor's thread
///   makes the first attempt; [`wait_live`](Self::wait_live) waits for it.
/// - **Gaps**: where events may be missing because the source or the connection lost them, or the
///   sink refused or dropped them at once, a [`Gap`](crate::source::Gap) comes before the next
///   event. What a sink loses after it has accepted an event leaves no gap: an eviction, or a
///   handler that fails. A bus accepts an event if any of its sinks does. The ledger of each sink
///   counts these losses.
/// - **No silent end**: the monitor ends only with a [`StopReason`](crate::source::StopReason).
///   Until then, it connects again after every fault, panic or clean end.
/// - **Order**: the sink gets events in the order of the source.
/// - **Stop**: idempotent, from any thread, also from inside the sink. It interrupts a connect, a
///   read and a wait, and no attempt begins after it.
/// - **Cost**: an event goes through a private lane of the sink, as if a
///   [`Publisher`](crate::Publisher) had published it. Beside that, its token goes into a private
///   ring, which costs an uncontended lock for one event in 32, and no clock is read. A bus, or
///   another sink whose calls may run user code, costs a fence more, which is no instruction where
///   the system has asymmetric fences.
/// - **Panics**: a panic of the source ends the connection, which is opened again after the backoff.
///   A panic of the sink loses its event, with a gap.
/// - **Sink**: a sink without lanes is called on the monitor's thread, where nothing waits. The
///   monitor does not close its sink; it drops it when it stops.
/// - **Drop**: dropping the last handle stops the monitor and waits for at most half a second. Then
///   it gives up an event that waits for room, in any sink. Inside a delivery and while unwinding, it does not
///   wait, and such an event is delivered when there is room.
///
/// # Examples
/// ```
/// use buslane::source::{Monitor, Update};
/// use buslane::testing::Script;
/// use buslane::{Bus, Channel};
///
/// // A source that is connected to, reads two events, and is disconnected.
/// let source = Script::new().connect().event("start").event("die").end();
/// let bus = Bus::new();
/// let mut updates = bus.subscribe_lossy(64)?;
/// let monitor = Monitor::builder(source).spawn(bus.clone())?;
///
/// assert_eq!(updates.recv()?, Update::Connected { resumed: false });
/// assert_eq!(updates.recv()?, Update::Event("start"));
/// assert_eq!(updates.recv()?, Update::Event("die"));
/// assert!(matches!(updates.recv()?, Update::Disconnected(_)));
/// assert_eq!(monitor.token(), Some(2)); // where a later process continues
/// assert!(monitor.stop().is_done());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Monitor<T>(Arc<Handle<T>>);

/// Stops the monitor when the last clone of the handle is dropped.
struct Handle<T>(Arc<Core<T>>);

impl<T> Monitor<T> {
    pub(super) fn new(core: Arc<Core<T>>) -> Self {
        Self(Arc::new(Handle(core)))
    }

    fn core(&self) -> &Core<T> {
        &self.0.0
    }

    /// Returns the state.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::{Monitor, MonitorState, StopReason};
    /// use buslane::testing::{Collect, Script};
    /// let monitor = Monitor::builder(Script::<u32>::new()).spawn(Collect::new())?;
    /// assert!(monitor.stop().is_done());
    /// assert_eq!(monitor.state(), MonitorState::Stopped(StopReason::Requested));
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> MonitorState {
        self.core().state()
    }

    /// Returns the state and the counters.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::testing::{Collect, Script};
    /// let script = Script::<u32>::new().refuse("no route");
    /// let monitor = Monitor::builder(script.clone()).spawn(Collect::new())?;
    /// script.wait_connects(1);
    /// assert!(monitor.stop().is_done());
    /// assert_eq!(monitor.snapshot().connects, 0);
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    pub fn snapshot(&self) -> MonitorSnapshot {
        self.core().snapshot()
    }

    /// Returns the position after the last event that the sink accepted: where a later process
    /// [resumes](super::MonitorBuilder::resume).
    ///
    /// The sink may not have handled that event yet, as a queue has not.
    /// [`store_token`](super::MonitorBuilder::store_token) calls a function after it has.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::testing::{Collect, Script};
    /// let (script, seen) = (Script::new().connect().event("one"), Collect::new());
    /// let monitor = Monitor::builder(script).spawn_events(seen.clone())?;
    /// seen.wait_for(1);
    /// assert!(monitor.stop().is_done());
    /// assert_eq!(monitor.token(), Some(1));
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    #[must_use]
    pub fn token(&self) -> Option<T>
    where
        T: Clone,
    {
        self.core().token()
    }

    /// Waits until a connection is live.
    ///
    /// Inside the monitor's own sink or source, and in any other delivery, it does not wait.
    ///
    /// # Errors
    /// [`NotLive`] with the state, if the limit passes first or the monitor has stopped.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::testing::{Collect, Script};
    /// use std::time::Duration;
    /// let monitor = Monitor::builder(Script::<u32>::new().connect()).spawn(Collect::new())?;
    /// monitor.wait_live(Duration::from_secs(60))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_live(&self, limit: Duration) -> Result<(), NotLive> {
        self.core().wait_live(Deadline::after(limit))
    }

    /// Stops the monitor, and waits at most five seconds for its end. See
    /// [`stop_timeout`](Self::stop_timeout).
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::testing::{Collect, Script};
    /// let monitor = Monitor::builder(Script::<u32>::new()).spawn(Collect::new())?;
    /// assert!(monitor.stop().is_done());
    /// assert!(monitor.stop().is_done());
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    pub fn stop(&self) -> StopReport {
        self.stop_timeout(CLOSE_LIMIT)
    }

    /// Stops the monitor, and waits until it has ended or the limit has passed.
    ///
    /// The call interrupts what the source blocks in. An event that was read is forwarded before the
    /// end. If it waits for room in a full sink until the limit, it is
    /// [undelivered](StopReport::undelivered). If the sink is a bus, the end of that wait takes up
    /// to a tenth of a second more.
    ///
    /// A source or sink that does not return is abandoned: the monitor ends when it does. Inside the
    /// monitor's own sink or source, and in any other delivery, this call never waits
    /// ([`Finish::Pending`](crate::stats::Finish::Pending)).
    ///
    /// [Blocks the thread](crate::docs::async_code), also in an async task.
    ///
    /// # Examples
    /// ```
    /// use buslane::source::Monitor;
    /// use buslane::testing::{Collect, Script};
    /// use std::time::Duration;
    /// let monitor = Monitor::builder(Script::<u32>::new().connect()).spawn(Collect::new())?;
    /// assert!(monitor.stop_timeout(Duration::from_secs(60)).is_done());
    /// # Ok::<(), buslane::error::SpawnError>(())
    /// ```
    pub fn stop_timeout(&self, limit: Duration) -> StopReport {
        self.core().stop(Deadline::after(limit))
    }
}

impl<T> Clone for Monitor<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Monitor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.0.tell_stop(Deadline::after(DROP_LIMIT));
        if !std::thread::panicking() && may_wait_to_drop() && !self.0.crew.is_here() {
            let dropping = HandleDrop::begin();
            if !self.0.await_end(dropping.deadline()) {
                self.0.end_wait_for_room();
            }
        }
    }
}
