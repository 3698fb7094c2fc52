//! The breaker: its states, one probe at a time, and sharing between sinks.

use super::{MILLI, SECOND, flaky};
use buslane::retry::{Attempt, AttemptError, Breaker, BreakerState, Next, RetryPolicy};
use buslane::testing::Gate;
use buslane::testing::ManualClock;
use buslane::time::Deadline;
use buslane::{Sink, SinkExt, sink_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use test_support::{Outcome, outcome, wait_for};

fn breaker(threshold: u32) -> (ManualClock, Arc<Breaker>) {
    let clock = ManualClock::new();
    (clock.clone(), Arc::new(Breaker::new(threshold, SECOND).clock(clock)))
}

fn before(breaker: &Breaker) -> Duration {
    RetryPolicy::<()>::before(breaker, &())
}

fn fail(breaker: &Breaker) -> Next {
    let attempt = Attempt::new(1, Duration::ZERO, AttemptError::Full);
    RetryPolicy::<()>::failure(breaker, &(), &attempt)
}

fn succeed(breaker: &Breaker) {
    RetryPolicy::<()>::success(breaker);
}

/// Runs the call on another thread, as another writer.
fn elsewhere<R: Send>(call: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(call).join().unwrap())
}

#[test]
fn breaker_opens_probes_and_closes_on_success() {
    let (clock, breaker) = breaker(3);
    assert_eq!(breaker.state(), BreakerState::Closed);
    // E13: no hot loop below the threshold.
    assert_eq!(fail(&breaker), Next::After(SECOND / 4));
    assert_eq!(fail(&breaker), Next::After(SECOND / 2));
    assert_eq!((breaker.state(), before(&breaker)), (BreakerState::Closed, Duration::ZERO));
    assert_eq!(fail(&breaker), Next::Again);
    assert_eq!((breaker.state(), before(&breaker)), (BreakerState::Open, SECOND));
    clock.advance(400 * MILLI);
    assert_eq!(before(&breaker), 600 * MILLI);
    clock.advance(600 * MILLI);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(before(&breaker), Duration::ZERO, "the first writer is the probe");
    assert_eq!(elsewhere(|| before(&breaker)), SECOND, "other writers wait");
    assert_eq!(fail(&breaker), Next::Again);
    assert_eq!((breaker.state(), before(&breaker)), (BreakerState::Open, SECOND));
    clock.advance(SECOND);
    assert_eq!(before(&breaker), Duration::ZERO);
    succeed(&breaker);
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(elsewhere(|| before(&breaker)), Duration::ZERO);
    assert_eq!(fail(&breaker), Next::After(SECOND / 4), "the failure count starts again");
}

#[test]
fn only_the_probe_changes_an_open_breaker() {
    let (clock, breaker) = breaker(1);
    fail(&breaker);
    clock.advance(SECOND / 2);
    fail(&breaker);
    assert_eq!(before(&breaker), SECOND / 2, "a late failure does not extend the open time");
    clock.advance(SECOND / 2);
    assert_eq!(before(&breaker), Duration::ZERO);
    elsewhere(|| {
        fail(&breaker);
        RetryPolicy::<()>::abandoned(&*breaker);
    });
    assert_eq!(elsewhere(|| before(&breaker)), SECOND, "the probe is still in progress");
    RetryPolicy::<()>::abandoned(&*breaker);
    assert_eq!(elsewhere(|| before(&breaker)), Duration::ZERO, "the next writer may probe");
}

#[test]
fn e13_huge_threshold_does_not_spin() {
    let (_, breaker) = breaker(u32::MAX);
    assert_eq!(fail(&breaker), Next::After(SECOND / 1024));
}

#[test]
fn e13_concurrent_writers_probe_one_at_a_time() {
    let (clock, breaker) = breaker(1);
    let (gate, down) = (Gate::closed(), AtomicBool::new(true));
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let sink = sink_fn(|_: &u64| {
        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        gate.pass();
        inside.fetch_sub(1, Ordering::SeqCst);
        if down.load(Ordering::SeqCst) { Err("down") } else { Ok(()) }
    });
    let retry = sink.retry(breaker.clone()).clock(clock.clone());
    thread::scope(|scope| {
        let retry = &retry;
        let first = scope.spawn(|| retry.write(0));
        gate.wait_reached(1);
        gate.permit(1);
        clock.await_sleepers(1);
        let others: Vec<_> = (1..8).map(|event| scope.spawn(move || retry.write(event))).collect();
        clock.await_sleepers(8);
        for probe in 2..5 {
            clock.advance(SECOND);
            gate.wait_reached(probe);
            // One writer is in the sink, and all others wait again.
            clock.await_sleepers(7);
            assert_eq!((breaker.state(), inside.load(Ordering::SeqCst)), (BreakerState::HalfOpen, 1));
            gate.permit(1);
            clock.await_sleepers(8);
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
        down.store(false, Ordering::SeqCst);
        gate.open();
        wait_for(|| {
            clock.advance(SECOND);
            first.is_finished() && others.iter().all(|other| other.is_finished())
        });
        assert!(first.join().unwrap().is_ok());
        others.into_iter().for_each(|other| assert!(other.join().unwrap().is_ok()));
    });
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn panicking_or_closed_probe_frees_its_slot() {
    let (clock, breaker) = breaker(1);
    let panics = sink_fn(|_: &u64| -> Result<(), &str> { panic!("probe") });
    let panics = panics.retry(breaker.clone()).clock(clock.clone());
    fail(&breaker);
    clock.advance(SECOND);
    for _ in 0..2 {
        let written = catch_unwind(AssertUnwindSafe(|| elsewhere(|| panics.write(1))));
        assert!(written.is_err(), "the panic reaches the caller, and frees the probe's slot");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }
    let closed = flaky(|_, _| false);
    let _ = closed.close_by(Deadline::NOW);
    let closed = closed.retry(breaker.clone()).clock(clock);
    assert_eq!(outcome(elsewhere(|| closed.write(2))), Outcome::Closed(2));
    assert_eq!(elsewhere(|| before(&breaker)), Duration::ZERO);
}

#[test]
fn one_breaker_serves_several_sinks() {
    let clock = ManualClock::hurrying();
    let breaker = Arc::new(Breaker::new(2, SECOND).clock(clock.clone()));
    let (bad, good) = (flaky(|attempt, _| attempt < 2), flaky(|_, _| false));
    let one = bad.clone().retry(breaker.clone()).clock(clock.clone());
    let two = good.clone().retry(breaker.clone()).clock(clock.clone());
    fail(&breaker);
    assert_eq!(outcome(one.write(1)), Outcome::Accepted);
    assert_eq!((bad.attempts(), breaker.state()), (3, BreakerState::Closed));
    fail(&breaker);
    fail(&breaker);
    let begun = clock.passed();
    assert_eq!(outcome(two.write(2)), Outcome::Accepted);
    assert!(clock.passed() - begun >= SECOND, "the write waited for the failures of the other sink");
}
