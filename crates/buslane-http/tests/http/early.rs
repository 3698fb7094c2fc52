//! Tests of answers that arrive before the body is sent: the answer counts, not the failed send.

use crate::raw::{Raw, read_head, read_request};
use crate::{failure, tls};
use buslane::retry::Backoff;
use buslane::{Sink, SinkExt, WriteError};
use buslane_http::{HttpError, HttpRetry, HttpSink};
use serde::{Serialize, Serializer};
use std::io::{Read, Write};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use test_support::{GUARD, Outcome, ends, outcome};

/// More bytes than the buffers of a loopback connection hold.
const LARGE: usize = 8 << 20;

fn large() -> String {
    "x".repeat(LARGE)
}

fn answer(status: u16, lines: &str) -> String {
    format!("HTTP/1.1 {status} Early\r\nContent-Length: 0\r\n{lines}Connection: close\r\n\r\n")
}

/// Answers as soon as the head is read, and closes with the body unread. This resets the
/// connection.
fn resets_after(answer: String) -> Raw {
    Raw::start(move |mut stream, _| {
        read_head(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn sink<E>(raw: &Raw) -> HttpSink<E> {
    within(raw, GUARD)
}

fn within<E>(raw: &Raw, limit: Duration) -> HttpSink<E> {
    HttpSink::builder(&raw.url()).direct().timeout(limit).build().unwrap()
}

#[test]
fn early_answer_overrides_the_failed_send() {
    for (status, lines, retryable, after) in [
        (413, "", false, None),
        (401, "WWW-Authenticate: Basic\r\n", false, None),
        (400, "", false, None),
        (307, "Location: /elsewhere\r\n", false, None),
        (429, "Retry-After: 7\r\n", true, Some(7)),
        (503, "Retry-After: 9\r\n", true, Some(9)),
    ] {
        let raw = resets_after(answer(status, lines));
        let (event, error) = failure(sink(&raw).write(large()));
        assert_eq!((event.len(), error.status()), (LARGE, Some(status)), "{error}");
        assert_eq!(error.is_retryable(), retryable, "{error}");
        assert_eq!(error.retry_after(), after.map(Duration::from_secs));
        let (batch, error) = failure(sink(&raw).batches().write(vec![large()]));
        assert_eq!((batch.len(), error.status()), (1, Some(status)), "{error}");
    }
}

#[test]
fn early_success_accepts_the_event() {
    let raw = resets_after(answer(200, ""));
    assert_eq!(sink(&raw).write(large()).map_err(drop), Ok(()));
}

#[test]
fn early_refusal_ends_an_unlimited_retry() {
    let raw = resets_after(answer(413, ""));
    let policy = HttpRetry::new(Backoff::default());
    let http = sink(&raw).retry(policy);
    let error = ends(move || http.write(large()).unwrap_err());
    assert!(matches!(error, WriteError::Failed { .. }));
    assert_eq!(raw.connections(), 1);
}

#[test]
fn lost_connection_without_answer_is_connection_error() {
    let raw = Raw::start(|mut stream, _| drop(read_head(&mut stream)));
    for _ in 0..2 {
        let (_, error) = failure(sink(&raw).write(large()));
        assert!(matches!(error, HttpError::Connection(_)), "{error}");
        assert!(error.is_retryable());
    }
    let raw = resets_after(String::from("HTTP/1.1 413 Ear"));
    let (_, error) = failure(sink(&raw).write(large()));
    assert!(matches!(error, HttpError::Connection(_)), "an incomplete head is no answer: {error}");
}

#[test]
fn informational_answer_is_not_the_early_answer() {
    let raw = Raw::start(|mut stream, _| {
        read_head(&mut stream);
        // In one piece: a second segment would wait for the acknowledgement of the first, and the
        // reset that follows would discard it.
        let answers = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}", answer(413, ""));
        let _ = stream.write_all(answers.as_bytes());
    });
    assert_eq!(failure(sink(&raw).write(large())).1.status(), Some(413));
}

#[test]
fn early_refusal_on_open_connection_stops_the_send() {
    // The connection stays open, and the body is never read.
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let raw = Raw::start(move |mut stream, _| {
        read_head(&mut stream);
        let _ = stream.write_all(answer(413, "").as_bytes());
        let _ = held.lock().unwrap().recv_timeout(GUARD);
    });
    let began = Instant::now();
    let (_, error) = failure(sink(&raw).write(large()));
    assert_eq!(error.status(), Some(413), "{error}");
    assert!(began.elapsed() < GUARD / 2, "the answer ends the send long before the timeout");
    drop(hold);
}

#[test]
fn connection_with_an_unsent_body_is_not_reused() {
    // The first connection stays open after its answer.
    let raw = Raw::start(|mut stream, number| {
        read_head(&mut stream);
        if number == 0 {
            let _ = stream.write_all(b"HTTP/1.1 413 Early\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        } else {
            let _ = stream.write_all(b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let http = sink::<String>(&raw);
    assert_eq!(failure(http.write(large())).1.status(), Some(413));
    assert_eq!(outcome(http.write(String::from("next"))), Outcome::Accepted);
}

#[test]
fn early_success_head_keeps_the_whole_body() {
    // An endpoint that answers at once and reads the body afterwards.
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let raw = Raw::start(move |mut stream, _| {
        let head = read_head(&mut stream);
        let length: usize = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\n");
        // Real time is what is tested: a send that stalls for long enough checks for an answer, and
        // finds this one. No event marks that check.
        thread::sleep(Duration::from_millis(200));
        let mut body = vec![0; length];
        let whole = stream.read_exact(&mut body).is_ok();
        let _ = stream.write_all(b"ok");
        let _ = tell.lock().unwrap().send(whole);
    });
    assert_eq!(sink(&raw).write(large()).map_err(drop), Ok(()));
    assert!(told.recv_timeout(GUARD).unwrap(), "the whole body arrived");
}

#[test]
fn early_answer_over_tls_overrides_the_failed_send() {
    let address = tls::serve(|stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        stream.get_mut().write_all(answer(413, "").as_bytes())?;
        stream.get_mut().flush()
    });
    let http = HttpSink::builder(&format!("https://{address}/")).direct().timeout(GUARD);
    let http = http.root_certificates(tls::AUTHORITY).build().unwrap();
    for _ in 0..2 {
        let (_, error) = failure(http.write(large()));
        assert_eq!(error.status(), Some(413), "{error}");
    }
    let (_, error) = failure(http.batches().write(vec![large()]));
    assert_eq!(error.status(), Some(413), "{error}");
}

#[test]
fn early_refusal_over_open_tls_counts_at_the_timeout() {
    let (hold, held) = mpsc::channel::<()>();
    let address = tls::serve(move |stream| {
        read_head(stream);
        stream.get_mut().write_all(answer(413, "").as_bytes())?;
        stream.get_mut().flush()?;
        let _ = held.recv_timeout(GUARD);
        Ok(())
    });
    let http = HttpSink::builder(&format!("https://{address}/")).direct().timeout(Duration::from_secs(3));
    let http = http.root_certificates(tls::AUTHORITY).build().unwrap();
    let (_, error) = failure(http.write(large()));
    assert_eq!(error.status(), Some(413), "{error}");
    drop(hold);
}

#[test]
fn answer_before_the_request_is_accepted() {
    // An overloaded endpoint that answers every new connection with 503.
    for event in [String::from("small"), large()] {
        let raw = Raw::start(|mut stream, _| {
            let _ = stream.write_all(answer(503, "Retry-After: 3\r\n").as_bytes());
            // Closes only after a part of the request has arrived: otherwise the client may find
            // the connection closed while it connects.
            let _ = stream.peek(&mut [0]);
        });
        let (_, error) = failure(sink(&raw).write(event));
        assert_eq!(
            (error.status(), error.retry_after()),
            (Some(503), Some(Duration::from_secs(3))),
            "{error}"
        );
    }
}

/// A large event that records when it was serialized, right before it is sent.
struct Noted(Mutex<Instant>);

impl Serialize for Noted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let done = serializer.serialize_str(&large());
        *self.0.lock().unwrap() = Instant::now();
        done
    }
}

#[test]
fn slow_reader_does_not_extend_the_timeout() {
    // Reads a little at a time: each piece is progress, but the limit applies to the whole request.
    let raw = Raw::start(|mut stream, _| {
        let mut piece = vec![0; 64 << 10];
        while stream.read(&mut piece).is_ok_and(|length| length > 0) {
            // Real time is what is tested: all pieces together take longer than the limit.
            thread::sleep(Duration::from_millis(200));
        }
    });
    let http = within(&raw, Duration::from_millis(400));
    let (event, error) = failure(http.write(Noted(Mutex::new(Instant::now()))));
    assert_eq!(error, HttpError::Timeout);
    let took = event.0.lock().unwrap().elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn large_body_arrives_whole() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let raw = Raw::start(move |mut stream, _| {
        let (_, body) = read_request(&mut stream);
        let _ = tell.lock().unwrap().send(body);
        let _ = stream.write_all(b"HTTP/1.1 204 Fine\r\n\r\n");
    });
    assert_eq!(sink(&raw).write(large()).map_err(drop), Ok(()));
    let body = told.recv_timeout(GUARD).unwrap();
    assert_eq!(body.len(), LARGE + 2);
    assert!(body[1..=LARGE].iter().all(|byte| *byte == b'x'));
}
