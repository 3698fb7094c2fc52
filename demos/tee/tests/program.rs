//! The tee demo, run as a program on generated input: what arrives where, and how it ends.

use demo_support::Folder;
use demo_support::output::{self, balanced_report, plain};
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tee");

fn start(arguments: &[&str]) -> Child {
    output::command(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process")
}

/// Runs it with this standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(arguments);
    let (mut pipe, input) = (child.stdin.take().expect("a pipe"), input.to_vec());
    // On a thread: it writes while it is still read from. A program that refuses its arguments does
    // not read.
    let writer = thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().expect("an end");
    writer.join().expect("a writer");
    output
}

#[track_caller]
fn ended_with(output: &Output, code: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(!message.contains("panicked at"), "{message}");
    message
}

/// Lines of many lengths, some without text.
fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|n| format!("{n} {}\n", "x".repeat(n * 7 % 300)).into_bytes()).collect()
}

fn containing(lines: &[u8], text: &str) -> Vec<u8> {
    lines
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .flatten()
        .copied()
        .collect()
}

#[test]
fn every_output_is_a_copy_and_filters_select_lines() {
    let (folder, input) = (Folder::new(), lines(20_000));
    let [a, b, sevens, nothing] = ["a", "b", "sevens", "nothing"].map(|name| folder.file(name));
    let arguments =
        [&a, &b, "--matching", "77", &sevens, "-m", "no such text", &nothing, "--json", "--capacity", "8"];
    let output = run(&arguments, &input);
    ended_with(&output, 0);
    assert!(output.stdout == input && folder.read("a") == input && folder.read("b") == input);
    let found = containing(&input, "77");
    assert!(!found.is_empty() && folder.read("sevens") == found && folder.read("nothing").is_empty());
    let report = balanced_report(&output.stderr);
    assert_eq!((&report["lines"], &report["lost"]), (&20_000.into(), &0.into()), "{report}");
    let written: Vec<_> =
        report["outputs"].as_array().expect("outputs").iter().map(|o| &o["written"]).collect();
    let sevens = found.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(written, [20_000, 20_000, 20_000, sevens, 0], "{report}");
}

#[test]
fn bytes_are_copied_unchanged() {
    let folder = Folder::new();
    let copy = folder.file("copy");
    let long_line = [vec![b'y'; 3 << 20], b"\nend".to_vec()].concat();
    let inputs = [&b""[..], b"no end", b"\n\n", b"\xff\xfe\0\r\n\xc3", &long_line];
    for input in inputs {
        let output = run(&[&copy, "--progress"], input);
        assert_eq!(ended_with(&output, 0), "");
        assert!(output.stdout == input && folder.read("copy") == input);
    }
}

#[test]
fn file_is_read_and_copies_are_appended() {
    let (folder, input) = (Folder::new(), lines(500));
    let [from, to] = ["from", "to"].map(|name| folder.file(name));
    fs::write(&from, &input).expect("a file");
    for (append, copies) in [("--append", 1), ("-a", 2), ("--progress", 1)] {
        let output = run(&["--input", &from, append, &to], b"not this");
        ended_with(&output, 0);
        assert!(output.stdout == input && folder.read("to") == input.repeat(copies), "{append}");
    }
    let message = ended_with(&run(&["-i", &from, &from], b""), 2);
    assert!(message.contains("both input and output"), "{message}");
    assert!(folder.read("from") == input);
}

#[test]
fn invalid_arguments_are_one_line_and_write_nothing() {
    let folder = Folder::new();
    let here = folder.path().to_owned();
    let cases: [(&[&str], &str); 8] = [
        (&["/nowhere/at/all"], "/nowhere/at/all"),
        (&["--matching", "text", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["--input", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["--input", &here], &here),
        (&["--capacity", "0"], "capacity 0 is invalid"),
        (&["--capacity", "few"], "use a whole number of at least 1"),
        (&["--matching", "only a text"], "2 values"),
        (&["--apend"], "'--append'"),
    ];
    for (arguments, expected) in cases {
        output::assert_refused(PROGRAM, arguments, &[expected]);
    }
}

#[test]
fn help_fits_a_screen() {
    output::assert_help_fits_a_screen(PROGRAM);
}

#[test]
fn colors_are_optional() {
    output::assert_colors_are_optional(PROGRAM, &["--report", "--input", "Cargo.toml"]);
}

#[test]
fn report_starts_with_losses_and_slow_outputs() {
    let output = run(&["--report"], b"one\ntwo\n");
    let report = plain(&output.stderr);
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines[0], "2 lines, 8 bytes, to 1 output and the counter");
    assert!(lines[1].starts_with("  lost    nothing: 2 lines"), "{report}");
    assert!(lines[2].starts_with("  slow    no sink"), "{report}");
    assert!(lines[3].starts_with("  ledger  balances: all "), "{report}");
}

#[test]
#[cfg(target_os = "linux")]
fn failed_output_is_reported_and_others_continue() {
    let (folder, input) = (Folder::new(), lines(20_000));
    let copy = folder.file("copy");
    let output = run(&["/dev/full", &copy], &input);
    let message = ended_with(&output, 1);
    assert_eq!(message.matches("/dev/full").count(), 1, "{message}");
    assert!(message.ends_with("tee: error: not every line was written\n"), "{message}");
    assert!(output.stdout == input && folder.read("copy") == input);
}

#[test]
#[cfg(unix)]
fn closed_standard_output_leaves_whole_copies() {
    let (folder, input) = (Folder::new(), lines(2_000_000 / 10));
    let [one, other] = ["one", "other"].map(|name| folder.file(name));
    let mut child = start(&[&one, &other]);
    let (mut pipe, written) = (child.stdin.take().expect("a pipe"), input.clone());
    // It writes until there is no reader: only the closed pipe at the other end can end the
    // program.
    let writer = thread::spawn(move || while pipe.write_all(&written).is_ok() {});
    let mut head = [0; 100];
    child.stdout.take().expect("a pipe").read_exact(&mut head).expect("a hundred bytes");
    assert_eq!(head, input[..100]);
    let output = child.wait_with_output().expect("an end");
    assert_eq!(ended_with(&output, 0), "");
    writer.join().expect("a writer");
    let copy = folder.read("one");
    assert!(copy.ends_with(b"\n") && copy == folder.read("other"));
    assert!(copy.chunks(input.len()).all(|part| input.starts_with(part)));
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_the_copy_after_every_line() {
    let folder = Folder::new();
    let copy = folder.file("copy");
    let mut child = start(&[&copy, "--json"]);
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(b"one\ntwo\n").expect("a reader");
    let mut seen = [0; 8];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut seen).expect("two lines");
    // Standard input stays open: nothing else ends it.
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill").success());
    let output = child.wait_with_output().expect("an end");
    ended_with(&output, 0);
    let report = balanced_report(&output.stderr);
    assert_eq!(report["lines"], 2, "{report}");
    assert_eq!((&seen, folder.read("copy").as_slice()), (b"one\ntwo\n", &b"one\ntwo\n"[..]));
    drop(pipe);
}

#[cfg(unix)]
mod standard_output {
    use super::PROGRAM;
    use demo_support::output;

    /// Arguments that end the program soon.
    const SHORT: &[&str] = &["--input", "../../Cargo.lock"];

    #[test]
    fn full_output_exits_1_with_one_message() {
        output::assert_full_is_reported(PROGRAM, SHORT);
    }

    #[test]
    fn closed_output_is_no_error() {
        output::assert_closed_is_no_error(PROGRAM, SHORT);
    }
}
