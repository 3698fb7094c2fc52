//! The telemetry demo, run as a program: the books of both modes, and what it does with input and output
//! that it cannot use.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_telemetry");

/// Runs it with these lines on standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    // A program that refuses its arguments does not read; that is no fault of the test.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("an end")
}

fn refused(output: &Output) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(!message.contains("panicked"), "{message}");
    message
}

#[test]
fn unwritable_output_exits_with_a_message() {
    let message = refused(&run(&["--lines", "-", "--output", "/nowhere/at/all.jsonl"], b"a\n"));
    assert!(message.contains("/nowhere/at/all.jsonl"), "{message}");
}

#[test]
fn unreadable_input_exits_with_a_message() {
    let message = refused(&run(&["--lines", "/nowhere/at/all.txt"], b""));
    assert!(message.contains("/nowhere/at/all.txt"), "{message}");
}

#[test]
fn invalid_settings_exit_with_a_message() {
    for arguments in [["--capacity", "0"], ["--workers", "0"], ["--connections", "0"]] {
        assert!(!refused(&run(&arguments, b"")).is_empty());
    }
}

#[test]
fn invalid_utf8_line_is_counted_and_others_publish() {
    let output = run(&["--lines", "-"], b"one\n\xff\xfe\ntwo\n");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("UTF-8"), "{report}");
}

#[test]
fn line_ledger_balances_under_every_policy() {
    let lines: Vec<u8> = (0..2000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    for policy in ["block", "block-for=20", "drop-newest", "drop-oldest", "refuse", "close"] {
        let output = run(&["--lines", "-", "--overflow", policy, "--capacity", "8"], &lines);
        assert!(output.status.success(), "{policy}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// What the report of the service says, when everything in it holds.
#[track_caller]
fn assert_whole(report: &str) {
    for part in [
        "request latency, as the clients saw it",
        "what a publish costs its worker",
        "the timer alone",
        "service time, from the samples",
        " entries, 0 wrong",
    ] {
        assert!(report.contains(part), "no {part:?} in {report}");
    }
    assert!(!report.contains("WRONG") && !report.contains('≠'), "{report}");
}

/// The two counts of an entry of the books.
#[track_caller]
fn entry(report: &str, left: &str, right: &str) -> (u64, u64) {
    let counts = report.lines().find_map(|line| {
        let (one, other) = line.split_once(left)?.1.split_once(right)?.0.trim().split_once(" = ")?;
        Some((one.parse().ok()?, other.parse().ok()?))
    });
    counts.unwrap_or_else(|| panic!("no {left}… {right} in {report}"))
}

#[test]
fn service_counts_every_request() {
    let path = std::env::temp_dir().join(format!("buslane-demo-telemetry-{}.jsonl", std::process::id()));
    let file = path.to_str().expect("a path that is text");
    let output = run(&["--seconds", "1", "--slice-ms", "50", "--overflow", "block", "--output", file], b"");
    let lines = fs::read_to_string(&path).expect("the file");
    fs::remove_file(&path).expect("it was there");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert_whole(&report);
    // Nothing is lost where publishers wait: what the clients saw went all the way into the file.
    let count = lines.lines().count() as u64;
    let on = entry(&report, "replies with telemetry on: ", " published");
    let file = entry(&report, "lines in the file: ", " delivered by file");
    assert_eq!((on, file), ((count, count), (count, count)), "{report}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_the_service_with_its_report() {
    let mut child = Command::new(PROGRAM)
        .args(["--seconds", "1000000", "--output", "/dev/stdout"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut sample = String::new();
    // The first sample of a request: it serves.
    output.read_line(&mut sample).expect("a line");
    assert!(sample.starts_with('{'), "{sample}");
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill").success());
    let mut report = String::new();
    output.read_to_string(&mut report).expect("the rest");
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains(", ended by Ctrl-C\n"), "{report}");
    assert_whole(&report);
    assert!(entry(&report, "replies with telemetry on: ", " published").0 > 0, "{report}");
}

#[cfg(unix)]
mod standard_output {
    use super::PROGRAM;
    use demo_support::output;

    /// Arguments that end the program soon.
    const SHORT: &[&str] = &["--lines", "Cargo.toml"];

    #[test]
    fn full_output_exits_1_with_one_message() {
        output::assert_full_is_reported(PROGRAM, SHORT);
    }

    #[test]
    fn closed_output_is_no_error() {
        output::assert_closed_is_no_error(PROGRAM, SHORT);
    }
}
