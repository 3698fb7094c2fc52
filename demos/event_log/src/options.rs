//! The command line.

use clap::Parser;
use demo_support::arguments::{milliseconds, number};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Publishes the changes of a directory to a journal, whose subscribers follow, lag and reconnect.
#[derive(Debug, Parser)]
#[command(
    name = "event_log",
    after_help = "Exit code: 0 every event was seen or counted as missed, 1 it was not, 2 it could not start."
)]
pub(crate) struct Options {
    /// Directory to watch (default: a temporary one, which the demo changes)
    pub(crate) directory: Option<PathBuf>,

    /// Scans of the directory
    #[arg(long, value_name = "N", default_value = "24", value_parser = number::<NonZeroU32>(AT_LEAST_1))]
    pub(crate) scans: NonZeroU32,

    /// Pause between two scans, in milliseconds
    #[arg(long = "interval-ms", value_name = "MS", default_value = "60", value_parser = milliseconds)]
    pub(crate) interval: Duration,

    /// Events that the journal keeps, the newest ones
    #[arg(long, value_name = "N", default_value = "256", value_parser = number::<usize>(AT_LEAST_1))]
    pub(crate) capacity: usize,

    /// Scans between two reads of the slow subscriber
    #[arg(long, value_name = "SCANS", default_value = "6", value_parser = number::<NonZeroU32>(AT_LEAST_1))]
    pub(crate) slow_every: NonZeroU32,

    /// Events after which the roaming subscriber disconnects
    #[arg(long, value_name = "EVENTS", default_value = "200", value_parser = number::<NonZeroU32>(AT_LEAST_1))]
    pub(crate) roams_after: NonZeroU32,

    /// Scans that pass before it reconnects
    #[arg(long, value_name = "SCANS", default_value = "2", value_parser = number::<NonZeroU32>(AT_LEAST_1))]
    pub(crate) away_for: NonZeroU32,

    /// Changes to the demo's own directory before each scan
    #[arg(long, value_name = "N", default_value = "80", conflicts_with = "directory", value_parser = number::<u32>(WHOLE))]
    pub(crate) changes: u32,

    /// Seed of these changes
    #[arg(long, default_value = "1", conflicts_with = "directory", value_parser = number::<u64>(WHOLE))]
    pub(crate) seed: u64,

    /// Print JSON Lines: one for each event of the story, and the report
    #[arg(long)]
    pub(crate) json: bool,
}

const AT_LEAST_1: &str = "a whole number of at least 1";
const WHOLE: &str = "a whole number";
