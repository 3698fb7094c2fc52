//! What a receiver decodes is what was published.

use crate::receiver::{Receiver, attribute, exporter, integer};
use crate::{PATIENCE, numbered, scope};
use buslane::{Bus, Overflow, Queue, Sink};
use buslane_otel::opentelemetry::logs::Severity;
use buslane_otel::opentelemetry::{SpanId, TraceFlags, TraceId};
use buslane_otel::opentelemetry_sdk::Resource;
use buslane_otel::{LogEntry, LogSink, otlp_logs};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};
use test_support::assert_balanced;

const EVENTS: u64 = 10_000;

fn severity(event: u64) -> Severity {
    [Severity::Trace, Severity::Debug, Severity::Info, Severity::Warn, Severity::Error, Severity::Fatal2]
        [(event % 6) as usize]
}

fn nanoseconds(event: u64) -> u64 {
    1_700_000_000_000_000_000 + event * 1_000_001
}

fn trace(event: u64) -> u128 {
    (u128::from(event) << 64) + 1
}

/// Fills in every field from the number of the event.
fn map(event: &u64, entry: &mut LogEntry<'_>) {
    let event = *event;
    entry
        .severity(severity(event))
        .time(UNIX_EPOCH + Duration::from_nanos(nanoseconds(event)))
        .event_name("order.placed")
        .body(format!("order {event} é"))
        .span(TraceId::from(trace(event)), SpanId::from(event + 1), Some(TraceFlags::SAMPLED))
        .unsigned("number", event)
        .unsigned("large", u64::MAX - event)
        .attribute("negative", -(event as i64))
        .attribute("half", event as f64 / 2.0)
        .attribute("even", event.is_multiple_of(2))
        .attribute("text", format!("{event:x}"));
}

#[track_caller]
fn assert_maps(record: &LogRecord, event: u64) {
    assert_eq!(integer(record, "number"), event);
    assert_eq!(record.time_unix_nano, nanoseconds(event));
    assert!(record.observed_time_unix_nano > 0);
    let expected = severity(event);
    assert_eq!((record.severity_number, record.severity_text.as_str()), (expected as i32, expected.name()));
    assert_eq!(record.event_name, "order.placed");
    let body = record.body.clone().and_then(|body| body.value);
    assert_eq!(body, Some(Value::StringValue(format!("order {event} é"))));
    assert_eq!(record.trace_id, trace(event).to_be_bytes());
    assert_eq!(record.span_id, (event + 1).to_be_bytes());
    assert_eq!(record.flags, 1);
    let large = (u64::MAX - event).to_string();
    let expected = [
        ("large", Value::StringValue(large)),
        ("negative", Value::IntValue(-(event as i64))),
        ("half", Value::DoubleValue(event as f64 / 2.0)),
        ("even", Value::BoolValue(event.is_multiple_of(2))),
        ("text", Value::StringValue(format!("{event:x}"))),
    ];
    assert_eq!(record.attributes.len(), expected.len() + 1);
    for (key, value) in expected {
        assert_eq!(attribute(record, key), value, "{key} of {event}");
    }
}

#[test]
fn ten_thousand_events_arrive_with_their_values() {
    let receiver = Receiver::start([]);
    let logs = otlp_logs(exporter(receiver.address()), scope(), map);
    let queue = Queue::builder().overflow(Overflow::Block).spawn_sink(logs).unwrap();
    let bus = Bus::new();
    bus.add(queue.clone()).unwrap();
    thread::scope(|threads| {
        for part in 0..4 {
            let mut publisher = bus.publisher();
            threads.spawn(move || {
                for event in (part..EVENTS).step_by(4) {
                    assert!(publisher.publish(event).unwrap().is_complete());
                }
            });
        }
    });
    let report = bus.close_timeout(PATIENCE);
    assert!(report.is_done(), "{report}");
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.offered, ledger.delivered), (EVENTS, EVENTS));

    let mut records = receiver.records();
    let order: Vec<_> = records.iter().map(|record| integer(record, "number")).collect();
    for part in 0..4 {
        let of_one = order.iter().filter(|event| **event % 4 == part);
        assert!(of_one.is_sorted(), "the order of a publisher is kept");
    }
    records.sort_by_key(|record| integer(record, "number"));
    assert_eq!(records.len() as u64, EVENTS);
    for (record, event) in records.iter().zip(0..) {
        assert_maps(record, event);
    }
    for request in receiver.logs() {
        let records: usize = request.resource_logs[0].scope_logs.iter().map(|it| it.log_records.len()).sum();
        assert!(records <= 512, "{records}");
    }
}

#[test]
fn resource_and_scope_are_exported() {
    let receiver = Receiver::start([]);
    let resource = Resource::builder_empty().with_service_name("shop").build();
    let sink = LogSink::new(exporter(receiver.address()), scope(), numbered).resource(resource);
    sink.write(vec![7]).unwrap();
    let request = receiver.logs().remove(0);
    let logs = &request.resource_logs[0];
    let attributes = &logs.resource.as_ref().unwrap().attributes;
    let text = attributes[0].value.clone().unwrap().value;
    assert_eq!((attributes[0].key.as_str(), text), ("service.name", Some(Value::StringValue("shop".into()))));
    let scope = logs.scope_logs[0].scope.as_ref().unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("tests", "1.2.3"));
    assert_eq!(receiver.requests()[0].path, "/v1/logs");
}

#[test]
fn resource_of_the_sdk_is_the_default() {
    let receiver = Receiver::start([]);
    LogSink::new(exporter(receiver.address()), scope(), numbered).write(vec![7]).unwrap();
    let request = receiver.logs().remove(0);
    let attributes = &request.resource_logs[0].resource.as_ref().unwrap().attributes;
    assert!(attributes.iter().any(|attribute| attribute.key == "telemetry.sdk.name"));
}

#[test]
fn empty_batch_sends_no_request() {
    let receiver = Receiver::start([]);
    LogSink::new(exporter(receiver.address()), scope(), numbered).write(Vec::new()).unwrap();
    assert!(receiver.requests().is_empty());
}
