//! The notifications demo, run as a program: its books, its end by Ctrl-C, and settings that cannot be.

use std::process::{Command, Output};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_notifications");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("an end")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn ledger_counts_each_event_received_or_dead_letter() {
    let output = run(&["--events", "400", "--rate", "800", "--batch", "20", "--backoff-ms", "20"]);
    let report = text(&output.stdout);
    assert!(output.status.success(), "{report}{}", text(&output.stderr));
    assert!(report.contains("0 wrong") && !report.contains("WRONG"), "{report}");
    assert!(report.contains("troubled, queue: offered 400"), "{report}");
}

#[test]
fn ledger_balances_with_drops_and_dead_letters() {
    // Dead letters and drops, all of them counted.
    let arguments =
        ["--events", "300", "--rate", "100000", "--batch", "7", "--attempts", "1", "--capacity", "32"];
    let output = run(&arguments);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn invalid_settings_exit_with_a_message() {
    let settings = [
        ["--batch", "0"],
        ["--age-ms", "0"],
        ["--threshold", "0"],
        ["--backoff-ms", "0"],
        ["--attempts", "0"],
        ["--timeout-ms", "0"],
        ["--capacity", "0"],
        ["--events", "0"],
        ["--rate", "none"],
    ];
    for arguments in settings {
        let output = run(&arguments);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(!message.is_empty() && !message.contains("panicked"), "{arguments:?}: {message}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_with_a_balanced_ledger() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    // Slow enough to outlast any test.
    let mut child = Command::new(PROGRAM)
        .args(["--events", "1000000", "--rate", "50", "--batch", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut report = String::new();
    output.read_line(&mut report).expect("the first batch that arrives");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    output.read_to_string(&mut report).expect("the rest of the report");
    assert!(child.wait().expect("an end").success(), "{report}");
    assert!(report.contains("Ctrl-C") && report.contains("0 wrong"), "{report}");
}

#[cfg(unix)]
mod standard_output {
    use super::PROGRAM;
    use demo_support::output;

    /// Arguments that end the program soon.
    const SHORT: &[&str] = &["--events", "40", "--rate", "400", "--batch", "10", "--backoff-ms", "20"];

    #[test]
    fn full_output_exits_1_with_one_message() {
        output::assert_full_is_reported(PROGRAM, SHORT);
    }

    #[test]
    fn closed_output_is_no_error() {
        output::assert_closed_is_no_error(PROGRAM, SHORT);
    }
}
