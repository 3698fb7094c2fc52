//! The command line.

use buslane::{Overflow, WaitStrategy};
use clap::Parser;
use demo_support::arguments::number;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// The overflow policies, in the spelling of the crate.
const POLICIES: &str = "drop_newest, drop_oldest, refuse, block, block_for:20ms or close";
/// The wait strategies, in the spelling of the crate.
const STRATEGIES: &str = "nap, nap:NAP,PARK_AFTER, spin_park, park, poll, poll:BUSY,IDLE or busy_spin";

/// Measures what telemetry on a buslane bus costs a key-value service under load.
#[derive(Debug, Parser)]
#[command(
    name = "telemetry",
    after_help = "A full sink drops the newest event, with --lines it blocks, unless --overflow says otherwise.\n\
                  Exit code: 0 the ledger balances, 1 it does not or a later step failed, 2 it could not start."
)]
pub(crate) struct Options {
    /// Run the service for this many seconds
    #[arg(long, default_value = "5", value_parser = seconds, conflicts_with = "lines")]
    pub(crate) seconds: Duration,

    /// Switch telemetry on or off after this many milliseconds
    #[arg(long = "slice-ms", value_name = "MS", default_value = "250", value_parser = milliseconds, conflicts_with = "lines")]
    pub(crate) slice: Duration,

    /// Threads that serve requests, each with a publisher
    #[arg(long, value_name = "N", default_value = "2", value_parser = at_least_1(), conflicts_with = "lines")]
    pub(crate) workers: NonZeroUsize,

    /// Clients, each with a connection and a thread
    #[arg(long, value_name = "N", default_value = "4", value_parser = at_least_1(), conflicts_with = "lines")]
    pub(crate) connections: NonZeroUsize,

    /// Port of the service; 0 lets the system choose
    #[arg(long, default_value = "0", value_parser = port(), conflicts_with = "lines")]
    pub(crate) port: u16,

    /// Alert on requests that take this many microseconds
    #[arg(long = "slow-us", value_name = "US", default_value = "1000", value_parser = microseconds, conflicts_with = "lines")]
    pub(crate) slow: Duration,

    /// Publish the lines of a file instead, or of standard input
    #[arg(long, value_name = "FILE|-")]
    pub(crate) lines: Option<String>,

    /// Alert on lines that contain this text
    #[arg(long, default_value = "error", value_name = "TEXT", requires = "lines")]
    pub(crate) grep: String,

    #[arg(long, value_name = "POLICY", help = POLICIES, value_parser = number::<Overflow>(POLICIES))]
    overflow: Option<Overflow>,

    /// Waits: nap, spin_park, park, poll or busy_spin
    #[arg(long, default_value = "nap", value_name = "STRATEGY", value_parser = number::<WaitStrategy>(STRATEGIES))]
    pub(crate) wait: WaitStrategy,

    /// Events in the lane of each publisher into each sink
    #[arg(long, value_name = "EVENTS", default_value = "1024", value_parser = at_least_1())]
    pub(crate) capacity: NonZeroUsize,

    /// Keep the samples in this JSON Lines file (default: a temporary file)
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Print the report as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

impl Options {
    /// What happens on a full sink. A service must not wait for its telemetry; a file can wait.
    pub(crate) fn overflow(&self) -> Overflow {
        let usual = if self.lines.is_some() { Overflow::Block } else { Overflow::DropNewest };
        self.overflow.unwrap_or(usual)
    }
}

fn at_least_1() -> impl Fn(&str) -> Result<NonZeroUsize, String> + Clone {
    number("a whole number of at least 1")
}

fn port() -> impl Fn(&str) -> Result<u16, String> + Clone {
    number("a port from 0 to 65535")
}

fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, 1.0)
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    duration(text, 1e-3)
}

fn microseconds(text: &str) -> Result<Duration, String> {
    duration(text, 1e-6)
}

/// A positive number of units, as a duration.
fn duration(text: &str, unit: f64) -> Result<Duration, String> {
    let duration = text.parse().ok().and_then(|number: f64| Duration::try_from_secs_f64(number * unit).ok());
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| "use a number greater than 0".to_owned())
}
