//! Exports the events of a bus as OTLP logs, and prints what became of them.
//!
//! Run it with `cargo run -p buslane-otel --example otlp_logs -- http://127.0.0.1:4318/v1/logs` while
//! a collector listens there. Without a collector it prints how the events were lost after three
//! attempts. The argument is optional.

use buslane::retry::Backoff;
use buslane::{Bus, SinkExt};
use buslane_otel::opentelemetry::InstrumentationScope;
use buslane_otel::opentelemetry::logs::Severity;
use buslane_otel::opentelemetry_sdk::Resource;
use buslane_otel::{ExportRetry, LogEntry, LogSink, ObservedClient};
use opentelemetry_otlp::{LogExporter, RetryPolicy, WithExportConfig, WithHttpConfig};
use std::time::{Duration, SystemTime};

#[derive(Clone)]
struct Order {
    id: u64,
    cents: i64,
    placed: SystemTime,
}

fn map(order: &Order, entry: &mut LogEntry<'_>) {
    let severity = if order.cents > 100_000 { Severity::Warn } else { Severity::Info };
    entry.event_name("order.placed").severity(severity).time(order.placed).body("order placed");
    entry.unsigned("order.id", order.id).attribute("order.cents", order.cents);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:4318/v1/logs".to_owned());
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(1)).build()?;
    let exporter = LogExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_http_client(ObservedClient::new(client))
        .with_retry_policy(RetryPolicy::disabled()) // the queue retries, and counts that
        .build()?;
    let sink = LogSink::new(exporter, InstrumentationScope::builder("checkout").build(), map)
        .resource(Resource::builder().with_service_name("shop").build());
    let policy = ExportRetry::new(Backoff::default().max_attempts(3));
    let logs = sink.retry(policy).batch(512).age(Duration::from_secs(1));

    let bus = Bus::new();
    bus.add_named("otlp", logs.queue(4096)?)?;
    let mut publisher = bus.publisher();
    for id in 0..1000 {
        let published = publisher.publish(Order { id, cents: 1250, placed: SystemTime::now() })?;
        assert!(published.is_complete()); // the queue had room
    }
    println!("{}", bus.close()); // exports what waits, with a deadline
    println!("{}", bus.snapshot());
    Ok(())
}
