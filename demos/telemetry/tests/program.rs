//! The telemetry demo, run as a program: the report of both modes, and what it does with input and
//! output that it cannot use.

use demo_support::output::{self, balanced_report, plain};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_telemetry");

/// Runs it with these lines on standard input.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = output::command(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    // A program that refuses its arguments does not read; that is no error of the test.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("an end")
}

/// The text of a run that succeeded.
#[track_caller]
fn text_of(output: &Output) -> String {
    let report = plain(&output.stdout);
    assert!(output.status.success(), "{report}{}", plain(&output.stderr));
    report
}

#[test]
fn unusable_files_are_one_line_and_exit_code_2() {
    let file = "/nowhere/at/all";
    output::assert_refused(PROGRAM, &["--lines", "-", "--output", file], &["cannot write to", file]);
    output::assert_refused(PROGRAM, &["--lines", file], &["cannot read", file]);
}

#[test]
fn invalid_arguments_are_one_line_with_valid_ones() {
    let cases: [(&[&str], &[&str]); 20] = [
        (&["--capacity", "0"], &["'--capacity <EVENTS>': use a whole number of at least 1"]),
        (&["--capacity", "-1"], &["'--capacity <EVENTS>': use a whole number of at least 1"]),
        (&["--capacity", "many"], &["--capacity", "many", "at least 1"]),
        (&["--workers", "0"], &["--workers", "at least 1"]),
        (&["--connections", "two"], &["--connections", "at least 1"]),
        (&["--seconds", "0"], &["--seconds", "greater than 0"]),
        (&["--seconds", "-1"], &["--seconds", "greater than 0"]),
        (&["--port", "70000"], &["--port", "65535"]),
        (&["--overflow", "wait"], &["'--overflow <POLICY>': use drop_newest, drop_oldest, refuse"]),
        (&["--wait", "sleep"], &["'--wait <STRATEGY>': use nap", "spin_park"]),
        (&["--overfow", "block"], &["--overfow", "--overflow"]),
        (
            &["--bus", "coach"],
            &["'--bus <NAME>': use buslane, crossbeam", "rtrb, tracing-appender, ticklog or none"],
        ),
        (&["--load", "0"], &["'--load <PERCENT>': use a number from 1 to 100"]),
        (&["--load", "most"], &["--load", "from 1 to 100"]),
        (&["--load", "0/s"], &["--load", "a rate such as 30000/s"]),
        (&["--load", "1e9/s"], &["--load", "a rate such as 30000/s"]),
        (&["--slice-ms", "-1"], &["--slice-ms", "at least 0"]),
        (&["--lines", "-", "--bus", "std"], &["--bus", "--lines"]),
        (&["--bus", "rtrb", "--capacity", "99999999"], &["capacity 99999999 is invalid", "16777216", "rtrb"]),
        (&["--bus", "kanal", "--wait", "park"], &["'--wait' is invalid", "kanal", "--bus buslane"]),
    ];
    for (arguments, texts) in cases {
        output::assert_refused(PROGRAM, arguments, texts);
    }
}

#[test]
fn help_fits_a_screen() {
    output::assert_help_fits_a_screen(PROGRAM);
}

#[test]
fn colors_are_optional() {
    output::assert_colors_are_optional(PROGRAM, &["--lines", "Cargo.toml"]);
}

#[test]
fn line_that_is_not_utf8_is_counted_and_published() {
    let report = text_of(&run(&["--lines", "-"], b"one\n\xff\xfe\ntwo\n"));
    assert!(report.contains("1 line with replacements: not UTF-8"), "{report}");
    let report = balanced_report(&run(&["--lines", "-", "--json"], b"one\n\xff\xfe\ntwo\n").stdout);
    assert_eq!((&report["published"], &report["not_utf8"]), (&3.into(), &1.into()), "{report}");
}

#[test]
fn ledger_of_lines_balances_under_every_policy() {
    let lines: Vec<u8> = (0..2000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    for policy in ["block", "block_for:20ms", "drop_newest", "drop_oldest", "refuse", "close"] {
        let output = run(&["--lines", "-", "--json", "--overflow", policy, "--capacity", "8"], &lines);
        let report = balanced_report(&output.stdout);
        assert!(output.status.success(), "{policy}: {}", plain(&output.stderr));
        assert_eq!(report["published"], 2000, "{policy}");
        let is_lossless = policy == "block";
        assert!(!is_lossless || report["lost"] == 0, "{policy}: {report}");
    }
}

#[test]
fn losses_are_counted_with_their_reason() {
    let lines: Vec<u8> = (0..2000).flat_map(|n| format!("error {n}\n").into_bytes()).collect();
    let arguments = ["--lines", "-", "--overflow", "drop_newest", "--capacity", "1"];
    let report = text_of(&run(&arguments, &lines));
    let loss = report.lines().find(|line| line.contains(" of 2,000 lines ("));
    assert!(loss.is_some_and(|loss| loss.starts_with("  lost") && loss.contains("no room")), "{report}");
    assert!(report.contains("  ledger  balances: all "), "{report}");
}

/// Checks that the text of the service has all its parts, the important ones first.
#[track_caller]
fn assert_whole(report: &str) {
    let mut rest = report;
    for part in [
        "  lost ",
        "  slow ",
        "  cost ",
        "  ledger  balances: all ",
        "request latency at the clients",
        "cost of a publish for its worker",
        "service time, from the samples",
        "longest backlog",
        "alerts: ",
        "file: ",
    ] {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in {report}")).1;
    }
}

#[test]
fn every_reply_is_published_and_in_the_file() {
    let path = std::env::temp_dir().join(format!("buslane-demo-telemetry-{}.jsonl", std::process::id()));
    let file = path.to_str().expect("a path that is text");
    let settings = ["--seconds", "1", "--slice-ms", "50", "--overflow", "block", "--output", file, "--json"];
    let output = run(&settings, b"");
    let lines = fs::read_to_string(&path).expect("the file");
    fs::remove_file(&path).expect("the file");
    assert!(output.status.success(), "{}", plain(&output.stderr));
    let report = balanced_report(&output.stdout);
    // Nothing is lost where publishers wait: what the clients counted went all the way into the
    // file.
    let count = Value::from(lines.lines().count());
    assert_eq!((&report["published"], &report["lost"]), (&count, &0.into()), "{report}");
    assert_eq!(report["latency"]["telemetry_on"]["count"], count, "{report}");
    assert!(report["publish"]["p50"].is_u64() && report["timer"]["p50"].is_u64(), "{report}");
}

#[test]
fn every_peer_in_its_place_balances() {
    let channels = ["crossbeam", "crossfire", "kanal", "std", "tokio-broadcast", "rtrb"];
    for name in ["buslane", "tracing-appender", "ticklog"].into_iter().chain(channels) {
        let settings = ["--bus", name, "--seconds", "0.3", "--slice-ms", "20", "--json"];
        let output = run(&settings, b"");
        assert!(output.status.success(), "{name}: {}", plain(&output.stderr));
        let report = balanced_report(&output.stdout);
        assert_eq!((&report["bus"], &report["load"]["percent"]), (&name.into(), &60.0.into()), "{report}");
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        assert!(count(&report["published"]) > 0, "{report}");
        assert_eq!(report["sinks"].as_array().map(Vec::len), Some(3), "{report}");
        assert!(count(&report["sinks"][0]["state"]["ledger"]["delivered"]) > 0, "{report}");
        assert_eq!(report["published"], report["latency"]["telemetry_on"]["count"], "{report}");
        let read: u64 = ["GET", "SET", "DEL", "unknown"]
            .iter()
            .map(|operation| count(&report["service_time"][operation]["count"]))
            .sum();
        assert!(read + count(&report["lost"]) >= count(&report["published"]), "{report}");
    }
}

#[test]
fn no_bus_compares_nothing_with_nothing() {
    let output = run(&["--bus", "none", "--seconds", "0.3", "--slice-ms", "20", "--json"], b"");
    assert!(output.status.success(), "{}", plain(&output.stderr));
    let report = balanced_report(&output.stdout);
    assert_eq!((&report["bus"], &report["lost"]), (&"none".into(), &0.into()), "{report}");
    assert_eq!(report["sinks"], Value::Array(Vec::new()), "{report}");
    assert!(report["latency"]["telemetry_on"]["count"].as_u64() > Some(0), "{report}");
}

#[test]
fn load_is_offered_at_its_rate() {
    let output = run(&["--load", "10", "--seconds", "1", "--slice-ms", "50", "--json"], b"");
    assert!(output.status.success(), "{}", plain(&output.stderr));
    let report = balanced_report(&output.stdout);
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let capacity = number(&report["load"]["capacity"]);
    assert!(capacity > 0.0, "{report}");
    let latency = &report["latency"];
    let replies = number(&latency["telemetry_on"]["count"]) + number(&latency["telemetry_off"]["count"]);
    // No more than are due; fewer where the machine is busy.
    let most = capacity / 10.0 * number(&report["seconds"]) + 8.0;
    assert!(replies >= 1.0 && replies <= most, "{replies} of {most}: {report}");
    // Without `--load` clients do not wait.
    let output = run(&["--seconds", "0.2", "--slice-ms", "50", "--json"], b"");
    assert_eq!(balanced_report(&output.stdout)["load"], Value::Null);
}

#[test]
fn given_rate_is_offered_without_a_calibration() {
    let settings = ["--bus", "buslane", "--load", "2000/s", "--slice-ms", "0", "--seconds", "0.4", "--json"];
    let output = run(&settings, b"");
    assert!(output.status.success(), "{}", plain(&output.stderr));
    let report = balanced_report(&output.stdout);
    let load = &report["load"];
    assert_eq!((&load["rate"], &load["capacity"]), (&2000.0.into(), &Value::Null), "{report}");
    // Telemetry is on all the time, and the first requests only warm the service up.
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let (on, off) = (&report["latency"]["telemetry_on"], &report["latency"]["telemetry_off"]);
    let (on, warm_up) = (count(&on["count"]), count(&report["warm_up"]));
    assert_eq!((on + warm_up, count(&off["count"])), (count(&report["published"]), 0), "{report}");
    assert!(warm_up > 0, "{report}");
    let most = 2000.0 * report["seconds"].as_f64().unwrap_or(0.0) + 8.0;
    assert!((on + warm_up) as f64 <= most, "{report}");
    let used = &report["processor_time"];
    assert!(!cfg!(target_os = "linux") || count(&used["workers"]) > 0, "{report}");
}

#[test]
fn report_compares_percentiles_under_load() {
    let report = text_of(&run(&["--bus", "rtrb", "--seconds", "0.5", "--slice-ms", "50"], b""));
    for part in ["at 60 % of ", "rtrb in its place", "p50 latency ", "p99 latency ", "p99.9 latency "] {
        assert!(report.contains(part), "no {part:?} in {report}");
    }
}

#[test]
fn report_starts_with_what_matters() {
    assert_whole(&text_of(&run(&["--seconds", "0.3", "--slice-ms", "50"], b"")));
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_the_service_with_its_report() {
    let mut child = output::command(PROGRAM)
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
    assert!(!report.contains("nothing: 0 samples"), "{report}");
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
