//! What can be asked for on the command line.

use buslane::{Overflow, WaitStrategy};
use clap::Parser;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Telemetry of a key-value service on a loopback socket, switched on and off in slices, and the books of every sink.
///
/// Ends with 0 when the books balance, 1 when they do not or something broke, 2 when it could not start.
#[derive(Debug, Parser)]
#[command(name = "telemetry")]
pub(crate) struct Options {
    /// How long the service runs, in seconds.
    #[arg(long, default_value = "5", value_parser = seconds, conflicts_with = "lines")]
    pub(crate) seconds: Duration,

    /// How long telemetry stays on, and then off, in milliseconds.
    #[arg(long = "slice-ms", default_value = "250", value_parser = milliseconds, conflicts_with = "lines")]
    pub(crate) slice: Duration,

    /// Threads that serve requests; each owns a publisher.
    #[arg(long, default_value = "2", conflicts_with = "lines")]
    pub(crate) workers: NonZeroUsize,

    /// Clients, each with a connection and a thread of its own, and one request under way.
    #[arg(long, default_value = "4", conflicts_with = "lines")]
    pub(crate) connections: NonZeroUsize,

    /// The port that the service listens on; 0 lets the system choose.
    #[arg(long, default_value = "0", conflicts_with = "lines")]
    pub(crate) port: u16,

    /// A request that the service takes so long for is an alert, in microseconds.
    #[arg(long = "slow-us", default_value = "1000", value_parser = microseconds, conflicts_with = "lines")]
    pub(crate) slow: Duration,

    /// Publish the lines of this file instead, or of standard input with "-".
    #[arg(long, value_name = "FILE|-")]
    pub(crate) lines: Option<String>,

    /// A line that contains this text is an alert.
    #[arg(long, default_value = "error", value_name = "TEXT", requires = "lines")]
    pub(crate) grep: String,

    /// What a sink without room does: drop-newest (default), drop-oldest, refuse, block (default with --lines),
    /// block-for=<ms>, close.
    #[arg(long, value_parser = overflow, value_name = "POLICY")]
    overflow: Option<Overflow>,

    /// How consumers wait: nap, spin_park, park, poll, busy_spin.
    #[arg(long, default_value = "nap", value_name = "STRATEGY")]
    pub(crate) wait: WaitStrategy,

    /// How many events each publisher's lane into each sink holds.
    #[arg(long, default_value = "1024")]
    pub(crate) capacity: usize,

    /// The JSON Lines file, which is kept; without it, a temporary one, which is removed at the end.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

impl Options {
    /// What a sink without room does. A service must not wait for its telemetry; a file can wait.
    pub(crate) fn overflow(&self) -> Overflow {
        let usual = if self.lines.is_some() { Overflow::Block } else { Overflow::DropNewest };
        self.overflow.unwrap_or(usual)
    }
}

fn overflow(text: &str) -> Result<Overflow, String> {
    Ok(match text {
        "drop-newest" => Overflow::DropNewest,
        "drop-oldest" => Overflow::DropOldest,
        "refuse" => Overflow::Refuse,
        "block" => Overflow::Block,
        "close" => Overflow::Close,
        _ => match text.strip_prefix("block-for=") {
            Some(limit) => Overflow::BlockFor(milliseconds(limit)?),
            None => {
                return Err("use drop-newest, drop-oldest, refuse, block, block-for=<ms> or close".into());
            }
        },
    })
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
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let duration = Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())?;
    if duration.is_zero() { Err("must be more than zero".into()) } else { Ok(duration) }
}
