//! Histograms, and how the report shows them.

use demo_support::{Table, grouped};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest duration that a histogram can tell from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
const DIGITS: u8 = 3;

/// A histogram of nanoseconds, or of other numbers from 1 to sixty billion.
pub(crate) fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, DIGITS).expect("these bounds are valid")
}

/// A duration as the histograms count it.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds, readable.
pub(crate) fn duration_text(nanoseconds: u64) -> String {
    match nanoseconds {
        0..10_000 => format!("{nanoseconds} ns"),
        10_000..10_000_000 => format!("{:.1} µs", nanoseconds as f64 / 1e3),
        10_000_000.. => format!("{:.1} ms", nanoseconds as f64 / 1e6),
    }
}

/// A table of histograms, one in each row.
pub(crate) fn histogram_table(title: &str, counted: &str) -> Table {
    Table::new([title, counted, "p50", "p99", "p99.9", "max"])
}

/// Adds a histogram to its table.
pub(crate) fn add_row(table: &mut Table, name: &str, histogram: &Histogram<u64>, text: fn(u64) -> String) {
    let cell = |value: u64| if histogram.is_empty() { "-".to_owned() } else { text(value) };
    let quantile = |quantile: f64| cell(histogram.value_at_quantile(quantile));
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(quantile);
    table.row([name.to_owned(), grouped(histogram.len()), p50, p99, p999, cell(histogram.max())]);
}

/// A histogram in the JSON report.
pub(crate) fn histogram_json(histogram: &Histogram<u64>) -> Value {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile));
    json!({"count": histogram.len(), "p50": p50, "p99": p99, "p99_9": p999, "max": histogram.max()})
}
