//! Events of a bus as log records.

mod answer;
mod client;
mod entry;
mod error;
#[cfg(feature = "tracing")]
mod records;
mod retry;
mod sink;
mod wait;

pub use client::ObservedClient;
pub use entry::LogEntry;
pub use error::ExportError;
#[cfg(feature = "tracing")]
pub use records::{is_event, map_record};
pub use retry::ExportRetry;
pub use sink::LogSink;

use buslane::SinkExt;
use buslane::retry::Retry;
use buslane::sink::Batch;
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::logs::LogExporter;
use std::time::Duration;

/// The most records of one export, which is the default of the SDK, too.
const MAX_BATCH: usize = 512;
/// The longest time for which an event waits for others.
const AGE: Duration = Duration::from_secs(1);

/// The sink that [`otlp_logs`] returns: a batch of events, its retries, and the export.
pub type OtlpLogs<E, X> = Batch<E, Retry<Vec<E>, LogSink<E, X>, ExportRetry>>;

/// Creates a sink that exports each event as a log record, by any exporter of the OpenTelemetry SDK.
///
/// Put a [`Queue`](buslane::Queue) upstream (`otlp_logs(..).queue(4096)?`), and add that to a bus:
/// a publish is a store into a ring, and all of this runs on the queue's worker.
///
/// | setting | default | how to change it |
/// |---|---|---|
/// | records of one export | at most 512 | compose a [`LogSink`] with [`batch`](SinkExt::batch) |
/// | age of a batch | 1 s | [`age`](Batch::age), and [`at_end_of_batch`](Batch::at_end_of_batch) to export as soon as no event waits |
/// | bytes of one export | no limit | [`bytes`](Batch::bytes) |
/// | retries | [`ExportRetry::default`]: up to 60 s for an export | compose a [`LogSink`] with [`retry`](SinkExt::retry) |
/// | resource | that of the environment | compose: [`LogSink::resource`] |
///
/// A flush and a close of the queue or the bus export at once, within their deadline.
///
/// # What is counted
/// The ledger of the queue, and of the [`state`](Batch::state) of the batch, counts each event once:
///
/// | event | term |
/// |---|---|
/// | accepted by the exporter | `delivered` |
/// | waits in the queue or in a batch, or is being exported or retried | `pending` |
/// | refused by the endpoint for good, rejected in a partial success, or given up after the last attempt | `dropped.failed` |
/// | the mapping panicked | `dropped.failed` |
/// | the exporter panicked | `dropped.panicked` |
/// | no room in the queue | `dropped.full` or `refused`, by the queue's overflow policy |
/// | left over at the deadline of a close | `dropped.aborted` |
///
/// The snapshot's `last_error` has the reason, and its `retries` count the attempts. Wrap the HTTP
/// client in an [`ObservedClient`], or the sink learns neither of rejected records nor of final
/// refusals: it counts the former as delivered, and retries the latter.
///
/// # Loops
/// An exporter that publishes on the bus that it serves keeps itself busy for ever, one event for
/// each export. A filter upstream of the queue ends that:
/// `otlp_logs(..).queue(4096)?.filter(|_| !buslane_otel::is_exporting())`.
///
/// A blocking HTTP client may run on a thread of its own, where nothing is suppressed. If the bus
/// carries records of a `tracing` layer, exclude the targets of the client there, such as `hyper` and
/// `reqwest`.
///
/// # Examples
/// ```
/// use buslane::{Bus, SinkExt};
/// use buslane_otel::opentelemetry::InstrumentationScope;
/// use buslane_otel::opentelemetry::logs::Severity;
/// use buslane_otel::opentelemetry_sdk::logs::InMemoryLogExporter;
///
/// let exporter = InMemoryLogExporter::default(); // or that of opentelemetry-otlp
/// let scope = InstrumentationScope::builder("checkout").build();
/// let logs = buslane_otel::otlp_logs(exporter.clone(), scope, |text: &String, entry| {
///     entry.severity(Severity::Info).body(text.clone());
/// });
/// let bus = Bus::new();
/// bus.add_named("otlp", logs.queue(4096)?)?;
/// bus.publish("order 7".to_owned())?;
/// assert!(bus.flush_timeout(std::time::Duration::from_secs(5)).is_done());
/// assert_eq!(exporter.get_emitted_logs()?.len(), 1);
/// assert_eq!(bus.snapshot().sink("otlp").expect("it was added").state.ledger.delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn otlp_logs<E, X, F>(exporter: X, scope: InstrumentationScope, map: F) -> OtlpLogs<E, X>
where
    E: Send + 'static,
    X: LogExporter + 'static,
    F: Fn(&E, &mut LogEntry<'_>) + Send + Sync + 'static,
{
    LogSink::new(exporter, scope, map).retry(ExportRetry::default()).batch(MAX_BATCH).age(AGE)
}

/// Returns `true` on a thread that is exporting telemetry: inside of a [`LogSink`], and inside of the
/// SDK's own processors.
///
/// # Examples
/// ```
/// use buslane::{Bus, SinkExt, noop};
/// let bus = Bus::new();
/// bus.add(noop().filter(|_: &u32| !buslane_otel::is_exporting()))?;
/// bus.publish(7)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn is_exporting() -> bool {
    Context::is_current_telemetry_suppressed()
}
