//! Checks that every program passes: its help is short, its errors are one line, its JSON parses,
//! and a standard output that is full, closed, or closed early never makes it panic.

use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Returns a command for the program, without the settings of colors in this environment.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_remove("CLICOLOR_FORCE").env_remove("NO_COLOR");
    command
}

/// Starts the program, with pipes for what it prints.
///
/// # Panics
/// If the system starts no process.
#[must_use]
pub fn start(program: &str, arguments: &[&str]) -> Child {
    let mut command = command(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process")
}

/// Runs the program with arguments that end it soon.
fn run(program: &str, arguments: &[&str], stdout: Stdio) -> Output {
    let mut command = command(program);
    command.args(arguments).stdin(Stdio::null()).stdout(stdout);
    command.stderr(Stdio::piped()).output().expect("an end")
}

/// Checks the exit code, and returns standard error, which must not report a panic.
#[track_caller]
fn ended_with(output: &Output, code: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!message.contains("panicked at"), "{message}");
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

/// Checks that `--help` fits one screen, and is printed without colors into a pipe.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn assert_help_fits_a_screen(program: &str) {
    let output = run(program, &["--help"], Stdio::piped());
    ended_with(&output, 0);
    let help = plain(&output.stdout);
    assert!(help.contains("Usage:") && help.contains("--json") && help.contains("Exit code:"), "{help}");
    assert!(help.lines().count() <= 24, "{} lines: {help}", help.lines().count());
    let long = help.lines().find(|line| line.chars().count() > 100);
    assert_eq!(long, None, "more than 100 columns");
}

/// Checks that the output of these arguments has colors if they are forced, and none if `NO_COLOR`
/// is set or there is no terminal.
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn assert_colors_are_optional(program: &str, arguments: &[&str]) {
    let run = |variables: &[(&str, &str)]| {
        let mut command = command(program);
        let output = command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output();
        let output = output.expect("an end");
        ended_with(&output, 0);
        [output.stdout, output.stderr].concat()
    };
    assert!(String::from_utf8_lossy(&run(&[("CLICOLOR_FORCE", "1")])).contains("\x1b["), "no colors");
    let none = plain(&run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(!none.is_empty() && !plain(&run(&[])).is_empty(), "{arguments:?}");
}

/// Checks that the program refuses these arguments with exit code 2 and one line that contains each
/// of the texts, and prints nothing on standard output.
///
/// # Panics
/// When it does not.
#[track_caller]
pub fn assert_refused(program: &str, arguments: &[&str], texts: &[&str]) {
    let output = run(program, arguments, Stdio::piped());
    let message = ended_with(&output, 2);
    assert_eq!(plain(&output.stdout), "", "{arguments:?}");
    assert_eq!(plain(&output.stderr).lines().count(), 1, "{arguments:?}: {message}");
    for text in texts {
        assert!(message.contains(text), "no {text:?} for {arguments:?}: {message}");
    }
}

/// Reads JSON Lines, all of which must be JSON objects.
///
/// # Panics
/// When one of them is not.
#[track_caller]
#[must_use]
pub fn json_lines(output: &[u8]) -> Vec<Value> {
    let text = plain(output);
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        assert!(value.is_object(), "{line}");
        value
    });
    lines.collect()
}

/// Reads the only JSON object of an output, the report of a program, in which every check must
/// hold.
///
/// # Panics
/// When it is not one, or a check failed.
#[track_caller]
#[must_use]
pub fn balanced_report(output: &[u8]) -> Value {
    let mut lines = json_lines(output);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let report = lines.remove(0);
    assert_balanced(&report);
    report
}

/// Checks that a report has checks, all of which hold.
///
/// # Panics
/// When one does not.
#[track_caller]
pub fn assert_balanced(report: &Value) {
    let checks = report["checks"].as_array().unwrap_or_else(|| panic!("no checks in {report}"));
    let failed: Vec<_> = checks.iter().filter(|check| check["holds"] != true).collect();
    assert!(report["balanced"] == true && !checks.is_empty() && failed.is_empty(), "{failed:?} in {report}");
}

/// Reads a text, in which there must be no escape code.
///
/// # Panics
/// When there is one.
#[track_caller]
#[must_use]
pub fn plain(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output).into_owned();
    assert!(!text.contains('\x1b'), "{text:?}");
    text
}

/// Sends a signal to a process, by the option of `kill` that names it.
///
/// # Panics
/// If it cannot be sent.
#[track_caller]
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").args([name, &process.to_string()]).status().expect("kill");
    assert!(sent.success());
}

/// Reads the story of a program until one of its processes is stopped, which is the hardest time to end
/// all of them.
///
/// # Panics
/// If the story ends before.
#[track_caller]
pub fn until_stopped(child: &mut Child) -> BufReader<ChildStdout> {
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("is stopped") {
        line.clear();
        assert!(output.read_line(&mut line).expect("a line") > 0, "the story ended");
    }
    output
}

/// Waits until the program and all processes that it has started have ended, and returns what they wrote
/// on standard error: each has that of the program, which ends with the last of them.
///
/// # Panics
/// If one is left after a minute.
#[track_caller]
pub fn assert_none_left(child: &mut Child) -> String {
    let mut errors = child.stderr.take().expect("a pipe");
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = errors.read_to_string(&mut text);
        let _ = sender.send(text);
    });
    ended.recv_timeout(Duration::from_secs(60)).expect("no process is left behind")
}
