//! The telemetry example, run as a program: what it does with input and output that it cannot use.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The example's program, which `cargo test` builds next to this test.
fn program() -> PathBuf {
    let this = std::env::current_exe().expect("a path of its own");
    let target = this.parent().and_then(Path::parent).expect("a folder in the target directory");
    let program = target.join("examples").join(format!("telemetry{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is not built; run all tests, or `cargo build --examples` first",
        program.display()
    );
    program
}

/// Runs it with these lines on standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program())
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
fn an_output_file_that_cannot_be_written_is_a_message_and_no_panic() {
    let message = refused(&run(&["--lines", "-", "--output", "/nowhere/at/all.jsonl"], b"a\n"));
    assert!(message.contains("/nowhere/at/all.jsonl"), "{message}");
}

#[test]
fn an_input_file_that_cannot_be_read_is_a_message_and_no_panic() {
    let message = refused(&run(&["--lines", "/nowhere/at/all.txt"], b""));
    assert!(message.contains("/nowhere/at/all.txt"), "{message}");
}

#[test]
fn settings_that_cannot_be_are_a_message_and_no_panic() {
    for arguments in [["--capacity", "0"], ["--workers", "0"], ["--connections", "0"]] {
        assert!(!refused(&run(&arguments, b"")).is_empty());
    }
}

#[test]
fn a_line_that_is_no_text_is_counted_and_the_others_are_published() {
    let output = run(&["--lines", "-"], b"one\n\xff\xfe\ntwo\n");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("UTF-8"), "{report}");
}

#[test]
fn the_books_of_lines_hold_under_every_policy() {
    let lines: Vec<u8> = (0..2000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    for policy in ["block", "drop-newest", "drop-oldest", "refuse", "disconnect"] {
        let output = run(&["--lines", "-", "--overflow", policy, "--capacity", "8"], &lines);
        assert!(output.status.success(), "{policy}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
