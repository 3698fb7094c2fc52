//! The handshakes on real threads, round after round: each side does its two steps at about the
//! same moment as the other, a random little earlier or later, and whoever missed whom is looked up
//! afterwards. Nothing is judged by time, and nothing sleeps.
//!
//! `LITMUS_ROUNDS` says how many rounds each one has; `-- --nocapture` shows how they went, and how
//! often this processor swaps what nothing keeps in order.
#![cfg(not(any(loom, shuttle)))]

mod gate;
mod processors;
mod remove;
mod rounds;
mod seal;
mod store_buffering;
mod wake;
