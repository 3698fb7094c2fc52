//! A registry that notifies two endpoints of every push and pull, over HTTP.
//!
//! ```text
//! cargo run --release -p notifications
//! cargo run --release -p notifications -- --events 20000 --rate 5000 --batch 200
//! ```
//!
//! Both endpoints are served on loopback by the program itself. One is healthy. The other one is
//! healthy for the first quarter of the events, answers with 503 during the second, does not answer
//! during the third, and then recovers:
//!
//! ```text
//! registry ──publish──┬─► Queue ─► Batch ─► Retry ─► HTTP ─► healthy:  pushes and pulls
//!                     └─► Filter ─► Queue ─► Batch ─► Retry ─► HTTP ─► troubled: pushes only
//!                                                      └─► dead letters, after too many attempts
//! ```
//!
//! The program prints what happens while it happens: batches that arrive, attempts that fail,
//! breakers that open and close, and dead letters. The report at the end starts with what was lost,
//! which endpoint was slow, and whether the ledger balances: every event was delivered and
//! received, is in a dead letter, or is counted as dropped with a reason. `--json` prints the same
//! as JSON Lines, the report last.
//!
//! The exit code is 0 when the ledger balances, 1 when it does not or standard output is full, and
//! 2 when the program could not start. Ctrl-C ends it early and cleanly. It continues when its
//! output is no longer read.

mod delivery;
mod endpoint;
mod notification;
mod observer;
mod options;
mod registry;
mod report;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    demo_support::run(|options: &Options| registry::run(options))
}
