//! What is printed.

use benches::machine::placement;
use benches::paired::Series;
use benches::statistics::Estimate;

/// Fewer pairs than this make no figure.
const FEWEST_PAIRS: usize = 5;
/// How wide the first column is.
const LABEL: usize = 56;

pub(crate) fn head(title: &str, series: &Series) {
    let (samples, dropped) = series.counts();
    println!("\n{title}: {samples} samples, {dropped} dropped because the ping moved");
}

/// The figures themselves, under some of their names.
pub(crate) fn absolute(series: &Series, names: &[&str], unit: &str, convert: impl Fn(f64) -> f64) {
    println!("\n  {unit:<LABEL$}{:>10}{:>20}{:>7}  ping", "median", "interval", "count");
    for name in names {
        // An interval of rates is that of the times, the other way round.
        let estimate = series.estimate([name], |[ns]| convert(ns));
        match (estimate, series.ping(name)) {
            (Some(_), Some(ping)) => {
                row_with(name, estimate, &format!("  {ping:.0} ns, {}", placement(ping)));
            }
            _ => row(name, None),
        }
    }
}

/// The heading of ratios.
pub(crate) fn ratios(title: &str) {
    println!("\n  {title:<LABEL$}{:>10}{:>20}{:>7}", "median", "interval", "pairs");
}

/// How much `a` is of `b`.
pub(crate) fn ratio(series: &Series, a: &str, b: &str) {
    row(&format!("{a} / {b}"), series.estimate([a, b], |[a, b]| a / b));
}

pub(crate) fn row(label: &str, estimate: Option<Estimate>) {
    row_with(label, estimate, "");
}

fn row_with(label: &str, estimate: Option<Estimate>, note: &str) {
    match estimate {
        Some(Estimate { median, low, high, count }) if count >= FEWEST_PAIRS => {
            let interval = format!("[{low:.3}, {high:.3}]");
            println!("  {label:<LABEL$}{median:>10.3}{interval:>20}{count:>7}{note}");
        }
        few => println!("  {label:<LABEL$}{:>10}{:>20}{:>7}", "-", "too few", few.map_or(0, |few| few.count)),
    }
}
