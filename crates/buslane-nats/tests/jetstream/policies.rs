//! What a retry policy and a circuit breaker see of an outage, and what the server sees of them.

use super::fake::{Failure, Fake, Script};
use super::{queue, texts, texts_at};
use buslane::Sink;
use buslane::retry::{Attempt, Breaker, BreakerState, Next, RetryPolicy};
use buslane::stats::FlushReport;
use buslane::testing::ManualClock;
use buslane::time::Deadline;
use buslane_nats::{JetStream, PublishError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use test_support::{GUARD, Log, flush, wait_for};

/// An address at which no process listens.
const NOWHERE: &str = "nats://127.0.0.1:9";

/// A breaker that opens after two failures, closes when a test says so, and counts every call.
#[derive(Default)]
struct Counting {
    is_closed_again: AtomicBool,
    /// Attempts that were let through, and those that were not.
    passed: AtomicU64,
    held: AtomicU64,
    successes: AtomicU64,
    abandoned: AtomicU64,
    failures: Log<Option<PublishError>>,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counting {
    /// Returns the attempts that were let through, and how many failed, succeeded and were abandoned.
    fn counts(&self) -> [u64; 4] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failures = self.failures.entries().len() as u64;
        [read(&self.passed), failures, read(&self.successes), read(&self.abandoned)]
    }

    /// Waits until the sink has asked a number of times whether an attempt may be made.
    fn wait_held(&self, times: u64) {
        wait_for(|| self.held.load(Ordering::Relaxed) >= times);
    }
}

impl RetryPolicy<()> for Counting {
    fn before(&self, (): &()) -> Duration {
        let is_open = self.failures.entries().len() >= 2 && !self.is_closed_again.load(Ordering::Relaxed);
        add(if is_open { &self.held } else { &self.passed });
        if is_open { Duration::from_millis(1) } else { Duration::ZERO }
    }

    fn failure(&self, (): &(), attempt: &Attempt<'_>) -> Next {
        self.failures.push(attempt.source().cloned());
        Next::Again
    }

    fn success(&self) {
        add(&self.successes);
    }

    fn abandoned(&self) {
        add(&self.abandoned);
    }
}

/// Flushes for a short time. Returns whether everything is delivered.
fn is_flushed(sink: &JetStream<String>, limit: Duration) -> bool {
    let mut report = FlushReport::default();
    sink.flush_by(Deadline::after(limit), &mut report);
    report.is_done()
}

#[test]
fn open_policy_sends_nothing_until_it_closes() {
    let fake = Fake::start([Script::Fail(2, Failure::Full)]);
    let policy = Arc::new(Counting::default());
    let sink = texts(&fake).retry(policy.clone()).ack_timeout(GUARD).connect_lazy().unwrap();
    sink.wait_connected(GUARD).unwrap();
    let stats = sink.stats();
    let queue = queue(sink);
    queue.write("event".to_owned()).unwrap();
    policy.wait_held(20);
    assert_eq!((fake.received(), stats.read().published, stats.read().retried), (2, 1, 1));
    assert_eq!(policy.counts(), [2, 2, 0, 0]);
    policy.is_closed_again.store(true, Ordering::Relaxed);
    flush(&queue);
    assert_eq!((fake.received(), fake.payloads()), (3, vec!["event".to_owned()]));
    assert_eq!(policy.counts(), [3, 2, 1, 0]);
}

#[test]
fn absent_server_is_a_failure_for_the_policy() {
    let policy = Arc::new(Counting::default());
    let settings = texts_at(NOWHERE).retry(policy.clone()).ack_timeout(Duration::from_millis(5));
    let queue = queue(settings.connect_lazy().unwrap());
    queue.write("event".to_owned()).unwrap();
    policy.wait_held(20);
    assert_eq!(policy.counts(), [2, 2, 0, 0]);
    let failures = policy.failures.entries();
    let is_absence = |error: &Option<PublishError>| matches!(error, Some(PublishError::Disconnected(_)));
    assert!(failures.iter().all(is_absence), "{failures:?}");
}

#[test]
fn attempt_that_runs_out_of_time_is_abandoned() {
    let fake = Fake::start([Script::Deaf]);
    let policy = Arc::new(Counting::default());
    let sink = texts(&fake).retry(policy.clone()).ack_timeout(GUARD).connect_lazy().unwrap();
    sink.write("event".to_owned()).unwrap();
    wait_for(|| {
        assert!(!is_flushed(&sink, Duration::from_millis(5)));
        policy.counts()[0] >= 3
    });
    let [passed, failures, successes, abandoned] = policy.counts();
    assert_eq!((failures, successes, abandoned), (0, 0, passed));
}

#[test]
fn breaker_sends_nothing_until_its_backoff_ends() {
    let (clock, hour) = (ManualClock::new(), Duration::from_secs(3600));
    let breaker = Arc::new(Breaker::new(1, hour).clock(clock.clone()));
    let fake = Fake::start([Script::Fail(1, Failure::Full)]);
    let sink = texts(&fake).retry(breaker.clone()).ack_timeout(GUARD).connect_lazy().unwrap();
    sink.write("event".to_owned()).unwrap();
    wait_for(|| {
        assert!(!is_flushed(&sink, Duration::from_millis(20)));
        breaker.state() == BreakerState::Open
    });
    let sent = || {
        let counts = sink.stats().read();
        counts.published + counts.retried
    };
    let before = sent();
    for _ in 0..5 {
        assert!(!is_flushed(&sink, Duration::from_millis(10)));
    }
    assert_eq!(sent(), before);
    clock.advance(hour);
    assert!(is_flushed(&sink, GUARD));
    assert_eq!((breaker.state(), fake.payloads()), (BreakerState::Closed, vec!["event".to_owned()]));
}
