//! What can be asked for on the command line.

use clap::Parser;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Publishes what happens in a directory in a journal. Three subscribers come to read it: one from the start, one that is slow
/// and lags, and one that loses its connection and comes back.
///
/// Ends with 0 when it is proven that each of them saw everything or was told what it missed, 1 when not, 2 when it could not
/// start.
#[derive(Debug, Parser)]
#[command(name = "event_log")]
pub(crate) struct Options {
    /// The directory to watch, with all that is in it; without one, the demo makes its own, and changes files in it.
    pub(crate) directory: Option<PathBuf>,

    /// How many times the directory is looked at.
    #[arg(long, default_value = "24")]
    pub(crate) looks: NonZeroU32,

    /// How long to wait between two looks, in milliseconds.
    #[arg(long = "interval-ms", default_value = "60", value_parser = milliseconds)]
    pub(crate) interval: Duration,

    /// How many of the newest events the journal keeps.
    #[arg(long, default_value = "256")]
    pub(crate) capacity: usize,

    /// The slow subscriber reads after every so many looks only.
    #[arg(long, default_value = "6", value_name = "LOOKS")]
    pub(crate) slow_every: NonZeroU32,

    /// How many events the roaming subscriber reads before it loses its connection.
    #[arg(long, default_value = "200", value_name = "EVENTS")]
    pub(crate) roams_after: NonZeroU32,

    /// For how many looks it is away.
    #[arg(long, default_value = "2", value_name = "LOOKS")]
    pub(crate) away_for: NonZeroU32,

    /// How many files are created, changed, renamed or removed before each look, in a directory of the demo's own.
    #[arg(long, default_value = "80", conflicts_with = "directory")]
    pub(crate) changes: u32,

    /// The same seed makes the same changes.
    #[arg(long, default_value = "1", conflicts_with = "directory")]
    pub(crate) seed: u64,
}

/// A number of milliseconds; none at all is fine.
fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| String::from("not a number of milliseconds"))
}
