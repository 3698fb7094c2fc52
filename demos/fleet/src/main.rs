//! Carries the telemetry of several processes through one JetStream stream, while processes and
//! server are killed, stopped, and come back.
//!
//! ```text
//! cargo run --release -p fleet
//! cargo run --release -p fleet -- --seconds 60 --services 6 --seed 7
//! cargo run --release -p fleet -- --measure
//! ```
//!
//! The program starts a NATS server of its own on loopback, and itself again as services and as an
//! aggregator:
//!
//! ```text
//! service a ── bus ── queue ── JetStream ──┐                    ┌── histogram
//! service b ── bus ── queue ── JetStream ──┼─► stream ─► Monitor ─► queue ── bus
//! service c ── bus ── queue ── JetStream ──┘                    └── alerts
//! ```
//!
//! One trouble after the other happens, in an order that depends on the seed:
//!
//! | trouble | what happens | what mends it |
//! |---|---|---|
//! | crash | a service is killed, and starts again | what it had accepted and not sent is lost, and counted: a few events |
//! | pause | a service is stopped for a while | its connection, or the next one |
//! | restart | a service ends as asked, and starts again | its close sends what is left |
//! | server crash | the server is killed, and starts again with its store | the services send again what was not acknowledged, under the same ids |
//! | crash in an outage | the server is killed, then a service that holds what it cannot send | nothing mends that: what it held is lost, and counted |
//! | server pause | the server is stopped until acknowledgments are overdue | the same; the server recognizes what it has |
//! | aggregator crash | the aggregator is killed, and starts again | the server delivers again what was not acknowledged; the aggregator recognizes it by its own file |
//!
//! Each event has the number that its service gave it. Each service writes down what it has accepted
//! and what the server has acknowledged, and the aggregator what has arrived, before the event is
//! acknowledged. At the end everything is proven: no acknowledged event is missing, none is stored
//! twice, none arrived that was not published, and a service that ended as asked lost nothing. The
//! report says what was sent twice and removed, and what was lost and why. `--json` prints the story
//! and the report as JSON Lines, the report last.
//!
//! The exit code is 0 when all of that holds, 1 when it does not or standard output is full, and 2
//! when the program could not start. Without a `nats-server` in the path it says so and ends with 0.
//! Ctrl-C ends it early, and what happened until then is proven all the same. No process outlives the
//! program, however it ends.

mod aggregator;
mod arrivals;
mod conductor;
mod counts;
mod measure;
mod options;
mod plan;
mod report;
mod request;
mod server;
mod service;

use options::{Options, Part};
use std::process::ExitCode;

fn main() -> ExitCode {
    demo_support::run(|options: &Options| match options.part()? {
        Part::Service { url, folder, service, life } => service::run(options, url, folder, service, life),
        Part::Aggregator { url, folder } => aggregator::run(options, url, folder),
        Part::Server { settings } => server::run(options, settings),
        Part::Measure => measure::run(options),
        Part::Conductor => conductor::run(options),
    })
}
