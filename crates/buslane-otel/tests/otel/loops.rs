//! Telemetry about the export of telemetry: neither a recursion nor an endless loop.

use crate::probe::Probe;
use crate::{chain, numbered, scope};
use buslane::{Bus, Sink, SinkExt, WeakBus};
use buslane_otel::opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
use buslane_otel::opentelemetry_sdk::logs::{InMemoryLogExporter, LogExporter, SdkLoggerProvider};
use buslane_otel::{LogEntry, LogSink, is_exporting};
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use test_support::bus::{flush_bus, ledger};
use test_support::ends;

/// A bus whose exporter publishes on it, and the number of exports.
type Looped = (Arc<OnceLock<WeakBus<u64>>>, Arc<AtomicUsize>);

fn publishing() -> (impl LogExporter + 'static, Looped) {
    let looped: Looped = Looped::default();
    let (target, exports) = looped.clone();
    let exporter = Probe(move |_| {
        assert!(is_exporting());
        exports.fetch_add(1, Ordering::Relaxed);
        if let Some(bus) = target.get().and_then(WeakBus::upgrade) {
            let _ = bus.publish(1000);
        }
        ready(Ok(()))
    });
    (exporter, looped)
}

#[test]
fn filter_ends_the_loop_of_a_publishing_exporter() {
    let (exporter, (target, exports)) = publishing();
    let bus = Bus::new();
    target.set(bus.downgrade()).unwrap();
    let queue = chain(exporter, 4).0.queue(64).unwrap();
    bus.add_named("otlp", queue.filter(|_: &u64| !is_exporting())).unwrap();
    for event in 0..8 {
        let _ = bus.publish(event).unwrap();
    }
    flush_bus(&bus);
    let exports = exports.load(Ordering::Relaxed) as u64;
    let ledger = ledger(&bus, "otlp");
    assert_eq!((ledger.delivered, ledger.filtered), (8, exports), "{ledger}");
    assert!(bus.close().is_done());
}

#[test]
fn exporter_that_publishes_never_blocks_a_flush() {
    let (exporter, (target, _)) = publishing();
    let bus = Bus::new();
    target.set(bus.downgrade()).unwrap();
    bus.add_named("otlp", chain(exporter, 4).0.queue(64).unwrap()).unwrap();
    for event in 0..8 {
        let _ = bus.publish(event).unwrap();
    }
    let bus = ends(move || {
        flush_bus(&bus);
        bus
    });
    let report = ends(move || bus.close());
    assert!(report.is_done(), "{report}");
}

#[test]
fn filter_ends_the_loop_without_a_queue() {
    let (exporter, (target, exports)) = publishing();
    let bus = Bus::new();
    target.set(bus.downgrade()).unwrap();
    bus.add_named("otlp", chain(exporter, 1).0.filter(|_: &u64| !is_exporting())).unwrap();
    let bus = ends(move || {
        let _ = bus.publish(1).unwrap();
        bus
    });
    assert_eq!(exports.load(Ordering::Relaxed), 1);
    assert_eq!(ledger(&bus, "otlp").filtered, 1);
    let report = ends(move || bus.close());
    assert!(report.is_done(), "{report}");
}

#[test]
fn records_of_the_sdk_are_suppressed_in_an_export() {
    let inner = InMemoryLogExporter::default();
    let provider = SdkLoggerProvider::builder().with_simple_exporter(inner.clone()).build();
    let log = {
        let provider = provider.clone();
        move || {
            let logger = provider.logger("the exporter");
            let mut record = logger.create_log_record();
            record.set_body("about the export".into());
            logger.emit(record);
        }
    };
    let mapped = log.clone();
    let exporter = Probe(move |_| {
        log();
        ready(Ok(()))
    });
    let map = move |event: &u64, entry: &mut LogEntry<'_>| {
        mapped();
        numbered(event, entry);
    };
    let sink = LogSink::new(exporter, scope(), map);
    sink.write(vec![1, 2]).unwrap();
    assert_eq!(inner.get_emitted_logs().unwrap().len(), 0);
    assert!(!is_exporting(), "the scope ends with the write");
    provider.logger("the service").emit(provider.logger("the service").create_log_record());
    assert_eq!(inner.get_emitted_logs().unwrap().len(), 1);
}
