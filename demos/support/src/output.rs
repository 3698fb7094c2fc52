//! Checks of a program whose standard output is full, closed, or closed early: it never panics, and
//! only a full one is an error.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Output, Stdio};

/// Runs the program with arguments that end it soon.
fn run(program: &str, arguments: &[&str], stdout: Stdio) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(stdout);
    command.stderr(Stdio::piped()).output().expect("an end")
}

/// Checks the exit code, and returns standard error, which must not report a panic.
#[track_caller]
fn ended_with(output: &Output, code: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!message.contains("panicked"), "{message}");
    assert_eq!(output.status.code(), Some(code), "{message}");
    message
}

/// Checks that a full standard output is reported once, with exit code 1. Needs `/dev/full`.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_full_is_reported(program: &str, arguments: &[&str]) {
    let full = File::options().write(true).open("/dev/full").expect("a full device");
    let message = ended_with(&run(program, arguments, full.into()), 1);
    assert!(message.contains("cannot write to standard output"), "{message}");
    assert_eq!(message.matches("standard output").count(), 1, "{message}");
}

/// Checks that a reader that closed standard output, at once or after a byte, is no error.
///
/// # Panics
/// When it is one.
#[track_caller]
pub fn assert_closed_is_no_error(program: &str, arguments: &[&str]) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let message = ended_with(&run(program, arguments, writer.into()), 0);
    assert!(!message.contains("standard output"), "{message}");

    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let once = std::thread::spawn(move || reader.read_exact(&mut [0]));
    ended_with(&run(program, arguments, writer.into()), 0);
    once.join().expect("a reader").expect("a byte");
}
