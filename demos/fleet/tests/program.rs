//! The fleet demo, run as a program: what it proves, that it leaves no process behind, and how it
//! ends.

#![cfg(unix)]

use demo_support::output::{
    self, assert_balanced, assert_none_left, json_lines, plain, signal, until_stopped,
};
use serde_json::Value;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_fleet");

/// Arguments that end the program soon, and few processes.
const SHORT: &[&str] = &["--seconds", "0", "--services", "2", "--rate", "200"];

fn start(arguments: &[&str]) -> Child {
    output::start(PROGRAM, arguments)
}

fn run(arguments: &[&str]) -> Output {
    start(arguments).wait_with_output().expect("an end")
}

/// Whether there is a server. Without one the program shows nothing, which has a test of its own.
fn has_server() -> bool {
    let mut command = Command::new("nats-server");
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The story and the report of a run, when everything was proven.
#[track_caller]
fn proven(arguments: &[&str]) -> (Vec<String>, Value) {
    let output = run(&[arguments, &["--json"]].concat());
    let mut lines = json_lines(&output.stdout);
    assert!(output.status.success(), "{arguments:?}: {lines:?}{}", plain(&output.stderr));
    let report = lines.pop().expect("a report");
    assert_eq!(report["type"], "report");
    assert_balanced(&report);
    let story = lines.iter().map(|line| line["text"].as_str().expect("a text").to_owned());
    (story.collect(), report)
}

fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().expect("a count")
}

#[test]
fn events_are_accounted_for_after_every_trouble() {
    if !has_server() {
        return;
    }
    let (story, report) = proven(SHORT);
    let troubles = report["troubles"].as_object().expect("troubles");
    assert_eq!(troubles.len(), 7, "{report}");
    let told = |text: &str| story.iter().any(|line| line.contains(text));
    assert!(told("is killed") && told("is stopped") && told("starts again"), "{story:?}");
    assert_eq!(count(&report, "arrived"), count(&report, "stored"));
    // What a service holds while the server is away ends with it.
    assert!(count(&report, "lost") > 0, "{report}");
    // The server was stopped until acknowledgments were overdue.
    assert!(count(&report, "sent_again") > 0, "{report}");
    assert!(count(&report, "accepted") > 100 && count(&report, "gaps") == 0, "{report}");
}

#[test]
fn troubles_are_the_same_for_the_same_seed() {
    if !has_server() {
        return;
    }
    let troubles = || {
        let (story, _) = proven(&[SHORT, &["--seed", "5"]].concat());
        let names = ["is killed", "is stopped", "is asked to end"];
        let keep = move |line: &String| names.iter().find(|name| line.contains(**name)).copied();
        story.iter().filter_map(keep).collect::<Vec<_>>()
    };
    assert_eq!(troubles(), troubles());
}

#[test]
fn text_ends_with_a_report() {
    if !has_server() {
        return;
    }
    let output = run(SHORT);
    let text = plain(&output.stdout);
    assert!(output.status.success(), "{text}{}", plain(&output.stderr));
    let mut rest = &text[..];
    for part in [
        " events of 2 services, 7 troubles\n",
        "  arrived ",
        "  twice ",
        "  lost ",
        "  ledger  balances",
        "services",
    ] {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in {text}")).1;
    }
}

#[test]
fn ctrl_c_ends_the_run_with_a_proof() {
    if !has_server() {
        return;
    }
    let mut child = start(&["--seconds", "1000000", "--rate", "200"]);
    let mut output = until_stopped(&mut child);
    signal(child.id(), "-INT");
    let mut report = String::new();
    output.read_to_string(&mut report).expect("the rest of the report");
    let errors = assert_none_left(&mut child);
    assert!(child.wait().expect("an end").success(), "{report}{errors}");
    assert!(report.contains("ended early") && report.contains("  ledger  balances"), "{report}");
}

#[test]
fn killed_program_leaves_no_process_behind() {
    if !has_server() {
        return;
    }
    let mut child = start(&["--seconds", "1000000", "--rate", "200"]);
    let _output = until_stopped(&mut child);
    signal(child.id(), "-KILL");
    assert_none_left(&mut child);
    assert!(!child.wait().expect("an end").success());
}

#[test]
fn missing_server_is_one_line() {
    let output = Command::new(PROGRAM).env("PATH", "").output().expect("an end");
    let text = plain(&output.stdout);
    assert!(output.status.success() && text.contains("there is no nats-server"), "{text}");
}

#[test]
fn invalid_settings_are_one_line_with_valid_ones() {
    let settings = [
        (["--services", "0"], "use a whole number from 1 to 16"),
        (["--services", "17"], "use a whole number from 1 to 16"),
        (["--seconds", "-1"], "use a whole number"),
        (["--rate", "0"], "use a whole number of at least 1"),
        (["--seconts", "7"], "'--seconds'"),
    ];
    for (arguments, valid) in settings {
        output::assert_refused(PROGRAM, &arguments, &[valid]);
    }
}

#[test]
fn service_without_its_parent_is_refused() {
    let folder = std::env::temp_dir().display().to_string();
    let arguments = ["--url", "nats://127.0.0.1:1", "--folder", &folder, "--service", "0", "--life", "0"];
    output::assert_refused(
        PROGRAM,
        &[&arguments[..], &["--parent", "1"]].concat(),
        &["the parent has ended"],
    );
}

#[test]
fn help_fits_a_screen() {
    output::assert_help_fits_a_screen(PROGRAM);
}
