//! The frame of every program: arguments in, exit code out.

use crate::{Failure, Mark, arguments, console};
use clap::Parser;
use std::process::ExitCode;

/// Reads the arguments, runs the program, and reports its failure in one line on standard error.
pub fn run<O: Parser>(program: impl FnOnce(&O) -> Result<(), Failure>) -> ExitCode {
    match arguments::parse().and_then(|options| program(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let command = O::command();
            let name = command.get_name();
            console::print_error(format_args!("{name}: {} {failure}\n", Mark::Bad.paint("error:")));
            failure.exit_code()
        }
    }
}
