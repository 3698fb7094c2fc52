//! The examples, run with a standard output that is closed, closed halfway, or full: none of them panics, and only a full one is an
//! error.
#![cfg(unix)]

#[expect(clippy::allow_attributes, reason = "an expectation fails in the file that uses every helper")]
#[allow(dead_code, reason = "each file uses some of the helpers")]
#[path = "support/example.rs"]
mod example;

use example::program;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Output, Stdio};

/// Each example with settings that end it soon; what it reads comes from a file.
const PROGRAMS: [(&str, &[&str]); 4] = [
    ("telemetry", &["--lines", "Cargo.toml"]),
    ("notifications", &["--events", "40", "--rate", "400", "--batch", "10", "--backoff-ms", "20"]),
    ("event_log", &["--looks", "20", "--interval-ms", "1"]),
    ("tee", &["--input", "Cargo.lock"]),
];

fn run(name: &str, arguments: &[&str], stdout: Stdio) -> Output {
    let mut command = Command::new(program(name));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).stdin(Stdio::null()).stdout(stdout);
    command.stderr(Stdio::piped()).output().expect("an end")
}

/// What it said on standard error, where no panic is.
#[track_caller]
fn ended_with(name: &str, output: &Output, code: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!message.contains("panicked"), "{name}: {message}");
    assert_eq!(output.status.code(), Some(code), "{name}: {message}");
    message
}

#[test]
fn full_output_is_one_message_and_exit_code_1() {
    for (name, arguments) in PROGRAMS {
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let message = ended_with(name, &run(name, arguments, full.into()), 1);
        assert!(message.contains("cannot write to standard output"), "{name}: {message}");
        assert_eq!(message.matches("standard output").count(), 1, "{name}: {message}");
    }
}

#[test]
fn reader_that_is_gone_is_no_error() {
    for (name, arguments) in PROGRAMS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let message = ended_with(name, &run(name, arguments, writer.into()), 0);
        assert!(!message.contains("standard output"), "{name}: {message}");
    }
}

#[test]
fn reader_that_leaves_after_a_byte_is_no_error() {
    for (name, arguments) in PROGRAMS {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let once = std::thread::spawn(move || reader.read_exact(&mut [0]));
        ended_with(name, &run(name, arguments, writer.into()), 0);
        once.join().expect("a reader").expect("a byte");
    }
}
