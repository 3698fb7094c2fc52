//! The replicas demo, run as a program: what it proves, that it leaves no process behind, and how it
//! ends.

#![cfg(unix)]

use demo_support::output::{
    self, assert_balanced, assert_none_left, json_lines, plain, signal, until_stopped,
};
use serde_json::Value;
use std::io::Read;
use std::process::{Child, Output};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_replicas");

/// Longer than any test waits for.
const ENDLESS: [&str; 2] = ["--seconds", "1000000"];

fn start(arguments: &[&str]) -> Child {
    output::start(PROGRAM, arguments)
}

fn run(arguments: &[&str]) -> Output {
    start(arguments).wait_with_output().expect("an end")
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

/// A sum over the nodes of a report.
fn sum(report: &Value, group: &str, count: &str) -> u64 {
    let nodes = report["nodes"].as_array().expect("nodes");
    nodes.iter().map(|node| node[group][count].as_u64().expect("a count")).sum()
}

#[test]
fn nodes_converge_after_a_trouble_of_each_kind() {
    let (story, report) = proven(&["--seconds", "0"]);
    assert_eq!([&report["crashes"], &report["pauses"], &report["stalls"]], [1, 1, 1], "{report}");
    let told = |text: &str| story.iter().any(|line| line.contains(text));
    assert!(told("is killed") && told("is stopped") && told("is in step again"), "{story:?}");
    // The pause and the stall make packets time out, and the stall makes the node lag.
    assert!(sum(&report, "traffic", "sent_again") >= 2, "{report}");
    assert!(sum(&report, "traffic", "lost") > 0 && sum(&report, "traffic", "mended") > 0, "{report}");
    assert!(sum(&report, "counts", "pulls_at_start") > 0, "{report}");
    assert!(report["digest"].is_string() && report["accepted"].as_u64() > Some(100), "{report}");
}

#[test]
fn troubles_are_the_same_for_the_same_seed() {
    let troubles = || {
        let (story, _) = proven(&["--seconds", "0", "--seed", "5", "--nodes", "4", "--rate", "800"]);
        let names = ["is killed", "is stopped", "starts again"];
        let keep = move |line: &String| names.iter().find(|name| line.contains(**name)).copied();
        story.iter().filter_map(keep).collect::<Vec<_>>()
    };
    assert_eq!(troubles(), troubles());
}

#[test]
fn two_nodes_with_a_short_history_converge() {
    let arguments = ["--seconds", "0", "--nodes", "2", "--history", "16", "--packet", "1", "--rate", "300"];
    let (_, report) = proven(&arguments);
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(2), "{report}");
}

#[test]
fn text_ends_with_a_report_that_starts_with_the_data() {
    let output = run(&["--seconds", "0", "--seed", "3"]);
    let text = plain(&output.stdout);
    assert!(output.status.success(), "{text}{}", plain(&output.stderr));
    let mut rest = &text[..];
    for part in [
        " changes of 3 nodes: 1 crash, 1 pause, 1 stall\n",
        "  data ",
        "  re-sent ",
        "  lag ",
        "  ledger  balances",
        "nodes",
    ] {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in {text}")).1;
    }
}

#[test]
fn ctrl_c_ends_the_run_with_a_proof() {
    let mut child = start(&ENDLESS);
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
    let mut child = start(&ENDLESS);
    let _output = until_stopped(&mut child);
    signal(child.id(), "-KILL");
    assert_none_left(&mut child);
    assert!(!child.wait().expect("an end").success());
}

#[test]
fn terminated_program_leaves_no_process_behind() {
    let mut child = start(&ENDLESS);
    let _output = until_stopped(&mut child);
    signal(child.id(), "-TERM");
    assert_none_left(&mut child);
    child.wait().expect("an end");
}

#[test]
fn invalid_settings_are_one_line_with_valid_ones() {
    let settings = [
        (["--nodes", "1"], "use a whole number from 2 to 16"),
        (["--nodes", "17"], "use a whole number from 2 to 16"),
        (["--history", "8"], "use a whole number from 16 to 65536"),
        (["--seconds", "-1"], "use a whole number"),
        (["--rate", "0"], "use a whole number of at least 1"),
        (["--packet", "0"], "use a whole number of at least 1"),
        (["--timeout-ms", "soon"], "use a whole number of milliseconds"),
        (["--seconts", "7"], "'--seconds'"),
    ];
    for (arguments, valid) in settings {
        output::assert_refused(PROGRAM, &arguments, &[valid]);
    }
}

#[test]
fn node_without_a_hub_is_refused() {
    let arguments = ["--name", "a", "--hub", "http://127.0.0.1:1", "--parent"];
    let own = std::process::id().to_string();
    output::assert_refused(PROGRAM, &[&arguments[..], &[&own]].concat(), &["cannot join the hub"]);
    // A process that is not the parent.
    output::assert_refused(PROGRAM, &[&arguments[..], &["1"]].concat(), &["the parent has ended"]);
}

#[test]
fn help_fits_a_screen() {
    output::assert_help_fits_a_screen(PROGRAM);
}

#[test]
fn colors_are_optional() {
    output::assert_colors_are_optional(PROGRAM, &["--seconds", "0"]);
}

mod standard_output {
    use super::PROGRAM;
    use demo_support::output;

    /// Arguments that end the program soon.
    const SHORT: &[&str] = &["--seconds", "0"];

    #[test]
    fn full_output_exits_1_with_one_message() {
        output::assert_full_is_reported(PROGRAM, SHORT);
    }

    #[test]
    fn closed_output_is_no_error() {
        output::assert_closed_is_no_error(PROGRAM, SHORT);
    }
}
