//! The output: Markdown tables, the samples, and plots.

use crate::plot;
use benches::histogram::{self, PERCENTILES};
use benches::machine::placement;
use benches::paired::Series;
use benches::statistics::Estimate;
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// The fewest pairs that make a figure.
const FEWEST_PAIRS: usize = 5;

/// Where the two processors are to each other.
const PLACED: [&str; 2] = ["near", "far"];

/// The target for a ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn verdict(self, estimate: &Estimate) -> &'static str {
        let (met, clear) = match self {
            Self::AtLeast(least) => {
                (estimate.median >= least, estimate.low >= least || estimate.high < least)
            }
            Self::AtMost(most) => (estimate.median <= most, estimate.high <= most || estimate.low > most),
        };
        match (met, clear) {
            (true, true) => "met",
            (true, false) => "met, within the interval",
            (false, true) => "**missed**",
            (false, false) => "**missed**, within the interval",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

/// The destination of all output.
pub(crate) struct Report {
    machine: String,
    directory: Option<PathBuf>,
    samples: Option<BufWriter<File>>,
}

/// One line of the file of samples.
#[derive(Serialize)]
struct Line<'a> {
    section: &'a str,
    round: usize,
    name: &'a str,
    figure: f64,
    pings: [f64; 2],
    kept: bool,
}

impl Report {
    /// Creates a report that prints, and writes into the directory, if there is one.
    pub(crate) fn new(machine: String, directory: Option<PathBuf>) -> io::Result<Self> {
        println!("{machine}");
        let samples = match &directory {
            None => None,
            Some(directory) => {
                fs::create_dir_all(directory)?;
                Some(BufWriter::new(File::create(directory.join("samples.jsonl"))?))
            }
        };
        Ok(Self { machine, directory, samples })
    }

    /// Begins a section, and writes its samples at once.
    pub(crate) fn section(&mut self, name: &str, title: &str, series: Series) -> io::Result<Section<'_>> {
        if let Some(file) = &mut self.samples {
            for (round, figure, sample) in series.samples() {
                let line = Line {
                    section: name,
                    round,
                    name: figure,
                    figure: sample.figure,
                    pings: sample.pings,
                    kept: sample.is_steady(),
                };
                serde_json::to_writer(&mut *file, &line)?;
                writeln!(file)?;
            }
            file.flush()?;
        }
        let (samples, dropped) = series.counts();
        let mut text = format!(
            "# {title}\n\n{}\n\n{samples} figures, {dropped} dropped because the ping moved.",
            self.machine
        );
        if let Some((others, stolen)) = series.others() {
            let _ = write!(
                text,
                " Other processes kept {others:.2} processors busy; the host took {stolen:.2} away."
            );
        }
        let (near, far) = series.placements();
        let [near_ping, far_ping] = series
            .pings()
            .map(|ping| ping.map_or_else(String::new, |ping| format!(" ({ping:.0} ns one way)")));
        let _ = write!(
            text,
            " The two processors were near for {near} figures{near_ping}, and far for {far}{far_ping}."
        );
        text.push('\n');
        let directory = self.directory.as_deref();
        Ok(Section {
            name: name.to_owned(),
            title: title.to_owned(),
            machine: &self.machine,
            text,
            series,
            directory,
        })
    }
}

/// One or several tables of the samples of one series.
pub(crate) struct Section<'a> {
    name: String,
    title: String,
    machine: &'a str,
    text: String,
    series: Series,
    directory: Option<&'a Path>,
}

impl Section<'_> {
    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}");
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.series.names().into_iter().map(str::to_owned).collect()
    }

    /// Returns whether there is a figure with this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.series.names().contains(&name)
    }

    /// Returns the median of a figure, if there are enough samples.
    pub(crate) fn median(&self, name: &str) -> Option<f64> {
        let estimate = self.series.estimate(&[name], |figures| figures[0])?;
        (estimate.count >= FEWEST_PAIRS).then_some(estimate.median)
    }

    /// Returns the number of samples in which one of these figures is above zero, and of all.
    pub(crate) fn slices_with(&self, names: [&str; 2]) -> (usize, usize) {
        let mut of: [Vec<f64>; 2] = names.map(|_| Vec::new());
        for (_, name, sample) in self.series.samples() {
            if let Some(index) = names.iter().position(|known| *known == name) {
                of[index].push(sample.figure);
            }
        }
        let [first, second] = of;
        let above = first.iter().zip(&second).filter(|(first, second)| **first > 0.0 || **second > 0.0);
        (above.count(), first.len())
    }

    /// Returns a percentile of all samples of a histogram together.
    pub(crate) fn of_all(&self, name: &str, percentile: f64) -> Option<f64> {
        let (_, found) = self.series.histograms().find(|(known, _)| *known == name)?;
        Some(histogram::at(found, percentile))
    }

    /// Returns the ping of a figure, and whether the processors were near or far.
    pub(crate) fn placed(&self, name: &str) -> String {
        let ping = self.series.ping(name);
        ping.map_or_else(|| "–".to_owned(), |ping| format!("{ping:.0}, {}", placement(ping)))
    }

    /// Writes the figures of these names.
    pub(crate) fn figures(
        &mut self,
        unit: &str,
        names: &[impl AsRef<str>],
        convert: impl Fn(f64) -> f64 + Copy,
    ) {
        self.line(format_args!(
            "\n| {unit} | median | interval | count | ping, ns |\n|---|---:|---:|---:|---|"
        ));
        for name in names {
            let name = name.as_ref();
            let of = |figures: &[f64]| convert(figures[0]);
            if let Some(estimates) = self.by_placement(&[name], of) {
                for ((placed, estimate), ping) in PLACED.into_iter().zip(estimates).zip(self.series.pings()) {
                    self.figure(&format!("{name} ({placed})"), Some(estimate), ping);
                }
            } else {
                self.figure(name, self.series.estimate(&[name], of), self.series.ping(name));
            }
        }
    }

    fn figure(&mut self, label: &str, estimate: Option<Estimate>, ping: Option<f64>) {
        match (estimate, ping) {
            (Some(estimate), Some(ping)) if estimate.count >= FEWEST_PAIRS => {
                let Estimate { median, low, high, count } = estimate;
                let placed = placement(ping);
                self.line(format_args!(
                    "| {label} | {} | {} to {} | {count} | {ping:.0}, {placed} |",
                    digits(median),
                    digits(low),
                    digits(high)
                ));
            }
            (few, _) => {
                let count = few.map_or(0, |few| few.count);
                self.line(format_args!("| {label} | – | too few | {count} | |"));
            }
        }
    }

    /// Returns the estimates while the two processors were near, and while they were far, if there are
    /// enough rounds of each.
    fn by_placement(&self, names: &[&str], of: impl Fn(&[f64]) -> f64 + Copy) -> Option<[Estimate; 2]> {
        let [near, far] = PLACED.map(|placed| {
            let known = self.series.estimate_while(placed, names, of)?;
            (known.count >= FEWEST_PAIRS).then_some(known)
        });
        Some([near?, far?])
    }

    /// Writes the heading of ratios.
    pub(crate) fn ratios(&mut self, title: &str) {
        self.line(format_args!(
            "\n| {title} | median | interval | pairs | target | |\n|---|---:|---:|---:|---|---|"
        ));
    }

    /// Writes the ratio of `a` to `b`.
    pub(crate) fn ratio(&mut self, a: &str, b: &str, target: Option<Target>) {
        self.row(&format!("{a} / {b}"), [a, b], |[a, b]| a / b, target);
    }

    /// Writes the ratio of the rate of `a` to the rate of `b`; both figures are times per event.
    pub(crate) fn rates(&mut self, a: &str, b: &str, target: Option<Target>) {
        self.row(&format!("{a} / {b}"), [a, b], |[a, b]| b / a, target);
    }

    /// Writes the estimate of `of` for the figures of these names. If the two processors were near
    /// in some rounds and far in others, each placement has a row.
    pub(crate) fn row<const N: usize>(
        &mut self,
        label: &str,
        names: [&str; N],
        of: impl Fn([f64; N]) -> f64 + Copy,
        target: Option<Target>,
    ) {
        let each = |figures: &[f64]| of(figures.try_into().unwrap_or([f64::NAN; N]));
        self.rows(label, &names, each, target);
    }

    /// Writes the ratio of the rate of `ours` to the best rate of the peers, round by round; all
    /// figures are times per event.
    pub(crate) fn best(&mut self, ours: &str, peers: &[String], target: Option<Target>) {
        let names: Vec<&str> = std::iter::once(ours).chain(peers.iter().map(String::as_str)).collect();
        let ratio = |figures: &[f64]| figures[1..].iter().copied().fold(f64::INFINITY, f64::min) / figures[0];
        self.rows(&format!("{ours} / the best"), &names, ratio, target);
    }

    fn rows(
        &mut self,
        label: &str,
        names: &[&str],
        of: impl Fn(&[f64]) -> f64 + Copy,
        target: Option<Target>,
    ) {
        if let Some(estimates) = self.by_placement(names, of) {
            for (placed, estimate) in PLACED.into_iter().zip(estimates) {
                self.estimate(&format!("{label} ({placed})"), Some(estimate), target);
            }
        } else {
            let estimate = self.series.estimate(names, of);
            self.estimate(label, estimate, target);
        }
    }

    fn estimate(&mut self, label: &str, estimate: Option<Estimate>, target: Option<Target>) {
        let wanted = target.map_or_else(String::new, |target| target.to_string());
        match estimate {
            Some(estimate) if estimate.count >= FEWEST_PAIRS => {
                let verdict = target.map_or("", |target| target.verdict(&estimate));
                let Estimate { median, low, high, count } = estimate;
                self.line(format_args!(
                    "| {label} | {median:.3} | {low:.3} to {high:.3} | {count} | {wanted} | {verdict} |"
                ));
            }
            few => {
                let count = few.map_or(0, |few| few.count);
                self.line(format_args!("| {label} | – | too few | {count} | {wanted} | |"));
            }
        }
    }

    /// Writes the percentiles of these histograms, and their plot. Rows and curves are labeled
    /// without `suffix`, which the title contains.
    pub(crate) fn percentiles(&mut self, file: &str, title: &str, names: &[String], suffix: &str) {
        let heads = PERCENTILES.map(|(name, _)| name).join(" | ");
        self.line(format_args!("\n| {title}, ns | {heads} | max | count |\n|---|{}", "---:|".repeat(7)));
        let known = self.series.histograms();
        let chosen = known.filter(|(name, _)| names.iter().any(|wanted| wanted == name));
        let label = |name| str::strip_suffix(name, suffix).unwrap_or(name);
        let chosen: Vec<_> = chosen.map(|(name, histogram)| (label(name), histogram)).collect();
        let mut rows = String::new();
        for (name, histogram) in &chosen {
            let values = PERCENTILES.map(|(_, percentile)| {
                // A percentile that is based on less than one value is omitted.
                let enough = histogram.len() as f64 * (100.0 - percentile) >= 100.0;
                if enough { digits(histogram::at(histogram, percentile)) } else { "–".into() }
            });
            let (max, count) = (digits(histogram.max() as f64), histogram.len());
            let _ = writeln!(rows, "| {name} | {} | {max} | {count} |", values.join(" | "));
        }
        if let Some(directory) = self.directory {
            let path = directory.join(format!("{file}.svg"));
            if let Err(error) = plot::percentiles(&path, (title, self.machine), &chosen) {
                eprintln!("{}: {error}", path.display());
            }
        }
        self.text.push_str(&rows);
    }

    /// Draws a plot of these figures, with their intervals.
    pub(crate) fn bars(
        &mut self,
        unit: &str,
        names: &[impl AsRef<str>],
        convert: impl Fn(f64) -> f64 + Copy,
    ) {
        let Some(directory) = self.directory else { return };
        let estimates = names.iter().filter_map(|name| {
            let name = name.as_ref();
            Some((name, self.series.estimate(&[name], |figures| convert(figures[0]))?))
        });
        let path = directory.join(format!("{}.svg", self.name));
        if let Err(error) =
            plot::bars(&path, (&self.title, self.machine), unit, &estimates.collect::<Vec<_>>())
        {
            eprintln!("{}: {error}", path.display());
        }
    }

    /// Prints the remaining output.
    pub(crate) fn finish(self) -> io::Result<()> {
        println!("\n{}", self.text.trim_end());
        match self.directory {
            None => Ok(()),
            Some(directory) => fs::write(directory.join(format!("{}.md", self.name)), &self.text),
        }
    }
}

/// Formats three significant digits, or all before the decimal point.
fn digits(value: f64) -> String {
    let places = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.places$}")
}
