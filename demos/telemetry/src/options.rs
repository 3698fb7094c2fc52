//! The command line.

use crate::peers::{Carrier, NAMES};
use buslane::{Overflow, WaitStrategy};
use clap::Parser;
use demo_support::Failure;
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
    /// buslane, none, or a peer such as crossbeam: an unknown name lists all
    #[arg(long, value_name = "NAME", value_parser = number::<Carrier>(NAMES), conflicts_with = "lines")]
    bus: Option<Carrier>,

    /// Offer a part of the capacity, or N/s (60 with --bus, else all)
    #[arg(long, value_name = "PERCENT", value_parser = Load::parse, conflicts_with = "lines")]
    load: Option<Load>,

    /// Run the service for this many seconds
    #[arg(long, default_value = "5", value_parser = seconds, conflicts_with = "lines")]
    pub(crate) seconds: Duration,

    /// Switch telemetry after this many ms; 0 leaves it on
    #[arg(long = "slice-ms", value_name = "MS", default_value = "250", value_parser = milliseconds, conflicts_with = "lines")]
    slice: Duration,

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

    /// Waits: nap, spin_park, park, poll or busy_spin [default: nap]
    #[arg(long, value_name = "STRATEGY", value_parser = number::<WaitStrategy>(STRATEGIES))]
    wait: Option<WaitStrategy>,

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

/// The load with `--bus`.
const USUAL_LOAD: Load = Load::Percent(60.0);
/// The highest capacity of a peer's channel, in samples.
const MOST_CAPACITY: usize = 1 << 24;

/// The load that clients offer at fixed times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// In percent of the capacity, which is measured first.
    Percent(f64),
    /// In requests per second, so that several runs have the same load.
    Rate(f64),
}

impl Load {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str, most| text.parse().ok().filter(|number| (1.0..=most).contains(number));
        let load = match text.strip_suffix("/s") {
            Some(rate) => number(rate, 1e7).map(Self::Rate),
            None => number(text, 100.0).map(Self::Percent),
        };
        load.ok_or_else(|| "use a number from 1 to 100, or a rate such as 30000/s".to_owned())
    }
}

/// When telemetry is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telemetry {
    Off,
    /// All the time.
    On,
    /// Off and on in slices of this duration.
    InTurns(Duration),
}

impl Options {
    /// What carries the samples.
    ///
    /// # Errors
    /// If a setting is given that only the bus has.
    pub(crate) fn carrier(&self) -> Result<Carrier, Failure> {
        let carrier = self.bus.unwrap_or(Carrier::Buslane);
        let settings = [("--overflow", self.overflow.is_some()), ("--wait", self.wait.is_some())];
        match settings.into_iter().find(|(_, given)| *given) {
            Some((setting, _)) if carrier != Carrier::Buslane => {
                let cause = format!("{} has no such setting: use it with --bus buslane", carrier.name());
                Err(Failure::setup(format!("'{setting}' is invalid"), cause))
            }
            // The bus checks its capacity itself; some of the others would panic.
            _ if carrier != Carrier::Buslane && self.capacity.get() > MOST_CAPACITY => {
                let cause = format!("the highest is {MOST_CAPACITY} with --bus {}", carrier.name());
                Err(Failure::setup(format!("capacity {} is invalid", self.capacity), cause))
            }
            _ => Ok(carrier),
        }
    }

    /// The offered load; `None` where clients send their next request with the reply to the last
    /// one.
    pub(crate) fn load(&self) -> Option<Load> {
        self.load.or(self.bus.map(|_| USUAL_LOAD))
    }

    /// When telemetry is on.
    pub(crate) fn telemetry(&self) -> Telemetry {
        if self.slice.is_zero() { Telemetry::On } else { Telemetry::InTurns(self.slice) }
    }

    /// How the sinks wait.
    pub(crate) fn wait(&self) -> WaitStrategy {
        self.wait.unwrap_or_else(WaitStrategy::nap)
    }

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
    let duration = text.parse().ok().and_then(|number: f64| Duration::try_from_secs_f64(number * 1e-3).ok());
    duration.ok_or_else(|| "use a number of at least 0".to_owned())
}

fn microseconds(text: &str) -> Result<Duration, String> {
    duration(text, 1e-6)
}

/// A positive number of units, as a duration.
fn duration(text: &str, unit: f64) -> Result<Duration, String> {
    let duration = text.parse().ok().and_then(|number: f64| Duration::try_from_secs_f64(number * unit).ok());
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| "use a number greater than 0".to_owned())
}
