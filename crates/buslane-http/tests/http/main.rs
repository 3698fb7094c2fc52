//! Tests of the HTTP sinks: requests, the result of each answer, and endpoints that misbehave.

mod batches;
mod durations;
mod early;
mod faults;
mod malformed;
mod proxies;
mod raw;
mod retry;
mod server;
mod sources;
mod tls;

use buslane::stats::DropReason;
use buslane::testing::assert_sink_contract;
use buslane::{BoxError, Bus, Queue, Sink, SinkExt, WriteError};
use buslane_http::{HttpConfigErrorKind, HttpError, HttpSink, HttpSinkBuilder};
use serde::{Serialize, Serializer};
use server::{Reply, Server};
use std::error::Error;
use std::time::Duration;
use test_support::{GUARD, Log, Outcome, assert_balanced, flush, outcome};

/// An event that fails to serialize if its text is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Push(&'static str);

impl Serialize for Push {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return Err(serde::ser::Error::custom("the secret payload"));
        }
        serializer.serialize_str(self.0)
    }
}

/// Returns a sink whose timeout is long enough for a busy machine.
fn sink<E>(server: &Server) -> HttpSink<E> {
    builder(server).build().unwrap()
}

fn builder<E>(server: &Server) -> HttpSinkBuilder<E> {
    HttpSink::builder(&server.url("/events")).direct().timeout(GUARD)
}

/// Returns the event of a failed write and its error.
#[track_caller]
fn failure<E>(result: Result<(), WriteError<E>>) -> (E, HttpError) {
    let Err(WriteError::Failed { event, source }) = result else { panic!("the write did not fail") };
    (event, source.downcast_ref::<HttpError>().expect("an HTTP error").clone())
}

#[test]
fn event_is_posted_as_json_with_custom_headers() {
    let server = Server::start([]);
    let http = builder(&server).header("X-Token", "one").header("x-token", "two").build().unwrap();
    assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    let request = server.requests().remove(0);
    assert_eq!((request.line.as_str(), request.body.as_str()), ("POST /events", "\"hello\""));
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["x-token"], "two");
    assert!(request.headers["user-agent"].starts_with("buslane-http/"));
    assert_eq!(request.headers["content-length"], "7");
}

#[test]
fn enveloped_event_carries_its_media_type() {
    let media_type = "application/vnd.docker.distribution.events.v2+json";
    let server = Server::start([]);
    let http = builder(&server).media_type(media_type).enveloped().build().unwrap();
    assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    let request = server.requests().remove(0);
    assert_eq!(
        (request.body.as_str(), request.headers["content-type"].as_str()),
        (r#"{"events":["hello"]}"#, media_type)
    );
}

#[test]
fn every_2xx_succeeds_over_one_connection() {
    let statuses = [200, 201, 202, 204, 299];
    let server = Server::start(statuses.map(Reply::Status));
    let http = sink(&server);
    for status in statuses {
        assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted, "{status}");
    }
    let connections: Vec<_> = server.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0; 5]);
}

#[test]
fn other_statuses_return_the_event_and_classify_retry() {
    let worth = [408, 429, 500, 502, 503, 504, 599];
    let in_vain = [300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 410, 413, 422, 451];
    let statuses = || worth.into_iter().chain(in_vain);
    let server = Server::start(statuses().map(Reply::Status));
    let http = sink(&server);
    for status in statuses() {
        let (event, error) = failure(http.write(Push("hello")));
        assert_eq!(event, Push("hello"));
        assert_eq!((error.status(), error.retry_after()), (Some(status), None));
        assert_eq!(error.is_retryable(), worth.contains(&status), "{error}");
    }
    // The next write succeeds.
    assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
}

/// docker/distribution counts a redirect as a success that no endpoint received.
#[test]
fn redirect_is_not_followed_and_fails() {
    let server = Server::start([]);
    let elsewhere = format!("Location: {}\r\n", server.url("/elsewhere"));
    let server =
        Server::start([301, 302, 303, 307, 308].map(|status| Reply::WithHeader(status, elsewhere.clone())));
    let http = sink(&server);
    for _ in 0..5 {
        assert!(!failure(http.write(Push("hello"))).1.is_retryable());
    }
    assert!(server.requests().iter().all(|request| request.line == "POST /events"));
}

#[test]
fn error_carries_retry_after() {
    let day = Duration::from_secs(24 * 3600);
    let reply = |status, value| Reply::WithHeader(status, format!("Retry-After: {value}\r\n"));
    let server = Server::start([
        reply(429, "120"),
        reply(503, "Thu, 01 Jan 1970 00:00:00 GMT"),
        reply(503, "Fri, 31 Dec 9999 23:59:59 GMT"),
        reply(503, "when the cows come home"),
    ]);
    let http = sink(&server);
    let next = || failure(http.write(Push("hello"))).1.retry_after();
    assert_eq!(next(), Some(Duration::from_secs(120)));
    assert_eq!(next(), Some(Duration::ZERO), "a date in the past");
    assert!(next().unwrap() > day);
    assert_eq!(next(), None);
}

#[test]
fn unserializable_event_drops_and_others_are_posted() {
    let server = Server::start([]);
    let (dropped, errors) = (Log::new(), Log::new());
    let (on_drop, on_error) = (dropped.clone(), errors.clone());
    let queue = Queue::builder()
        .on_drop(move |event: Push, reason| on_drop.push((event, reason)))
        .on_error(move |error: &BoxError| on_error.push(error.to_string()))
        .spawn_sink(sink(&server))
        .unwrap();
    for event in ["one", "", "two"] {
        assert_eq!(outcome(queue.write(Push(event))), Outcome::Accepted);
    }
    flush(&queue);
    assert_eq!(server.bodies(), ["\"one\"", "\"two\""]);
    assert_eq!(dropped.entries(), [(Push(""), DropReason::Failed)]);
    assert_eq!(errors.entries(), ["the event cannot be written as JSON"]);
    let ledger = assert_balanced(&queue.state());
    assert_eq!((ledger.delivered, ledger.dropped.failed), (2, 1));

    let (event, error) = failure(sink(&server).write(Push("")));
    assert_eq!((event, error.is_retryable(), error.status()), (Push(""), false, None));
}

#[test]
fn panic_of_the_serializer_fails_the_write() {
    /// A payload whose destructor panics in turn.
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("the secret payload, again")
        }
    }
    struct Worse;
    impl Serialize for Worse {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            std::panic::panic_any(Payload)
        }
    }
    struct Panicking;
    impl Serialize for Panicking {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("the secret payload")
        }
    }
    let server = Server::start([]);
    let (_, error) = failure(sink(&server).write(Panicking));
    assert_eq!(error, HttpError::Unserializable);
    let (_, error) = failure(sink(&server).write(Worse));
    assert_eq!(error, HttpError::Unserializable);
    assert!(server.requests().is_empty());
}

/// The behavior of distribution's TestHTTPSink: each outcome is counted once.
#[test]
fn ledger_of_a_direct_sink_counts_each_outcome() {
    let server = Server::start([200, 307, 400, 500, 201].map(Reply::Status));
    let bus = Bus::new();
    bus.add(sink(&server)).unwrap();
    let accepted: Vec<_> = (0..5).map(|_| bus.publish(Push("hello")).unwrap().accepted).collect();
    assert_eq!(accepted, [1, 0, 0, 0, 1]);
    let state = bus.snapshot().sinks[0].state.clone();
    let ledger = assert_balanced(&state);
    assert_eq!((ledger.offered, ledger.delivered, ledger.refused.failed), (5, 2, 3));
    assert_eq!(state.last_error.as_deref(), Some("the endpoint answered with 500"));
    assert!(bus.close().is_done());
}

#[test]
fn canonical_chain_needs_no_annotations() {
    let server = Server::start([]);
    let bus = Bus::new();
    bus.add(sink(&server).filter(|event: &Push| event.0 != "pull").queue(64).unwrap()).unwrap();
    for event in ["push", "pull", "mount"] {
        let _ = bus.publish(Push(event)).unwrap();
    }
    assert!(bus.close().is_done());
    assert_eq!(server.bodies(), ["\"push\"", "\"mount\""]);
}

#[test]
fn invalid_url_is_an_error() {
    let error = |url| HttpSink::<Push>::new(url).unwrap_err();
    for url in [
        "",
        "example",
        "localhost:80",
        "/events",
        "ftp://example/",
        "http://",
        "http:///events",
        "http://a b/",
        "http://a:99999/",
        "http://a:port/",
        "http://a:0/",
    ] {
        assert_eq!(error(url).kind(), HttpConfigErrorKind::Url, "{url}");
    }
    let credentials = error("http://user:hunter2@example/");
    assert_eq!(credentials.kind(), HttpConfigErrorKind::Credentials);
    assert!(!format!("{credentials} {credentials:?}").contains("hunter2"));
}

#[test]
fn invalid_headers_and_timeouts_are_errors() {
    let http = || HttpSink::<Push>::builder("https://example/events?token=hunter2");
    let kind = |builder: HttpSinkBuilder<Push>| builder.build().unwrap_err().kind();
    let headers = [
        ("", "a"),
        ("a b", "c"),
        ("a", "b\r\nc: d"),
        ("Content-Length", "5"),
        ("host", "elsewhere"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
    ];
    for (name, value) in headers {
        assert_eq!(kind(http().header(name, value)), HttpConfigErrorKind::Header, "{name}: {value}");
    }
    assert_eq!(kind(http().media_type("a\nb")), HttpConfigErrorKind::Header);
    for pem in ["", "no certificate", include_str!("tls/server.key")] {
        assert_eq!(kind(http().root_certificates(pem.as_bytes())), HttpConfigErrorKind::Certificate);
    }
    assert_eq!(kind(http().timeout(Duration::ZERO)), HttpConfigErrorKind::Timeout);
    let secret = http().header("Authorization", "hunter2");
    let text = format!("{:?} {:?} {:?}", http(), http().build(), secret.build().unwrap().batches());
    assert!(text.contains("example") && !text.contains("hunter2"), "{text}");
}

#[test]
fn later_setting_replaces_an_invalid_one() {
    let http = || HttpSink::<Push>::builder("https://example/").direct();
    let replaced = http()
        .header("X-Token", "a\nb")
        .header("x-token", "a")
        .media_type("a\nb")
        .media_type("text/plain")
        .timeout(Duration::ZERO)
        .timeout(Duration::from_secs(1))
        .root_certificates(b"no certificate")
        .root_certificates(include_bytes!("tls/authority.pem"))
        .proxy("socks5://proxy")
        .proxy("http://proxy");
    assert!(replaced.build().is_ok());
    assert!(http().proxy("socks5://proxy").direct().build().is_ok());
    let kind = |builder: HttpSinkBuilder<Push>| builder.build().unwrap_err().kind();
    let header = http().header("x-token", "a").header("X-Token", "a\nb");
    assert_eq!(kind(header), HttpConfigErrorKind::Header, "the last value counts");
    assert_eq!(kind(http().timeout(Duration::MAX).timeout(Duration::ZERO)), HttpConfigErrorKind::Timeout);
}

#[test]
fn cloned_builder_makes_the_same_sink() {
    let server = Server::start([]);
    let builder = builder::<Push>(&server).header("X-Token", "one").enveloped();
    for sink in [builder.clone().build().unwrap(), builder.header("X-Token", "two").build().unwrap()] {
        assert_eq!(outcome(sink.write(Push("hello"))), Outcome::Accepted);
    }
    let tokens: Vec<_> = server.requests().iter().map(|it| it.headers["x-token"].clone()).collect();
    assert_eq!(tokens, ["one", "two"]);
    assert_eq!(server.bodies(), [r#"{"events":["hello"]}"#; 2]);
}

#[test]
fn error_chain_has_each_cause_once() {
    let server = Server::start([Reply::Status(500)]);
    let error = sink(&server).write(Push("hello")).unwrap_err();
    assert_eq!(error.to_string(), "the sink failed: the endpoint answered with 500");
    let WriteError::Failed { source, .. } = &error else { panic!("{error}") };
    assert!(error.source().is_none() && source.source().is_none());
    let invalid = HttpSink::<Push>::new("/events").unwrap_err();
    assert!(invalid.source().is_none(), "{invalid}");
}

#[test]
fn both_sinks_keep_the_contract() {
    let server = Server::start([]);
    assert_sink_contract(|| sink::<u64>(&server), |n| n);
    assert_sink_contract(|| sink::<u64>(&server).batches(), |n| vec![n]);
}
