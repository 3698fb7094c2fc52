//! What telemetry costs the requests of a service: the program `telemetry` of `demos`, one process
//! for each sample.
//!
//! The service is offered the same rate in every sample, with another bus in each, or with none.
//! Its clients send at fixed times, and a latency counts from when the request was due. A sample is
//! a process, so nothing of the last contender is left when the next one starts: its listeners have
//! drained what they accepted and have ended, and none of them spins beside another contender.
//!
//! The rate is such that the service without telemetry keeps a part of the processors' time busy,
//! and is determined once for all samples. It is no part of what clients achieve that send their next
//! request with the reply to the last one: by the clock, when threads sleep in between, a request was
//! measured to cost 1.7 times the processor time. 60 % of such a capacity kept two processors busy all
//! the time, and the latencies were those of a queue.
//!
//! No thread is pinned. Threads of the service are those of the clients, those of the workers, which
//! publish, and those of the listeners. The processor time of a sample is that of each of the three.

use crate::machine::anywhere;
use crate::paired::Contender;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The figures of a sample; times are in nanoseconds. Processor times are for each request, and
/// `lost` counts deliveries of a thousand samples.
pub const FIGURES: [&str; 8] = ["p50", "p99", "p99.9", "publish", "listeners", "workers", "clients", "lost"];

/// The program, and the load that it is offered.
#[derive(Clone, Debug)]
pub struct Service {
    program: PathBuf,
    /// Requests per second.
    rate: f64,
    /// The duration of a sample, after which the service is warm.
    slice: Duration,
}

/// How long the program warms up, which is no part of a sample.
const WARM_UP: Duration = Duration::from_millis(100);
/// The rate of the first calibration, far below what a processor can do.
const FIRST_RATE: f64 = 10_000.0;
/// The measurements of each calibration.
const CALIBRATIONS: usize = 3;

impl Service {
    /// Returns a service that keeps `percent` of the processors' time busy without telemetry: the
    /// processor time of a request is measured now.
    ///
    /// # Errors
    /// If the program cannot be started, fails, or prints something else than its report.
    pub fn calibrate(program: &Path, percent: f64, slice: Duration) -> io::Result<Self> {
        let mut service = Self { program: program.to_owned(), rate: FIRST_RATE, slice };
        let processors = std::thread::available_parallelism()?.get() as f64;
        // The time of a request depends on the rate: the second step measures it near the result.
        for _ in 0..2 {
            let mut times = Vec::new();
            for _ in 0..CALIBRATIONS {
                times.push(processor_time(&service.report("none")?)?);
            }
            // The longest: the load must not be above the intended one in slow moments.
            let time = times.into_iter().fold(0.0, f64::max);
            service.rate = (percent / 100.0 * processors * 1e9 / time).round();
        }
        Ok(service)
    }

    /// Returns the offered rate, in requests per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Runs the service for one sample, with this bus and its options, and returns its report.
    fn report(&self, bus: &str) -> io::Result<Value> {
        let (seconds, load) = ((WARM_UP + self.slice).as_secs_f64().to_string(), format!("{}/s", self.rate));
        let mut arguments = vec!["--bus"];
        arguments.extend(bus.split(' '));
        arguments.extend(["--seconds", &seconds, "--load", &load, "--slice-ms", "0"]);
        ask(&self.program, &arguments)
    }
}

impl Contender {
    /// Measures the requests of a service with this bus, and options of the program after it; the
    /// figures are those of [`FIGURES`], as `name, p50` and so on.
    ///
    /// # Panics
    /// A sample panics if the program fails.
    #[must_use]
    pub fn requests(name: &str, bus: &'static str, service: &Service) -> Self {
        let (service, program) = (service.clone(), service.program.display().to_string());
        let names = FIGURES.map(|figure| format!("{name}, {figure}"));
        Self::new(names.into(), Some(0), move |_| {
            let figures = service.report(bus).and_then(|report| figures(&report));
            figures.unwrap_or_else(|error| panic!("{program} --bus {bus}: {error}"))
        })
    }
}

/// Runs the program, and returns its report.
fn ask(program: &Path, arguments: &[&str]) -> io::Result<Value> {
    let mut command = Command::new(program);
    command.args(arguments).arg("--json");
    // A process inherits the processors of the thread that starts it.
    let output = anywhere(move || command.output())?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

fn number(report: &Value, path: &str) -> io::Result<f64> {
    let missing = || io::Error::other(format!("the report of telemetry has no number {path}"));
    report.pointer(path).and_then(Value::as_f64).ok_or_else(missing)
}

/// Returns the processor time of a request, of all threads of the service.
fn processor_time(report: &Value) -> io::Result<f64> {
    let parts =
        ["clients", "workers", "others"].map(|part| number(report, &format!("/processor_time/{part}")));
    let sum = parts.into_iter().sum::<io::Result<f64>>()?;
    match sum / number(report, "/published")? {
        time if time.is_normal() => Ok(time),
        _ => Err(io::Error::other("the system does not report the processor time of telemetry")),
    }
}

/// Returns the figures of a report, in the order of [`FIGURES`].
fn figures(report: &Value) -> io::Result<Vec<f64>> {
    let number = |path: &str| number(report, path);
    let published = number("/published")?.max(1.0);
    let each = |path: &str| number(path).map(|sum| sum / published);
    Ok(vec![
        number("/latency/telemetry_on/p50")?,
        number("/latency/telemetry_on/p99")?,
        number("/latency/telemetry_on/p99_9")?,
        number("/publish/p50")?,
        each("/processor_time/others")?,
        each("/processor_time/workers")?,
        each("/processor_time/clients")?,
        each("/lost")? * 1e3,
    ])
}

#[cfg(test)]
mod tests {
    use super::{FIGURES, figures, processor_time};
    use serde_json::json;

    #[test]
    fn figures_are_read_from_a_report() {
        let mut report = json!({
            "published": 2_000, "lost": 4,
            "latency": {"telemetry_on": {"p50": 30_000, "p99": 90_000, "p99_9": 400_000}},
            "publish": {"p50": 50},
            "processor_time": {"others": 1_000_000, "workers": 40_000_000, "clients": 20_000_000},
        });
        let read = figures(&report).expect("all figures");
        assert_eq!(read, [30_000.0, 90_000.0, 400_000.0, 50.0, 500.0, 20_000.0, 10_000.0, 2.0]);
        assert_eq!(read.len(), FIGURES.len());
        assert_eq!(processor_time(&report).expect("all parts"), 30_500.0);
        report["latency"] = json!({});
        let error = figures(&report).expect_err("no latencies").to_string();
        assert!(error.contains("/latency/telemetry_on/p50"), "{error}");
        report["processor_time"] = json!({"others": 0, "workers": 0, "clients": 0});
        assert!(processor_time(&report).is_err());
    }
}
