//! Tests of retries by the endpoint's answers, on a manual clock.

use crate::server::{Reply, Server};
use crate::{Push, failure, sink};
use buslane::retry::{Attempt, AttemptError, Backoff, Breaker, BreakerState, DeadLetter, Next, RetryPolicy};
use buslane::testing::ManualClock;
use buslane::{BoxError, Bus, Channel, Sink, SinkExt};
use buslane_http::{HttpError, HttpRetry};
use std::sync::Arc;
use std::time::Duration;
use test_support::{Outcome, assert_balanced, outcome};

const SECOND: Duration = Duration::from_secs(1);

fn every_second() -> Backoff {
    Backoff::new(SECOND, SECOND).jitter(0.0)
}

#[test]
fn policy_retries_only_retryable_answers() {
    let server = Server::start([Reply::Status(503), Reply::HangUp, Reply::Status(200), Reply::Status(404)]);
    let clock = ManualClock::hurrying();
    let http = sink(&server).retry(HttpRetry::new(every_second())).clock(clock.clone());
    assert_eq!(outcome(http.write(Push("one"))), Outcome::Accepted);
    assert_eq!((clock.passed(), clock.waits()), (2 * SECOND, 2));
    let (event, error) = failure(http.write(Push("two")));
    assert_eq!((event, error.status()), (Push("two"), Some(404)));
    assert_eq!((clock.waits(), server.requests().len()), (2, 4));
}

#[test]
fn retry_waits_for_the_longer_of_both_delays() {
    let reply = |seconds| Reply::WithHeader(429, format!("Retry-After: {seconds}\r\n"));
    let server = Server::start([reply("0"), reply("10"), reply("999999999")]);
    let clock = ManualClock::hurrying();
    let http = sink(&server).retry(HttpRetry::new(every_second())).clock(clock.clone());
    assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    assert_eq!(clock.passed(), (1 + 10 + 60) * SECOND, "a wait of years is limited to a minute");

    let server = Server::start([reply("10")]);
    let clock = ManualClock::hurrying();
    let policy = HttpRetry::new(every_second()).max_retry_after(Duration::ZERO);
    let http = sink(&server).retry(policy).clock(clock.clone());
    assert_eq!(outcome(http.write(Push("hello"))), Outcome::Accepted);
    assert_eq!(clock.passed(), SECOND);
}

#[test]
fn inner_policy_limits_the_attempts() {
    let server = Server::start((0..5).map(|_| Reply::Status(500)));
    let policy = HttpRetry::new(every_second().max_attempts(3));
    let http = sink(&server).retry(policy).clock(ManualClock::hurrying());
    assert_eq!(failure(http.write(Push("hello"))).1.status(), Some(500));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn refusal_closes_the_breaker_and_bad_event_does_not() {
    let server = Server::start([Reply::Status(503), Reply::Status(400)]);
    let clock = ManualClock::hurrying();
    let breaker = Breaker::new(1, SECOND).max_attempts(1).clock(clock.clone());
    let breaker = Arc::new(breaker);
    let http = sink(&server).retry(HttpRetry::new(breaker.clone())).clock(clock.clone());
    assert_eq!(failure(http.write(Push("hello"))).1.status(), Some(503));
    assert_eq!(breaker.state(), BreakerState::Open);
    // The write waits until the breaker is half-open, and then posts no request.
    assert_eq!(failure(http.write(Push(""))).1, HttpError::Unserializable);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(failure(http.write(Push("hello"))).1.status(), Some(400));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn inner_policy_decides_errors_of_other_sinks() {
    let policy = HttpRetry::new(every_second());
    let other: BoxError = "another".into();
    for error in [AttemptError::Full, AttemptError::Timeout, AttemptError::Failed(&*other)] {
        assert_eq!(policy.failure(&Push("hello"), &Attempt::new(1, SECOND, error)), Next::After(SECOND));
    }
}

/// The whole chain: each undeliverable event becomes a dead letter with its error, and every other
/// event arrives.
#[test]
fn batch_posts_rest_and_dead_letters_the_bad_event() {
    let server = Server::start([Reply::Status(503), Reply::Status(200), Reply::Status(400)]);
    let (letters, mut dead) = Channel::<DeadLetter<Vec<Push>>>::lossy(8).unwrap();
    let retry = sink(&server).batches().retry(HttpRetry::new(every_second()));
    let batch = Arc::new(retry.clock(ManualClock::hurrying()).dead_letters(letters).batch(3));
    let bus = Bus::new();
    bus.add(batch.clone().queue(64).unwrap()).unwrap();
    for event in ["one", "", "two", "three"] {
        let _ = bus.publish(Push(event)).unwrap();
    }
    assert!(bus.close().is_done());
    let envelope = r#"{"events":["one","two"]}"#;
    assert_eq!(server.bodies(), [envelope, envelope, r#"{"events":["three"]}"#]);
    let letters: Vec<_> = dead.drain().map(|letter| (letter.event, letter.error.to_string())).collect();
    let expected = |event, text: &str| (vec![Push(event)], format!("the sink failed: {text}"));
    assert_eq!(
        letters,
        [
            expected("", "the event cannot be written as JSON"),
            expected("three", "the endpoint answered with 400"),
        ]
    );
    let ledger = assert_balanced(&batch.state());
    // Of the first batch one event became a dead letter, and the endpoint refused the second batch
    // as a whole.
    assert_eq!((ledger.delivered, ledger.dropped.failed, ledger.pending), (2, 2, 0));
}
