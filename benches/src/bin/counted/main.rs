//! Counted, not timed: instructions, and locked ones among them, for each event.
//!
//! ```text
//! bash .ci/counts                # compares with .ci/counts.txt, and fails when anything grew
//! bash .ci/counts --record       # writes that file anew
//! ```
//! Times on a shared machine differ from run to run; what a single thread executes does not. So
//! each case of [`cases`] runs under `callgrind` with two numbers of blocks, and the difference is
//! divided by the events in between: start-up cancels out. `callgrind` also tells how often each
//! instruction was executed; those which the disassembly shows to be locked, or a fence, are
//! counted by themselves. What they cost beyond an instruction, and what other processors do to
//! caches, no count shows.
//!
//! The function that publishes into the lane of one queue is disassembled as well: no locked
//! instruction and no fence may stand in it at all, whether executed or not. What is needed once in
//! a while is elsewhere, in functions that it calls.

mod callgrind;
mod cases;
mod code;
mod ledger;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(about = "Counts the instructions of a publish and of a delivery.")]
struct Arguments {
    /// The recorded counts.
    #[arg(long, value_name = "FILE", default_value = ".ci/counts.txt")]
    file: PathBuf,
    /// Writes the counts into the file, whatever they are.
    #[arg(long)]
    record: bool,
    /// By how much a count may grow, in per cent.
    #[arg(long, default_value_t = 2.0)]
    tolerance: f64,
    /// Runs one case, with so many blocks, and counts nothing.
    #[arg(long, num_args = 2, value_names = ["CASE", "BLOCKS"], hide = true)]
    run: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.run[..] {
        [case, blocks] => cases::run(case, blocks),
        _ => ledger::check(&arguments.file, arguments.record, arguments.tolerance),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("{complaint}");
            ExitCode::FAILURE
        }
    }
}
