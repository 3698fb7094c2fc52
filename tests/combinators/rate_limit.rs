//! Rate limits, with a clock that the test advances.

use crate::{channel, describe, entry};
use buslane::testing::ManualClock;
use buslane::time::{Clock, Pause};
use buslane::{Bus, Overflow, Sink, SinkExt, noop};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use test_support::bus::{ledger, took};
use test_support::{Outcome, WAYS, assert_balanced, outcome};

#[test]
fn a_burst_passes_at_once_and_then_the_rate() {
    for way in WAYS {
        let clock = ManualClock::new();
        let (channel, mut receiver) = channel(64, Overflow::Refuse);
        let sink = Arc::new(channel.rate_limit(10.0, 3).clock(clock.clone()));
        let mut entry = entry(&sink, way);
        let mut next = 0;
        let mut pass = |offered: u64| {
            for _ in 0..offered {
                assert_eq!(outcome(entry.write(next)), Outcome::Accepted, "{way:?}");
                next += 1;
            }
            receiver.drain().count()
        };
        assert_eq!(pass(10), 3, "the bucket starts full");
        clock.advance(Duration::from_nanos(99_999_999));
        assert_eq!(pass(10), 0);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(pass(10), 1, "one token is added every 100 ms");
        clock.advance(Duration::from_millis(250));
        assert_eq!(pass(10), 2);
        clock.advance(Duration::from_millis(50));
        assert_eq!(pass(10), 1, "fractions of a token add up");
        clock.advance(Duration::from_secs(3600));
        assert_eq!(pass(10), 3, "the bucket holds at most one burst");
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.delivered, ledger.filtered), (60, 10, 50));
    }
}

#[test]
fn the_slowest_and_the_fastest_rate_do_not_overflow() {
    for (rate, burst) in [
        (f64::MIN_POSITIVE, 1),
        (f64::MIN_POSITIVE, u64::MAX),
        (f64::MAX, 1),
        (f64::MAX, u64::MAX),
        (1.0, u64::MAX),
    ] {
        let clock = ManualClock::new();
        let sink = noop::<u64>().rate_limit(rate, burst).clock(clock.clone());
        for event in 0..100 {
            sink.write(event).unwrap();
            clock.advance(Duration::from_secs(1));
        }
        // Longer than the limiter can represent in nanoseconds.
        clock.advance(Duration::from_secs(1 << 40));
        sink.write(100).unwrap();
        let filtered = describe(&sink).ledger.filtered;
        let expected = if rate == f64::MIN_POSITIVE && burst == 1 { 99 } else { 0 };
        assert_eq!(filtered, expected, "{rate} a second, burst {burst}");
    }
}

#[test]
fn publishers_share_one_rate_limit_exactly() {
    let (channel, mut receiver) = channel(4096, Overflow::Refuse);
    let clock = ManualClock::new();
    let bus = Bus::new();
    bus.add_named("limited", channel.rate_limit(1000.0, 100).clock(clock.clone())).unwrap();
    for round in 1..=5 {
        let publishers = [bus.publisher(), bus.publisher()].map(|mut publisher| {
            thread::spawn(move || {
                (0..200).for_each(|event| assert_eq!(publisher.publish(event), Ok(took(1, 0))));
            })
        });
        (0..200).for_each(|event| assert_eq!(bus.publish(event), Ok(took(1, 0))));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        assert_eq!(receiver.drain().count(), 100, "round {round}");
        clock.advance(Duration::from_millis(100));
    }
    let ledger = ledger(&bus, "limited");
    assert_eq!((ledger.offered, ledger.delivered, ledger.filtered), (3000, 500, 2500));
}

#[test]
fn clock_panic_costs_its_event_and_rewind_nothing() {
    /// Returns the times in a list, and panics at the end of the list.
    #[derive(Debug)]
    struct Listed(Instant, std::sync::Mutex<Vec<u64>>);
    impl Clock for Listed {
        fn now(&self) -> Instant {
            let seconds = test_support::lock(&self.1).pop().expect("the list has a next time");
            self.0 + Duration::from_secs(seconds)
        }
        fn wait_until(&self, _: Instant, _: &Arc<Pause>) {}
    }
    let (channel, mut receiver) = channel(8, Overflow::Refuse);
    let clock = Listed(Instant::now(), vec![5, 0, 7, 5].into());
    let sink = channel.rate_limit(1.0, 1).clock(clock);
    (1..=4).for_each(|event| assert_eq!(outcome(sink.write(event)), Outcome::Accepted));
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1]);
    let ledger = assert_balanced(&describe(&sink));
    assert_eq!((ledger.delivered, ledger.filtered, ledger.dropped.panicked), (1, 2, 1));
}
