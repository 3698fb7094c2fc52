//! Arguments and files with which the service does not start, and its help.

use crate::support::{PROGRAM, Service, with_arguments};
use demo_support::Folder;
use demo_support::output;

/// Checks that a service with these arguments does not start, and reports why in one line.
#[track_caller]
fn assert_refused(folder: &Folder, more: &[&str], texts: &[&str]) {
    with_arguments(folder, more, |arguments| output::assert_refused(PROGRAM, arguments, texts));
}

#[test]
fn taken_port_is_one_line() {
    let (folder, other) = (Folder::new(), Folder::new());
    let service = Service::start(&folder, &[]);
    let address = service.address.to_string();
    assert_refused(&other, &["--address", &address], &["cannot listen on", &address, "in use"]);
    service.stop();
}

#[test]
fn files_that_cannot_be_opened_are_one_line() {
    let folder = Folder::new();
    folder.write("text", 4096);
    let (good, text) = (folder.file("good"), folder.file("text"));
    let (directory, nowhere) = (folder.path(), folder.file("nowhere/at/all"));
    for (database, log, texts) in [
        (directory, good.as_str(), ["cannot open the database", directory]),
        (&nowhere, &good, ["cannot open the database", &nowhere]),
        (&text, &good, ["cannot open the database", "not a database"]),
        (&good, directory, ["cannot open the log", directory]),
        (&good, &nowhere, ["cannot open the log", &nowhere]),
    ] {
        let arguments = ["serve", "--database", database, "--log", log];
        output::assert_refused(PROGRAM, &arguments, &texts);
    }
}

#[test]
fn invalid_arguments_are_one_line_with_valid_ones() {
    let folder = Folder::new();
    let serve = |option: &str, value: &str, texts: &[&str]| assert_refused(&folder, &[option, value], texts);
    serve("--address", "nowhere", &["--address", "127.0.0.1:8080"]);
    serve("--telemetry", "loud", &["--telemetry", "off, buslane, non_blocking, appender or plain"]);
    serve("--capacity", "0", &["capacity 0", "at least 1"]);
    serve("--history", "0", &["capacity 0", "at least 1"]);
    serve("--threads", "0", &["--threads", "at least 1"]);
    serve("--requests", "0", &["--requests", "at least 1"]);
    serve("--limit-ms", "soon", &["--limit-ms", "whole number of milliseconds"]);
    let cases: [(&[&str], &[&str]); 7] = [
        (&[], &["subcommand"]),
        (&["serve"], &["--database", "--log"]),
        (&["compare", "--load", "2"], &["--load", "from 0.01 to 1"]),
        (&["compare", "--rate", "0"], &["--rate", "at least 1"]),
        (&["compare", "--rounds", "0"], &["--rounds", "at least 1"]),
        (&["compare", "--seconds", "0"], &["--seconds", "greater than 0"]),
        (&["compare", "--rate", "9", "--load", "0.5"], &["--rate", "cannot be used with"]),
    ];
    for (arguments, texts) in cases {
        output::assert_refused(PROGRAM, arguments, texts);
    }
}

#[test]
fn help_fits_a_screen() {
    output::assert_help_fits_a_screen(PROGRAM);
}

/// Runs a check on a service that ends at once, with its files in a folder.
fn with_short_run(check: impl Fn(&str, &[&str])) {
    let folder = Folder::new();
    let (database, log) = (folder.file("orders.db"), folder.file("service.log"));
    check(PROGRAM, &["serve", "--until-stdin-ends", "--database", &database, "--log", &log]);
}

#[test]
fn colors_are_optional() {
    with_short_run(output::assert_colors_are_optional);
}

#[test]
fn full_output_exits_1_with_one_message() {
    with_short_run(output::assert_full_is_reported);
}

#[test]
fn closed_output_is_no_error() {
    with_short_run(output::assert_closed_is_no_error);
}
