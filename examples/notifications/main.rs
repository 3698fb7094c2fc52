//! A registry that tells two endpoints of every push and pull, over HTTP.
//!
//! ```text
//! cargo run --release --example notifications
//! cargo run --release --example notifications -- --events 20000 --rate 5000 --batch 200
//! ```
//!
//! Both endpoints are served on loopback by the program itself. One is healthy. The other one is well for the first quarter of
//! the events, answers with 503 during the second, does not answer at all during the third, and then comes back:
//!
//! ```text
//! registry ──publish──┬─► Queue ─► Batch ─► Retry ─► HTTP ─► healthy:  pushes and pulls
//!                     └─► Filter ─► Queue ─► Batch ─► Retry ─► HTTP ─► troubled: pushes only
//!                                                      └─► dead letters, after too many attempts
//! ```
//!
//! What happens is told as it happens: batches that arrive, attempts that fail, breakers that open and close, and dead
//! letters. At the end the books are checked: every event was delivered and received, is a dead letter, or is counted as
//! dropped with a reason.
//!
//! The program ends with 0 when the ledgers balance, 1 when they do not or standard output is full, and 2 when it could not start. Ctrl-C
//! ends it early and cleanly. It continues when its output is no longer read.

mod books;
#[path = "../support/console.rs"]
mod console;
mod delivery;
mod endpoint;
mod failure;
#[path = "../support/interrupt.rs"]
mod interrupt;
mod notification;
mod observer;
mod options;
mod registry;
mod story;

use clap::Parser;
use options::Options;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match registry::run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told if standard error is gone.
            let _ = writeln!(std::io::stderr(), "notifications: {failure}");
            failure.exit_code()
        }
    }
}
