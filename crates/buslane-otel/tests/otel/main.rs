//! Tests of log records and instruments: values on the wire, every answer of an endpoint, the end of
//! a queue, loops, and collections.

mod answers;
mod ending;
mod instruments;
mod loops;
mod probe;
mod receiver;
#[cfg(feature = "tracing")]
mod records;
mod runtime;
mod values;

use buslane::retry::{Backoff, Retry};
use buslane::sink::Batch;
use buslane::stats::{Ledger, SinkState};
use buslane::testing::ManualClock;
use buslane::{Bus, Queue, SinkExt};
use buslane_otel::opentelemetry::InstrumentationScope;
use buslane_otel::opentelemetry_sdk::logs::LogExporter;
use buslane_otel::{ExportRetry, LogEntry, LogSink};
use receiver::Receiver;
use std::time::Duration;
use test_support::assert_balanced;

/// The longest time that a request to a receiver that answers may take.
const PATIENCE: Duration = test_support::GUARD;

const SECOND: Duration = Duration::from_secs(1);

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("tests").with_version("1.2.3").build()
}

/// The mapping of tests that count: the event is an attribute.
fn numbered(event: &u64, entry: &mut LogEntry<'_>) {
    entry.unsigned("number", *event);
}

type Chain<X> = Batch<u64, Retry<Vec<u64>, LogSink<u64, X>, ExportRetry>>;

/// Returns batches of `size` events that are exported at most three times, a second apart by the
/// returned clock, which advances by itself.
fn chain<X: LogExporter>(exporter: X, size: usize) -> (Chain<X>, ManualClock) {
    let clock = ManualClock::hurrying();
    let policy = ExportRetry::new(Backoff::new(SECOND, SECOND).jitter(0.0).max_attempts(3));
    let sink = LogSink::new(exporter, scope(), numbered).retry(policy).clock(clock.clone());
    (sink.batch(size), clock)
}

/// Publishes the numbers from 0 to a queue upstream of the sink, closes the bus, and returns the
/// state of the queue.
fn publish_all<X: LogExporter + 'static>(chain: Chain<X>, events: u64) -> SinkState {
    let queue = Queue::builder().capacity(1 << 14).spawn_sink(chain).unwrap();
    let bus = Bus::new();
    bus.add(queue.clone()).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..events {
        assert!(publisher.publish(event).unwrap().is_complete());
    }
    let report = bus.close_timeout(PATIENCE);
    assert!(report.is_done(), "{report}");
    queue.state()
}

/// Returns the events that were delivered, and those that failed. There must be no others.
#[track_caller]
fn fates(state: &SinkState) -> (u64, u64) {
    let Ledger { accepted, delivered, dropped, pending, .. } = assert_balanced(state);
    assert_eq!((accepted, pending), (delivered + dropped.failed, 0), "{}", state.ledger);
    (delivered, dropped.failed)
}

/// Returns the numbers of the records that a receiver accepted, in their order.
fn numbers(receiver: &Receiver) -> Vec<u64> {
    let records = receiver.records();
    records.iter().map(|record| receiver::integer(record, "number")).collect()
}
