//! Orders that are taken, and those that are not.

use crate::client::{get, post};
use crate::support::{Service, ask, count, json, order, read};
use demo_support::Folder;
use serde_json::json;

#[test]
fn order_is_taken_and_read_back() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--stock", "10"]);
    let mut client = service.client();
    let answer = client.request(&order("nut", 3)).expect("an answer");
    let placed = json(&answer);
    assert_eq!((answer.status, &placed), (201, &json!({"id": 1, "item": "nut", "quantity": 3})));
    let answer = client.request(&get("/orders/1")).expect("an answer");
    assert_eq!((answer.status, json(&answer)), (200, placed));
    assert_eq!(read(&service, "/items"), json!({"bolt": 10, "nut": 7, "washer": 10, "gear": 10}));
    assert_eq!(ask(&service, &get("/health")), (200, "ok\n".to_owned()));
    let report = service.stop();
    assert_eq!(count(&report, "/requests/created"), 1);
}

#[test]
fn refused_orders_change_nothing() {
    let folder = Folder::new();
    let service = Service::start(&folder, &["--stock", "10"]);
    let stock = read(&service, "/items");
    let long = format!(r#"{{"item":"bolt","quantity":1,"note":"{}"}}"#, "x".repeat(5000));
    for (request, status, text) in [
        (order("bolt", 11), 409, "10 in stock"),
        (order("bolt", 0), 422, "it must be from 1 to 1000"),
        (order("bolt", 1001), 422, "it must be from 1 to 1000"),
        (order("anvil", 1), 422, "use one of bolt, nut, washer, gear"),
        (post("/orders", r#"{"item":"bolt"}"#), 422, "quantity"),
        (post("/orders", "{"), 400, "error"),
        (post("/orders", &long), 413, "error"),
        (get("/orders"), 405, ""),
        (get("/orders/99"), 404, "order 99 is unknown"),
        (get("/orders/first"), 400, ""),
        (get("/nowhere"), 404, ""),
        (get("/feed?last=few"), 400, ""),
    ] {
        let (actual, body) = ask(&service, &request);
        assert!(actual == status && body.contains(text), "{request}: {actual} {body}");
    }
    assert_eq!(read(&service, "/items"), stock);
    let report = service.stop();
    assert_eq!(report["requests"]["answered"], json!([2, 0, 12, 0]));
    assert_eq!(count(&report, "/audit/rows"), 0);
}
