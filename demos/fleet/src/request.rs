//! The telemetry of a service: one event for each request that it has handled.

use demo_support::Dice;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// The stream of all services.
pub(crate) const STREAM: &str = "FLEET";
/// The subjects of the stream.
pub(crate) const SUBJECTS: &str = "fleet.>";

/// The names of the services.
const NAMES: [&str; 16] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

/// Returns the name of a service.
pub(crate) fn name_of(service: u32) -> &'static str {
    NAMES[service as usize % NAMES.len()]
}

/// A life of a service: the time from a start of its process to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) service: u32,
    /// How often the service was started before.
    pub(crate) life: u32,
}

/// A request that a service has handled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) life: Life,
    /// Counts the requests of a life from one.
    pub(crate) number: u64,
    /// When it was published, in microseconds since 1970.
    pub(crate) at: u64,
    /// How long it took.
    pub(crate) micros: u32,
    pub(crate) failed: bool,
}

impl Request {
    /// Makes up a request. Every few thousand, a service has a bad time, in which half of them fail.
    pub(crate) fn made_up(life: Life, number: u64, dice: &mut Dice) -> Self {
        let is_bad = (number / 200 + u64::from(life.service)) % 16 == 5;
        let slow = if dice.below(100) == 0 { 20_000 } else { 0 };
        let micros = 200 + dice.below(800) + slow + if is_bad { 5000 } else { 0 };
        let failed = dice.below(1000) < if is_bad { 500 } else { 5 };
        let micros = u32::try_from(micros).unwrap_or(u32::MAX);
        Self { life, number, at: now(), micros, failed }
    }
}

/// The time in microseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
