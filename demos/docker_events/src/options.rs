//! The command line.

use clap::Parser;
use demo_support::arguments::number;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// Follows the events of a Docker Engine, and shows its containers and what happened to them.
#[derive(Debug, Parser)]
#[command(
    name = "docker_events",
    after_help = "Exit code: 0 every event was shown or is at a gap, 1 it was not, 2 it could not start."
)]
pub(crate) struct Options {
    /// Address of the engine (default: `DOCKER_HOST`, or the local socket)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<String>,

    /// Follow a scripted engine, which has every kind of trouble and then ends
    #[arg(long, conflicts_with_all = ["host", "kinds", "seconds", "token"])]
    pub(crate) fake: bool,

    /// File with the position to continue from, which is kept up to date
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,

    /// Kind of events, such as `container`; repeat it for several (default: all)
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<String>,

    /// Seconds to follow (default: until Ctrl-C)
    #[arg(long, value_name = "N", value_parser = number::<NonZeroU32>("a whole number of at least 1"))]
    pub(crate) seconds: Option<NonZeroU32>,

    /// Print JSON Lines: one for each event of the story, and the report
    #[arg(long)]
    pub(crate) json: bool,
}
