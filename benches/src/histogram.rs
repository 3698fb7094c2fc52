//! Histograms of nanoseconds.

use hdrhistogram::Histogram;
use std::time::Duration;

/// The percentiles in the reports, and their names.
pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];

const LONGEST: u64 = 60_000_000_000;

/// Returns an empty histogram: up to a minute, with three digits.
///
/// # Panics
/// Never: the bounds are valid.
#[must_use]
pub fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are valid")
}

/// Adds one value.
pub fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(LONGEST).min(LONGEST));
}

/// Returns the value at a percentile.
#[must_use]
pub fn at(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    histogram.value_at_percentile(percentile) as f64
}

/// Adds all values of another histogram.
///
/// # Panics
/// Never: all histograms have the same bounds.
pub fn add(to: &mut Histogram<u64>, from: &Histogram<u64>) {
    to.add(from).expect("the bounds are the same");
}
