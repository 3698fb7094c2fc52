//! A service as a child process: how it is started, ended, and how none outlives this process.
//!
//! A service ends when its standard input ends, and that is a pipe from this process. Dropping a
//! [`Running`] kills its process, also after a failure.

use super::client::{Client, get};
use crate::telemetry::Kind;
use demo_support::Failure;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// One row of the comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// The time after which a scrape is an error.
const HANG: Duration = Duration::from_secs(20);

/// A service that is running.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

/// What the service counted at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scrape {
    pub(crate) requests: f64,
    /// In seconds.
    pub(crate) processor: f64,
}

impl Running {
    /// Starts a service with its files in a folder.
    pub(crate) fn start(kind: Kind, folder: &Path) -> Result<Self, Failure> {
        let cannot =
            |error| Failure::broken(format!("cannot start the service with telemetry {kind}"), error);
        let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
        command.args(["--json", "serve", "--until-stdin-ends", "--telemetry", kind.name(), "--database"]);
        command.arg(folder.join("orders.db")).arg("--log").arg(folder.join("service.log"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for this process alone, which ends the service.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(cannot)?;
        let Some(output) = child.stdout.take() else {
            return Err(Failure::Broken("a child has no output".into()));
        };
        let mut running =
            Self { child, output: BufReader::new(output), address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        running.address = running.wait_for_address()?;
        Ok(running)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_for_address(&mut self) -> Result<SocketAddr, Failure> {
        loop {
            let line = self.line()?;
            let text = line["text"].as_str().and_then(|text| text.strip_prefix("listens on "));
            if let Some(address) = text.and_then(|address| address.parse().ok()) {
                return Ok(address);
            }
        }
    }

    /// Reads a line of the story.
    fn line(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            // It has told the reason on standard error.
            Ok(0) => Err(Failure::Broken("the service ended early".to_owned())),
            Ok(_) => serde_json::from_str(&line)
                .map_err(|error| Failure::broken("the service tells no JSON", error)),
            Err(error) => Err(Failure::broken("the service tells nothing", error)),
        }
    }

    /// Reads what the service counted up to now.
    pub(crate) fn scrape(&self) -> Result<Scrape, Failure> {
        let page = Client::connect(self.address, HANG)
            .and_then(|mut client| client.request(&get("/metrics")))
            .map_err(|error| Failure::broken("cannot read /metrics", error))?;
        let page = String::from_utf8_lossy(&page.body);
        let value = |name: &str| -> Result<f64, Failure> {
            let mut values = page.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            values.next().ok_or_else(|| Failure::Broken(format!("there is no {name} in /metrics")))
        };
        Ok(Scrape {
            requests: value("service_requests_total")?,
            processor: value("process_cpu_seconds_total")?,
        })
    }

    /// Ends the service, and returns its report, in which every ledger balances.
    pub(crate) fn end(mut self) -> Result<Value, Failure> {
        drop(self.child.stdin.take());
        loop {
            let line = self.line()?;
            if line["type"] == "report" {
                let status =
                    self.child.wait().map_err(|error| Failure::broken("cannot end the service", error))?;
                let why = || Failure::Broken(format!("the service ended with {status}: {}", line["checks"]));
                return if status.success() { Ok(line) } else { Err(why()) };
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
