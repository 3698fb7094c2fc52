//! Follows the events of a Docker Engine, and shows its containers and what happened to them.
//!
//! ```text
//! cargo run --release -p docker_events
//! cargo run --release -p docker_events -- --token /var/tmp/docker.token --seconds 60
//! cargo run --release -p docker_events -- --fake
//! ```
//!
//! A monitor reads the events and connects again after each end. A queue calls the handler, which
//! notes each event. Then the position after it is stored in a file, from which the next run
//! continues:
//!
//! ```text
//! engine ── socket ── monitor ──► queue ──► handler: lines, table of containers, record
//!                        └────── position of what was handled ──► file of the token
//! ```
//!
//! Where events may be missing, a gap says so: after a restart of the engine, which forgets its
//! history, and after more events than the history holds. What the history still has is read from
//! there, and shown once.
//!
//! With `--fake`, the engine is a scripted one. It cuts connections inside an event, closes its
//! socket, forgets its history, restarts, and sends what is no event, and the demo itself ends and
//! continues once from its file. That is the same in every run.
//!
//! At the end everything is proven: what the monitor read was forwarded, handled once and counted in
//! the table, and the file has the position of the last event. With `--fake`, what the engine sent
//! was shown, in its order, or is missing at a gap. `--json` prints the story and the report as JSON
//! Lines, the report last.
//!
//! On a terminal, the table is below the lines and is drawn again with each event.
//!
//! The exit code is 0 when all of that holds, 1 when it does not or standard output is full, and 2
//! when the program could not start or reached no engine. Ctrl-C ends it early and cleanly, and so
//! does a reader of its output that goes away.

#[cfg(unix)]
mod board;
#[cfg(unix)]
mod containers;
#[cfg(unix)]
mod docker_events;
#[cfg(unix)]
mod follower;
mod options;
#[cfg(unix)]
mod record;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod script;
#[cfg(unix)]
mod token_file;

use options::Options;
use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    demo_support::run(|options: &Options| docker_events::run(options))
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    demo_support::run(|_: &Options| Err(demo_support::Failure::Setup("a Unix socket is needed".to_owned())))
}
