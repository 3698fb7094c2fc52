//! The event_log demo, run as a program: what it proves, on what it was told to watch, and how it ends.

use demo_support::Folder;
use std::fs;
use std::process::{Child, Command, Output, Stdio};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_event_log");

/// More looks than any test waits for.
const ENDLESS: [&str; 4] = ["--looks", "4000000000", "--interval-ms", "1"];

fn start(arguments: &[&str]) -> Child {
    Command::new(PROGRAM)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process")
}

fn run(arguments: &[&str]) -> Output {
    start(arguments).wait_with_output().expect("an end")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Its output, when everything was proven.
#[track_caller]
fn proven(arguments: &[&str]) -> String {
    let output = run(arguments);
    let report = text(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {report}{}", text(&output.stderr));
    assert!(report.contains(", 0 wrong") && !report.contains("WRONG"), "{arguments:?}: {report}");
    report
}

/// Its message, when it ended with `code`.
#[track_caller]
fn failed(output: &Output, code: i32) -> String {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}{}", text(&output.stdout));
    assert!(!message.is_empty() && !message.contains("panicked"), "{message}");
    message
}

/// What the last table says that a subscriber has missed.
fn missed(report: &str, name: &str) -> u64 {
    let line =
        report.lines().find(|line| line.starts_with(&format!("  {name} ")) && line.contains("missed "));
    let number = line.and_then(|line| line.split("missed ").nth(1)?.split(';').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("nothing about {name} in {report}"))
}

#[test]
fn slow_subscriber_learns_its_exact_lag() {
    // It reads twice only, with much more than the journal keeps before and between.
    let arguments = ["--interval-ms", "0", "--capacity", "64", "--slow-every", "1000"];
    let report = proven(&arguments);
    assert!(missed(&report, "slow") > 0 && missed(&report, "mirror") == 0, "{report}");
}

#[test]
fn roaming_subscriber_resumes_without_a_gap() {
    let report = proven(&["--interval-ms", "0", "--capacity", "100000"]);
    assert!(report.contains("loses its connection") && report.contains("came 2 times"), "{report}");
    assert!(["mirror", "slow", "roaming"].iter().all(|name| missed(&report, name) == 0), "{report}");
}

#[test]
fn roaming_subscriber_learns_what_was_overwritten() {
    let arguments = ["--interval-ms", "0", "--capacity", "64", "--roams-after", "1", "--away-for", "1000"];
    let report = proven(&arguments);
    assert!(missed(&report, "roaming") > 0, "{report}");
}

#[test]
fn check_passes_for_journals_of_any_size() {
    for capacity in ["1", "2", "63", "64", "65", "127", "1000"] {
        for looks in ["1", "2", "3", "12"] {
            proven(&["--interval-ms", "0", "--capacity", capacity, "--looks", looks, "--slow-every", "2"]);
        }
    }
}

#[test]
fn same_seed_makes_the_same_events() {
    let looks = |seed| {
        let report = proven(&["--interval-ms", "0", "--looks", "5", "--seed", seed]);
        let lines =
            report.lines().filter_map(|line| line.split_once(" look ").map(|(_, look)| look.to_owned()));
        lines.collect::<Vec<_>>()
    };
    let first = looks("7");
    assert_eq!(first.len(), 5);
    assert_eq!(first, looks("7"));
    assert_ne!(first, looks("8"));
}

#[test]
fn watch_finds_everything_in_the_folder() {
    let folder = Folder::new();
    let empty = proven(&[folder.path(), "--looks", "3", "--interval-ms", "0"]);
    assert_eq!(empty.matches("nothing new").count(), 3, "{empty}");

    fs::create_dir_all(folder.file("inner/most")).expect("two folders");
    folder.write("inner/most/file", 10);
    folder.write("no bytes", 0);
    let report = proven(&[folder.path(), "--looks", "2", "--interval-ms", "0"]);
    assert!(report.contains("look 1: 4 found; events 0 to 3\n"), "{report}");
    assert!(report.contains("look 2: nothing new\n"), "{report}");
}

#[test]
fn invalid_arguments_exit_with_a_message() {
    let folder = Folder::new();
    folder.write("file", 1);
    let file = format!("{}/file", folder.path());
    let cases: [(&[&str], &str); 12] = [
        (&["/nowhere/at/all"], "/nowhere/at/all"),
        (&[&file], &file),
        (&["--capacity", "0"], "capacity"),
        (&["--capacity", "18446744073709551615"], "capacity"),
        (&["--capacity", "none"], "capacity"),
        (&["--looks", "0"], "looks"),
        (&["--slow-every", "0"], "slow-every"),
        (&["--roams-after", "0"], "roams-after"),
        (&["--away-for", "0"], "away-for"),
        (&["--interval-ms", "soon"], "interval-ms"),
        (&["--seed", "x"], "seed"),
        (&["--changes", "1", &file], "--changes"),
    ];
    for (arguments, expected) in cases {
        let output = run(arguments);
        let message = failed(&output, 2);
        assert!(message.contains(expected) && output.stdout.is_empty(), "{arguments:?}: {message}");
    }
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
    fn watch_reports_changes_until_ctrl_c() {
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
        assert!(report.contains("was asked to end") && report.contains(", 0 wrong"), "{report}");
    }

    #[test]
    fn watch_ends_silently_when_its_output_closes() {
        let folder = Folder::new();
        let mut watching = Watching::start(&folder);
        watching.read_until("look 1:");
        let Watching { child, output, .. } = watching;
        drop(output);
        let output = child.wait_with_output().expect("an end");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    }

    #[test]
    fn watch_reports_a_removed_folder_and_ends() {
        let folder = Folder::new();
        let mut watching = Watching::start(&folder);
        watching.read_until("look 1:");
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
    const SHORT: &[&str] = &["--looks", "20", "--interval-ms", "1"];

    #[test]
    fn full_output_exits_1_with_one_message() {
        output::assert_full_is_reported(PROGRAM, SHORT);
    }

    #[test]
    fn closed_output_is_no_error() {
        output::assert_closed_is_no_error(PROGRAM, SHORT);
    }
}
