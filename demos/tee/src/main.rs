//! Copies standard input to standard output and to files, as its namesake does, and filters lines.
//!
//! ```text
//! make 2>&1 | cargo run --release -p tee -- build.log --matching warning warnings.txt
//! cargo run --release -p tee -- --input access.log --progress --report -a all.log > /dev/null
//! ```
//!
//! The lines go through a [`buslane::Bus`] to one queue for each output:
//!
//! ```text
//! input ── reading thread ──publish──┬─► Queue ─► standard output
//!                                    ├─► Queue ─► FILE …, one each, flushed once per batch
//!                                    ├─► Filter ─► Queue ─► FILE of --matching TEXT FILE, one each
//!                                    └─► Queue ─► counter, and the progress bar
//! ```
//!
//! No line is lost: the input waits for a slow output (`Overflow::Block`). An output that cannot be
//! written receives nothing more, and the others continue. When the reader of standard output goes
//! away, or on Ctrl-C, nothing more is read, and every output receives all lines that were read
//! until then; a second Ctrl-C does not wait for that.
//!
//! `--report` prints on standard error what was lost, which output was slow, and whether the ledger
//! balances; `--json` prints the same as one JSON document.
//!
//! The exit code is 0 when every line was written and the ledger balances, 1 when not, and 2 when
//! the program could not start.

mod copy;
mod counter;
mod fan_out;
mod message;
mod options;
mod outlet;
mod report;
mod source;

use options::Options;
use std::process::ExitCode;

fn main() -> ExitCode {
    demo_support::run(|options: &Options| copy::run(options))
}
