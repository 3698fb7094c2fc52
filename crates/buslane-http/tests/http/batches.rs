//! Batches of events, posted in one envelope.

use crate::server::{Reply, Server};
use crate::{Push, failure, sink};
use buslane::stats::Finish;
use buslane::time::Deadline;
use buslane::{Bus, Sink, SinkExt};
use buslane_http::HttpError;
use std::sync::Arc;
use test_support::{Outcome, assert_balanced, outcome};

fn pushes<const N: usize>(names: [&'static str; N]) -> Vec<Push> {
    names.map(Push).to_vec()
}

#[test]
fn batch_posts_one_envelope() {
    let server = Server::start([]);
    let http = sink(&server).batches();
    assert_eq!(outcome(http.write(pushes(["one", "two"]))), Outcome::Accepted);
    assert_eq!(outcome(http.write(Vec::new())), Outcome::Accepted);
    assert_eq!(server.bodies(), [r#"{"events":["one","two"]}"#], "an empty batch posts nothing");
}

#[test]
fn refused_batch_comes_back_whole() {
    let server = Server::start([Reply::Status(503)]);
    let (batch, error) = failure(sink(&server).batches().write(pushes(["", "one", "two"])));
    assert_eq!((batch, error.status()), (pushes(["", "one", "two"]), Some(503)));
}

#[test]
fn batch_returns_unserializable_events_and_posts_rest() {
    let server = Server::start([]);
    let http = sink(&server).batches();
    let (left_out, error) = failure(http.write(pushes(["", "one", "", "two", ""])));
    assert_eq!((left_out, error), (pushes(["", "", ""]), HttpError::Unserializable));
    let (left_out, _) = failure(http.write(pushes([""])));
    assert_eq!(left_out, pushes([""]));
    assert_eq!(
        server.bodies(),
        [r#"{"events":["one","two"]}"#],
        "a batch of unserializable events posts nothing"
    );
}

#[test]
fn ledger_of_an_upstream_batch_counts_events() {
    let server = Server::start([Reply::Status(200), Reply::Status(500)]);
    let batch = Arc::new(sink(&server).batches().batch(2));
    let bus = Bus::new();
    bus.add(batch.clone().queue(64).unwrap()).unwrap();
    for event in ["one", "", "three", "four", "five"] {
        let _ = bus.publish(Push(event)).unwrap();
    }
    assert!(bus.close().is_done());
    let ledger = assert_balanced(&batch.state());
    assert_eq!((ledger.delivered, ledger.dropped.failed), (2, 3), "one bad event, two answered with 500");
    assert_eq!(server.bodies().len(), 3);
}

#[test]
fn expired_close_posts_nothing() {
    let server = Server::start([]);
    let batch = sink(&server).batches().batch(2);
    batch.write(Push("hello")).unwrap();
    let report = batch.close_by(Deadline::NOW);
    assert_eq!((report.finish, report.undelivered), (Finish::TimedOut, 1));
    assert!(server.requests().is_empty());
    assert_eq!(assert_balanced(&batch.state()).dropped.aborted, 1);
}
