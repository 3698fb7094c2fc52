//! Sampling: one in `n` events.

use crate::{channel, describe, entry};
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Sink, SinkExt};
use std::sync::Arc;
use std::thread;
use test_support::bus::{ledger, took};
use test_support::{Outcome, WAYS, assert_balanced, lane, outcome};

#[test]
fn sample_passes_the_first_and_every_nth_event() {
    for (way, one_in) in WAYS.into_iter().flat_map(|way| [1, 2, 3, 100, u64::MAX].map(|n| (way, n))) {
        let (channel, mut receiver) = channel(250, Overflow::Refuse);
        let sink = Arc::new(channel.sample(one_in));
        let mut entry = entry(&sink, way);
        (0..250).for_each(|event| assert_eq!(outcome(entry.write(event)), Outcome::Accepted));
        let kept: Vec<_> = (0..250).filter(|event| event % one_in == 0).collect();
        assert_eq!(receiver.drain().collect::<Vec<_>>(), kept, "{way:?}, one in {one_in}");
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.filtered), (250, 250 - kept.len() as u64));
    }
}

#[test]
fn each_lane_samples_independently() {
    let (channel, mut receiver) = channel(8, Overflow::Refuse);
    let sink = channel.sample(10);
    let mut lanes = [lane(&sink), lane(&sink)];
    for event in 0..15 {
        lanes.iter_mut().for_each(|lane| lane.push(event, Deadline::NOW).unwrap());
    }
    let mut kept: Vec<_> = receiver.drain().collect();
    kept.sort_unstable();
    assert_eq!(kept, [0, 0, 10, 10]);
    drop(lanes);
    assert_eq!(assert_balanced(&describe(&sink)).filtered, 26);
}

#[test]
fn bus_samples_each_publisher_and_accepts_the_rest() {
    let (channel, mut receiver) = channel(1024, Overflow::Refuse);
    let bus = Bus::new();
    bus.add_named("sample", channel.sample(10)).unwrap();
    let publishers = [bus.publisher(), bus.publisher(), bus.publisher()].map(|mut publisher| {
        thread::spawn(move || (0..95).for_each(|event| assert_eq!(publisher.publish(event), Ok(took(1, 0)))))
    });
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    let mut batch = bus.publisher();
    assert!(batch.publish_batch((0..95).collect::<Vec<_>>()).is_ok());
    (0..95).for_each(|event| assert_eq!(bus.publish(event), Ok(took(1, 0))));
    let kept: Vec<_> = receiver.drain().collect();
    assert!(kept.len() == 50 && kept.iter().all(|event| event % 10 == 0));
    let ledger = ledger(&bus, "sample");
    assert_eq!((ledger.offered, ledger.delivered, ledger.filtered), (475, 50, 425));
}

#[test]
fn a_sample_of_a_closed_sink_is_closed() {
    for way in WAYS {
        let (channel, _receiver) = channel(8, Overflow::Refuse);
        let sink = Arc::new(channel.sample(2));
        let mut entry = entry(&sink, way);
        assert!(sink.close_by(Deadline::NOW).is_done());
        assert_eq!(outcome(entry.write(1)), Outcome::Closed(1), "{way:?}");
        assert_eq!(outcome(entry.write(2)), Outcome::Closed(2), "an event outside the sample is refused too");
        assert_balanced(&describe(&sink));
    }
}
