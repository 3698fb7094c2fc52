//! A writer of records that fails, hangs up, and is opened again.

use super::{Gated, Kept, Written, ledger};
use buslane::Bus;
use buslane_tracing::{Json, Record, RecordWriter, Text, layer};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Mutex};
use test_support::{GUARD, lock, wait_for};
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

/// What a [`Flaky`] writer does at one call.
#[derive(Clone, Copy)]
enum Step {
    Fail,
    /// Takes this number of bytes.
    Short(usize),
    Panic,
}

/// A writer whose first calls take some steps. Afterwards each call succeeds.
#[derive(Clone)]
struct Flaky {
    steps: Arc<Mutex<VecDeque<Step>>>,
    kept: Kept,
}

impl Flaky {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: Arc::new(Mutex::new(steps.into_iter().collect())), kept: Kept::default() }
    }

    fn wait_for_steps(&self) {
        wait_for(|| lock(&self.steps).is_empty());
    }
}

impl Write for Flaky {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let step = lock(&self.steps).pop_front();
        match step {
            Some(Step::Fail) => Err(ErrorKind::StorageFull.into()),
            Some(Step::Short(most)) => self.kept.write(&bytes[..bytes.len().min(most)]),
            Some(Step::Panic) => panic!("the writer panicked as planned"),
            None => self.kept.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs events in a span to a layer on the bus.
fn log(bus: &Bus<Record>, numbers: std::ops::Range<i64>) {
    let subscriber = tracing_subscriber::registry().with(layer(bus).build());
    tracing::subscriber::with_default(subscriber, || {
        let _span = info_span!("request", name = "a \"name\"").entered();
        numbers.for_each(|n| info!(n, "event"));
    });
}

/// Reads each line as an object, and returns the numbers of the events and the texts of the crate.
fn read(lines: &[String]) -> (Vec<i64>, Vec<String>) {
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let (own, events): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object["target"] == "buslane");
    let text = |object: &&Value| object["fields"]["message"].as_str().unwrap().to_owned();
    let numbers = events.iter().map(|object| object["fields"]["n"].as_i64().unwrap());
    (numbers.collect(), own.iter().map(text).collect())
}

#[test]
fn failing_writer_loses_no_object() {
    let writer = Flaky::new([Step::Fail, Step::Short(10), Step::Fail, Step::Short(1), Step::Fail]);
    let bus = Bus::new();
    let guard = RecordWriter::new(Json::new(), writer.clone()).start(&bus).unwrap();
    log(&bus, 0..50);
    writer.wait_for_steps();
    assert!(guard.flush(GUARD).is_done());
    let (numbers, own) = read(&writer.kept.lines());
    assert_eq!(numbers, Vec::from_iter(0..50));
    assert!(own.len() == 1 && own[0].starts_with("the writer failed for "), "{own:?}");
    assert_eq!(guard.writer_errors(), [(ErrorKind::StorageFull, 3)]);
    assert_eq!(ledger(&guard).dropped.total(), 0);
    assert!(guard.close(GUARD).is_done());
}

#[test]
fn reopened_writer_gets_whole_objects() {
    let (old, new) = (Flaky::new([Step::Short(25), Step::Fail]), Flaky::new([]));
    let bus = Bus::new();
    let mut next = vec![new.clone()];
    let reopen = move || next.pop().ok_or_else(|| io::Error::other("no further writer"));
    let writer = RecordWriter::new(Json::new(), old.clone()).reopen_with(reopen);
    let guard = writer.start(&bus).unwrap();
    log(&bus, 0..1);
    wait_for(|| !new.kept.text().is_empty());
    log(&bus, 1..20);
    assert!(guard.close(GUARD).is_done());
    assert_eq!(old.kept.text().len(), 25);
    let (numbers, own) = read(&new.kept.lines());
    assert_eq!((numbers, own.len()), (Vec::from_iter(0..20), 1));
}

#[test]
fn panicking_writer_breaks_no_further_object() {
    let writer = Flaky::new([Step::Short(5), Step::Panic]);
    let bus = Bus::new();
    let builder = RecordWriter::new(Json::new(), writer.clone()).one_write_per_line(true);
    let guard = builder.start(&bus).unwrap();
    log(&bus, 0..1);
    writer.wait_for_steps();
    log(&bus, 1..20);
    assert!(guard.flush(GUARD).is_done());
    let lines = writer.kept.lines();
    assert_eq!(lines[0].len(), 5, "the torn object is a line of its own");
    let (numbers, own) = read(&lines[1..]);
    assert_eq!(numbers, Vec::from_iter(1..20));
    assert!(own.iter().any(|text| text == "1 line lost (panicked)"), "{own:?}");
    assert_eq!(guard.close(GUARD).undelivered, 1);
}

#[test]
fn writers_of_one_name_tell_their_own_losses() {
    // Both have the default name. The first one is too small for what is logged.
    let (small, large) = (Gated::new(), Kept::default());
    let bus = Bus::new();
    let first = RecordWriter::new(Text::new(), small.clone()).capacity(8).start(&bus).unwrap();
    let second = RecordWriter::new(Text::new(), large.clone()).capacity(4096).start(&bus).unwrap();
    log(&bus, 0..1);
    small.0.wait_reached(1);
    log(&bus, 0..1000);
    small.0.open();
    assert!(first.flush(GUARD).is_done() && second.flush(GUARD).is_done());
    let lost = ledger(&first).dropped.full;
    let told = |kept: &Kept| kept.lines().iter().filter(|line| line.contains("lost (full)")).count();
    assert!(lost > 0 && told(&small.1) > 0, "{lost}");
    assert_eq!((ledger(&second).dropped.full, told(&large)), (0, 0));
    drop((first, second));
}

#[test]
fn lines_above_the_limit_of_a_grace_are_written() {
    let written = Written::start_with(Text::new(), |writer| {
        writer.grace(std::time::Duration::from_secs(3600)).overflow(buslane::Overflow::Block)
    });
    written.log(|| (0..70_000).for_each(|n| info!(n, "event")));
    wait_for(|| !written.kept.text().is_empty());
    assert!(written.guard.flush(GUARD).is_done());
    // All are from one thread: those that were written early are in order, too.
    assert_eq!(written.guard.lines_out_of_order(), 0);
    assert_eq!(written.close().len(), 70_000);
}
