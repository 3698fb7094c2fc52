//! What telemetry costs the requests of a service: the program `telemetry` of `demos`, one process
//! for each sample.
//!
//! The service is offered the same rate in every sample, with another bus in each, or with none.
//! Its clients send at fixed times, and a latency counts from when the request was due. A sample is
//! a process, so nothing of the last contender is left when the next one starts: its listeners have
//! drained what they accepted and have ended, and none of them spins beside another contender.
//!
//! The rate is a part of the capacity, which the program measures once for all samples: the lower
//! quartile of several short measurements, as the capacity of a virtual machine moves.
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

impl Service {
    /// Returns a service at `percent` of the capacity, which is measured now.
    ///
    /// # Errors
    /// If the program cannot be started, fails, or prints something else than its report.
    pub fn calibrate(program: &Path, percent: f64, slice: Duration) -> io::Result<Self> {
        let load = percent.to_string();
        let arguments = ["--bus", "none", "--seconds", "0.1", "--load", &load];
        let report = ask(program, &arguments)?;
        let rate = number(&report, "/load/rate")?;
        Ok(Self { program: program.to_owned(), rate, slice })
    }

    /// Returns the offered rate, in requests per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Runs the service for one sample, with this bus.
    fn sample(&self, bus: &str) -> io::Result<Vec<f64>> {
        let (seconds, load) = ((WARM_UP + self.slice).as_secs_f64().to_string(), format!("{}/s", self.rate));
        let arguments = ["--bus", bus, "--seconds", &seconds, "--load", &load, "--slice-ms", "0"];
        figures(&ask(&self.program, &arguments)?)
    }
}

impl Contender {
    /// Measures the requests of a service with this bus; the figures are those of [`FIGURES`], as
    /// `name, p50` and so on.
    ///
    /// # Panics
    /// A sample panics if the program fails.
    #[must_use]
    pub fn requests(name: &str, bus: &'static str, service: &Service) -> Self {
        let (service, program) = (service.clone(), service.program.display().to_string());
        let names = FIGURES.map(|figure| format!("{name}, {figure}"));
        Self::new(names.into(), Some(0), move |_| {
            service.sample(bus).unwrap_or_else(|error| panic!("{program} --bus {bus}: {error}"))
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
    use super::{FIGURES, figures};
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
        report["latency"] = json!({});
        let error = figures(&report).expect_err("no latencies").to_string();
        assert!(error.contains("/latency/telemetry_on/p50"), "{error}");
    }
}
