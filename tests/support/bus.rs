//! What the tests of the bus share: every way to publish, sinks that are called directly, and the books of a whole bus.

use crate::support::{GUARD, Log};
use buslane::error::Closed;
use buslane::sink::Outcome;
use buslane::stats::{CloseReport, Ledger, SinkSnapshot};
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Published, Publisher, Sink, WriteError, sink_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One way to publish on a bus.
pub(crate) enum Route<E: Send + 'static> {
    Publisher(Box<Publisher<E>>),
    Shared(Bus<E>),
    Local(Bus<E>),
}

impl<E: Clone + Send + 'static> Route<E> {
    /// Every way, each ready before what the test does next: publishers are registered and cached.
    pub(crate) fn all(bus: &Bus<E>) -> [Self; 3] {
        bus.with_local(|_| {});
        [Self::Publisher(Box::new(bus.publisher())), Self::Shared(bus.clone()), Self::Local(bus.clone())]
    }

    pub(crate) fn publish(&mut self, event: E) -> Result<Published, Closed<E>> {
        match self {
            Self::Publisher(publisher) => publisher.publish(event),
            Self::Shared(bus) => bus.publish(event),
            Self::Local(bus) => bus.with_local(|publisher| publisher.publish(event)),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Publisher(_) => "publisher",
            Self::Shared(_) => "shared",
            Self::Local(_) => "local",
        }
    }
}

/// How a publish went, in one word.
pub(crate) fn took(accepted: usize, refused: u32) -> Published {
    lost(accepted, 0, refused)
}

/// How a publish went of which sinks dropped some deliveries.
pub(crate) fn lost(accepted: usize, dropped: u32, refused: u32) -> Published {
    let mut published = Published::default();
    (published.accepted, published.dropped, published.refused) = (accepted, dropped, refused);
    published
}

/// A sink that is called on the publishing thread, and the list of what it got.
pub(crate) fn recorder<E: Clone + Send + Sync + 'static>() -> (Log<E>, impl Sink<E> + 'static) {
    let log = Log::new();
    let seen = log.clone();
    (log, sink_fn(move |event: &E| seen.push(event.clone())))
}

/// A sink that is called on the publishing thread and holds it up there.
pub(crate) fn gated<E: Clone + Send + Sync + 'static>(gate: &Gate) -> (Log<E>, impl Sink<E> + 'static) {
    let (log, gate) = (Log::new(), gate.clone());
    let seen = log.clone();
    let sink = sink_fn(move |event: &E| {
        gate.pass();
        seen.push(event.clone());
    });
    (log, sink)
}

/// A sink that is called directly and keeps to the contract: closed, it takes nothing more.
pub(crate) struct Closable<F> {
    call: F,
    on_close: Box<dyn Fn() + Send + Sync>,
    closed: AtomicBool,
}

impl<F> Closable<F> {
    pub(crate) fn new(call: F, on_close: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
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

/// What the bus says about the sink of this name.
#[track_caller]
pub(crate) fn sink<E: Send + 'static>(bus: &Bus<E>, name: &str) -> SinkSnapshot {
    let found = bus.snapshot().sinks.into_iter().find(|sink| sink.name == name);
    found.unwrap_or_else(|| panic!("no sink named {name}"))
}

/// The books of the sink of this name, which balance.
#[track_caller]
pub(crate) fn ledger<E: Send + 'static>(bus: &Bus<E>, name: &str) -> Ledger {
    crate::support::assert_balanced(&sink(bus, name).state)
}

/// Checks the books of every sink on the bus.
#[track_caller]
pub(crate) fn assert_books<E: Send + 'static>(bus: &Bus<E>) {
    for sink in bus.snapshot().sinks {
        if let Err(imbalance) = sink.state.ledger.check() {
            panic!("{}: {imbalance}", sink.name);
        }
    }
}

/// Flushes a bus whose sinks must be able to handle everything.
#[track_caller]
pub(crate) fn flush_bus<E: Send + 'static>(bus: &Bus<E>) {
    let report = bus.flush_timeout(GUARD);
    assert!(report.is_done(), "{report}");
}
