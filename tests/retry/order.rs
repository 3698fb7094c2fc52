//! Serialised or concurrent delivery, and panics.

use crate::support::{Log, Outcome, ends, outcome};
use crate::{By, HOUR, SECOND, describe, flaky};
use buslane::retry::{Next, RetryPolicy};
use buslane::testing::Gate;
use buslane::testing::ManualClock;
use buslane::time::Deadline;
use buslane::{Bus, Sink, SinkExt, WriteError, sink_fn};
use std::sync::{Arc, Weak};
use std::thread;

#[test]
fn serialised_writes_keep_the_order_of_arrival_also_while_the_first_is_tried_again() {
    let clock = ManualClock::new();
    let sink = flaky(|attempt, _| attempt < 1);
    let retry = sink.clone().retry(By(|_| Next::After(SECOND))).clock(clock.clone()).serialised();
    let retry = Arc::new(retry);
    let first = retry.clone();
    let first = thread::spawn(move || first.write(0));
    clock.await_sleepers(1);
    let others: Vec<_> = (1..4)
        .map(|event| {
            let retry = retry.clone();
            thread::spawn(move || retry.write(event))
        })
        .collect();
    assert_eq!(sink.attempts(), 1);
    clock.advance(SECOND);
    assert!(first.join().unwrap().is_ok());
    others.into_iter().for_each(|other| assert!(other.join().unwrap().is_ok()));
    assert_eq!(sink.taken.entries()[0], 0);
    assert_eq!(sink.taken.entries().len(), 4);
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
fn a_close_ends_the_wait_for_a_turn() {
    let gate = Gate::closed();
    let at = gate.clone();
    let retry = Arc::new(sink_fn(move |_: &u64| at.pass()).retry(By(|_| Next::GiveUp)).serialised());
    let (first, second) = (retry.clone(), retry.clone());
    let first = thread::spawn(move || first.write(1));
    gate.wait_reached(1);
    let second = thread::spawn(move || second.write(2));
    let _ = retry.close_by(Deadline::NOW);
    assert_eq!(ends(move || outcome(second.join().unwrap())), Outcome::Closed(2));
    gate.open();
    assert_eq!(outcome(first.join().unwrap()), Outcome::Accepted);
}

#[test]
fn a_serialised_write_from_inside_the_sink_behind_does_not_wait_for_itself() {
    struct Loop(std::sync::OnceLock<Weak<dyn Sink<u64>>>, Log<u64>);
    impl Sink<u64> for Loop {
        fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
            let outer = self.0.get().and_then(Weak::upgrade).unwrap();
            assert!(matches!(outer.write(event), Err(WriteError::Reentrant(1))));
            self.1.push(event);
            Ok(())
        }
    }
    let inner = Arc::new(Loop(std::sync::OnceLock::new(), Log::new()));
    let retry: Arc<dyn Sink<u64>> = Arc::new(inner.clone().retry(By(|_| Next::Again)).serialised());
    inner.0.set(Arc::downgrade(&retry)).unwrap_or_else(|_| panic!("set once"));
    assert_eq!(ends(move || outcome(retry.write(1))), Outcome::Accepted);
    assert_eq!(inner.1.entries(), [1]);
}

#[test]
fn a_policy_that_panics_gives_the_event_up_and_loses_none() {
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
fn a_sink_that_panics_costs_its_event_and_is_counted_by_the_bus() {
    let bus = Bus::new();
    let sink = sink_fn(|event: &u64| assert_ne!(*event, 1));
    bus.add_named("sink", sink.retry(By(|_| Next::After(HOUR))).serialised()).unwrap();
    for event in 0..3 {
        let _ = bus.publish(event);
    }
    let state = &bus.snapshot().sinks[0].state;
    let ledger = crate::support::assert_balanced(state);
    assert_eq!((ledger.delivered, ledger.dropped.panicked), (2, 1));
}

/// Writes an even event to the other of two retries, once both threads are here.
struct Crossing {
    both: Arc<std::sync::Barrier>,
    other: std::sync::OnceLock<Weak<dyn Sink<u64>>>,
}

impl Sink<u64> for Crossing {
    fn write(&self, event: u64) -> Result<(), WriteError<u64>> {
        if event.is_multiple_of(2) {
            self.both.wait();
            let other = self.other.get().and_then(Weak::upgrade);
            return other.map_or(Ok(()), |other| other.write(event + 1));
        }
        Ok(())
    }
}

#[test]
fn threads_with_a_turn_wait_for_no_other_turn() {
    let both = Arc::new(std::sync::Barrier::new(2));
    let retry = || {
        let crossing = Arc::new(Crossing { both: both.clone(), other: std::sync::OnceLock::new() });
        (Arc::new(crossing.clone().retry(By(|_| Next::GiveUp)).serialised()), crossing)
    };
    let ((one, to_other), (other, to_one)) = (retry(), retry());
    let (as_one, as_other): (Arc<dyn Sink<u64>>, Arc<dyn Sink<u64>>) = (one, other);
    assert!(to_other.other.set(Arc::downgrade(&as_other)).is_ok());
    assert!(to_one.other.set(Arc::downgrade(&as_one)).is_ok());
    let (first, second) = (as_one.clone(), as_other.clone());
    let first = thread::spawn(move || outcome(first.write(2)));
    let second = thread::spawn(move || outcome(second.write(4)));
    let ended = ends(move || [first.join().unwrap(), second.join().unwrap()]);
    // The event that was written further down is refused there, and the retry above gives it back.
    assert!(ended.iter().any(|outcome| *outcome != Outcome::Accepted), "{ended:?}");
}
