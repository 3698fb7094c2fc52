//! The command line.

use crate::telemetry::Kind;
use clap::{Args, Parser, Subcommand};
use demo_support::arguments::{milliseconds, number};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// An axum service that logs, audits, meters and streams through buslane.
#[derive(Debug, Parser)]
#[command(
    name = "service",
    // Without a command, an error of one line is better than the help.
    arg_required_else_help = false,
    after_help = "Exit code: 0 every ledger balances, 1 one does not or a later step failed, 2 it could not start."
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print JSON Lines: what happens, and the report
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve orders until SIGINT or SIGTERM, and report what was delivered
    Serve(Box<Serve>),
    /// Measure what each kind of telemetry costs a request
    Compare(Compare),
}

/// The settings of a service.
#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = number::<SocketAddr>(ADDRESS))]
    pub(crate) address: SocketAddr,

    /// SQLite file of the orders, which a restart reads again
    #[arg(long, value_name = "FILE")]
    pub(crate) database: PathBuf,

    /// File to which the log lines are appended
    #[arg(long, value_name = "FILE")]
    pub(crate) log: PathBuf,

    #[arg(long, value_name = "KIND", default_value = "buslane", help = KINDS, value_parser = number::<Kind>(KINDS))]
    pub(crate) telemetry: Kind,

    /// Answer 201 when the order is on disk, not when the audit accepted it
    #[arg(long)]
    pub(crate) durable: bool,

    /// Threads of the runtime (default: one for each processor)
    #[arg(long, value_name = "N", value_parser = number::<NonZeroUsize>(AT_LEAST_1))]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Requests that are served at the same time; more are answered 503
    #[arg(long, value_name = "N", default_value = "1024", value_parser = number::<NonZeroU32>(AT_LEAST_1))]
    pub(crate) requests: NonZeroU32,

    /// Clients of the feed at the same time; more are answered 503
    #[arg(long, value_name = "N", default_value = "1024", value_parser = number::<NonZeroU32>(AT_LEAST_1))]
    pub(crate) clients: NonZeroU32,

    /// Orders that the feed keeps, the newest ones
    #[arg(long, value_name = "N", default_value = "1024", value_parser = number::<usize>(AT_LEAST_1))]
    pub(crate) history: usize,

    /// Orders that wait for the database at the same time
    #[arg(long, value_name = "N", default_value = "1024", value_parser = number::<usize>(AT_LEAST_1))]
    pub(crate) capacity: usize,

    /// Pieces of each item in stock
    #[arg(long, value_name = "N", default_value = "1000000000", value_parser = number::<u64>(WHOLE))]
    pub(crate) stock: u64,

    /// Time that an order waits for room in the audit, in milliseconds
    #[arg(long = "patience-ms", value_name = "MS", default_value = "1000", value_parser = milliseconds)]
    pub(crate) patience: Duration,

    /// Time for each step of the shutdown, in milliseconds
    #[arg(long = "limit-ms", value_name = "MS", default_value = "5000", value_parser = milliseconds)]
    pub(crate) limit: Duration,

    /// Stop when standard input ends, too
    #[arg(long)]
    pub(crate) until_stdin_ends: bool,
}

/// The settings of a comparison.
#[derive(Clone, Debug, Args)]
pub(crate) struct Compare {
    /// Seconds of each measurement
    #[arg(long, value_name = "N", default_value = "3", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// Rounds, in each of which every kind of telemetry is measured
    #[arg(long, value_name = "N", default_value = "5", value_parser = number::<NonZeroU32>(AT_LEAST_1))]
    pub(crate) rounds: NonZeroU32,

    /// Loads, as parts of the capacity without telemetry, which is measured first
    #[arg(long, value_name = "PARTS", default_value = "0.1,0.6", value_delimiter = ',', value_parser = part, conflicts_with = "rates")]
    pub(crate) load: Vec<f64>,

    /// Requests per second instead of a part of the capacity
    #[arg(long = "rate", value_name = "R", value_delimiter = ',', value_parser = number::<NonZeroU64>(AT_LEAST_1))]
    pub(crate) rates: Vec<NonZeroU64>,

    /// Keep-alive connections, each with a thread
    #[arg(long, value_name = "N", default_value = "64", value_parser = connections)]
    pub(crate) connections: usize,
}

const ADDRESS: &str = "an address such as 127.0.0.1:8080";
const AT_LEAST_1: &str = "a whole number of at least 1";
const WHOLE: &str = "a whole number";
/// The kinds of telemetry, as the command line names them.
const KINDS: &str = "off, buslane, non_blocking, appender or plain";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|number: f64| Duration::try_from_secs_f64(number).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or_else(|| "use a number greater than 0".to_owned())
}

fn part(text: &str) -> Result<f64, String> {
    let part = text.parse().ok().filter(|part| (0.01..=1.0).contains(part));
    part.ok_or_else(|| "use numbers from 0.01 to 1".to_owned())
}

fn connections(text: &str) -> Result<usize, String> {
    let valid = "use a whole number from 1 to 512";
    text.parse().ok().filter(|number| (1..=512).contains(number)).ok_or_else(|| valid.into())
}
