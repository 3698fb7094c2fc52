//! An exporter made from a closure.

use buslane_otel::opentelemetry_sdk::error::OTelSdkResult;
use buslane_otel::opentelemetry_sdk::logs::{LogBatch, LogExporter};
use std::fmt;
use std::future::Future;

/// Calls the closure with the number of records of each export.
pub(crate) struct Probe<F>(pub(crate) F);

impl<F> fmt::Debug for Probe<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

impl<F, R> LogExporter for Probe<F>
where
    F: Fn(usize) -> R + Send + Sync,
    R: Future<Output = OTelSdkResult> + Send,
{
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        (self.0)(batch.iter().count())
    }
}
