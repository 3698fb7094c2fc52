//! The log record of one event, as a mapping fills it in.

use opentelemetry::logs::{AnyValue, LogRecord, Severity};
use opentelemetry::{Key, SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::logs::SdkLogRecord;
use std::borrow::Cow;
use std::time::SystemTime;

/// The log record of one event, which the function given to [`otlp_logs`](crate::otlp_logs) fills
/// in.
///
/// Nothing is required: a field that is not set is not sent. The time at which the record was made
/// is set as the observed time, so a record always has a time.
///
/// # Examples
/// ```
/// use buslane::Sink;
/// use buslane_otel::opentelemetry::logs::Severity;
/// use buslane_otel::opentelemetry::{InstrumentationScope, SpanId, TraceId};
/// use buslane_otel::opentelemetry_sdk::logs::InMemoryLogExporter;
/// use std::time::SystemTime;
///
/// struct Order { id: u64, cents: i64, placed: SystemTime, trace: u128, span: u64 }
///
/// let exporter = InMemoryLogExporter::default();
/// let scope = InstrumentationScope::builder("checkout").build();
/// let logs = buslane_otel::otlp_logs(exporter.clone(), scope, |order: &Order, entry| {
///     entry
///         .event_name("order.placed")
///         .severity(Severity::Info)
///         .time(order.placed)
///         .span(TraceId::from(order.trace), SpanId::from(order.span), None)
///         .body(format!("order {} over {} cents", order.id, order.cents))
///         .unsigned("order.id", order.id)
///         .attribute("order.cents", order.cents);
/// });
/// logs.at_end_of_batch().write(Order { id: 7, cents: 1250, placed: SystemTime::now(), trace: 1, span: 2 })?;
/// # Ok::<(), buslane::WriteError<Order>>(())
/// ```
#[derive(Debug)]
pub struct LogEntry<'a>(&'a mut SdkLogRecord);

impl<'a> LogEntry<'a> {
    pub(crate) fn new(record: &'a mut SdkLogRecord) -> Self {
        Self(record)
    }

    /// Sets the severity, as a number and as its text (`INFO`).
    pub fn severity(&mut self, severity: Severity) -> &mut Self {
        self.0.set_severity_number(severity);
        self.0.set_severity_text(severity.name());
        self
    }

    /// Sets the message, or another value that is the main content of the record.
    pub fn body(&mut self, body: impl Into<AnyValue>) -> &mut Self {
        self.0.set_body(body.into());
        self
    }

    /// Adds an attribute. The same key twice is sent twice.
    pub fn attribute(&mut self, key: impl Into<Key>, value: impl Into<AnyValue>) -> &mut Self {
        self.0.add_attribute(key, value);
        self
    }

    /// Adds an unsigned number as an attribute: as an integer, or as decimal text if it exceeds
    /// `i64::MAX`, which OTLP cannot carry as a number.
    pub fn unsigned(&mut self, key: impl Into<Key>, value: u64) -> &mut Self {
        match i64::try_from(value) {
            Ok(number) => self.attribute(key, number),
            Err(_) => self.attribute(key, value.to_string()),
        }
    }

    /// Sets the time at which the event happened, by the clock of its source.
    pub fn time(&mut self, time: SystemTime) -> &mut Self {
        self.0.set_timestamp(time);
        self
    }

    /// Sets the name of the kind of event, such as `order.placed`.
    pub fn event_name(&mut self, name: &'static str) -> &mut Self {
        self.0.set_event_name(name);
        self
    }

    /// Sets the target, such as a module path. OTLP exporters send it in place of the name of the
    /// instrumentation scope.
    pub fn target(&mut self, target: impl Into<Cow<'static, str>>) -> &mut Self {
        self.0.set_target(target);
        self
    }

    /// Sets the span in which the event happened. The current span of the worker is never used: it
    /// has nothing to do with the event.
    pub fn span(&mut self, trace: TraceId, span: SpanId, flags: Option<TraceFlags>) -> &mut Self {
        self.0.set_trace_context(trace, span, flags);
        self
    }

    /// Returns the record itself, for what this type does not offer.
    pub fn record(&mut self) -> &mut SdkLogRecord {
        self.0
    }
}
