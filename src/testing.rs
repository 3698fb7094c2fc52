//! Sinks and a clock for tests: of this crate, and of yours (feature `testing`).
//!
//! Everything here is deterministic: nothing sleeps, and what waits does so at a gate or for a clock that is moved by hand.

mod clock;

pub use clock::ManualClock;
