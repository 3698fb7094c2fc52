//! Telemetry of a running service, measured from the outside.
//!
//! ```text
//! cargo run --release -p telemetry
//! cargo run --release -p telemetry -- --bus crossbeam --load 60 --seconds 20
//! cargo run --release -p telemetry -- --bus none --load 30000/s --slice-ms 0 --json
//! cargo run --release -p telemetry -- --seconds 10 --overflow drop-oldest --output samples.jsonl
//! journalctl -f | cargo run --release -p telemetry -- --lines - --grep warning
//! ```
//!
//! A key-value service on a loopback socket publishes one sample per request on a [`buslane::Bus`]
//! with three sinks:
//!
//! ```text
//! clients ══ TCP ══ workers ──publish──┬─► Queue ─► histogram, and the live line
//!                                      ├─► Queue ─► JSON Lines file, flushed once per batch
//!                                      └─► Filter ─► Channel ─► alert thread: slow or failed requests
//! ```
//!
//! Telemetry is switched on and off in slices, so that one run measures what it costs: the latency
//! that the clients see, both ways. The report starts with what was lost, which sink was slow, what
//! telemetry cost, and whether the ledger balances: every reply, every event and every line of the
//! file is accounted for. `--json` prints the report as one JSON document.
//!
//! `--bus` puts a channel or a log writer of another crate in the place of the bus, or nothing, and
//! `--load` offers a part of what the service can do, at fixed times. Latency then counts from the
//! time at which a request was due, so that a delayed request does not hide the delay of the next one.
//! The capacity is measured several times, and the lower quartile counts; `--load N/s` gives the rate
//! instead, so that several runs have the same load. With `--slice-ms 0` telemetry is on all the time:
//! section `requests` of `compare` in `benches` interleaves such runs, one for each bus.
//!
//! With `--lines` the same sinks receive the lines of a file or of standard input.
//!
//! The exit code is 0 when the ledger balances, 1 when it does not or a later step failed, such as
//! a full standard output, and 2 when the program could not start. A reader of its output that goes
//! away is no error.

mod alerts;
mod audit;
mod json_lines;
mod lines;
mod live;
mod options;
mod output;
mod peers;
mod pipeline;
mod report;
mod service;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    demo_support::run(|options: &Options| match &options.lines {
        Some(input) => lines::run(options, input),
        None => service::run(options),
    })
}
