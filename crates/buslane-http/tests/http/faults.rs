//! Tests of endpoints that hang up, send garbage or do not answer, and of closing the sink.

use crate::server::{Reply, Server};
use crate::{Push, builder, failure, sink};
use buslane::Sink;
use buslane::time::Deadline;
use buslane_http::{HttpError, HttpSink};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use test_support::{GUARD, Outcome, ends, outcome, wait_for};

/// A real timeout. The results do not depend on its length.
const SHORT: Duration = Duration::from_millis(100);

#[test]
fn broken_or_garbage_answer_is_retryable() {
    for reply in [Reply::HangUpHalfway, Reply::HangUp, Reply::Garbage] {
        let server = Server::start([reply.clone()]);
        let http = sink(&server);
        let (event, error) = failure(http.write(Push("hello")));
        assert_eq!(
            (event, error.is_retryable(), error.status()),
            (Push("hello"), true, None),
            "{reply:?}: {error}"
        );
        assert_eq!(
            outcome(http.write(Push("hello"))),
            Outcome::Accepted,
            "{reply:?}: the next write succeeds"
        );
    }
}

#[test]
fn silent_endpoint_times_out() {
    let server = Server::start([Reply::Silence]);
    let http = builder(&server).timeout(SHORT).build().unwrap();
    let (event, error) = failure(http.write(Push("hello")));
    assert_eq!((event, &error, error.is_retryable()), (Push("hello"), &HttpError::Timeout, true));
    // The next write succeeds through another connection.
    wait_for(|| http.write(Push("hello")).is_ok());
}

#[test]
fn refused_connection_is_retryable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let http = HttpSink::builder(&format!("http://{address}/")).direct().timeout(GUARD).build().unwrap();
    let (event, error) = failure(http.write(Push("hello")));
    assert_eq!((event, &error), (Push("hello"), &HttpError::Connection(ErrorKind::ConnectionRefused)));
    assert!(error.is_retryable());
}

#[test]
fn endpoint_without_tls_is_retryable() {
    let server = Server::start([]);
    let http =
        HttpSink::builder(&format!("https://{}/", server.address())).direct().timeout(GUARD).build().unwrap();
    assert!(failure(ends(move || http.write(Push("hello")))).1.is_retryable());
    assert!(server.requests().is_empty());
}

#[test]
fn host_name_resolves() {
    let server = Server::start([]);
    let url = format!("http://localhost:{}/", server.address().port());
    let http = HttpSink::builder(&url).direct().timeout(GUARD).build().unwrap();
    for _ in 0..2 {
        assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    }
}

#[test]
fn oversized_answer_is_not_read_to_its_end() {
    let server = Server::start([Reply::Large(1000), Reply::Large(10_000_000)]);
    let http = sink(&server);
    for _ in 0..3 {
        assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    }
    let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1], "a connection with an unread rest of an answer is not reused");
}

#[test]
fn errors_reveal_neither_event_nor_path() {
    let replies = [Reply::Status(400), Reply::HangUp, Reply::Garbage, Reply::Status(503)];
    let count = replies.len();
    let server = Server::start(replies);
    let http =
        HttpSink::builder(&server.url("/hook/hunter2?key=hunter2")).direct().timeout(GUARD).build().unwrap();
    for event in std::iter::repeat_n("hunter2", count).chain([""]) {
        let error = http.write(Push(event)).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter2") && !text.contains("secret"), "{text}");
    }
}

#[test]
fn closed_sink_posts_nothing() {
    let server = Server::start([]);
    let http = sink(&server);
    assert!(http.close_by(Deadline::NEVER).is_done() && http.close_by(Deadline::NOW).is_done());
    assert_eq!(outcome(http.write(Push("hello"))), Outcome::Closed(Push("hello")));
    let closed = http.reports_closed();
    assert!(closed && server.requests().is_empty());
}

#[test]
fn abort_cancels_the_request_in_flight() {
    let server = Server::start([Reply::Silence]);
    let http = Arc::new(builder(&server).timeout(Duration::from_secs(3600)).build().unwrap());
    let writer = thread::spawn({
        let http = http.clone();
        move || http.write(Push("hello"))
    });
    server.await_requests(1);
    http.abort_now();
    let (event, _) = failure(ends(move || writer.join().unwrap()));
    assert_eq!(event, Push("hello"));
    assert_eq!(outcome(http.write(Push("hello"))), Outcome::Closed(Push("hello")));
}
