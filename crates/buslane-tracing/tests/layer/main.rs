//! The layer, its records and handlers, `init` and the `log` facade, through the public API.

mod failing;
mod filters;
mod json;
#[cfg(feature = "log")]
mod log;
mod map;
mod process;
mod random;
mod records;
mod reentrancy;
mod spans;
mod text;
mod threads;

use buslane::stats::Ledger;
use buslane::testing::Gate;
use buslane::{Bus, Receiver};
use buslane_tracing::{
    Clock, Format, Guard, LayerBuilder, ManualTime, Publish, Record, RecordWriter, Timestamp, layer,
};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use test_support::heap::Counting;
use test_support::process::in_child;
use test_support::{GUARD, lock};
use tracing_subscriber::layer::SubscriberExt;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The time at which every test begins: 2023-11-14T22:13:20.123456Z.
const BEGIN: Timestamp = Timestamp::from_nanos(1_700_000_000_123_456_789);

/// A writer that keeps what it gets.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that waits at a gate, and keeps what it gets then.
#[derive(Clone)]
struct Gated(Gate, Kept);

impl Gated {
    fn new() -> Self {
        Self(Gate::closed(), Kept::default())
    }
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.pass();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a bus, and a receiver of its records.
fn records() -> (Bus<Record>, Receiver<Record>) {
    let bus = Bus::new();
    let receiver = bus.subscribe_lossy(1024).unwrap();
    (bus, receiver)
}

/// A bus with a writer that keeps its lines, and a clock that the test moves.
struct Written {
    bus: Bus<Record>,
    time: ManualTime,
    kept: Kept,
    guard: Guard,
}

impl Written {
    fn start(format: impl Format) -> Self {
        Self::start_with(format, |writer| writer)
    }

    fn start_with<F: Format>(
        format: F,
        set: impl FnOnce(RecordWriter<F, Kept>) -> RecordWriter<F, Kept>,
    ) -> Self {
        let (bus, kept) = (Bus::new(), Kept::default());
        let guard = set(RecordWriter::new(format, kept.clone())).start(&bus).unwrap();
        Self { bus, time: ManualTime::new(BEGIN), kept, guard }
    }

    /// Runs `log` with a subscriber that publishes on the bus.
    fn log<R>(&self, log: impl FnOnce() -> R) -> R {
        let layer =
            layer(&self.bus).clock(Clock::Manual(self.time.clone())).level(tracing::Level::TRACE).build();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log)
    }

    /// Closes the log, and returns its lines.
    fn close(self) -> Vec<String> {
        let Self { bus, kept, guard, .. } = self;
        let report = guard.close(GUARD);
        assert!(report.is_done(), "{report}");
        assert_balanced(&bus);
        kept.lines()
    }
}

/// Returns the lines that `log` leads to.
fn lines_of(format: impl Format, log: impl FnOnce()) -> Vec<String> {
    let written = Written::start(format);
    written.log(log);
    written.close()
}

/// Runs a test in a process of its own, for what belongs to the process: the global subscriber, and the
/// answers that tracing caches.
fn alone(module: &str, name: &str, test: impl FnOnce()) {
    match in_child(module, name) {
        Some(child) => assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr)),
        None => test(),
    }
}

/// Makes a layer the log of the process. Under a scoped subscriber, tracing drops nested events by
/// itself.
fn set_global<P: Publish>(layer: LayerBuilder<P>) {
    let subscriber = tracing_subscriber::registry().with(layer.build());
    tracing::subscriber::set_global_default(subscriber).unwrap();
}

/// Starts a thread that logs to the subscriber of this thread.
fn spawn<R: Send + 'static>(run: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    thread::spawn(move || tracing::dispatcher::with_default(&dispatch, run))
}

/// Checks the ledgers of all sinks of a bus.
fn assert_balanced(bus: &Bus<Record>) {
    for sink in bus.snapshot().sinks {
        check(sink.state.ledger);
    }
}

/// Checks a ledger, and returns it.
fn check(ledger: Ledger) -> Ledger {
    if let Err(imbalance) = ledger.check() {
        panic!("{imbalance}");
    }
    ledger
}

/// Checks the ledger of a log.
fn ledger(guard: &Guard) -> Ledger {
    check(guard.ledger())
}

/// A value that runs a function when it is formatted.
struct OnDebug<F>(F);

impl<F: Fn()> std::fmt::Debug for OnDebug<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (self.0)();
        f.write_str("formatted")
    }
}
