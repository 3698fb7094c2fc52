//! The text that the program prints at its end.

use crate::pipeline::SinkBook;
use buslane::stats::Ledger;
use demo_support::console;
use hdrhistogram::Histogram;
use std::fmt::{self, Write};
use std::time::Duration;

/// The longest duration that a histogram tells from longer ones, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
const DIGITS: u8 = 3;

/// A histogram of nanoseconds, or of anything else from 1 to sixty thousand millions.
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

/// The text, built in memory: a reader that goes away half-way must not end the program with a panic.
#[derive(Debug, Default)]
pub(crate) struct Report(String);

impl Report {
    /// A heading, with an empty line before it.
    pub(crate) fn heading(&mut self, text: impl fmt::Display) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.push(format_args!("{gap}{text}\n"));
    }

    /// A line under a heading.
    pub(crate) fn line(&mut self, text: impl fmt::Display) {
        self.push(format_args!("  {text}\n"));
    }

    /// Text that has its line ends already.
    pub(crate) fn block(&mut self, text: impl fmt::Display) {
        self.push(format_args!("{text}"));
    }

    /// A heading over the columns of [`row`](Self::row).
    pub(crate) fn table(&mut self, title: &str, counted: &str) {
        let (p50, p99, p999, most) = ("p50", "p99", "p99.9", "max");
        self.heading(format_args!("{title:<40}{counted:>12}{p50:>12}{p99:>12}{p999:>12}{most:>12}"));
    }

    /// A histogram, as a row of a table.
    pub(crate) fn row(&mut self, name: &str, histogram: &Histogram<u64>, text: fn(u64) -> String) {
        let cell = |value: u64| if histogram.is_empty() { "-".to_owned() } else { text(value) };
        let quantile = |quantile: f64| cell(histogram.value_at_quantile(quantile));
        self.line(format_args!(
            "{name:<38}{:>12}{:>12}{:>12}{:>12}{:>12}",
            histogram.len(),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
            cell(histogram.max()),
        ));
    }

    /// A sink: its settings and the two equations of its ledger.
    pub(crate) fn sink(&mut self, SinkBook { name, state, was_cut_off }: &SinkBook) {
        let fate = if *was_cut_off { "; overflowed, and was cut off" } else { "" };
        self.line(format_args!(
            "{name:<12}{}, capacity {}, high-water mark {}{fate}",
            state.kind, state.capacity, state.high_water
        ));
        for equation in equations(&state.ledger) {
            self.line(format_args!("{:<12}{equation}", ""));
        }
        if let Some(error) = &state.last_error {
            self.line(format_args!("{:<12}last error: {error}", ""));
        }
    }

    /// Prints the report.
    pub(crate) fn print(self) {
        console::print(format_args!("{}", self.0));
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes everything");
    }
}

/// The two equations of a ledger, one on each line.
fn equations(ledger: &Ledger) -> Vec<String> {
    ledger.to_string().split("; ").map(str::to_owned).collect()
}
