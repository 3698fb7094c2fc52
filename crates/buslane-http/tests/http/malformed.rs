//! Tests of malformed answers: the status line decides, and an answer without one is retryable.

use crate::failure;
use crate::raw::{Raw, answers, read_request};
use buslane::retry::Backoff;
use buslane::{Sink, SinkExt};
use buslane_http::{HttpError, HttpRetry, HttpSink};
use std::io::Write;
use std::time::Duration;
use test_support::{GUARD, Outcome, ends, outcome};

fn sink(raw: &Raw) -> HttpSink<&'static str> {
    HttpSink::builder(&raw.url()).direct().timeout(GUARD).build().unwrap()
}

/// Returns malformed and unusual rests of an answer, after the status line.
fn rests() -> Vec<String> {
    [
        "X-Note: one\r\n two\r\n\tthree\r\nContent-Length: 0\r\n\r\n",
        " folded: at the start\r\nContent-Length: 0\r\n\r\n",
        "Content-Length: 0\n\n",
        "no colon at all\r\nContent-Length: 0\r\n\r\n",
        "bad name: x\r\nb\u{e4}d: y\r\n: empty\r\nContent-Length: 0\r\n\r\n",
        "X-Raw: a\u{1}b\u{7f}\r\nContent-Length: 0\r\n\r\n",
        "Content-Length: many\r\n\r\n",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "Content-Length: 99999999999999999999999\r\n\r\n",
        "Transfer-Encoding: gzip\r\n\r\nnonsense",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nnot a chunk\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        "\r\nuntil the end of the connection",
    ]
    .map(String::from)
    .into_iter()
    .chain([
        format!("{}Content-Length: 0\r\n\r\n", "X-Many: 1\r\n".repeat(1000)),
        format!("X-Long: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(60_000)),
        format!("X-Endless: {}", "a".repeat(200_000)),
    ])
    .collect()
}

#[test]
fn status_line_overrides_a_malformed_rest() {
    for rest in rests() {
        let shown: String = rest.chars().take(60).collect();
        for line in ["200 Fine", "202"] {
            let raw = answers(format!("HTTP/1.1 {line}\r\n{rest}"));
            assert_eq!(outcome(sink(&raw).write("hello")), Outcome::Accepted, "{line} {shown:?}");
        }
        for (status, retryable) in [(400, false), (413, false), (301, false), (503, true)] {
            let raw = answers(format!("HTTP/1.1 {status} No\r\n{rest}"));
            let (_, error) = failure(sink(&raw).write("hello"));
            assert_eq!(
                (error.status(), error.is_retryable()),
                (Some(status), retryable),
                "{shown:?}: {error}"
            );
        }
    }
}

#[test]
fn malformed_refusal_ends_an_unlimited_retry() {
    let raw = answers("HTTP/1.1 400 No\r\nX-Note: one\r\n two\r\nContent-Length: 0\r\n\r\n");
    let http = sink(&raw).retry(HttpRetry::new(Backoff::default()));
    assert!(ends(move || http.write("hello")).is_err());
    assert_eq!(raw.connections(), 1);
}

#[test]
fn folded_retry_after_is_parsed() {
    let raw = answers("HTTP/1.1 429 Busy\r\nRetry-After:\r\n 7\r\nContent-Length: 0\r\n\r\n");
    let (_, error) = failure(sink(&raw).write("hello"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn informational_answers_are_skipped() {
    let early = "HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n".repeat(3);
    let raw = answers(format!("{early}HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(outcome(sink(&raw).write("hello")), Outcome::Accepted);
    let raw = answers(format!("{early}HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(failure(sink(&raw).write("hello")).1.status(), Some(422));
    let raw = answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    let (_, error) = failure(sink(&raw).write("hello"));
    assert_eq!((error.status(), error.is_retryable()), (Some(101), false));
}

#[test]
fn answer_in_single_bytes_is_read_whole() {
    let raw = Raw::start(|mut stream, _| {
        let _ = stream.set_nodelay(true);
        read_request(&mut stream);
        for byte in b"HTTP/1.1 503 Busy\r\nX: 1\r\n 2\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nok" {
            let _ = stream.write_all(&[*byte]);
        }
    });
    let (_, error) = failure(sink(&raw).write("hello"));
    assert_eq!((error.status(), error.retry_after()), (Some(503), Some(Duration::from_secs(3))));
}

#[test]
fn body_after_204_or_too_long_is_not_the_next_answer() {
    for answer in [
        "HTTP/1.1 204 None\r\nContent-Length: 40\r\n\r\nHTTP/1.1 500 Not an answer\r\n\r\n",
        "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Not an answer\r\n\r\n",
        "HTTP/1.1 204 None\r\n\r\nHTTP/1.1 500 Not an answer\r\n\r\n",
    ] {
        let raw = Raw::start(move |mut stream, _| {
            while !read_request(&mut stream).0.is_empty() {
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let http = sink(&raw);
        for _ in 0..3 {
            assert_eq!(outcome(http.write("hello")), Outcome::Accepted, "{answer:?}");
        }
    }
}

#[test]
fn answer_without_a_status_line_is_retryable() {
    for answer in [
        "SSH-2.0-Example\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 099 No\r\n\r\n",
        "HTTP/1.1 2x0\r\n\r\n",
        "<html>",
    ] {
        let (_, error) = failure(sink(&answers(answer)).write("hello"));
        assert_eq!((&error, error.is_retryable()), (&HttpError::Protocol, true), "{answer:?}");
    }
    for answer in [
        "",
        "HTTP/1.1 200 Fi",
        "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n",
        "HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\nhalf",
    ] {
        let (_, error) = failure(sink(&answers(answer)).write("hello"));
        assert!(matches!(error, HttpError::Connection(_)), "{answer:?}: {error}");
    }
}
