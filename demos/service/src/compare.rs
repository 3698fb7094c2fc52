//! Measures what each kind of telemetry costs a request: latency and processor time.
//!
//! The service runs as a child process, once for each kind, round and load. This process is the load:
//! many keep-alive connections, half of the requests place an order and the others read it back.
//!
//! - **Open loop**: each request has a time at which it is due, at one fixed rate for all kinds, and
//!   its latency counts from that time. A service that stalls so delays all requests that are due
//!   meanwhile, and does not hide that by receiving fewer (coordinated omission).
//! - **Interleaved rounds**: a round measures every kind once, and begins with another kind than the
//!   round before. A ratio compares two measurements of one round; the table has medians over rounds.
//! - **Control**: the service without telemetry is measured twice in each round. The row `off again`
//!   shows how far two equal services differ: a smaller difference means nothing.
//! - **Processor time** is that of the child process alone, all its threads, over the same seconds as
//!   the latency, as the system reports it.
//! - **Lines** are counted in the log file after the end. A line that is neither there nor counted as
//!   lost is in the last column. With `buslane`, what is lost are records, and a span has two of its
//!   own: where records were lost, more lines may be missing than the last column has.

mod client;
mod contender;
mod load;
mod pace;
mod round;
mod table;

use crate::options::Compare;
use crate::telemetry::Kind;
use contender::Contender;
use demo_support::{Failure, Interrupt, Story};
use round::{Conditions, Measurement};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use table::Comparison;

/// The services of a round: every kind, and the one without telemetry once more.
const CONTENDERS: [Contender; 6] = [
    Contender { name: "off", kind: Kind::Off },
    Contender { name: "buslane", kind: Kind::Buslane },
    Contender { name: "non_blocking", kind: Kind::NonBlocking },
    Contender { name: "appender", kind: Kind::Appender },
    Contender { name: "plain", kind: Kind::Plain },
    Contender { name: "off again", kind: Kind::Off },
];

/// A load that is offered to every contender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// The part of the capacity, if that was asked for.
    pub(crate) part: Option<f64>,
    /// In requests per second.
    pub(crate) rate: f64,
}

/// The end that Ctrl-C requests.
pub(crate) struct Alarm(Receiver<()>);

impl Alarm {
    /// Waits, unless the end is requested.
    pub(crate) fn wait(&self, duration: Duration) -> Result<(), Failure> {
        match self.0.recv_timeout(duration) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Failure::Broken("interrupted: there is no comparison".to_owned())),
        }
    }
}

/// Compares all kinds of telemetry, and prints one table for each load.
pub(crate) fn run(settings: &Compare, is_json: bool) -> Result<(), Failure> {
    let (_interrupt, story, alarm) = Interrupt::with_story(is_json)?;
    let alarm = Alarm(alarm);
    let conditions = Conditions { connections: settings.connections, time: settings.seconds };
    let offers = offers(settings, &conditions, &story, &alarm)?;
    let mut comparison = Comparison::new(settings);
    for offer in offers {
        let mut rounds = Vec::new();
        for round in 0..settings.rounds.get() as usize {
            rounds.push(measure(round, offer, &conditions, &story, &alarm)?);
        }
        comparison.add(offer, &rounds);
    }
    comparison.print(&story);
    demo_support::console::finish()
}

/// Measures every contender once, in an order that differs from round to round. The results are in
/// the order of [`CONTENDERS`].
fn measure(
    round: usize,
    offer: Offer,
    conditions: &Conditions,
    story: &Story,
    alarm: &Alarm,
) -> Result<Vec<Measurement>, Failure> {
    let count = CONTENDERS.len();
    let mut measured = Vec::new();
    for index in (0..count).map(|turn| (turn + round) % count) {
        let contender = CONTENDERS[index];
        let measurement = round::measure(contender.kind, Some(offer.rate), conditions, alarm)?;
        story.tell("compare", format_args!("round {}, {}: {measurement}", round + 1, contender.name));
        measured.push((index, measurement));
    }
    measured.sort_by_key(|(index, _)| *index);
    Ok(measured.into_iter().map(|(_, measurement)| measurement).collect())
}

/// Returns the loads: those that were asked for, or parts of the capacity, which is measured first.
fn offers(
    settings: &Compare,
    conditions: &Conditions,
    story: &Story,
    alarm: &Alarm,
) -> Result<Vec<Offer>, Failure> {
    if !settings.rates.is_empty() {
        let rates = settings.rates.iter().map(|rate| Offer { part: None, rate: rate.get() as f64 });
        return Ok(rates.collect());
    }
    let capacity = round::measure(Kind::Off, None, conditions, alarm)?.rate();
    story.tell("compare", format_args!("capacity without telemetry: {capacity:.0} requests/s"));
    Ok(settings.load.iter().map(|part| Offer { part: Some(*part), rate: capacity * part }).collect())
}
