//! Counts instead of times: instructions per event, and the locked ones among them.
//!
//! ```text
//! bash .ci/counts                # compares with .ci/counts.txt, and fails when anything grew
//! bash .ci/counts --record       # writes that file anew
//! ```
//! Times on a shared machine differ from run to run; the instructions of a single thread do not. So
//! each case of [`cases`] runs under `callgrind` with two numbers of blocks, and the difference is
//! divided by the events in between: the start-up cancels out. `callgrind` also reports how often
//! each instruction was executed; instructions that the disassembly shows as locked, or as a fence,
//! are counted separately. No count shows their cost beyond an instruction, or the effect of other
//! processors on caches.
//!
//! The function that publishes into the lane of one queue is also disassembled: it must contain no
//! locked instruction and no fence, whether executed or not. Rarely needed code is in the functions
//! that it calls.

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
    /// Writes the counts into the file, without a comparison.
    #[arg(long)]
    record: bool,
    /// The allowed growth of a count, in percent.
    #[arg(long, default_value_t = 2.0)]
    tolerance: f64,
    /// Runs one case with this number of blocks, and counts nothing.
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
