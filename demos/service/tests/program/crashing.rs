//! A service that is killed under load.

use crate::client::get;
use crate::support::{Crowd, Service, ask, place, rows};
use demo_support::Folder;
use std::collections::BTreeSet;

/// Kills a service under load, and returns the orders that were answered.
fn kill(folder: &Folder, more: &[&str]) -> BTreeSet<u64> {
    let service = Service::start(folder, more);
    let crowd = Crowd::start(&service, 8);
    crowd.wait_for(200);
    service.signal("-KILL");
    service.wait().killed();
    crowd.orders()
}

#[test]
fn crash_loses_no_durable_order() {
    let folder = Folder::new();
    let answered = kill(&folder, &["--durable"]);
    assert!(rows(&folder).is_superset(&answered), "{answered:?}");

    let service = Service::start(&folder, &["--durable"]);
    let last = *answered.last().expect("an order");
    let (status, text) = ask(&service, &get(&format!("/orders/{last}")));
    assert_eq!(status, 200, "{text}");
    assert!(place(&service, 1)[0] > last);
    service.stop();
}

#[test]
fn crash_leaves_a_sound_database() {
    let folder = Folder::new();
    kill(&folder, &[]);
    rows(&folder);
    let service = Service::start(&folder, &[]);
    place(&service, 1);
    service.stop();
}
