//! Sinks, a clock and a check of the contract for tests: of this crate, and of yours (feature `testing`).
//!
//! Everything here is deterministic: nothing sleeps, and what waits does so at a gate or for a clock that is moved by hand.
//!
//! | to | take |
//! |---|---|
//! | look at what arrived | [`Collect`] |
//! | have a sink fail | [`Flaky`] |
//! | have a sink panic | [`Panicking`] |
//! | hold a sink up until the test says so | [`Gate`] |
//! | have a sink take time that no test waits for | [`Slow`] with a [`ManualClock`] |
//! | check that a sink of your own keeps to the contract | [`assert_sink_contract`], [`SinkContract`] |
//!
//! # Examples
//! A queue with room for two events drops the newest ones while its worker is held up, each time that the test runs:
//! ```
//! use buslane::testing::{Collect, Gate};
//! use buslane::{Bus, SinkExt};
//! let (gate, arrived) = (Gate::closed(), Collect::new());
//! let bus = Bus::new();
//! bus.add_named("log", gate.before(arrived.clone()).queue(2)?)?;
//! bus.publish(0)?;
//! gate.wait_reached(1); // the worker has event 0, and waits at the gate
//! for n in 1..=5 {
//!     bus.publish(n)?;
//! }
//! gate.open();
//! assert!(bus.close().is_done());
//! assert_eq!(arrived.events(), [0, 1, 2]);
//! let sinks = bus.snapshot().sinks;
//! assert_eq!((sinks[0].state.ledger.delivered, sinks[0].state.ledger.dropped.full), (3, 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clause;
mod clock;
mod collect;
mod contract;
mod delivery;
mod flaky;
mod gate;
mod panicking;
mod slow;

pub use clock::ManualClock;
pub use collect::Collect;
pub use contract::{SinkContract, assert_sink_contract};
pub use flaky::{FLAKY, Flaky};
pub use gate::{Gate, Gated};
pub use panicking::{PANICKING, Panicking};
pub use slow::Slow;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long anything here waits, in real time, for another thread that is at work, before it panics instead of hanging.
const GUARD: Duration = Duration::from_secs(30);

/// Locks the standard library's mutex, also where this crate is built for a model: what waits here
/// does so in real time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
