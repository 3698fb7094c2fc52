//! The command line.

use clap::Parser;
use demo_support::arguments::{milliseconds, number};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

/// Keeps key-value nodes in step, each a process, while they crash, hang, and come back.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "replicas",
    after_help = "Exit code: 0 all nodes have the same data, 1 they do not, 2 it could not start."
)]
pub(crate) struct Options {
    /// Seconds of writes and troubles; one of each kind at least
    #[arg(long, value_name = "N", default_value = "6", value_parser = number::<u32>(WHOLE))]
    pub(crate) seconds: u32,

    /// Nodes, each a process
    #[arg(long, value_name = "N", default_value = "3", value_parser = nodes)]
    pub(crate) nodes: usize,

    /// Seed of the writes and the troubles
    #[arg(long, default_value = "1", value_parser = number::<u64>(WHOLE))]
    pub(crate) seed: u64,

    /// Writes each second, over all nodes
    #[arg(long, value_name = "N", default_value = "400", value_parser = number::<NonZeroU64>(AT_LEAST_1))]
    pub(crate) rate: NonZeroU64,

    /// Changes that the director keeps, the newest ones
    #[arg(long, value_name = "N", default_value = "128", value_parser = history)]
    pub(crate) history: usize,

    /// Events in one request to a node, at most
    #[arg(long, value_name = "N", default_value = "32", value_parser = number::<NonZeroUsize>(AT_LEAST_1))]
    pub(crate) packet: NonZeroUsize,

    /// Time in which a node must answer a packet, in milliseconds
    #[arg(long = "timeout-ms", value_name = "MS", default_value = "200", value_parser = milliseconds)]
    pub(crate) timeout: Duration,

    /// Print JSON Lines: one for each event of the story, and the report
    #[arg(long)]
    pub(crate) json: bool,

    /// The hub of a node, whose process is started with this option
    #[arg(long, hide = true, requires = "name")]
    pub(crate) hub: Option<String>,

    /// The name of that node
    #[arg(long, hide = true, requires = "parent")]
    pub(crate) name: Option<String>,

    /// The process that started it
    #[arg(long, hide = true)]
    pub(crate) parent: Option<NonZeroU32>,
}

const AT_LEAST_1: &str = "a whole number of at least 1";
const WHOLE: &str = "a whole number";

fn nodes(text: &str) -> Result<usize, String> {
    let valid = "use a whole number from 2 to 16";
    text.parse().ok().filter(|nodes| (2..=16).contains(nodes)).ok_or_else(|| valid.into())
}

fn history(text: &str) -> Result<usize, String> {
    let valid = "use a whole number from 16 to 65536";
    text.parse().ok().filter(|history| (16..=65536).contains(history)).ok_or_else(|| valid.into())
}
