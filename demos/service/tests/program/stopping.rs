//! The end of a service that is under load.

use crate::client::get;
use crate::support::{Crowd, PROGRAM, Service, ask, count, order, place, read, rows, with_arguments};
use demo_support::Folder;
use demo_support::output;
use std::process::Stdio;

/// Stops a service under load by a signal, and checks that each order that a client saw answered is in
/// the database, and no other.
fn assert_none_lost(signal: &str, more: &[&str]) {
    let folder = Folder::new();
    let service = Service::start(&folder, more);
    let crowd = Crowd::start(&service, 8);
    crowd.wait_for(300);
    service.signal(signal);
    let report = service.wait().balanced();
    let answered = crowd.orders();
    assert!(answered.len() >= 300);
    assert_eq!(rows(&folder), answered);
    assert_eq!(count(&report, "/requests/created"), answered.len() as u64);
    assert_eq!(count(&report, "/audit/rows"), answered.len() as u64);
}

#[test]
fn sigterm_under_load_loses_no_order() {
    assert_none_lost("-TERM", &[]);
}

#[test]
fn sigint_under_load_loses_no_order() {
    assert_none_lost("-INT", &[]);
}

#[test]
fn small_audit_loses_no_order() {
    assert_none_lost("-TERM", &["--capacity", "1"]);
}

#[test]
fn durable_orders_are_all_written() {
    assert_none_lost("-TERM", &["--durable"]);
}

#[test]
fn end_of_standard_input_stops_the_service() {
    let folder = Folder::new();
    let ended = with_arguments(&folder, &["--until-stdin-ends"], |arguments| {
        output::command(PROGRAM).args(arguments).stdin(Stdio::null()).output().expect("an end")
    });
    assert!(ended.status.success());
    let report = output::json_lines(&ended.stdout).pop().expect("a report");
    output::assert_balanced(&report);
}

#[test]
fn second_signal_ends_the_process_at_once() {
    let folder = Folder::new();
    let mut service = Service::start(&folder, &["--limit-ms", "4000000"]);
    // A client that never reads the feed to its end keeps the first signal waiting.
    let mut client = service.client();
    client.send(&get("/feed")).expect("a request");
    assert_eq!(client.head().expect("a head").0, 200);
    let mut half = service.client();
    half.send("POST /orders HTTP/1.1\r\nhost: service\r\n").expect("half a request");
    place(&service, 1);
    service.signal("-TERM");
    service.read_until("stops because of SIGTERM");
    service.signal("-TERM");
    let ended = service.wait();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.errors);
}

#[test]
fn restart_continues_with_the_same_orders() {
    let folder = Folder::new();
    let first = Service::start(&folder, &["--stock", "10"]);
    let ids = place(&first, 3);
    first.stop();
    let second = Service::start(&folder, &["--stock", "10"]);
    let (status, text) = ask(&second, &get(&format!("/orders/{}", ids[2])));
    assert_eq!(status, 200, "{text}");
    assert_eq!(read(&second, "/items")["bolt"], 7);
    let (status, _) = ask(&second, &order("bolt", 8));
    assert_eq!(status, 409);
    assert!(place(&second, 1)[0] > ids[2]);
    second.stop();
    assert_eq!(rows(&folder).len(), 4);
}
