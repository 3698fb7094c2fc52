//! A sink that exports batches of events as log records.

use super::answer;
use super::entry::LogEntry;
use super::error::{ExportError, cut};
use super::wait;
use buslane::sink::SinkKey;
use buslane::stats::CloseReport;
use buslane::time::{Deadline, Pause};
use buslane::{Sink, WriteError};
use opentelemetry::logs::{LogRecord, Logger, LoggerProvider};
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::{LogBatch, LogExporter, SdkLogRecord, SdkLogger, SdkLoggerProvider};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// The time that an exporter gets to shut down if the close has no deadline.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

type Map<E> = Box<dyn Fn(&E, &mut LogEntry<'_>) + Send + Sync>;
type Within = Box<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// A sink that exports each batch of events as log records, by any exporter of the OpenTelemetry
/// SDK.
///
/// It neither queues, batches nor retries. [`otlp_logs`](crate::otlp_logs) adds the usual batch and
/// retry; compose them yourself for other settings or for dead letters.
///
/// # What became of a batch
/// | the exporter | the write |
/// |---|---|
/// | succeeds | `Ok` |
/// | succeeds, and the endpoint rejected *n* records ([`ExportError::Rejected`]) | `Failed` with the last *n* events of the batch: OTLP does not tell which records were rejected, so these stand for them |
/// | fails or times out | `Failed` with the batch and an [`ExportError`] |
/// | was shut down | `Closed` with the batch: the sink is closed |
/// | is not done at the deadline of the caller, and is asynchronous | `Timeout` with the batch |
/// | panics | the panic propagates, and the batch is lost (`dropped.panicked` in a [`Batch`](buslane::sink::Batch)) |
///
/// An event on which the mapping panics is left out. The other events are exported, and the write
/// then fails with only these events and [`ExportError::Unmapped`], which no retry repeats.
///
/// # Guarantees
/// - **Delivery**: `Ok` means that the exporter reported success. A failed export may have arrived:
///   with retries, an endpoint may receive a record more than once (at-least-once).
/// - **Progress**: a write waits for the exporter, on the calling thread: put a
///   [`Queue`](buslane::Queue) upstream. The exporter's own timeout bounds each export. A deadline of
///   the caller and an abort end the wait for an asynchronous exporter, whose future is dropped. They
///   cannot interrupt a blocking client: a close of the queue then returns at its deadline and
///   reports the batch as undelivered. So set the timeout below the limit of the close.
/// - **No runtime** is needed for a blocking client, the default of `opentelemetry-otlp`. For an
///   asynchronous client see [`within`](Self::within).
/// - **No recursion**: mapping and export run with telemetry suppressed
///   ([`is_exporting`](crate::is_exporting)), so the SDK records nothing about its own export.
/// - **Memory**: the records of one batch, for the time of the export. Each attempt maps the events
///   again, because a failed write returns the events themselves.
/// - **End**: the close shuts the exporter down, within the deadline that is left.
///
/// # Examples
/// ```
/// use buslane::Sink;
/// use buslane_otel::LogSink;
/// use buslane_otel::opentelemetry::InstrumentationScope;
/// use buslane_otel::opentelemetry_sdk::logs::InMemoryLogExporter;
/// let exporter = InMemoryLogExporter::default();
/// let scope = InstrumentationScope::builder("checkout").build();
/// let sink = LogSink::new(exporter.clone(), scope, |text: &&'static str, entry| {
///     entry.body(*text);
/// });
/// sink.write(vec!["one", "two"])?;
/// assert_eq!(exporter.get_emitted_logs()?.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a log sink does nothing until it is written to or added to a bus"]
pub struct LogSink<E, X> {
    exporter: X,
    /// Makes records: the SDK has no other public way.
    logger: SdkLogger,
    scope: InstrumentationScope,
    map: Map<E>,
    within: Option<Within>,
    closed: AtomicBool,
    shut_down: AtomicBool,
    /// Where a write waits for an asynchronous exporter; interrupted by an abort.
    pause: Arc<Pause>,
}

/// The result of an export without the events.
enum Ended {
    Exported,
    Rejected(u64, ExportError),
    Failed(ExportError),
    Closed,
    OutOfTime,
}

impl<E, X: LogExporter> LogSink<E, X> {
    /// Creates a sink that maps each event to a record with `map`, in this instrumentation scope.
    ///
    /// `map` runs on the queue's worker, never on a publisher. The exporter gets the
    /// [resource](Self::resource) of the environment.
    pub fn new<F>(mut exporter: X, scope: InstrumentationScope, map: F) -> Self
    where
        F: Fn(&E, &mut LogEntry<'_>) + Send + Sync + 'static,
    {
        exporter.set_resource(&Resource::builder().build());
        let logger = SdkLoggerProvider::builder().build().logger_with_scope(scope.clone());
        Self {
            exporter,
            logger,
            scope,
            map: Box::new(map),
            within: None,
            closed: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            pause: Arc::new(Pause::new()),
        }
    }

    /// Sets the resource that is exported with the records, such as `service.name`.
    ///
    /// Default: what the SDK detects, from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
    ///
    /// # Examples
    /// ```
    /// use buslane_otel::LogSink;
    /// use buslane_otel::opentelemetry::InstrumentationScope;
    /// use buslane_otel::opentelemetry_sdk::{Resource, logs::InMemoryLogExporter};
    /// let scope = InstrumentationScope::builder("checkout").build();
    /// let sink = LogSink::new(InMemoryLogExporter::default(), scope, |_: &u32, _| ())
    ///     .resource(Resource::builder().with_service_name("shop").build());
    /// # drop(sink);
    /// ```
    pub fn resource(mut self, resource: Resource) -> Self {
        self.exporter.set_resource(&resource);
        self
    }

    /// Runs each export, and the exporter's shutdown, inside of `enter`, which must call the function
    /// that it is given.
    ///
    /// An asynchronous client needs the context of its runtime on the thread that polls it. The
    /// runtime must run by itself, as the multi-threaded one of tokio does. If `enter` does not call
    /// the function, the export fails.
    ///
    /// # Examples
    /// ```
    /// use buslane_otel::LogSink;
    /// use buslane_otel::opentelemetry::InstrumentationScope;
    /// use buslane_otel::opentelemetry_sdk::logs::InMemoryLogExporter;
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// let handle = runtime.handle().clone();
    /// let scope = InstrumentationScope::builder("checkout").build();
    /// let sink = LogSink::new(InMemoryLogExporter::default(), scope, |_: &u32, _| ()).within(move |export| {
    ///     let _context = handle.enter();
    ///     export();
    /// });
    /// # drop(sink);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn within(mut self, enter: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) -> Self {
        self.within = Some(Box::new(enter));
        self
    }

    fn enter(&self, run: &mut dyn FnMut()) {
        match &self.within {
            Some(enter) => enter(run),
            None => run(),
        }
    }

    /// Maps events to records, and returns the indices of those on which the mapping panicked.
    fn map(&self, events: &[E]) -> (Vec<SdkLogRecord>, Vec<usize>) {
        let observed = SystemTime::now();
        let (mut records, mut unmapped) = (Vec::with_capacity(events.len()), Vec::new());
        for (index, event) in events.iter().enumerate() {
            let mut record = self.logger.create_log_record();
            record.set_observed_timestamp(observed);
            let mut entry = LogEntry::new(&mut record);
            // A record that was being filled in is discarded, and the events are only read.
            match catch_unwind(AssertUnwindSafe(|| (self.map)(event, &mut entry))) {
                Ok(()) => records.push(record),
                Err(_) => unmapped.push(index),
            }
        }
        (records, unmapped)
    }

    fn export(&self, records: &[SdkLogRecord]) -> Ended {
        let deadline = Deadline::current();
        if deadline.has_passed() {
            return Ended::OutOfTime;
        }
        let batch: Vec<_> = records.iter().map(|record| (record, &self.scope)).collect();
        answer::keep(None);
        let (mut begun, mut result) = (false, None);
        self.enter(&mut || {
            if !std::mem::replace(&mut begun, true) {
                result = wait::run(self.exporter.export(LogBatch::new(&batch)), &self.pause, deadline);
            }
        });
        let answer = answer::take();
        match result {
            None if !begun => {
                Ended::Failed(ExportError::Exporter("the context did not run the export".into()))
            }
            None if self.pause.is_interrupted() => Ended::Closed,
            None => Ended::OutOfTime,
            Some(Ok(())) => match answer {
                Some(answer) if answer.rejected > 0 => {
                    let records = answer.rejected.min(records.len() as u64);
                    Ended::Rejected(records, ExportError::Rejected { records, message: answer.message })
                }
                _ => Ended::Exported,
            },
            Some(Err(OTelSdkError::AlreadyShutdown)) => {
                self.closed.store(true, Ordering::Release);
                Ended::Closed
            }
            Some(Err(OTelSdkError::Timeout(_))) => Ended::Failed(ExportError::Timeout),
            Some(Err(OTelSdkError::InternalFailure(message))) => Ended::Failed(match answer {
                Some(answer) if !answer::is_success(answer.status) => {
                    ExportError::Status { status: answer.status, retry_after: answer.retry_after }
                }
                _ => ExportError::Exporter(cut(message)),
            }),
        }
    }
}

/// Returns the events that were not mapped, and the last `rejected` of the others.
fn undelivered<E>(batch: Vec<E>, unmapped: &[usize], rejected: u64) -> Vec<E> {
    let accepted = (batch.len() - unmapped.len()) as u64 - rejected;
    let mut mapped = 0;
    let is_undelivered = |(index, event): (usize, E)| {
        let is_mapped = unmapped.binary_search(&index).is_err();
        mapped += u64::from(is_mapped);
        (!is_mapped || mapped > accepted).then_some(event)
    };
    batch.into_iter().enumerate().filter_map(is_undelivered).collect()
}

fn failed<E>(event: Vec<E>, error: ExportError) -> WriteError<Vec<E>> {
    WriteError::Failed { event, source: Box::new(error) }
}

impl<E, X: LogExporter> Sink<Vec<E>> for LogSink<E, X> {
    fn write(&self, batch: Vec<E>) -> Result<(), WriteError<Vec<E>>> {
        if self.reports_closed() {
            return Err(WriteError::Closed(batch));
        }
        // What the mapping and the exporter record by the SDK would be exported in turn, and so on.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let (records, unmapped) = self.map(&batch);
        let ended = if records.is_empty() { Ended::Exported } else { self.export(&records) };
        match ended {
            Ended::Exported if unmapped.is_empty() => Ok(()),
            Ended::Exported => Err(failed(undelivered(batch, &unmapped, 0), ExportError::Unmapped)),
            Ended::Rejected(rejected, error) => Err(failed(undelivered(batch, &unmapped, rejected), error)),
            Ended::Failed(error) => Err(failed(batch, error)),
            Ended::Closed => Err(WriteError::Closed(batch)),
            Ended::OutOfTime => Err(WriteError::Timeout(batch)),
        }
    }

    fn close_by(&self, deadline: Deadline) -> CloseReport {
        self.closed.store(true, Ordering::Release);
        if self.shut_down.swap(true, Ordering::AcqRel) {
            return CloseReport::done();
        }
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let limit = deadline.remaining().unwrap_or(SHUTDOWN_LIMIT);
        let mut result = Ok(());
        self.enter(&mut || result = self.exporter.shutdown_with_timeout(limit));
        match result {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => CloseReport::done(),
            Err(error) => CloseReport::failed(format_args!("the exporter did not shut down: {error}")),
        }
    }

    fn abort_now(&self) {
        self.closed.store(true, Ordering::Release);
        self.pause.interrupt();
    }

    fn reports_closed(&self) -> bool {
        // Acquire and Release: a write that is ordered after the close sees it.
        self.closed.load(Ordering::Acquire)
    }

    fn key(&self) -> Option<SinkKey> {
        Some(SinkKey::of(&self.pause))
    }
}

impl<E, X: fmt::Debug> fmt::Debug for LogSink<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSink").field("scope", &self.scope.name()).finish_non_exhaustive()
    }
}
