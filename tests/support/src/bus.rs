//! Shared by the tests of the bus: every way to publish, sinks that are called directly, and the
//! ledgers of a whole bus.

use crate::{GUARD, Log};
use buslane::error::Closed;
use buslane::sink::Outcome;
use buslane::stats::{CloseReport, Ledger, SinkSnapshot};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Published, Publisher, Sink, WriteError, sink_fn};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One way to publish on a bus.
pub enum Route<E: Send + 'static> {
    /// By a publisher.
    Publisher(Box<Publisher<E>>),
    /// By the bus itself.
    Shared(Bus<E>),
    /// By the publisher that this thread caches.
    Local(Bus<E>),
}

impl<E: Send + 'static> fmt::Debug for Route<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<E: Send + 'static> Route<E> {
    /// Returns the name of the route.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Publisher(_) => "publisher",
            Self::Shared(_) => "shared",
            Self::Local(_) => "local",
        }
    }
}

impl<E: Clone + Send + 'static> Route<E> {
    /// Returns every route. All publishers are registered and cached before the call returns.
    pub fn all(bus: &Bus<E>) -> [Self; 3] {
        bus.with_local(|_| {});
        [Self::Publisher(Box::new(bus.publisher())), Self::Shared(bus.clone()), Self::Local(bus.clone())]
    }

    /// Publishes an event.
    ///
    /// # Errors
    /// When the bus is closed.
    pub fn publish(&mut self, event: E) -> Result<Published, Closed<E>> {
        match self {
            Self::Publisher(publisher) => publisher.publish(event),
            Self::Shared(bus) => bus.publish(event),
            Self::Local(bus) => bus.with_local(|publisher| publisher.publish(event)),
        }
    }
}

/// Returns the result of a publish without drops.
pub fn took(accepted: usize, refused: u32) -> Published {
    lost(accepted, 0, refused)
}

/// Returns the result of a publish with `dropped` dropped deliveries.
pub fn lost(accepted: usize, dropped: u32, refused: u32) -> Published {
    let mut published = Published::default();
    (published.accepted, published.dropped, published.refused) = (accepted, dropped, refused);
    published
}

/// Returns a sink that is called on the publishing thread, and the list of the events that it
/// received.
pub fn recorder<E: Clone + Send + Sync + 'static>() -> (Log<E>, impl Sink<E> + 'static) {
    let log = Log::new();
    let seen = log.clone();
    (log, sink_fn(move |event: &E| seen.push(event.clone())))
}

/// Returns a sink that holds the publishing thread at a gate, and the list of the events that it
/// received.
pub fn gated<E: Clone + Send + Sync + 'static>(gate: &Gate) -> (Log<E>, impl Sink<E> + 'static) {
    let (log, gate) = (Log::new(), gate.clone());
    let seen = log.clone();
    let sink = sink_fn(move |event: &E| {
        gate.pass();
        seen.push(event.clone());
    });
    (log, sink)
}

/// A sink that is called directly and keeps the contract: after its close it accepts no further
/// events.
pub struct Closable<F> {
    call: F,
    on_close: Box<dyn Fn() + Send + Sync>,
    closed: AtomicBool,
}

impl<F> fmt::Debug for Closable<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closable").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl<F> Closable<F> {
    /// Creates a sink that runs `call` for each event, and `on_close` once.
    pub fn new(call: F, on_close: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { call, on_close: Box::new(on_close), closed: AtomicBool::new(false) })
    }
}

impl<E, R: Outcome, F: Fn(&E) -> R + Send + Sync> Sink<E> for Closable<F> {
    fn write(&self, event: E) -> Result<(), WriteError<E>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(WriteError::Closed(event));
        }
        match (self.call)(&event).into_result() {
            Ok(()) => Ok(()),
            Err(source) => Err(WriteError::Failed { event, source }),
        }
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        if !self.closed.swap(true, Ordering::AcqRel) {
            (self.on_close)();
        }
        CloseReport::done()
    }
}

/// Returns what the bus reports about the sink of this name.
///
/// # Panics
/// When the bus has no such sink.
#[track_caller]
pub fn sink<E: Send + 'static>(bus: &Bus<E>, name: &str) -> SinkSnapshot {
    let found = bus.snapshot().sinks.into_iter().find(|sink| sink.name == name);
    found.unwrap_or_else(|| panic!("no sink named {name}"))
}

/// Returns the ledger of the sink of this name.
///
/// # Panics
/// When the bus has no such sink, or the ledger does not balance.
#[track_caller]
pub fn ledger<E: Send + 'static>(bus: &Bus<E>, name: &str) -> Ledger {
    crate::assert_balanced(&sink(bus, name).state)
}

/// Checks the ledger of every sink on the bus.
///
/// # Panics
/// When one does not balance.
#[track_caller]
pub fn assert_books<E: Send + 'static>(bus: &Bus<E>) {
    for sink in bus.snapshot().sinks {
        if let Err(imbalance) = sink.state.ledger.check() {
            panic!("{}: {imbalance}", sink.name);
        }
    }
}

/// Flushes a bus whose sinks must be able to handle everything.
///
/// # Panics
/// When the flush is incomplete after [`GUARD`].
#[track_caller]
pub fn flush_bus<E: Send + 'static>(bus: &Bus<E>) {
    let report = bus.flush_timeout(GUARD);
    assert!(report.is_done(), "{report}");
}
