//! Telemetry of a running service, measured from the outside.
//!
//! ```text
//! cargo run --release -p telemetry
//! cargo run --release -p telemetry -- --seconds 10 --overflow drop-oldest --output samples.jsonl
//! journalctl -f | cargo run --release -p telemetry -- --lines - --grep warning
//! ```
//!
//! A key-value service on a loopback socket publishes one sample per request on a [`buslane::Bus`] with three sinks:
//!
//! ```text
//! clients ══ TCP ══ workers ──publish──┬─► Queue ─► histogram, and the live line
//!                                      ├─► Queue ─► JSON Lines file, flushed once per batch
//!                                      └─► Filter ─► Channel ─► alert thread: slow or failed requests
//! ```
//!
//! Telemetry is switched on and off in slices, so that one run shows what it costs: the latency that the clients see,
//! both ways. At the end the books are checked: every reply, every event and every line of the file is accounted for.
//!
//! With `--lines` the same sinks take the lines of a file or of standard input.
//!
//! The program ends with 0 when the ledgers balance, 1 when they do not or something broke on the way, such as a full standard output,
//! and 2 when it could not start. A reader of its output that goes away is no error.

mod alerts;
mod books;
mod json_lines;
mod lines;
mod live;
mod options;
mod output;
mod pipeline;
mod report;
mod service;

use clap::Parser;
use options::Options;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.lines {
        Some(input) => lines::run(&options, input),
        None => service::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told if standard error is gone.
            let _ = writeln!(std::io::stderr(), "telemetry: {failure}");
            failure.exit_code()
        }
    }
}
