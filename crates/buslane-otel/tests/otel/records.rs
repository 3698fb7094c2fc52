//! The records of a `tracing` layer, as a receiver decodes them.

use crate::probe::Probe;
use crate::receiver::{Receiver, attribute, exporter, integer};
use crate::{PATIENCE, scope};
use buslane::{Bus, SinkExt, WeakBus};
use buslane_otel::{is_event, map_record, otlp_logs};
use buslane_tracing::Record;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::future::ready;
use std::sync::{Arc, OnceLock};
use test_support::assert_balanced;
use test_support::bus::{flush_bus, ledger};
use tracing_subscriber::prelude::*;

#[test]
fn events_of_a_layer_arrive_with_their_fields() {
    let receiver = Receiver::start([]);
    let bus: Bus<Record> = Bus::new();
    let queue = otlp_logs(exporter(receiver.address()), scope(), map_record).queue(64).unwrap();
    bus.add(queue.clone().filter(is_event)).unwrap();
    let subscriber = tracing_subscriber::registry().with(buslane_tracing::layer(&bus).build());
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("request", id = 7).entered();
        tracing::warn!(
            target: "shop",
            code = 504,
            large = u64::MAX,
            wide = u128::MAX,
            half = 0.5,
            slow = true,
            path = "/cart",
            what = ?Some(1),
            "no answer"
        );
        tracing::error!(target: "shop", "and {} more", "one");
    });
    let report = bus.close_timeout(PATIENCE);
    assert!(report.is_done(), "{report}");
    assert_eq!(assert_balanced(&queue.state()).delivered, 2, "the span is not exported");

    let records = receiver.records();
    let [warning, error] = &records[..] else { panic!("{} records", records.len()) };
    assert_eq!((warning.severity_text.as_str(), error.severity_text.as_str()), ("WARN", "ERROR"));
    assert!(warning.time_unix_nano > 0 && warning.time_unix_nano <= error.time_unix_nano);
    let body = |text: &str| Some(Value::StringValue(text.to_owned()));
    assert_eq!(warning.body.clone().unwrap().value, body("no answer"));
    assert_eq!(error.body.clone().unwrap().value, body("and one more"));
    let expected = [
        ("code", Value::IntValue(504)),
        ("large", Value::StringValue(u64::MAX.to_string())),
        ("wide", Value::StringValue(u128::MAX.to_string())),
        ("half", Value::DoubleValue(0.5)),
        ("slow", Value::BoolValue(true)),
        ("path", Value::StringValue("/cart".to_owned())),
        ("what", Value::StringValue("Some(1)".to_owned())),
    ];
    for (key, value) in expected {
        assert_eq!(attribute(warning, key), value, "{key}");
    }
    assert!(integer(warning, "code.line.number") < integer(error, "code.line.number"));
    assert!(integer(warning, "thread.id") > 0);
    let request = receiver.logs().remove(0);
    assert_eq!(request.resource_logs[0].scope_logs[0].scope.as_ref().unwrap().name, "shop");
}

#[test]
fn field_names_of_users_are_kept() {
    let receiver = Receiver::start([]);
    let bus: Bus<Record> = Bus::new();
    let queue = otlp_logs(exporter(receiver.address()), scope(), map_record).queue(64).unwrap();
    bus.add(queue.filter(is_event)).unwrap();
    let subscriber = tracing_subscriber::registry().with(buslane_tracing::layer(&bus).build());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(log.record.uid = "a", r#type = 1, "event");
    });
    assert!(bus.close_timeout(PATIENCE).is_done());
    let [record] = &receiver.records()[..] else { panic!("one record") };
    assert_eq!(attribute(record, "log.record.uid"), Value::StringValue("a".to_owned()));
    assert_eq!(attribute(record, "type"), Value::IntValue(1));
}

#[test]
fn events_of_the_exporter_are_filtered() {
    let looped: Arc<OnceLock<WeakBus<Record>>> = Arc::default();
    let target = looped.clone();
    let exporter = Probe(move |_| {
        if let Some(bus) = target.get().and_then(WeakBus::upgrade) {
            let subscriber = tracing_subscriber::registry().with(buslane_tracing::layer(&bus).build());
            tracing::subscriber::with_default(subscriber, || tracing::warn!("rejected"));
        }
        ready(Ok(()))
    });
    let bus: Bus<Record> = Bus::new();
    assert!(looped.set(bus.downgrade()).is_ok());
    let queue = otlp_logs(exporter, scope(), map_record).queue(64).unwrap();
    bus.add_named("otlp", queue.filter(is_event)).unwrap();
    let subscriber = tracing_subscriber::registry().with(buslane_tracing::layer(&bus).build());
    tracing::subscriber::with_default(subscriber, || tracing::info!("event"));
    flush_bus(&bus);
    let ledger = ledger(&bus, "otlp");
    assert_eq!((ledger.delivered, ledger.filtered), (1, 1), "{ledger}");
    assert!(bus.close_timeout(PATIENCE).is_done());
}
