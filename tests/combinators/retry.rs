//! Retries: the behavior that go-events tests, its defects, and the guarantees of policies, waits,
//! dead letters and keys.

mod breaker;
mod close;
mod dead_letters;
mod deadline;
mod keyed;
mod order;
mod policy;

use buslane::retry::{Attempt, Backoff, Breaker, Next, RetryPolicy};
use buslane::stats::CloseReport;
use buslane::testing::ManualClock;
use buslane::time::Deadline;
use buslane::{Sink, SinkExt, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{Log, Outcome, describe, outcome};

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A sink that decides for each attempt, by its number from 0, whether it fails, and keeps the
/// events that it accepted.
pub(crate) struct Flaky<F> {
    fails: F,
    attempts: AtomicU64,
    closed: AtomicBool,
    pub(crate) taken: Log<u64>,
}

pub(crate) fn flaky<F: Fn(u64, u64) -> bool + Send + Sync>(fails: F) -> Arc<Flaky<F>> {
    Arc::new(Flaky { fails, attempts: AtomicU64::new(0), closed: AtomicBool::new(false), taken: Log::new() })
}

impl<F> Flaky<F> {
    pub(crate) fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::SeqCst)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl<F: Fn(u64, u64) -> bool + Send + Sync> Sink<u64> for Flaky<F> {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        if self.is_closed() {
            return Err(WriteError::Closed(event));
        }
        if (self.fails)(self.attempts.fetch_add(1, Ordering::SeqCst), event) {
            return Err(WriteError::Failed { event, source: "flaky".into() });
        }
        self.taken.push(event);
        Ok(())
    }

    fn close_by(&self, _deadline: Deadline) -> CloseReport {
        self.closed.store(true, Ordering::SeqCst);
        CloseReport::done()
    }
}

/// A policy made from a function of the number of attempts.
pub(crate) struct By<F>(pub(crate) F);

impl<E, F: Fn(u32) -> Next + Send + Sync> RetryPolicy<E> for By<F> {
    fn failure(&self, _event: &E, attempt: &Attempt<'_>) -> Next {
        (self.0)(attempt.number())
    }
}

/// Runs the load of go-events' tests: 100 concurrent writes. The first 50 attempts fail, and after
/// them nine of ten.
fn delivers_a_hundred_at_once<P: RetryPolicy<u64> + 'static>(clock: ManualClock, policy: P) {
    let sink = flaky(|attempt, _| attempt < 50 || attempt % 10 != 0);
    let retry = sink.clone().retry(policy).clock(clock.clone());
    thread::scope(|scope| {
        let retry = &retry;
        let writers: Vec<_> = (0..100).map(|event| scope.spawn(move || retry.write(event))).collect();
        for (event, writer) in writers.into_iter().enumerate() {
            assert!(writer.join().unwrap().is_ok(), "event {event}");
        }
    });
    let mut taken = sink.taken.entries();
    taken.sort_unstable();
    assert_eq!(taken, (0..100).collect::<Vec<_>>());
    assert!(clock.passed() > Duration::ZERO, "the retry did not wait after a failure");
    for _ in 0..2 {
        assert!(retry.close_by(Deadline::NOW).is_done());
        assert_eq!(outcome(retry.write(7)), Outcome::Closed(7));
    }
}

#[test]
fn breaker_retries_a_hundred_concurrent_writes() {
    let clock = ManualClock::hurrying();
    let breaker = Breaker::new(3, 10 * MILLI).clock(clock.clone());
    delivers_a_hundred_at_once(clock, breaker);
}

#[test]
fn backoff_retries_a_hundred_concurrent_writes() {
    let backoff = Backoff::new(MILLI, 5 * MILLI).factor(2.0);
    delivers_a_hundred_at_once(ManualClock::hurrying(), backoff);
}

#[test]
fn e5_close_closes_the_sink_and_giving_up_fails() {
    let sink = flaky(|_, _| true);
    let retry = sink.clone().retry(By(|_| Next::GiveUp));
    assert_eq!(outcome(retry.write(1)), Outcome::Failed(1));
    assert!(!sink.is_closed());
    assert!(retry.close_by(Deadline::NOW).is_done());
    assert!(sink.is_closed());
    assert!(retry.close_by(Deadline::NOW).is_done());
    assert_eq!(outcome(retry.write(2)), Outcome::Closed(2));
    assert_eq!(sink.attempts(), 1);
}

#[test]
fn e12_only_a_closed_variant_ends_the_attempts() {
    // A user-defined error, as distribution's HTTP sink has: no variant of `WriteError`, so it is
    // an ordinary failure.
    #[derive(Debug)]
    struct OwnClosed;
    impl std::fmt::Display for OwnClosed {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("sink: closed")
        }
    }
    impl std::error::Error for OwnClosed {}
    struct Foreign;
    impl Sink<u64> for Foreign {
        fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
            Err(WriteError::Failed { event, source: Box::new(OwnClosed) })
        }
    }
    struct Judge;
    impl RetryPolicy<u64> for Judge {
        fn failure(&self, _event: &u64, attempt: &Attempt<'_>) -> Next {
            assert_eq!(attempt.error().to_string(), "the sink failed: sink: closed");
            if attempt.source::<OwnClosed>().is_some() && attempt.number() == 3 {
                Next::GiveUp
            } else {
                Next::Again
            }
        }
    }
    assert_eq!(outcome(Foreign.retry(Judge).write(1)), Outcome::Failed(1));

    let sink = flaky(|_, _| false);
    let retry = sink.clone().retry(By(|_| panic!("the policy is not called for a closed sink")));
    let _ = sink.close_by(Deadline::NOW);
    assert_eq!(outcome(retry.write(2)), Outcome::Closed(2));
}

#[test]
fn full_sink_is_retried_and_reentrant_call_is_not() {
    struct Answers(AtomicU64);
    impl Sink<u64> for Answers {
        fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => Err(WriteError::Full(event)),
                1 => Err(WriteError::Timeout(event)),
                2 => Ok(()),
                _ => Err(WriteError::Reentrant(event)),
            }
        }
    }
    let retry = Answers(AtomicU64::new(0)).retry(By(|_| Next::Again));
    assert_eq!(outcome(retry.write(1)), Outcome::Accepted);
    assert!(matches!(retry.write(2), Err(WriteError::Reentrant(2))));
}
