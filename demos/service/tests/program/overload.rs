//! A service whose database stalls.

use crate::client::get;
use crate::support::{GUARD, Service, ask, count, json, order, place, read, rows};
use demo_support::Folder;
use std::collections::BTreeSet;
use std::time::Instant;

/// Another process that writes to the database until it is dropped.
fn lock(folder: &Folder) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(folder.file("orders.db")).expect("a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    other
}

#[test]
fn full_audit_refuses_and_loses_nothing() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--capacity", "4", "--patience-ms", "0", "--stock", "1000"]);
    let other = lock(&folder);
    let mut client = service.client();
    let mut taken = BTreeSet::new();
    // The audit takes what its channel holds, and what the task has in hand.
    loop {
        let answer = client.request(&order("bolt", 1)).expect("an answer");
        if answer.status == 503 {
            assert!(json(&answer)["error"].as_str().is_some_and(|text| text.contains("no room")));
            break;
        }
        assert_eq!(answer.status, 201);
        taken.insert(json(&answer)["id"].as_u64().expect("a number"));
    }
    assert!((4..=256 + 4).contains(&taken.len()), "{}", taken.len());
    // The pieces of the refused order are back, and other requests are answered.
    assert_eq!(read(&service, "/items")["bolt"], 1000 - taken.len());
    drop(other);
    let report = service.stop();
    assert_eq!(rows(&folder), taken);
    assert_eq!(count(&report, "/requests/answered/3"), 1);
}

#[test]
fn failing_database_is_told_and_written_later() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    let other = lock(&folder);
    let taken = place(&service, 3);
    let begun = Instant::now();
    let (status, text) = loop {
        let health = ask(&service, &get("/health"));
        if health.0 != 200 || begun.elapsed() > GUARD {
            break health;
        }
    };
    assert!(status == 503 && text.contains("database is locked"), "{status} {text}");
    drop(other);
    let report = service.stop();
    assert_eq!(rows(&folder), BTreeSet::from_iter(taken));
    assert!(count(&report, "/audit/failed_transactions") > 0);
}

#[test]
fn orders_lost_at_the_limit_exit_1() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--limit-ms", "300"]);
    let _other = lock(&folder);
    place(&service, 3);
    service.signal("-TERM");
    let ended = service.wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("rows in the database"), "{}", ended.errors);
    assert_eq!(ended.report["shutdown"]["written"], false);
}
