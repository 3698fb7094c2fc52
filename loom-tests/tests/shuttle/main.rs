//! Scenarios that are too large for loom, run under random schedules: see `loom_tests::schedules`.
#![cfg(shuttle)]

mod blocked;
mod chain;
mod everything;
mod inside;
mod journal;
mod policies;
mod support;
mod user_code;
mod workers;
