//! Metrics: the names of every number of a snapshot, the text of a page, and that counters grow.

mod growth;
mod names;
mod promtool;
mod series;
mod text;

use buslane::Bus;
use buslane::stats::metrics::{Exposition, Format};
use test_support::openmetrics::Page;

/// Returns the page of one bus, which is called `telemetry`.
#[track_caller]
fn page<E: Send + 'static>(bus: &Bus<E>) -> Page {
    let snapshot = bus.snapshot();
    let text = Exposition::new().bus("telemetry", &snapshot).to_string();
    Page::parse(&text, Format::OpenMetrics)
}
