//! The records of a `tracing` layer as log records.

use super::entry::LogEntry;
use super::is_exporting;
use buslane_tracing::{Kind, Record, Value};
use opentelemetry::logs::{AnyValue, Severity};
use tracing_core::Level;

/// The fields in which the `log` facade carries the place of an event. tracing-log uses the same names.
const LOG_FIELDS: [&str; 4] = ["log.target", "log.file", "log.line", "log.module_path"];

/// Fills in the log record of an event that a layer of `buslane-tracing` published: the mapping for
/// [`otlp_logs`](crate::otlp_logs) on a bus of records.
///
/// | log record | from |
/// |---|---|
/// | time | the timestamp, unless the layer has no clock |
/// | severity | the level |
/// | body | the message |
/// | target, sent as the name of the scope | the target |
/// | attributes | the fields, with their types; numbers beyond 64 bits as text |
/// | `code.file.path`, `code.line.number`, `thread.id` | file, line and thread |
///
/// The spans of a layer are records, too. OTLP has another signal for spans, so keep them out with
/// [`is_event`] upstream of the queue. The span around an event is not exported: its id is one of
/// this process, not one of a trace.
///
/// # Examples
/// ```
/// use buslane::{Bus, SinkExt};
/// use buslane_otel::opentelemetry::InstrumentationScope;
/// use buslane_otel::opentelemetry_sdk::logs::InMemoryLogExporter;
/// use buslane_otel::{is_event, map_record, otlp_logs};
/// use buslane_tracing::Record;
///
/// let scope = InstrumentationScope::builder("checkout").build();
/// let logs = otlp_logs(InMemoryLogExporter::default(), scope, map_record);
/// let bus: Bus<Record> = Bus::new();
/// bus.add_named("otlp", logs.queue(4096)?.filter(is_event))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn map_record<const N: usize>(record: &Record<N>, entry: &mut LogEntry<'_>) {
    entry.severity(severity(*record.level())).target(record.target().to_owned());
    if !record.timestamp().is_none() {
        entry.time(record.timestamp().into());
    }
    let message = record.message();
    if !message.is_empty() {
        entry.body(message.to_owned());
    }
    // What the `log` facade carries in fields is sent below.
    let metadata = record.metadata();
    let of_log = metadata.target() == "log" && metadata.fields().field(LOG_FIELDS[0]).is_some();
    for field in record.fields() {
        let name = field.name();
        if name != "message" && !(of_log && LOG_FIELDS.contains(&name)) {
            attribute(entry, name.strip_prefix("r#").unwrap_or(name), field.value());
        }
    }
    if let Some(file) = record.file() {
        entry.attribute("code.file.path", file.to_owned());
    }
    if let Some(line) = record.line() {
        entry.attribute("code.line.number", line);
    }
    entry.attribute("thread.id", record.thread());
}

/// Returns `true` for the record of an event, and `false` for that of a span.
///
/// It also returns `false` on a thread that is [exporting](is_exporting): an exporter that logs would
/// otherwise export its own events, and log again. As a filter upstream of the queue it is called on
/// the thread that logs, and the filter counts these events.
///
/// # Examples
/// See [`map_record`].
#[must_use]
pub fn is_event<const N: usize>(record: &Record<N>) -> bool {
    record.kind() == Kind::Event && !is_exporting()
}

fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

fn attribute(entry: &mut LogEntry<'_>, name: &'static str, value: Value<'_>) {
    match value {
        Value::I64(number) => entry.attribute(name, number),
        Value::U64(number) => entry.unsigned(name, number),
        Value::F64(number) => entry.attribute(name, number),
        Value::Bool(flag) => entry.attribute(name, flag),
        Value::Str(text) | Value::Debug(text) | Value::Error(text) => entry.attribute(name, text.to_owned()),
        Value::Bytes(bytes) => entry.attribute(name, AnyValue::from(bytes)),
        other => entry.attribute(name, other.to_string()),
    };
}
