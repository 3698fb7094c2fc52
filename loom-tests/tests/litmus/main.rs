//! The handshakes on real threads, in many rounds: both sides take their two steps at nearly the
//! same time, with small random delays.
//!
//! A check after each round finds a side that missed the other. No result depends on time, and no
//! thread sleeps.
//!
//! `LITMUS_ROUNDS` sets the number of rounds of each test. `-- --nocapture` shows the results, and
//! how often this processor reorders unordered accesses.
#![cfg(not(any(loom, shuttle)))]

mod bias;
mod gate;
mod processors;
mod remove;
mod rounds;
mod seal;
mod store_buffering;
mod wake;
