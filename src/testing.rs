//! Sinks, a source, a clock and a contract check, for tests of this crate and of your own code (feature
//! `testing`).
//!
//! Everything in this module is deterministic: nothing sleeps, and every wait is at a gate, or for
//! a clock that a test moves by hand.
//!
//! | to | use |
//! |---|---|
//! | inspect the events that arrived | [`Collect`] |
//! | make a sink fail | [`Flaky`], with the error text [`FLAKY`] |
//! | make a sink panic | [`Panicking`], with the message [`PANICKING`] |
//! | hold a sink until the test releases it | [`Gate`], which makes a [`Gated`] sink |
//! | make a sink slow in time that no test has to wait for | [`Slow`] with a [`ManualClock`] |
//! | play what a source does, step by step | [`Script`], with its [`ScriptConnection`] |
//! | check that your own sink keeps the contract | [`assert_sink_contract`], [`SinkContract`] |
//!
//! # Examples
//! A queue with room for two events drops the newest ones while its worker is held at a gate, in
//! every run of the test:
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
//! let ledger = bus.snapshot().sink("log").expect("it was added").state.ledger;
//! assert_eq!((ledger.delivered, ledger.dropped.full), (3, 3));
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
mod script;
mod slow;

pub use clock::ManualClock;
pub use collect::Collect;
pub use contract::{SinkContract, assert_sink_contract};
pub use flaky::{FLAKY, Flaky};
pub use gate::{Gate, Gated};
pub use panicking::{PANICKING, Panicking};
pub use script::{Script, ScriptConnection};
pub use slow::Slow;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest real time for which a call in this module waits for another thread. After that, the
/// call panics instead of hanging.
const GUARD: Duration = Duration::from_secs(30);

/// Locks a mutex of the standard library, also in builds for a model: waits in this module take
/// real time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
