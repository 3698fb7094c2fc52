//! Flush and close: what waits is exported at once, within the deadline, and is counted.

use crate::probe::Probe;
use crate::receiver::{Receiver, Reply, exporter, unused_address};
use crate::{SECOND, chain, numbered, scope};
use buslane::stats::Finish;
use buslane::testing::Gate;
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Queue, Sink, SinkExt};
use buslane_otel::opentelemetry_sdk::logs::InMemoryLogExporter;
use buslane_otel::{LogSink, otlp_logs};
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{assert_balanced, ends, flush, wait_for};

const SOON: Duration = Duration::from_millis(50);

#[test]
fn flush_exports_before_the_batch_is_complete() {
    let exporter = InMemoryLogExporter::default();
    let logs = otlp_logs(exporter.clone(), scope(), numbered).age(3600 * SECOND);
    let queue = Queue::builder().spawn_sink(logs).unwrap();
    for event in 0..3 {
        queue.write(event).unwrap();
    }
    flush(&queue);
    assert_eq!(exporter.get_emitted_logs().unwrap().len(), 3);
    assert_eq!(assert_balanced(&queue.state()).delivered, 3);
}

#[test]
fn incomplete_batch_is_exported_at_its_age() {
    let exporter = InMemoryLogExporter::default();
    let logs = otlp_logs(exporter.clone(), scope(), numbered).age(Duration::from_millis(1));
    let queue = Queue::builder().spawn_sink(logs).unwrap();
    queue.write(7).unwrap();
    wait_for(|| exporter.get_emitted_logs().unwrap().len() == 1);
}

#[test]
fn close_exports_the_rest_and_shuts_down() {
    let exporter = InMemoryLogExporter::default();
    let queue = otlp_logs(exporter.clone(), scope(), numbered).queue(64).unwrap();
    for event in 0..10 {
        queue.write(event).unwrap();
    }
    assert!(queue.close().is_done());
    assert!(exporter.is_shutdown_called());
    assert_eq!(assert_balanced(&queue.state()).delivered, 10);
    assert!(queue.write(11).is_err_and(|error| error.is_closed()));
}

#[test]
fn close_ends_retries_at_its_deadline() {
    let queue = ends(|| {
        let sink = LogSink::new(exporter(unused_address()), scope(), numbered);
        let policy = buslane_otel::ExportRetry::default();
        let queue = sink.retry(policy).batch(4).queue(64).unwrap();
        for event in 0..10 {
            queue.write(event).unwrap();
        }
        let report = queue.close_timeout(SOON);
        assert_eq!(report.finish, Finish::TimedOut, "{report}");
        queue
    });
    wait_for(|| queue.state().ledger.pending == 0);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.accepted, ledger.delivered, ledger.dropped.total()), (10, 0, 10), "{ledger}");
}

#[test]
fn close_ends_a_wait_that_the_endpoint_asks_for() {
    let receiver = Receiver::start([(); 20].map(|()| Reply::After(503, "60")));
    let queue = otlp_logs(exporter(receiver.address()), scope(), numbered).queue(64).unwrap();
    queue.write(1).unwrap();
    let (flushing, closing) = (queue.clone(), queue.clone());
    let report = ends(move || flushing.flush_timeout(SOON));
    assert_eq!(report.finish, Finish::TimedOut, "{report}");
    wait_for(|| !receiver.requests().is_empty());
    let report = ends(move || closing.close_timeout(SOON));
    assert_eq!(report.finish, Finish::TimedOut, "{report}");
    // The worker ends, too: it does not wait for a minute.
    wait_for(|| queue.state().ledger.pending == 0);
    assert_eq!(assert_balanced(&queue.state()).dropped.total(), 1);
}

#[test]
fn close_does_not_wait_for_a_blocked_exporter() {
    let gate = Gate::closed();
    let held = gate.clone();
    let exporter = Probe(move |_| {
        held.pass();
        ready(Ok(()))
    });
    let queue = chain(exporter, 4).0.queue(64).unwrap();
    for event in 0..10 {
        queue.write(event).unwrap();
    }
    gate.wait_reached(1);
    let closing = queue.clone();
    let report = ends(move || closing.close_timeout(SOON));
    assert_eq!(report.finish, Finish::TimedOut, "{report}");
    gate.open();
    wait_for(|| queue.state().ledger.pending == 0);
    let ledger = assert_balanced(&queue.state());
    assert_eq!(ledger.delivered + ledger.dropped.total(), 10);
    assert_eq!(ledger.delivered, 4, "the export in progress succeeded");
}

/// Counts the futures that were dropped before their end.
struct Cancelled(Arc<AtomicUsize>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

#[test]
fn deadline_cancels_an_asynchronous_export() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let (begun, count) = (Gate::closed(), cancelled.clone());
    begun.open();
    let reached = begun.clone();
    let exporter = Probe(move |_| {
        let guard = Cancelled(count.clone());
        reached.pass();
        async move {
            let _guard = guard;
            pending().await
        }
    });
    let sink = Arc::new(LogSink::new(exporter, scope(), numbered));
    let bounded = sink.clone().timeout(SOON);
    assert!(ends(
        move || matches!(bounded.write(vec![1]), Err(buslane::WriteError::Timeout(batch)) if batch == [1])
    ));
    assert_eq!(cancelled.load(Ordering::Acquire), 1);

    let writing = sink.clone();
    let write = thread::spawn(move || writing.write(vec![2]));
    begun.wait_reached(2);
    sink.abort_now();
    let result = ends(move || write.join().unwrap());
    assert!(result.is_err_and(|error| error.is_closed() && error.into_event() == [2]));
    assert_eq!(cancelled.load(Ordering::Acquire), 2);
    assert!(sink.close_by(Deadline::NOW).is_done());
}

#[test]
fn close_of_a_queue_cancels_an_asynchronous_export() {
    let queue = chain(Probe(|_| pending()), 4).0.queue(64).unwrap();
    for event in 0..10 {
        queue.write(event).unwrap();
    }
    let closing = queue.clone();
    let report = ends(move || closing.close_timeout(SOON));
    assert_eq!(report.finish, Finish::TimedOut, "{report}");
    wait_for(|| queue.state().ledger.pending == 0);
    assert_eq!(assert_balanced(&queue.state()).dropped.total(), 10);
}

#[test]
fn flush_against_close_loses_and_repeats_nothing() {
    for round in 0..50 {
        let exported = Arc::new(AtomicUsize::new(0));
        let count = exported.clone();
        let exporter = Probe(move |records| {
            count.fetch_add(records, Ordering::Relaxed);
            ready(Ok(()))
        });
        let logs = otlp_logs(exporter, scope(), numbered);
        let queue = Queue::builder().capacity(16).overflow(Overflow::Block).spawn_sink(logs).unwrap();
        let bus = Bus::new();
        bus.add(queue.clone()).unwrap();
        thread::scope(|threads| {
            for part in 0..2_u64 {
                let mut publisher = bus.publisher();
                threads.spawn(move || {
                    for event in 0..100 {
                        if publisher.publish((part << 32) + event).is_err() {
                            return;
                        }
                    }
                });
            }
            threads.spawn(|| {
                for _ in 0..=round % 5 {
                    let _ = bus.flush_timeout(SECOND);
                }
            });
            threads.spawn(|| {
                (0..round * 20).for_each(|_| thread::yield_now());
                let report = bus.close_timeout(test_support::GUARD);
                assert!(report.is_done(), "{report}");
            });
        });
        let ledger = assert_balanced(&queue.state());
        let exported = exported.load(Ordering::Relaxed) as u64;
        assert_eq!((ledger.accepted, ledger.delivered), (exported, exported), "{ledger}");
    }
}

#[test]
fn full_queue_never_blocks_a_publisher() {
    let gate = Gate::closed();
    let held = gate.clone();
    let exporter = Probe(move |_| {
        held.pass();
        ready(Ok(()))
    });
    let queue = chain(exporter, 4).0.queue(8).unwrap();
    let bus = Bus::new();
    bus.add(queue.clone()).unwrap();
    let bus = ends(move || {
        let mut publisher = bus.publisher();
        for event in 0..1000 {
            let _ = publisher.publish(event).unwrap();
        }
        bus
    });
    gate.open();
    assert!(bus.close().is_done());
    let ledger = assert_balanced(&queue.state());
    assert_eq!(ledger.delivered + ledger.dropped.full, 1000, "{ledger}");
    assert!(ledger.dropped.full >= 1000 - 24, "{ledger}");
}
