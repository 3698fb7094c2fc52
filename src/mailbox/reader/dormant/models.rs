//! The models of dormant lanes. The reader makes them dormant by a direct call, since it does so
//! only with many lanes and after many polls.

use super::Reader;
use crate::mailbox::core::{Mailbox, MailboxConfig};
use crate::mailbox::end::End;
use crate::mailbox::intake::Intake;
use crate::mailbox::lane::{PrivateLane, Reuse};
use crate::mailbox::shared_lane::Find;
use crate::stats::{Disposition, DropReason};
use crate::sync::Arc;
use crate::time::Deadline;
use crate::wait::WaitStrategy;
use loom_tests::{before, model, model_with, thread};

const FIRST: usize = 0;
const SECOND: usize = 1;
const THIRD: usize = 2;
/// A number of lanes of which some may be dormant.
const MANY: usize = super::FEW + 1;

/// Makes a mailbox whose reader parks, and one lane that the reader has picked up.
fn open() -> (Arc<Mailbox<usize>>, Reader<usize>, PrivateLane<usize>) {
    let config = MailboxConfig { capacity: 2, ..MailboxConfig::new(WaitStrategy::Park) };
    let (mailbox, mut reader) = Reader::open(config).expect("a small mailbox");
    let lane = Mailbox::lane(&mailbox).expect("memory");
    reader.reserve_dormant(MANY);
    reader.pick_up();
    (mailbox, reader, lane)
}

/// The same with a lane that is dormant.
fn open_dormant() -> (Arc<Mailbox<usize>>, Reader<usize>, PrivateLane<usize>) {
    before(|| {
        let (mailbox, mut reader, lane) = open();
        reader.make_idle_dormant();
        assert_eq!((reader.lanes.len(), reader.dormant_lanes()), (0, 1));
        (mailbox, reader, lane)
    })
}

/// Returns the next event, or `None` at the end.
fn receive(reader: &mut Reader<usize>) -> Option<usize> {
    loop {
        if let Some(event) = reader.take(Find::Filled) {
            return Some(event);
        }
        if reader.drained().is_some() {
            return None;
        }
        reader.wait(None, |_| false);
    }
}

/// Reads until the reader has no lane any more.
fn read_until_no_lane(reader: &mut Reader<usize>) -> usize {
    let mut events = 0;
    loop {
        events += usize::from(reader.take(Find::Filled).is_some());
        if reader.lanes.is_empty() && reader.dormant_lanes() == 0 {
            return events;
        }
        if !reader.has_work() {
            reader.wait(None, |_| false);
        }
    }
}

/// Pushes an event like a publisher that stalls before it checks its lane, or after it has made the
/// lane active.
fn push_and_stall(lane: &mut PrivateLane<usize>, event: usize, activates: bool) {
    let PrivateLane::Fast(lane) = lane else { unreachable!("a private ring") };
    lane.room().expect("room").push(event);
    if activates {
        lane.make_active_and_stall();
    }
}

#[test]
fn push_beside_a_pass_reaches_the_reader() {
    // Either the publisher finds its lane dormant, or the reader finds the event. Fails without the
    // heavy fence of `make_idle_dormant`, or without that of the push.
    model(|| {
        let (_mailbox, mut reader, mut lane) = before(open);
        let publisher = thread::spawn(move || {
            assert!(lane.push(FIRST, Deadline::NOW).is_ok());
            assert!(lane.push(SECOND, Deadline::NOW).is_ok());
            lane
        });
        reader.make_idle_dormant();
        assert_eq!(receive(&mut reader), Some(FIRST));
        reader.make_idle_dormant();
        assert_eq!(receive(&mut reader), Some(SECOND));
        let _lane = publisher.join().unwrap();
    });
}

#[test]
fn push_into_a_dormant_lane_wakes_the_reader() {
    // The reader finds the bit of the lane before it parks, or the publisher wakes it. Fails without
    // the full fence of `settle_and_wake`, without the check of the bits in `has_work`, or when
    // ORD(mailbox.active) is Relaxed.
    model(|| {
        let (_mailbox, mut reader, mut lane) = open_dormant();
        let publisher = thread::spawn(move || {
            assert!(lane.push(FIRST, Deadline::NOW).is_ok());
            lane
        });
        assert_eq!(receive(&mut reader), Some(FIRST));
        let _lane = publisher.join().unwrap();
    });
}

#[test]
fn close_returns_or_delivers_a_push_beside_a_pass() {
    // Two preemptions.
    model_with(2, || {
        let (mailbox, mut reader, mut lane) = before(open);
        let publisher = thread::spawn(move || (lane.push(FIRST, Deadline::NOW).is_ok(), lane));
        let closer = thread::spawn(move || mailbox.seal(End::Closed));
        reader.make_idle_dormant();
        let got = receive(&mut reader).is_some();
        assert!(!got || receive(&mut reader).is_none());
        let (accepted, _lane) = publisher.join().unwrap();
        assert_eq!(accepted, got);
        assert!(closer.join().unwrap());
    });
}

#[test]
fn close_reaches_a_lane_that_was_activated_and_not_told() {
    // A publisher has made its lane active and stalls. The end waits for no such publisher. Fails
    // when `drained` does not take all dormant lanes back.
    model(|| {
        let (mailbox, mut reader, mut lane) = open_dormant();
        push_and_stall(&mut lane, FIRST, true);
        let closer = thread::spawn(move || mailbox.seal(End::Closed));
        assert_eq!((receive(&mut reader), receive(&mut reader)), (Some(FIRST), None));
        assert!(closer.join().unwrap());
    });
}

#[test]
fn removal_ends_a_lane_beside_a_pass() {
    // The reader learns of the end of a lane that it is making dormant, and frees the lane. Fails
    // when `LaneView::mark` does not tell the reader.
    model(|| {
        let (mailbox, mut reader, lane) = before(open);
        let view = lane.view().clone();
        let remover = thread::spawn(move || {
            view.seal_now();
            view.wake_all();
        });
        reader.make_idle_dormant();
        assert_eq!(read_until_no_lane(&mut reader), 0);
        remover.join().unwrap();
        drop((lane, mailbox));
    });
}

#[test]
fn dropped_publisher_ends_a_dormant_lane() {
    // With and without an event before. Fails when the drop of `FastLane` does not tell the reader.
    for pushes in [false, true] {
        model(move || {
            let (_mailbox, mut reader, mut lane) = open_dormant();
            let publisher = thread::spawn(move || {
                assert!(!pushes || lane.push(FIRST, Deadline::NOW).is_ok());
                drop(lane);
            });
            assert_eq!(read_until_no_lane(&mut reader), usize::from(pushes));
            publisher.join().unwrap();
        });
    }
}

#[test]
fn flush_needs_no_stalled_publisher() {
    // A publisher stalls after its push, or after it has made its lane active. A flush that counts the
    // event tells the reader itself. Fails when `goal` does not. Two preemptions take 17 s, three many
    // minutes.
    for activates in [false, true] {
        model_with(2, move || {
            let (mailbox, mut reader, mut lane) = open_dormant();
            let publisher = thread::spawn(move || {
                push_and_stall(&mut lane, FIRST, activates);
                lane
            });
            let flushed = mailbox.clone();
            let flush = thread::spawn(move || {
                let goal = std::sync::Arc::new(flushed.goal());
                let reached = Mailbox::wait_reached(&flushed, &goal, Deadline::NEVER);
                flushed.seal(End::Closed);
                reached
            });
            while receive(&mut reader).is_some() {}
            // The end is not reported to the flush where the reader is dropped later.
            mailbox.set_drained();
            assert!(flush.join().unwrap());
            let _lane = publisher.join().unwrap();
        });
    }
}

#[test]
fn full_lane_beside_a_pass_is_not_closed() {
    // A publisher without room asks whether its lane is open, while the reader makes the lane dormant
    // and active again. Fails when `Fin::is_open` loads twice.
    model(|| {
        let (_mailbox, mut reader, mut lane) = before(|| {
            let (mailbox, reader, mut lane) = open();
            assert!(
                [FIRST, SECOND].map(|event| lane.push(event, Deadline::NOW).is_ok()).iter().all(|ok| *ok)
            );
            (mailbox, reader, lane)
        });
        let publisher = thread::spawn(move || {
            let third = lane.push(THIRD, Deadline::NOW);
            assert!(matches!(third, Ok(Disposition::Dropped(DropReason::Full))), "nothing was read");
            lane
        });
        reader.make_idle_dormant();
        let _lane = publisher.join().unwrap();
        assert_eq!(reader.take(Find::Filled), Some(FIRST));
    });
}

#[test]
fn reuse_beside_a_pass_finds_the_lane_open() {
    // Fails when `Fin::is_open` loads twice.
    model(|| {
        let (_mailbox, mut reader, mut lane) = before(open);
        let publisher = thread::spawn(move || {
            assert!(lane.push(FIRST, Deadline::NOW).is_ok());
            assert_ne!(lane.reuse(), Reuse::Never);
            lane
        });
        reader.make_idle_dormant();
        let _lane = publisher.join().unwrap();
        assert_eq!(reader.take(Find::Filled), Some(FIRST));
    });
}

#[test]
fn flush_hides_no_push_that_has_returned() {
    // The flush counts the event before the publisher checks its lane, and stalls. Fails when the flush
    // itself makes the lane active.
    model(|| {
        let (mailbox, mut reader, mut lane) = open_dormant();
        let flush = thread::spawn(move || mailbox.goal());
        assert!(lane.push(FIRST, Deadline::NOW).is_ok());
        assert_eq!(reader.take(Find::Filled), Some(FIRST));
        let _goal = flush.join().unwrap();
    });
}

#[test]
fn seal_hides_no_push_that_has_returned() {
    // The sealing thread stalls before it tells the reader. Fails when `settle_and_wake` does not tell
    // the reader of a sealed lane.
    model(|| {
        let (_mailbox, mut reader, mut lane) = open_dormant();
        let view = lane.view().clone();
        let sealer = thread::spawn(move || view.mark_and_stall());
        if lane.push(FIRST, Deadline::NOW).is_ok() {
            assert_eq!(reader.take(Find::Filled), Some(FIRST));
        }
        sealer.join().unwrap();
    });
}
