//! The program: in a terminal, or with its output in pipes.

use crate::tmux::Terminal;
use std::process::{Command, Output, Stdio};
use test_support::ends;

/// The path of the program.
pub(crate) const PATH: &str = env!("CARGO_BIN_EXE_buslane-top");

/// Starts the program in a terminal.
pub(crate) fn show(width: u16, height: u16, arguments: &[&str]) -> Option<Terminal> {
    let mut program = vec![PATH];
    program.extend(arguments);
    Terminal::start(width, height, &program)
}

/// Returns a command that runs the program with its output in pipes.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PATH);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn output(mut command: Command) -> Output {
    ends(move || command.output().unwrap())
}

/// Runs the program to its end, and returns what it printed.
#[track_caller]
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = output(command(arguments));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that fails, and returns the only line that it wrote.
#[track_caller]
pub(crate) fn failure(command: Command) -> String {
    let output = output(command);
    let (text, stdout) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert_eq!((output.status.code(), stdout.as_ref()), (Some(1), ""), "{text}");
    assert_eq!((text.lines().count(), text.ends_with('\n')), (1, true), "{text}");
    text.trim_end().strip_prefix("buslane-top: ").unwrap_or_else(|| panic!("no name: {text}")).to_owned()
}
