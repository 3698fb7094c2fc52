//! A sink that panics as planned.

use crate::error::WriteError;
use crate::sink::Sink;
use crate::stats::CloseReport;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use crate::time::Deadline;
use std::fmt;
use std::marker::PhantomData;

/// The text with which a [`Panicking`] sink panics.
///
/// # Examples
/// ```
/// use buslane::{Queue, Sink, testing::{PANICKING, Panicking}};
/// let queue = Queue::builder().spawn_sink(Panicking::new().on_every_event())?;
/// queue.write("event")?;
/// assert!(queue.close().is_done());
/// assert!(queue.state().last_error.is_some_and(|text| text.contains(PANICKING)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const PANICKING: &str = "the sink panicked as planned";

/// A sink that panics as planned, and otherwise accepts every event and does nothing.
///
/// Its drop does not panic while the thread is already unwinding, which would abort the process.
///
/// # Examples
/// ```
/// use buslane::Bus;
/// use buslane::testing::{Collect, PANICKING, Panicking};
/// let (bus, seen) = (Bus::new(), Collect::new());
/// bus.add(Panicking::new().on_event(2).on_close())?;
/// bus.add(seen.clone())?;
/// for n in 1..=3 {
///     bus.publish(n)?;
/// }
/// assert_eq!(seen.events(), [1, 2, 3]);
/// assert_eq!(bus.snapshot().sinks[0].state.ledger.dropped.panicked, 1);
/// assert!(bus.close().errors[0].contains(PANICKING));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a sink does nothing until it is written to or added to a bus"]
pub struct Panicking<E> {
    settings: PanicSettings,
    seen: AtomicU64,
    closed: AtomicBool,
    events: PhantomData<fn(E)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct PanicSettings {
    nth: Option<u64>,
    every: bool,
    close: bool,
    drop: bool,
}

impl<E> Panicking<E> {
    /// Returns a sink that does not panic yet.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, testing::Panicking};
    /// assert!(Panicking::new().write("event").is_ok()); // no panic is planned
    /// ```
    pub fn new() -> Self {
        Self {
            settings: PanicSettings::default(),
            seen: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            events: PhantomData,
        }
    }

    /// Makes the `nth` write panic, counted from 1.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, testing::Panicking};
    /// let bus = Bus::new();
    /// bus.add(Panicking::new().on_event(2))?;
    /// for n in 0..3 {
    ///     bus.publish(n)?;
    /// }
    /// let ledger = bus.snapshot().sinks[0].state.ledger;
    /// assert_eq!((ledger.delivered, ledger.dropped.panicked), (2, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_event(mut self, nth: u64) -> Self {
        self.settings.nth = Some(nth);
        self
    }

    /// Makes every write panic.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Sink, SinkExt, testing::Panicking};
    /// let sink = Panicking::new().on_every_event().catch_panic().close_after(2);
    /// assert!(sink.write(1).is_ok() && sink.write(2).is_ok()); // both are lost
    /// assert!(sink.write(3).is_err_and(|error| error.is_closed()));
    /// ```
    pub fn on_every_event(mut self) -> Self {
        self.settings.every = true;
        self
    }

    /// Makes every close panic; the sink is closed all the same.
    ///
    /// # Examples
    /// ```
    /// use buslane::{Bus, testing::Panicking};
    /// let bus = Bus::<u32>::new();
    /// bus.add(Panicking::new().on_close())?;
    /// assert_eq!(bus.close().errors.len(), 1);
    /// # Ok::<(), buslane::error::AddError>(())
    /// ```
    pub fn on_close(mut self) -> Self {
        self.settings.close = true;
        self
    }

    /// Makes the drop of the sink panic.
    ///
    /// # Examples
    /// ```
    /// use buslane::testing::Panicking;
    /// let dropped = std::panic::catch_unwind(|| drop(Panicking::<u32>::new().on_drop()));
    /// assert!(dropped.is_err());
    /// ```
    pub fn on_drop(mut self) -> Self {
        self.settings.drop = true;
        self
    }
}

/// Panics if a test planned it.
#[track_caller]
fn panic_if(asked: bool) {
    assert!(!asked, "{PANICKING}");
}

impl<E> Sink<E> for Panicking<E> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        // Relaxed here and below: a call that is ordered after a store by other means sees it.
        if self.closed.load(Ordering::Relaxed) {
            return Err(WriteError::Closed(event));
        }
        let nth = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        panic_if(self.settings.every || self.settings.nth == Some(nth));
        drop(event);
        Ok(())
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.closed.store(true, Ordering::Relaxed);
        panic_if(self.settings.close);
        CloseReport::done()
    }

    fn reports_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl<E> Drop for Panicking<E> {
    fn drop(&mut self) {
        panic_if(self.settings.drop && !std::thread::panicking());
    }
}

impl<E> Default for Panicking<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Panicking<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panicking").field(&self.settings).finish()
    }
}
