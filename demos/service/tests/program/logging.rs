//! The log lines of each kind of telemetry.

use crate::client::get;
use crate::support::{Service, ask, count, place};
use demo_support::Folder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;

/// Serves a few requests with this kind of telemetry; the report and the log.
fn log(kind: &str) -> (Value, String) {
    let folder = Folder::new();
    std::fs::write(folder.file("service.log"), "an earlier line, answered status=200\n").expect("a file");
    let service = Service::start(&folder, &["--telemetry", kind]);
    place(&service, 20);
    assert_eq!(ask(&service, &get("/orders/99")).0, 404);
    let report = service.stop();
    (report, String::from_utf8(folder.read("service.log")).expect("a text"))
}

/// Checks that each request has a line, within its span, and each order one more.
fn assert_each_request_has_a_line(kind: &str) {
    let (report, log) = log(kind);
    let lines: Vec<_> = log.lines().skip(1).collect();
    let lines_with = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(lines_with("answered status=201"), 20, "{log}");
    assert_eq!(lines_with("answered status=404"), 1, "{log}");
    assert_eq!(lines_with("order taken"), 20, "{log}");
    assert_eq!(lines_with("path=/orders/99"), 1, "{log}");
    assert_eq!(lines_with("request{number="), 41, "{log}");
    assert_eq!(lines.len(), 43, "{log}");
    assert_eq!((&report["log"]["lines"], &report["log"]["answers"]), (&43.into(), &21.into()));
    assert_eq!(report["log"]["kind"], kind);
}

#[test]
fn buslane_writes_a_line_for_each_request() {
    assert_each_request_has_a_line("buslane");
}

#[test]
fn non_blocking_writes_a_line_for_each_request() {
    assert_each_request_has_a_line("non_blocking");
}

#[test]
fn appender_writes_a_line_for_each_request() {
    assert_each_request_has_a_line("appender");
}

#[test]
fn plain_writes_a_line_for_each_request() {
    assert_each_request_has_a_line("plain");
}

#[test]
fn off_writes_nothing() {
    let (report, log) = log("off");
    assert_eq!(log.lines().count(), 1);
    assert_eq!(report["log"]["lines"], 0);
}

/// Serves with a log that is a pipe from which nothing is read for a while, and checks that no request
/// waits for that, and that each loss is counted, and told in the log. Returns how many lines there
/// are, how many were lost, how many should be there, and how many records the ledger has.
fn stalled_log(kind: &str) -> (u64, u64, u64, u64) {
    let folder = Folder::new();
    let pipe = folder.file("service.log");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    // Both ends open the pipe at the same time.
    let opening = std::thread::spawn(move || File::open(pipe).expect("a pipe"));
    let service = Service::start(&folder, &["--telemetry", kind]);
    let pipe = opening.join().expect("a pipe");
    let placed = place(&service, 6000).len() as u64;
    service.signal("-TERM");
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(pipe).lines().collect::<Result<Vec<_>, _>>();
        lines.expect("lines")
    });
    let report = service.wait().balanced();
    let lines = reading.join().expect("lines");
    let told = lines.iter().filter_map(|line| {
        let (_, loss) = line.split_once("buslane: ")?;
        loss.split_once(" lines lost").and_then(|(lost, _)| lost.parse::<u64>().ok())
    });
    let told: Vec<_> = told.collect();
    let lost = count(&report, "/log/lost");
    assert!(lost > 0);
    assert_eq!(told.iter().sum::<u64>(), lost, "{told:?}");
    // Two lines for each order, and one for the start and the end.
    ((lines.len() - told.len()) as u64, lost, 2 * placed + 2, count(&report, "/log/ledger/offered"))
}

#[test]
fn stalled_log_of_non_blocking_counts_losses() {
    let (lines, lost, expected, records) = stalled_log("non_blocking");
    assert_eq!((lines + lost, records), (expected, expected));
}

#[test]
fn stalled_log_of_buslane_counts_losses() {
    let (lines, lost, expected, records) = stalled_log("buslane");
    // The begin and the end of the span of a request are records, too, without a line of their own.
    assert_eq!(records, 2 * expected - 2);
    assert!(lines < expected && lines + lost >= expected && lines + lost <= records, "{lines} {lost}");
}
