//! What can be asked for on the command line.

use clap::Parser;
use std::num::NonZeroU64;
use std::time::Duration;

/// A registry that tells two endpoints of every push and pull, over HTTP: one healthy, one that fails, hangs and comes back.
///
/// Ends with 0 when the books balance, 1 when they do not, 2 when it could not start.
#[derive(Debug, Parser)]
#[command(name = "notifications")]
pub(crate) struct Options {
    /// How many notifications are published.
    #[arg(long, default_value = "2000")]
    pub(crate) events: NonZeroU64,

    /// How many of them in a second.
    #[arg(long, default_value = "500")]
    pub(crate) rate: NonZeroU64,

    /// How many notifications one request carries at most.
    #[arg(long, default_value = "50")]
    pub(crate) batch: usize,

    /// How old the first notification of a batch may get, in milliseconds.
    #[arg(long = "age-ms", default_value = "100", value_parser = milliseconds)]
    pub(crate) age: Duration,

    /// After how many failures in a row a breaker opens.
    #[arg(long, default_value = "3")]
    pub(crate) threshold: u32,

    /// How long an open breaker leaves its endpoint alone, in milliseconds.
    #[arg(long = "backoff-ms", default_value = "200", value_parser = milliseconds)]
    pub(crate) backoff: Duration,

    /// After how many attempts a batch becomes a dead letter.
    #[arg(long, default_value = "4")]
    pub(crate) attempts: u32,

    /// How long a request may take, in milliseconds.
    #[arg(long = "timeout-ms", default_value = "250", value_parser = milliseconds)]
    pub(crate) timeout: Duration,

    /// How many notifications may wait for an endpoint.
    #[arg(long, default_value = "4096")]
    pub(crate) capacity: usize,
}

/// A number of milliseconds; whether zero will do is for the crate to say.
fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| String::from("not a number of milliseconds"))
}
