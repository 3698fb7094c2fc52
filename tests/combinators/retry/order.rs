//! Delivery in order or concurrently, and panics of policies.

use super::{By, HOUR, SECOND, describe, flaky};
use buslane::retry::{Next, RetryPolicy};
use buslane::testing::ManualClock;
use buslane::time::Deadline;
use buslane::{Bus, Sink, SinkExt, WriteError, sink_fn};
use std::sync::Arc;
use std::thread;
use test_support::{Outcome, outcome};

#[test]
fn upstream_queue_keeps_order_during_a_retry() {
    let clock = ManualClock::new();
    let sink = flaky(|attempt, _| attempt < 1);
    let retry = sink.clone().retry(By(|_| Next::After(SECOND))).clock(clock.clone());
    let queue = retry.queue(16).unwrap();
    (0..4).for_each(|event| assert!(queue.write(event).is_ok()));
    clock.await_sleepers(1);
    assert_eq!(sink.attempts(), 1);
    clock.advance(SECOND);
    assert!(queue.close().is_done());
    assert_eq!(sink.taken.entries(), [0, 1, 2, 3]);
}

#[test]
fn concurrent_writes_do_not_wait_for_each_other() {
    let clock = ManualClock::new();
    let sink = flaky(|_, event| event == 0);
    let retry = Arc::new(sink.clone().retry(By(|_| Next::After(SECOND))).clock(clock.clone()));
    let first = retry.clone();
    let first = thread::spawn(move || first.write(0));
    clock.await_sleepers(1);
    assert!(retry.write(1).is_ok());
    assert_eq!(sink.taken.entries(), [1]);
    let _ = retry.close_by(Deadline::NOW);
    assert_eq!(outcome(first.join().unwrap()), Outcome::Closed(0));
}

#[test]
fn panicking_policy_returns_the_event() {
    struct Panics(&'static str);
    impl RetryPolicy<u64> for Panics {
        fn before(&self, _: &u64) -> std::time::Duration {
            assert_ne!(self.0, "before");
            std::time::Duration::ZERO
        }
        fn failure(&self, _: &u64, _: &buslane::retry::Attempt<'_>) -> Next {
            panic!("failure");
        }
        fn success(&self) {
            assert_ne!(self.0, "success");
        }
        fn abandoned(&self) {
            panic!("abandoned");
        }
    }
    let fails = flaky(|_, _| true);
    for place in ["before", "failure"] {
        let retry = fails.clone().retry(Panics(place));
        let Err(WriteError::Failed { event: 1, source }) = retry.write(1) else { panic!("{place}") };
        assert!(source.to_string().starts_with("the retry policy panicked"), "{source}");
    }
    assert_eq!(fails.attempts(), 1);
    let works = flaky(|_, _| false).retry(Panics("success"));
    assert_eq!(outcome(works.write(2)), Outcome::Accepted);
    assert!(describe(&works).last_error.is_some_and(|text| text.contains("panicked")));
}

#[test]
fn bus_counts_the_event_of_a_panicking_sink() {
    let bus = Bus::new();
    let sink = sink_fn(|event: &u64| assert_ne!(*event, 1));
    bus.add_named("sink", sink.retry(By(|_| Next::After(HOUR)))).unwrap();
    for event in 0..3 {
        let _ = bus.publish(event);
    }
    let state = &bus.snapshot().sinks[0].state;
    let ledger = test_support::assert_balanced(state);
    assert_eq!((ledger.delivered, ledger.dropped.panicked), (2, 1));
}
