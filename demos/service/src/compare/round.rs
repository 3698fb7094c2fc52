//! One measurement: a service, a load on it, and what came of both.

use super::Alarm;
use super::contender::Running;
use super::load::Load;
use crate::telemetry::Kind;
use demo_support::{Failure, Folder};
use hdrhistogram::Histogram;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// The load before latencies count: connections are set up, and memory is touched the first time.
const WARM_UP: Duration = Duration::from_millis(500);

/// What all measurements have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) connections: usize,
    pub(crate) time: Duration,
}

/// The result of a measurement.
#[derive(Debug)]
pub(crate) struct Measurement {
    /// In nanoseconds, since the time at which a request was due.
    pub(crate) latencies: Histogram<u64>,
    /// Over which latencies and processor time count.
    pub(crate) elapsed: Duration,
    /// Processor time of the service for each request, in microseconds.
    pub(crate) processor: f64,
    pub(crate) log: Lines,
}

/// What became of the lines of the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) written: u64,
    /// Lost and counted.
    pub(crate) lost: u64,
    /// Neither written nor counted.
    pub(crate) missing: u64,
}

impl Measurement {
    /// Returns a quantile of the latency, in microseconds.
    pub(crate) fn latency(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Returns the requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most] = [0.5, 0.99].map(|quantile| self.latency(quantile));
        write!(f, "p50 {half:.0} µs, p99 {most:.0} µs, {:.1} µs of processor time a request", self.processor)
    }
}

/// Measures a kind of telemetry, at this rate or as fast as the service answers.
pub(crate) fn measure(
    kind: Kind,
    rate: Option<f64>,
    conditions: &Conditions,
    alarm: &Alarm,
) -> Result<Measurement, Failure> {
    let folder = Folder::create().map_err(|error| Failure::broken("cannot create a folder", error))?;
    let service = Running::start(kind, folder.path().as_ref())?;
    let load = Load::start(service.address(), conditions.connections, rate)
        .map_err(|error| Failure::broken("cannot connect to the service", error))?;
    alarm.wait(WARM_UP)?;
    let before = service.scrape()?;
    let begin = load.count();
    alarm.wait(conditions.time)?;
    let elapsed = load.end() - begin;
    let after = service.scrape()?;
    let tally = load.finish().map_err(|error| Failure::broken("a request failed", error))?;
    let report = service.end()?;
    if tally.wrong > 0 {
        return Err(Failure::Broken(format!("{} requests had a wrong answer", tally.wrong)));
    }
    let requests = after.requests - before.requests;
    Ok(Measurement {
        latencies: tally.latencies,
        elapsed,
        processor: (after.processor - before.processor) * 1e6 / requests.max(1.0),
        log: lines(kind, &report),
    })
}

/// Reads from the report of a service what became of its lines.
fn lines(kind: Kind, report: &Value) -> Lines {
    if kind == Kind::Off {
        return Lines::default();
    }
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (log, requests) = (&report["log"], &report["requests"]);
    let answers = requests["answered"].as_array().into_iter().flatten().map(number).sum::<u64>();
    // Each answer has a line, each order has one more, and the start and the end have one.
    let expected = answers + number(&requests["created"]) + 2;
    let (written, lost) = (number(&log["lines"]), number(&log["lost"]));
    Lines { written, lost, missing: expected.saturating_sub(written + lost) }
}
