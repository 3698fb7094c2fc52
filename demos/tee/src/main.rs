//! Copies standard input to standard output and to files, as its namesake does, and sorts out lines on the way.
//!
//! ```text
//! make 2>&1 | cargo run --release -p tee -- build.log --matching warning warnings.txt
//! cargo run --release -p tee -- --input access.log --progress --books -a all.log > /dev/null
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
//! No line is lost: an output that is slow holds the input up (`Overflow::Block`). An output that cannot be written
//! gets nothing more, and the others go on. When whoever reads standard output goes away, or on Ctrl-C, nothing
//! more is taken from the input, and every output gets all of what was taken until then; a second Ctrl-C does not
//! wait for that.
//!
//! The program ends with 0 when everything that was read was written and the books balance, 1 when not, and 2 when
//! it could not start.

mod books;
mod copy;
mod counter;
mod fan_out;
mod message;
mod options;
mod outlet;
mod source;

use clap::Parser;
use options::Options;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match copy::run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told if standard error is gone.
            let _ = writeln!(std::io::stderr(), "tee: {failure}");
            failure.exit_code()
        }
    }
}
