//! A removal ends waits inside the sink, however long they have lasted.

use super::thread;
use buslane::bus::Removed;
use buslane::retry::{Backoff, Breaker};
use buslane::{Bus, Channel, Journal, Overflow, SinkExt, SinkId, sink_fn};
use std::time::Duration;
use test_support::{ends, waits};

/// A waiting publisher checks ever less often whether its sink was removed. After this time the
/// interval would reach one second.
const LONG: Duration = Duration::from_millis(1600);
/// Enough for checks every 100 ms, and too short for checks every second.
const LIMIT: Duration = Duration::from_millis(600);

/// Publishes from another thread until a sink of an inner bus makes the publisher wait. Then
/// removes the inner bus.
fn assert_released(what: &'static str, fill: impl FnOnce(&Bus<u64>) + Send + 'static) {
    assert_ends_wait(what, move |outer| {
        let inner = Bus::new();
        fill(&inner);
        outer.add(inner).unwrap()
    });
}

/// Publishes from another thread until a sink makes the publisher wait. Then removes that sink.
fn assert_ends_wait(what: &'static str, add: impl FnOnce(&Bus<u64>) -> SinkId + Send + 'static) {
    ends(move || {
        let outer = Bus::new();
        let id = add(&outer);
        let mut publisher = outer.publisher();
        let waiting = waits(move || (0..200).map(|n| publisher.publish(n).unwrap().refused).sum::<u32>());
        // The sleep is what the test measures: a wait this long, after which the parks would have
        // grown to a second.
        thread::sleep(LONG);
        assert!(!waiting.is_finished(), "{what}: the publisher waits");
        assert_eq!(outer.remove_timeout(id, LIMIT), Ok(Removed::Quiet), "{what}");
        assert_eq!(waiting.join().unwrap(), 1, "{what}: one publish was refused");
    });
}

#[test]
fn removal_ends_a_long_wait_for_room() {
    let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    assert_released("channel", move |inner| assert!(inner.add(channel).is_ok()));
    drop(receiver);
}

#[test]
fn removal_ends_a_long_wait_at_a_gate() {
    let journal = Journal::builder().capacity(64).gate_limit(Duration::from_secs(3600)).build().unwrap();
    let gate = journal.subscription().gating().subscribe().unwrap();
    assert_released("journal", move |inner| assert!(inner.add(journal).is_ok()));
    drop(gate);
}

/// Wraps a failing sink in a retry that waits for an hour.
fn failing<P>(retry: impl FnOnce(Backoff) -> P) -> P {
    let hour = Duration::from_secs(3600);
    retry(Backoff::new(hour, hour))
}

#[test]
fn removal_ends_the_back_off_of_a_retry() {
    let down = || sink_fn(|_: &u64| Err("down"));
    let retry = move || failing(|policy| down().retry(policy));
    let breaker = move || down().retry(Breaker::new(1, Duration::from_secs(3600)));
    assert_released("retry", move |inner| assert!(inner.add(retry()).is_ok()));
    assert_released("open breaker", move |inner| assert!(inner.add(breaker()).is_ok()));
    assert_ends_wait("retry called directly", move |outer| outer.add(retry()).unwrap());
    assert_ends_wait("open breaker called directly", move |outer| outer.add(breaker()).unwrap());
}
