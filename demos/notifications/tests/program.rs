//! The notifications demo, run as a program: its report, its end by Ctrl-C, and invalid settings.

use demo_support::output::{self, assert_balanced, json_lines, plain};
use serde_json::Value;
use std::process::{Command, Output};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_notifications");

fn run(arguments: &[&str]) -> Output {
    output::command(PROGRAM).args(arguments).output().expect("an end")
}

/// The events of a stream of JSON Lines, and the report at its end, in which every check must hold.
#[track_caller]
fn balanced(output: &Output) -> (Vec<Value>, Value) {
    let mut lines = json_lines(&output.stdout);
    assert!(output.status.success(), "{lines:?}{}", plain(&output.stderr));
    let report = lines.pop().expect("a report");
    assert_eq!(report["type"], "report");
    assert_balanced(&report);
    assert!(lines.iter().all(|line| line["type"] == "event" && line["text"].is_string()), "{lines:?}");
    (lines, report)
}

/// A sum over the endpoints of a report.
fn sum(report: &Value, field: &str) -> u64 {
    let endpoints = report["endpoints"].as_array().expect("endpoints");
    endpoints.iter().map(|endpoint| endpoint[field].as_u64().expect("a count")).sum()
}

#[test]
fn every_event_is_received_or_in_a_dead_letter() {
    let arguments = ["--events", "400", "--rate", "800", "--batch", "20", "--backoff-ms", "20", "--json"];
    let (events, report) = balanced(&run(&arguments));
    assert_eq!(report["published"], 400, "{report}");
    assert!(report["sinks"].as_array().expect("sinks").iter().all(|sink| {
        sink["state"]["ledger"]["offered"] == 400 && sink["state"]["ledger"]["pending"] == 0
    }));
    assert_eq!(report["endpoints"][0]["received"], 400, "{report}");
    let told =
        |text: &str| events.iter().any(|event| event["text"].as_str().is_some_and(|t| t.contains(text)));
    assert!(told("answers 503") && told("circuit breaker: open") && told("received "), "{events:?}");
}

#[test]
fn dead_letters_and_drops_balance() {
    let arguments = [
        "--events",
        "300",
        "--rate",
        "100000",
        "--batch",
        "7",
        "--attempts",
        "1",
        "--capacity",
        "32",
        "--json",
    ];
    let (_, report) = balanced(&run(&arguments));
    assert!(report["lost"].as_u64() >= Some(sum(&report, "dead_letters")), "{report}");
}

#[test]
fn text_ends_with_a_report_that_starts_with_losses() {
    let output = run(&["--events", "40", "--rate", "400", "--batch", "10", "--backoff-ms", "20"]);
    let text = plain(&output.stdout);
    assert!(output.status.success(), "{text}{}", plain(&output.stderr));
    let mut rest = &text[..];
    for part in
        ["\n40 events published to 2 endpoints\n", "  lost ", "  slow ", "  ledger  balances", "endpoints"]
    {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in {text}")).1;
    }
}

#[test]
fn invalid_settings_are_one_line_with_valid_ones() {
    let settings = [
        (["--batch", "0"], "at least 1"),
        (["--age-ms", "0"], "longer than zero"),
        (["--threshold", "0"], "at least 1"),
        (["--backoff-ms", "0"], "longer than zero"),
        (["--attempts", "0"], "at least 1"),
        (["--timeout-ms", "0"], "more than 0s"),
        (["--capacity", "0"], "at least 1 event"),
        (["--events", "0"], "use a whole number of at least 1"),
        (["--rate", "none"], "use a whole number of at least 1"),
        (["--age-ms", "soon"], "use a whole number of milliseconds"),
        (["--bach", "7"], "'--batch'"),
    ];
    for (arguments, valid) in settings {
        output::assert_refused(PROGRAM, &arguments, &[valid]);
    }
}

#[test]
fn help_fits_a_screen() {
    output::assert_help_fits_a_screen(PROGRAM);
}

#[test]
fn colors_are_optional() {
    output::assert_colors_are_optional(PROGRAM, &["--events", "4"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_run_with_a_report() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    // Slow enough to outlast any test.
    let mut child = output::command(PROGRAM)
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
    assert!(report.contains("ended by Ctrl-C") && report.contains("  ledger  balances"), "{report}");
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
