//! The offered load: a part of the capacity, which is measured first.

use super::load::{Load, Plan};
use crate::options::Options;
use demo_support::{Failure, grouped};
use serde::Serialize;
use std::fmt;
use std::net::TcpListener;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How long the capacity is measured.
const CALIBRATION: Duration = Duration::from_millis(500);

/// An offered load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Offer {
    /// The part of the capacity.
    percent: f64,
    /// The requests per second that the service answered without telemetry, while each client sent
    /// its next request with the reply to the last one.
    capacity: f64,
}

impl Offer {
    /// Measures the capacity with other connections, and without telemetry.
    pub(crate) fn calibrate(
        percent: f64,
        listener: &TcpListener,
        options: &Options,
        woken: &Receiver<()>,
    ) -> Result<Self, Failure> {
        let load = Load::connect(listener, options)?;
        let plan = Plan { time: CALIBRATION, slice: None, interval: None };
        let outcome = load.run(&plan, Vec::new(), woken)?;
        // The connections of an interrupted calibration may not have had a reply yet.
        let replies = outcome.clients.off.len().max(1);
        Ok(Self { percent, capacity: replies as f64 / outcome.elapsed.as_secs_f64() })
    }

    /// The time between two requests of all clients together.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs_f64(100.0 / (self.percent * self.capacity))
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, capacity) = (self.percent, grouped(self.capacity.round() as u64));
        write!(f, "at {percent} % of {capacity} requests/s")
    }
}
