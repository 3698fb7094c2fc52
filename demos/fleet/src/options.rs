//! The command line.

use clap::Parser;
use demo_support::Failure;
use demo_support::arguments::number;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

/// Carries the telemetry of several processes through one JetStream stream, across kills of all sides.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "fleet",
    after_help = "Exit code: 0 everything is accounted for, 1 it is not, 2 it could not start."
)]
pub(crate) struct Options {
    /// Seconds of requests and troubles; one of each kind at least
    #[arg(long, value_name = "N", default_value = "12", value_parser = number::<u32>(WHOLE))]
    pub(crate) seconds: u32,

    /// Services, each a process
    #[arg(long, value_name = "N", default_value = "3", value_parser = services)]
    pub(crate) services: usize,

    /// Requests that each service handles in a second
    #[arg(long, value_name = "N", default_value = "500", value_parser = number::<NonZeroU64>(AT_LEAST_1))]
    pub(crate) rate: NonZeroU64,

    /// Seed of the requests and the troubles
    #[arg(long, default_value = "1", value_parser = number::<u64>(WHOLE))]
    pub(crate) seed: u64,

    /// Print JSON Lines: one for each event of the story, and the report
    #[arg(long)]
    pub(crate) json: bool,

    /// Measure the stream instead: rates, latency, processor time
    #[arg(long)]
    pub(crate) measure: bool,

    /// The server, of a process that is started with this option
    #[arg(long, hide = true, requires = "folder")]
    url: Option<String>,

    /// Where that process writes its counts
    #[arg(long, hide = true, requires = "parent")]
    folder: Option<PathBuf>,

    /// The number of the service that the process is; an aggregator without it
    #[arg(long, hide = true, requires = "life")]
    service: Option<u32>,

    /// How often the service was started before
    #[arg(long, hide = true)]
    life: Option<u32>,

    /// The settings of the server that the process is to become
    #[arg(long, hide = true, requires = "parent")]
    server: Option<PathBuf>,

    /// The process that started it
    #[arg(long, hide = true)]
    pub(crate) parent: Option<NonZeroU32>,
}

/// What this process is.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    Conductor,
    Measure,
    Service { url: &'a str, folder: &'a Path, service: u32, life: u32 },
    Aggregator { url: &'a str, folder: &'a Path },
    Server { settings: &'a Path },
}

impl Options {
    pub(crate) fn part(&self) -> Result<Part<'_>, Failure> {
        if let Some(settings) = &self.server {
            return Ok(Part::Server { settings });
        }
        let (Some(url), Some(folder)) = (&self.url, &self.folder) else {
            return Ok(if self.measure { Part::Measure } else { Part::Conductor });
        };
        match (self.service, self.life) {
            (Some(service), Some(life)) => Ok(Part::Service { url, folder, service, life }),
            (None, None) => Ok(Part::Aggregator { url, folder }),
            _ => Err(Failure::Setup("a service needs the number of its life".into())),
        }
    }
}

const AT_LEAST_1: &str = "a whole number of at least 1";
const WHOLE: &str = "a whole number";

fn services(text: &str) -> Result<usize, String> {
    let valid = "use a whole number from 1 to 16";
    text.parse().ok().filter(|services| (1..=16).contains(services)).ok_or_else(|| valid.into())
}
