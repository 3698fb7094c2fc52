//! Tests of the non-blocking writer and its guard: what reaches the inner writer, in which order, and
//! what is told about the rest.

mod close;
mod drop_in;
mod exit;
mod failures;
mod files;
mod fmt_layer;
mod losses;
mod memory;
mod order;
mod settings;
mod threads;
mod time;

use buslane::stats::Ledger;
use buslane::testing::Gate;
use buslane_tracing::{Guard, NonBlocking, NonBlockingBuilder};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use test_support::heap::Counting;
use test_support::{GUARD, lock, wait_for};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a [`Recorder`] does at one call of `write`.
enum Step {
    /// Fails.
    Fail(io::ErrorKind),
    /// Writes this number of bytes.
    Short(usize),
    /// Panics.
    Panic,
    /// Waits at a gate first, and writes then.
    Wait(Gate),
}

/// What a [`Recorder`] has seen, and what it does next.
#[derive(Default)]
struct Record {
    bytes: Vec<u8>,
    /// The steps of the next calls. Afterwards each call succeeds.
    steps: VecDeque<Step>,
    /// The error of each call, once there are no further steps.
    broken: Option<io::ErrorKind>,
    /// The errors of the next flushes.
    flush_errors: VecDeque<io::ErrorKind>,
    /// A text at which the writer panics, whatever else is in the piece.
    poison: Option<&'static str>,
    /// The number of flushes that panic.
    flush_panics: usize,
    writes: usize,
    flushes: usize,
    dropped: bool,
}

/// The test's view of a writer in memory.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Record>>);

/// The writer itself.
struct RecordingWriter(Recorder);

impl Recorder {
    fn new() -> Self {
        Self::default()
    }

    /// Returns a recorder whose first calls take these steps.
    fn with(steps: impl IntoIterator<Item = Step>) -> Self {
        let recorder = Self::new();
        recorder.record(|record| record.steps.extend(steps));
        recorder
    }

    /// Returns a recorder that waits at the gate in its first call.
    fn gated() -> (Self, Gate) {
        let gate = Gate::closed();
        (Self::with([Step::Wait(gate.clone())]), gate)
    }

    fn writer(&self) -> RecordingWriter {
        RecordingWriter(self.clone())
    }

    fn record<R>(&self, call: impl FnOnce(&mut Record) -> R) -> R {
        call(&mut lock(&self.0))
    }

    fn text(&self) -> String {
        self.record(|record| String::from_utf8(record.bytes.clone()).unwrap())
    }

    /// Returns the lines that are no texts of the crate.
    fn lines(&self) -> Vec<String> {
        self.text().lines().filter(|line| !line.starts_with("buslane: ")).map(str::to_owned).collect()
    }

    /// Returns the texts of the crate.
    fn notices(&self) -> Vec<String> {
        self.text().lines().filter_map(|line| line.strip_prefix("buslane: ")).map(str::to_owned).collect()
    }

    fn wait_for_writes(&self, writes: usize) {
        wait_for(|| self.record(|record| record.writes >= writes));
    }
}

impl Write for RecordingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (step, broken, poison) = self.0.record(|record| {
            record.writes += 1;
            (record.steps.pop_front(), record.broken, record.poison)
        });
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!poison.is_some_and(has), "the writer panicked as planned");
        let mut count = bytes.len();
        match (step, broken) {
            (Some(Step::Fail(kind)), _) | (None, Some(kind)) => return Err(kind.into()),
            (Some(Step::Short(most)), _) => count = count.min(most),
            (Some(Step::Panic), _) => panic!("the writer panicked as planned"),
            (Some(Step::Wait(gate)), _) => gate.pass(),
            (None, None) => {}
        }
        self.0.record(|record| record.bytes.extend_from_slice(&bytes[..count]));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let (error, panics) = self.0.record(|record| {
            record.flushes += 1;
            let panics = record.flush_panics > 0;
            record.flush_panics -= usize::from(panics);
            (record.flush_errors.pop_front(), panics)
        });
        assert!(!panics, "the flush panicked as planned");
        error.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Drop for RecordingWriter {
    fn drop(&mut self) {
        self.0.record(|record| record.dropped = true);
    }
}

/// Returns a log with the default settings.
fn log(recorder: &Recorder) -> (NonBlocking, Guard) {
    buslane_tracing::non_blocking(recorder.writer())
}

/// Returns a log whose lanes hold this number of lines.
fn log_of(recorder: &Recorder, capacity: usize) -> (NonBlocking, Guard) {
    NonBlockingBuilder::default().capacity(capacity).build(recorder.writer()).unwrap()
}

/// Writes one line.
fn put(log: &NonBlocking, line: impl std::fmt::Display) {
    writeln!(&mut &*log, "{line}").unwrap();
}

/// Writes the numbers as lines.
fn put_all(log: &NonBlocking, lines: impl IntoIterator<Item = usize>) {
    lines.into_iter().for_each(|line| put(log, line));
}

/// Returns the numbers as the lines of [`put_all`].
fn numbers(lines: impl IntoIterator<Item = usize>) -> Vec<String> {
    lines.into_iter().map(|line| line.to_string()).collect()
}

/// Waits until everything is written.
#[track_caller]
fn flush(guard: &Guard) {
    let report = guard.flush(GUARD);
    assert!(report.is_done(), "{report}");
}

/// Closes the log, which must be complete.
#[track_caller]
fn close(guard: Guard) {
    let report = guard.close(GUARD);
    assert!(report.is_done(), "{report}");
}

/// Returns the ledger of a log at rest.
#[track_caller]
fn balanced(log: &NonBlocking) -> Ledger {
    let ledger = log.ledger();
    ledger.check().unwrap_or_else(|imbalance| panic!("{imbalance}"));
    ledger
}

/// Writes a line that the writer's gate holds, and returns when it is there: the worker is busy until
/// the gate opens.
fn put_and_hold(log: &NonBlocking, gate: &Gate) {
    put(log, "held");
    gate.wait_reached(1);
}
