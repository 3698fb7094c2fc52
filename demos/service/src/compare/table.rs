//! The result of a comparison: one table for each load, and the same as JSON.

use super::round::{Lines, Measurement};
use super::{CONTENDERS, Offer};
use crate::options::Compare;
use demo_support::{Report, Story, Table, grouped};
use serde::Serialize;

/// The result of a comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    seconds: f64,
    rounds: u32,
    connections: usize,
    loads: Vec<AtLoad>,
}

/// All contenders at one load.
#[derive(Debug, Serialize)]
struct AtLoad {
    /// The part of the capacity, if that was asked for.
    part: Option<f64>,
    /// Requests per second that were offered.
    offered: f64,
    contenders: Vec<Row>,
}

/// One contender: medians over the rounds. Times are in microseconds.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// Requests per second that were answered.
    answered: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    /// Processor time of the service for each request.
    processor: f64,
    /// Ratios to `off` of the same round.
    p50_ratio: f64,
    p99_ratio: f64,
    p999_ratio: f64,
    processor_ratio: f64,
    /// Over all rounds.
    lines: u64,
    lost: u64,
    missing: u64,
}

impl Row {
    /// Summarizes one contender, whose measurements are next to those of `off`.
    fn new(name: &'static str, measured: &[(&Measurement, &Measurement)]) -> Self {
        let over = |read: &dyn Fn(&Measurement) -> f64| median(measured.iter().map(|(own, _)| read(own)));
        let ratio = |read: &dyn Fn(&Measurement) -> f64| {
            median(measured.iter().map(|(own, off)| read(own) / read(off).max(f64::MIN_POSITIVE)))
        };
        let latency = |quantile: f64| move |measurement: &Measurement| measurement.latency(quantile);
        let sum = |read: fn(&Lines) -> u64| -> u64 { measured.iter().map(|(own, _)| read(&own.log)).sum() };
        Self {
            name,
            answered: over(&Measurement::rate),
            p50: over(&latency(0.5)),
            p99: over(&latency(0.99)),
            p999: over(&latency(0.999)),
            processor: over(&|measurement| measurement.processor),
            p50_ratio: ratio(&latency(0.5)),
            p99_ratio: ratio(&latency(0.99)),
            p999_ratio: ratio(&latency(0.999)),
            processor_ratio: ratio(&|measurement| measurement.processor),
            lines: sum(|lines| lines.written),
            lost: sum(|lines| lines.lost),
            missing: sum(|lines| lines.missing),
        }
    }
}

/// The middle one, or the mean of both in the middle.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => 0.0,
        count if count.is_multiple_of(2) => f64::midpoint(numbers[middle - 1], numbers[middle]),
        _ => numbers[middle],
    }
}

impl Comparison {
    pub(crate) fn new(settings: &Compare) -> Self {
        Self {
            seconds: settings.seconds.as_secs_f64(),
            rounds: settings.rounds.get(),
            connections: settings.connections,
            loads: Vec::new(),
        }
    }

    /// Adds the rounds at one load, each with a measurement of every contender.
    pub(crate) fn add(&mut self, Offer { part, rate }: Offer, rounds: &[Vec<Measurement>]) {
        let contenders = CONTENDERS.iter().enumerate().map(|(index, contender)| {
            let measured: Vec<_> = rounds.iter().map(|round| (&round[index], &round[0])).collect();
            Row::new(contender.name, &measured)
        });
        self.loads.push(AtLoad { part, offered: rate, contenders: contenders.collect() });
    }

    pub(crate) fn print(&self, story: &Story) {
        let Self { seconds, rounds, connections, loads } = self;
        let mut report = Report::default();
        report
            .heading(format_args!("{connections} connections, {rounds} × {seconds} s for each row, medians"));
        report.line(
            "Latency in µs from the time at which a request was due; processor time of the service in µs.",
        );
        report.line("Ratios are to `off` of the same round; `off again` is the control.");
        for load in loads {
            let part =
                load.part.map_or_else(String::new, |part| format!(", {:.0} % of the capacity", part * 100.0));
            report.heading(format_args!("{} requests/s{part}", grouped(load.offered.round() as u64)));
            report.table(&load.table());
        }
        story.report(self, &report);
    }
}

impl AtLoad {
    fn table(&self) -> Table {
        let header = [
            "telemetry",
            "p50",
            "p99",
            "p99.9",
            "processor",
            "p50/off",
            "p99/off",
            "p99.9/off",
            "processor/off",
            "lines",
            "lost",
            "missing",
        ];
        let mut table = Table::new(header);
        for row in &self.contenders {
            let [p50, p99, p999] = [row.p50, row.p99, row.p999].map(|micros| format!("{micros:.0}"));
            let ratios = [row.p50_ratio, row.p99_ratio, row.p999_ratio, row.processor_ratio];
            let [p50_ratio, p99_ratio, p999_ratio, processor_ratio] =
                ratios.map(|ratio| format!("{ratio:.2}"));
            let [lines, lost, missing] = [row.lines, row.lost, row.missing].map(grouped);
            let processor = format!("{:.1}", row.processor);
            table.row([
                row.name.to_owned(),
                p50,
                p99,
                p999,
                processor,
                p50_ratio,
                p99_ratio,
                p999_ratio,
                processor_ratio,
                lines,
                lost,
                missing,
            ]);
        }
        table
    }
}
