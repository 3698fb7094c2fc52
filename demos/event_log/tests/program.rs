//! The event_log demo, run as a program: what it proves, what it watches, and how it ends.

use demo_support::Folder;
use demo_support::output::{self, assert_balanced, json_lines, plain};
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Output};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_event_log");

/// More scans than any test waits for.
const ENDLESS: [&str; 4] = ["--scans", "4000000000", "--interval-ms", "1"];

fn start(arguments: &[&str]) -> Child {
    output::start(PROGRAM, arguments)
}

fn run(arguments: &[&str]) -> Output {
    start(arguments).wait_with_output().expect("an end")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Its text, when everything was proven.
#[track_caller]
fn proven(arguments: &[&str]) -> String {
    let output = run(arguments);
    let report = plain(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {report}{}", text(&output.stderr));
    assert!(report.contains("  ledger  balances: all "), "{arguments:?}: {report}");
    report
}

/// The story and the report of a run with `--json`, when everything was proven.
#[track_caller]
fn proven_json(arguments: &[&str]) -> (Vec<String>, Value) {
    let output = run(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    let mut lines = json_lines(&output.stdout);
    let report = lines.pop().expect("a report");
    assert_eq!(report["type"], "report");
    assert_balanced(&report);
    let story = lines.iter().map(|line| line["text"].as_str().expect("a text").to_owned());
    (story.collect(), report)
}

/// Its message, when it ended with `code`.
#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}{}", text(&output.stdout));
    assert!(!message.is_empty() && !message.contains("panicked at"), "{message}");
    message
}

/// How many events a subscriber missed.
#[track_caller]
fn missed(report: &Value, name: &str) -> u64 {
    subscriber(report, name)["missed"].as_u64().expect("a count")
}

/// What the report says about a subscriber.
#[track_caller]
fn subscriber<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut all = report["subscribers"].as_array().expect("subscribers").iter();
    all.find(|subscriber| subscriber["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn missed_events_of_the_slow_subscriber_are_counted() {
    // It reads twice only, with much more than the journal keeps before and between.
    let arguments = ["--interval-ms", "0", "--capacity", "64", "--slow-every", "1000"];
    let (_, report) = proven_json(&arguments);
    assert!(missed(&report, "slow") > 0 && missed(&report, "mirror") == 0, "{report}");
    assert!(report["lost"].as_u64() >= Some(missed(&report, "slow")), "{report}");
    let text = proven(&arguments);
    assert!(text.contains("\n  lost    slow: missed "), "{text}");
}

#[test]
fn roaming_subscriber_resumes_and_misses_nothing_kept() {
    let (story, report) = proven_json(&["--interval-ms", "0", "--capacity", "100000"]);
    assert!(story.iter().any(|text| text.starts_with("disconnects before event ")), "{story:?}");
    assert_eq!(subscriber(&report, "roaming")["connections"].as_array().map(Vec::len), Some(2), "{report}");
    assert!(["mirror", "slow", "roaming"].iter().all(|name| missed(&report, name) == 0), "{report}");
    assert_eq!(report["lost"], 0);
}

#[test]
fn events_overwritten_while_away_are_counted() {
    let arguments = ["--interval-ms", "0", "--capacity", "64", "--roams-after", "1", "--away-for", "1000"];
    let (_, report) = proven_json(&arguments);
    assert!(missed(&report, "roaming") > 0, "{report}");
}

#[test]
fn check_passes_for_journals_of_any_size() {
    for capacity in ["1", "2", "63", "64", "65", "127", "1000"] {
        for scans in ["1", "2", "3", "12"] {
            proven(&["--interval-ms", "0", "--capacity", capacity, "--scans", scans, "--slow-every", "2"]);
        }
    }
}

#[test]
fn same_seed_makes_the_same_events() {
    let scans = |seed| {
        let (story, _) = proven_json(&["--interval-ms", "0", "--scans", "5", "--seed", seed]);
        story.into_iter().filter(|text| text.starts_with("scan ")).collect::<Vec<_>>()
    };
    let first = scans("7");
    assert_eq!(first.len(), 5);
    assert_eq!(first, scans("7"));
    assert_ne!(first, scans("8"));
}

#[test]
fn folder_is_watched_with_its_contents() {
    let folder = Folder::new();
    let empty = proven(&[folder.path(), "--scans", "3", "--interval-ms", "0"]);
    assert_eq!(empty.matches("nothing new").count(), 3, "{empty}");

    fs::create_dir_all(folder.file("inner/most")).expect("two folders");
    folder.write("inner/most/file", 10);
    folder.write("no bytes", 0);
    let report = proven(&[folder.path(), "--scans", "2", "--interval-ms", "0"]);
    assert!(report.contains("scan 1: 4 found; events 0 to 3\n"), "{report}");
    assert!(report.contains("scan 2: nothing new\n"), "{report}");
}

#[test]
fn invalid_arguments_are_one_line_with_valid_ones() {
    let folder = Folder::new();
    folder.write("file", 1);
    let file = format!("{}/file", folder.path());
    let cases: [(&[&str], &[&str]); 13] = [
        (&["/nowhere/at/all"], &["/nowhere/at/all"]),
        (&[&file], &[&file]),
        (&["--capacity", "0"], &["capacity 0", "at least 1 event"]),
        (&["--capacity", "18446744073709551615"], &["capacity", "at most"]),
        (&["--capacity", "none"], &["--capacity", "at least 1"]),
        (&["--scans", "0"], &["--scans", "at least 1"]),
        (&["--slow-every", "0"], &["--slow-every", "at least 1"]),
        (&["--roams-after", "0"], &["--roams-after", "at least 1"]),
        (&["--away-for", "0"], &["--away-for", "at least 1"]),
        (&["--interval-ms", "soon"], &["--interval-ms", "whole number of milliseconds"]),
        (&["--seed", "x"], &["--seed", "whole number"]),
        (&["--changes", "1", &file], &["--changes", "cannot be used with"]),
        (&["--scan", "3"], &["'--scans'"]),
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
    output::assert_colors_are_optional(PROGRAM, &["--scans", "2", "--interval-ms", "0"]);
}

#[cfg(unix)]
mod while_it_runs {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::process::ChildStdout;

    /// A demo that watches a folder, and what it prints.
    struct Watching {
        child: Child,
        output: BufReader<ChildStdout>,
        report: String,
    }

    impl Watching {
        fn start(folder: &Folder) -> Self {
            let mut child = super::start(&[&ENDLESS[..], &[folder.path()]].concat());
            let output = BufReader::new(child.stdout.take().expect("a pipe"));
            Self { child, output, report: String::new() }
        }

        /// Reads until it has printed this.
        fn read_until(&mut self, text: &str) {
            while !self.report.contains(text) {
                let read = self.output.read_line(&mut self.report).expect("a line");
                assert!(read > 0, "no {text:?} in {}", self.report);
            }
        }
    }

    #[test]
    fn changes_are_seen_until_ctrl_c_and_proven() {
        let folder = Folder::new();
        folder.write("old", 5);
        let mut watching = Watching::start(&folder);
        watching.read_until(": 1 found; events 0 to 0\n");
        folder.write("new", 0);
        watching.read_until(": 1 created; events 1 to 1\n");
        folder.write("old", 6);
        watching.read_until(" 1 changed; events 2 to ");
        fs::remove_file(folder.file("new")).expect("a file");
        watching.read_until(" 1 removed; events ");
        let Watching { mut child, mut output, mut report } = watching;
        let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(interrupted.expect("kill").success());
        output.read_to_string(&mut report).expect("the rest");
        assert!(child.wait().expect("an end").success(), "{report}");
        assert!(
            report.contains(", ended early\n") && report.contains("  ledger  balances: all "),
            "{report}"
        );
    }

    #[test]
    fn closed_output_ends_the_watch_without_a_message() {
        let folder = Folder::new();
        let mut watching = Watching::start(&folder);
        watching.read_until("scan 1:");
        let Watching { child, output, .. } = watching;
        drop(output);
        let output = child.wait_with_output().expect("an end");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    }

    #[test]
    fn removed_folder_ends_the_watch_with_a_message() {
        let folder = Folder::new();
        let mut watching = Watching::start(&folder);
        watching.read_until("scan 1:");
        let path = folder.path().to_owned();
        drop(folder);
        let Watching { child, mut output, mut report } = watching;
        output.read_to_string(&mut report).expect("the rest");
        let message = failed(&child.wait_with_output().expect("an end"), 1);
        assert!(message.contains(&path), "{message}");
    }
}

#[cfg(unix)]
mod standard_output {
    use super::PROGRAM;
    use demo_support::output;

    /// Arguments that end the program soon.
    const SHORT: &[&str] = &["--scans", "20", "--interval-ms", "1"];

    #[test]
    fn full_output_exits_1_with_one_message() {
        output::assert_full_is_reported(PROGRAM, SHORT);
    }

    #[test]
    fn closed_output_is_no_error() {
        output::assert_closed_is_no_error(PROGRAM, SHORT);
    }
}
