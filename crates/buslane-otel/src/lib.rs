//! OpenTelemetry for [buslane]: the counters of a bus as instruments, and its events as log records.
//!
//! - [`observe`] registers observable instruments for a bus: what each sink accepted, delivered,
//!   dropped and why, how much is pending, and for how long. They are read when the SDK collects, so
//!   a publisher pays nothing.
//! - [`otlp_logs`] makes a sink that exports events as log records, by any exporter of the SDK. It is
//!   the consumer of a queue: publishing is a store into a ring, and mapping, batching, retries and
//!   the request run on the queue's worker. Every event is counted: exported, or lost with the
//!   reason.
//!
//! # Examples
//! Events as OTLP logs, over HTTP with a blocking client (no runtime is needed):
//! ``` no_run
//! use buslane::{Bus, SinkExt};
//! use buslane_otel::ObservedClient;
//! use buslane_otel::opentelemetry::InstrumentationScope;
//! use buslane_otel::opentelemetry::logs::Severity;
//! use opentelemetry_otlp::{LogExporter, RetryPolicy, WithHttpConfig};
//! use std::time::Duration;
//!
//! #[derive(Clone)]
//! struct Order { id: u64, cents: i64 }
//!
//! let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(3)).build()?;
//! let exporter = LogExporter::builder()
//!     .with_http()
//!     .with_http_client(ObservedClient::new(client))
//!     .with_retry_policy(RetryPolicy::disabled()) // the queue retries, and counts that
//!     .build()?;
//! let scope = InstrumentationScope::builder("checkout").build();
//! let logs = buslane_otel::otlp_logs(exporter, scope, |order: &Order, entry| {
//!     entry.severity(Severity::Info).body("order placed").unsigned("order.id", order.id);
//!     entry.attribute("order.cents", order.cents);
//! });
//! let bus = Bus::new();
//! bus.add_named("otlp", logs.queue(4096)?)?;
//! let mut publisher = bus.publisher();
//! publisher.publish(Order { id: 7, cents: 1250 })?;
//! println!("{}", bus.close()); // exports the rest, with a deadline
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Items
//! | item | purpose |
//! |---|---|
//! | [`observe`], [`observe_with`] | registers the instruments of a bus, or of a director or monitor |
//! | [`otlp_logs`], [`OtlpLogs`] | a sink that batches, retries and exports log records |
//! | [`LogSink`] | the export alone, to compose otherwise |
//! | [`LogEntry`] | the record that a mapping fills in |
//! | [`ObservedClient`] | an HTTP client that lets the sink see the endpoint's answers |
//! | [`ExportRetry`], [`ExportError`] | when an export is tried again, and why it failed |
//! | [`is_exporting`] | whether the calling thread is exporting telemetry |
//!
//! # Instruments
//! The names are those of [`Snapshot::families`](buslane::stats::Snapshot::families), where the help
//! of each is. None has `_total`: an exporter to Prometheus appends it.
//!
//! | instrument | type, unit | attributes |
//! |---|---|---|
//! | `buslane.bus.open` | gauge, 0 or 1 | |
//! | `buslane.bus.publishers`, `buslane.bus.sinks` | up-down counter, `{publisher}`, `{sink}` | |
//! | `buslane.sink.offered`, `.accepted`, `.delivered`, `.filtered` | counter, `{event}` | |
//! | `buslane.sink.refused` | counter, `{event}` | `error.type`: `queue_full`, `already_shutdown`, `timeout`, `reentrant`, `failed` |
//! | `buslane.sink.dropped` | counter, `{event}` | `error.type`: `queue_full`, `evicted`, `receiver_dropped`, `aborted`, `failed`, `panicked` |
//! | `buslane.sink.queue.size`, `.queue.depth` | up-down counter, `{event}` | |
//! | `buslane.sink.queue.high_water` | gauge, `{event}` | |
//! | `buslane.sink.lane.capacity`, `buslane.sink.lanes` | gauge, `{event}`; up-down counter, `{lane}` | |
//! | `buslane.sink.backlog` | gauge, `s` | |
//! | `buslane.sink.open`, `.drained` | gauge, 0 or 1 | |
//! | `buslane.sink.info` | gauge, always 1 | `buslane.sink.kind` |
//! | `buslane.sink.subscribers` | up-down counter, `{subscriber}` | |
//! | `buslane.retry.attempts`, `.given_up`, `.letters` | counter, `{attempt}`, `{event}`, `{letter}` | `buslane.retry.position`; `buslane.letter.outcome` |
//! | `buslane.subscriber.lag` | gauge, `{event}` | `buslane.subscriber.name` |
//! | `buslane.subscriber.offered`, `.delivered`, `.filtered`, `.missed`, `.panicked` | counter, `{event}` | `buslane.subscriber.name` |
//! | `buslane.subscriber.gating`, `.ended` | gauge, 0 or 1 | `buslane.subscriber.name` |
//!
//! All of them have `buslane.bus.name`, those of a sink also `buslane.sink.name`. Sinks that share a
//! name have `buslane.sink.id` as well: name sinks with
//! [`Bus::add_named`](buslane::Bus::add_named).
//!
//! # Alerts
//! In PromQL, with the names that an exporter to Prometheus makes of these instruments:
//!
//! | alert | expression |
//! |---|---|
//! | events are lost | `sum by (buslane_sink_name, error_type) (rate(buslane_sink_dropped_total[5m])) > 0` |
//! | publishers are refused | `sum by (buslane_sink_name, error_type) (rate(buslane_sink_refused_total[5m])) > 0` |
//! | a queue is nearly full | `buslane_sink_queue_size > 0.8 * buslane_sink_lane_capacity` |
//! | a consumer lags | `buslane_sink_backlog_seconds > 10` |
//! | a consumer is stuck | `rate(buslane_sink_delivered_total[5m]) == 0 and buslane_sink_queue_size > 0` |
//! | an endpoint fails | `rate(buslane_retry_attempts_total[5m]) > 0` |
//! | a subscriber misses events | `rate(buslane_subscriber_missed_total[5m]) > 0` |
//!
//! # Versions
//! This crate works with version 0.33 of the OpenTelemetry crates, and re-exports
//! [`opentelemetry`] and `opentelemetry_sdk`: use these, or the same version. An exporter of another
//! version does not compile; a meter of another version is another type. OpenTelemetry changes
//! incompatibly several times a year, which is why this is a crate of its own: the version of
//! buslane stays.
//!
//! # Why the exporters of the SDK
//! A log record is mapped into the SDK's own record and exported through
//! [`LogExporter`](opentelemetry_sdk::logs::LogExporter). So each exporter works: OTLP over HTTP or
//! gRPC, with the compression, headers, TLS and environment variables that it supports. Two things
//! are bought with that:
//!
//! - The SDK documents `LogBatch::new` as an internal function that is public. If it becomes private,
//!   this crate has to encode OTLP by itself.
//! - An exporter hides the endpoint's answer. [`ObservedClient`] reads it below the exporter, for
//!   HTTP. Over gRPC, rejected records count as delivered, and final refusals are retried until
//!   [`ExportRetry`] gives up.
//!
//! # Why a sink, not a handler
//! A handler has handled an event when `handle` returns, and the ledger counts it as delivered. An
//! export happens later. A batch sink keeps its events `pending` until the exporter has decided, and
//! the ledger of the queue counts what became of each.
//!
//! # Public complaints
//! What users of telemetry pipelines have reported, and the tests that show what this crate does about
//! it. Numbers are those of the tracker of opentelemetry-rust, where no other is named.
//!
//! | complaint | issue | test |
//! |---|---|---|
//! | the exporter's own telemetry feeds it | 1171, 2897, 3023, 3161 | `filter_ends_the_loop_of_a_publishing_exporter`, `records_of_the_sdk_are_suppressed_in_an_export` |
//! | "there is no reactor running" on the thread of the exporter | 2673, 3125 | `runtime_context_serves_an_asynchronous_exporter`, `missing_reactor_is_counted_as_a_panic` |
//! | the tail is lost while a clone is alive | 1961 | `close_exports_the_rest_and_shuts_down` |
//! | drops are silent, or told once | 2273, opentelemetry-java 7103 | `collection_equals_the_snapshot`, `partial_success_counts_rejected_events` |
//! | a flush races with a shutdown | 3453 | `flush_against_close_loses_and_repeats_nothing` |
//! | lag of a subscriber is ignored | chainflip 2420, whitenoise 119 | `collection_equals_the_snapshot`: `buslane.subscriber.missed` |
//! | a counter falls, and its delta underflows | none | `sink_that_returns_continues_its_counters`, `subscriber_that_returns_continues_its_counters` |
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `logs` | on | [`otlp_logs`] |
//! | `metrics` | on | [`observe`] |
//! | `tracing` | off | `map_record` and `is_event`: the records of a layer of `buslane-tracing` as log records |

#[cfg(feature = "logs")]
mod logs;
#[cfg(feature = "metrics")]
mod meters;

#[cfg(feature = "logs")]
pub use logs::{
    ExportError, ExportRetry, LogEntry, LogSink, ObservedClient, OtlpLogs, is_exporting, otlp_logs,
};
#[cfg(feature = "tracing")]
pub use logs::{is_event, map_record};
#[cfg(feature = "metrics")]
pub use meters::{observe, observe_with};

pub use opentelemetry;
#[cfg(feature = "logs")]
pub use opentelemetry_sdk;

/// Compiles the code of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
