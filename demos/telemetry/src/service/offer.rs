//! The offered load: a rate, or a part of the capacity, which is measured first.

use super::load::{Load, Plan};
use crate::options::{self, Options, Telemetry};
use demo_support::{Failure, grouped};
use serde::Serialize;
use std::fmt;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// How often the capacity is measured, and how long each time. A machine with other guests is slow
/// for a moment now and then, and fast for another one.
const CALIBRATIONS: usize = 8;
const CALIBRATION: Duration = Duration::from_millis(100);

/// An offered load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Offer {
    /// The part of the capacity; `None` where the rate was given.
    percent: Option<f64>,
    /// The requests per second that the service answered without telemetry, while each client sent
    /// its next request with the reply to the last one: the lower quartile of several short
    /// measurements. A load above what the machine can do at its slowest would measure a queue.
    capacity: Option<f64>,
    /// Requests per second of all clients together.
    rate: f64,
}

impl Offer {
    /// Determines the rate; measures the capacity, if the rate is a part of it.
    ///
    /// # Errors
    /// If the load cannot be connected or run.
    pub(crate) fn new(
        load: options::Load,
        listener: &TcpListener,
        options: &Options,
        woken: &Receiver<()>,
    ) -> Result<Self, Failure> {
        match load {
            options::Load::Rate(rate) => Ok(Self { percent: None, capacity: None, rate }),
            options::Load::Percent(percent) => {
                let capacity = capacity(listener, options, woken)?;
                let rate = percent / 100.0 * capacity;
                Ok(Self { percent: Some(percent), capacity: Some(capacity), rate })
            }
        }
    }

    /// The time between two requests of all clients together.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }
}

/// Measures the capacity, with other connections each time, and without telemetry.
fn capacity(listener: &TcpListener, options: &Options, woken: &Receiver<()>) -> Result<f64, Failure> {
    let mut rates = Vec::new();
    // An interrupted calibration ends with what it knows.
    while rates.is_empty()
        || (rates.len() < CALIBRATIONS && matches!(woken.try_recv(), Err(TryRecvError::Empty)))
    {
        let load = Load::connect(listener, options)?;
        let plan = Plan { time: CALIBRATION, telemetry: Telemetry::Off, interval: None };
        let outcome = load.run(&plan, Vec::new(), woken)?;
        // The connections of an interrupted calibration may not have had a reply yet.
        let replies = outcome.clients.off.len().max(1);
        rates.push(replies as f64 / outcome.elapsed.as_secs_f64());
    }
    Ok(lower_quartile(&mut rates))
}

/// Returns the value that a quarter of the values do not exceed; sorts them. There is at least one.
fn lower_quartile(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 4]
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |number: f64| grouped(number.round() as u64);
        match (self.percent, self.capacity) {
            (Some(percent), Some(capacity)) => {
                write!(f, "at {percent} % of {} requests/s", whole(capacity))
            }
            _ => write!(f, "at {} requests/s", whole(self.rate)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Offer, lower_quartile};
    use std::time::Duration;

    #[test]
    fn capacity_ignores_fast_moments_of_the_machine() {
        assert_eq!(lower_quartile(&mut [81.0, 50.0, 44.0, 79.0, 52.0, 80.0, 78.0, 81.0]), 50.0);
        assert_eq!(lower_quartile(&mut [7.0]), 7.0);
    }

    #[test]
    fn interval_follows_from_the_rate() {
        let offer = Offer { percent: Some(60.0), capacity: Some(50_000.0), rate: 30_000.0 };
        assert_eq!(offer.interval(), Duration::from_nanos(33_333));
        assert_eq!(offer.to_string(), "at 60 % of 50,000 requests/s");
        assert_eq!(Offer { percent: None, capacity: None, ..offer }.to_string(), "at 30,000 requests/s");
    }
}
