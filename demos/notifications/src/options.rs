//! The command line.

use clap::Parser;
use demo_support::arguments::{milliseconds, number};
use std::num::NonZeroU64;
use std::time::Duration;

/// Notifies two HTTP endpoints of registry events: one healthy, one that fails, hangs and recovers.
#[derive(Debug, Parser)]
#[command(
    name = "notifications",
    after_help = "Exit code: 0 the ledger balances, 1 it does not, 2 it could not start."
)]
pub(crate) struct Options {
    /// Notifications to publish
    #[arg(long, value_name = "N", default_value = "2000", value_parser = number::<NonZeroU64>(AT_LEAST_1))]
    pub(crate) events: NonZeroU64,

    /// Notifications to publish each second
    #[arg(long, value_name = "N", default_value = "500", value_parser = number::<NonZeroU64>(AT_LEAST_1))]
    pub(crate) rate: NonZeroU64,

    /// Notifications in one request, at most
    #[arg(long, value_name = "N", default_value = "50", value_parser = number::<usize>(AT_LEAST_1))]
    pub(crate) batch: usize,

    /// Send a batch at this age, full or not, in milliseconds
    #[arg(long = "age-ms", value_name = "MS", default_value = "100", value_parser = milliseconds)]
    pub(crate) age: Duration,

    /// Failures in a row that open a circuit breaker
    #[arg(long, value_name = "N", default_value = "3", value_parser = number::<u32>(AT_LEAST_1))]
    pub(crate) threshold: u32,

    /// Pause after a breaker opened, in milliseconds
    #[arg(long = "backoff-ms", value_name = "MS", default_value = "200", value_parser = milliseconds)]
    pub(crate) backoff: Duration,

    /// Attempts after which a batch becomes a dead letter
    #[arg(long, value_name = "N", default_value = "4", value_parser = number::<u32>(AT_LEAST_1))]
    pub(crate) attempts: u32,

    /// Timeout of a request, in milliseconds
    #[arg(long = "timeout-ms", value_name = "MS", default_value = "250", value_parser = milliseconds)]
    pub(crate) timeout: Duration,

    /// Notifications in the queue of an endpoint, at most
    #[arg(long, value_name = "N", default_value = "4096", value_parser = number::<usize>(AT_LEAST_1))]
    pub(crate) capacity: usize,

    /// Print JSON Lines: one for each event of the story, and the report
    #[arg(long)]
    pub(crate) json: bool,
}

const AT_LEAST_1: &str = "a whole number of at least 1";
