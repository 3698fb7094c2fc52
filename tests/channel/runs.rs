//! Single reads of events that a lane already held: one event at a time for everyone else.

use super::flush;
use buslane::error::{RecvError, TryRecvError};
use buslane::stats::Finish;
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Receiver, WriteError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;
use test_support::{Entry, WAYS, Way, assert_balanced, ends, lane};

/// A quarter of this is the longest run: 16 events.
const CAPACITY: usize = 64;

fn filled(overflow: Overflow, way: Way, count: u64) -> (Channel<u64>, Receiver<u64>, Entry<u64>) {
    let (channel, receiver) = Channel::builder().capacity(CAPACITY).overflow(overflow).build().unwrap();
    let mut entry = Entry::into(&channel, way);
    (0..count).for_each(|event| entry.write(event).unwrap());
    (channel, receiver, entry)
}

#[test]
fn read_methods_continue_each_other_in_order() {
    for way in WAYS {
        let (channel, mut receiver, entry) = filled(Overflow::Refuse, way, 60);
        let mut context = Context::from_waker(Waker::noop());
        let (mut seen, mut batch) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            seen.push(receiver.recv().unwrap());
            seen.push(receiver.try_recv().unwrap());
            seen.push(receiver.recv_timeout(Duration::from_secs(1)).unwrap());
            seen.extend(receiver.iter().take(2));
            seen.extend(receiver.try_iter().take(1));
            seen.extend(receiver.drain().take(2));
            let Poll::Ready(Ok(event)) = receiver.poll_recv(&mut context) else {
                panic!("an event is there")
            };
            seen.push(event);
            assert_eq!(receiver.recv_batch(&mut batch, 3), Ok(3));
            seen.append(&mut batch);
        }
        assert_eq!(seen.len() + receiver.len(), 60, "{way:?}");
        while receiver.drain_with(|event| seen.push(event)) > 0 {}
        assert!(seen.into_iter().eq(0..60), "{way:?}");
        drop(entry);
        assert_eq!(assert_balanced(&channel.state()).delivered, 60);
    }
}

#[test]
fn batch_is_full_across_runs() {
    for way in WAYS {
        let (_channel, mut receiver, _entry) = filled(Overflow::Refuse, way, 60);
        let mut batch = Vec::new();
        assert_eq!(receiver.recv_batch(&mut batch, 50), Ok(50));
        assert_eq!(receiver.recv_batch(&mut batch, 50), Ok(10));
        assert!(batch.into_iter().eq(0..60), "{way:?}");
    }
}

#[test]
fn state_follows_each_read() {
    for way in WAYS {
        let (channel, mut receiver, _entry) = filled(Overflow::Refuse, way, 10);
        for read in 1..=10 {
            receiver.recv().unwrap();
            let state = channel.state();
            assert_eq!((state.ledger.delivered, state.depth), (read, 10 - read), "{way:?}");
            assert_eq!(receiver.len() as u64, 10 - read, "{way:?}");
        }
        assert_eq!(channel.state().high_water, 10, "{way:?}");
    }
}

#[test]
fn high_water_counts_events_beyond_a_wrap() {
    for (way, bulk) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (channel, mut receiver, mut entry) = filled(Overflow::Refuse, way, 0);
        let mut pass = |count| {
            (0..count).for_each(|event| entry.write(event).unwrap());
            if bulk {
                while receiver.drain_with(drop) > 0 {}
            } else {
                assert_eq!(receiver.try_iter().count() as u64, count);
            }
            channel.state().high_water
        };
        assert!((0..15).all(|_| pass(4) == 4), "{way:?}");
        // Four of them are the last of a lap.
        assert_eq!(pass(12), 12, "{way:?}, bulk {bulk}");
        assert_eq!(pass(40), 40, "{way:?}, bulk {bulk}");
    }
}

#[test]
fn each_read_makes_room_for_one_event() {
    for way in WAYS {
        let (_channel, mut receiver, mut entry) = filled(Overflow::Refuse, way, CAPACITY as u64);
        for event in 0..100 {
            assert!(entry.write(0).is_err_and(|error| matches!(error, WriteError::Full(_))), "{way:?}");
            assert_eq!(receiver.recv(), Ok(event), "{way:?}");
            entry.write(CAPACITY as u64 + event).unwrap();
        }
    }
}

#[test]
fn each_read_releases_a_blocked_writer() {
    for way in WAYS {
        let (channel, mut receiver, mut entry) = filled(Overflow::Block, way, CAPACITY as u64);
        assert_eq!(receiver.recv(), Ok(0));
        entry.write(100).unwrap();
        // The lane is full, and a run is in progress.
        let writer = thread::spawn(move || entry.write(101).map(|()| entry));
        let read = ends(move || {
            let read = receiver.recv();
            writer.join().unwrap().unwrap();
            (read, receiver.len())
        });
        assert_eq!(read, (Ok(1), CAPACITY), "{way:?}");
        drop(channel);
    }
}

#[test]
fn flush_waits_for_the_last_event_of_a_run() {
    for way in WAYS {
        let (channel, mut receiver, _entry) = filled(Overflow::Refuse, way, 3);
        for _ in 0..3 {
            assert_eq!(flush(&channel, Deadline::NOW), Finish::TimedOut, "{way:?}");
            receiver.recv().unwrap();
        }
        assert_eq!(flush(&channel, Deadline::NOW), Finish::Done, "{way:?}");
    }
}

#[test]
fn close_keeps_the_events_of_a_run() {
    for way in WAYS {
        let (channel, mut receiver, mut entry) = filled(Overflow::Refuse, way, 5);
        assert_eq!(receiver.recv(), Ok(0));
        channel.close();
        assert!(entry.write(9).is_err_and(|error| error.is_closed()));
        assert!(receiver.iter().eq(1..5), "{way:?}");
        assert_eq!(
            (receiver.recv(), receiver.try_recv()),
            (Err(RecvError::Closed), Err(TryRecvError::Closed))
        );
    }
}

#[test]
fn dropped_receiver_counts_the_rest_of_a_run() {
    for way in WAYS {
        let (channel, mut receiver, _entry) = filled(Overflow::Refuse, way, 5);
        assert_eq!(receiver.recv(), Ok(0));
        drop(receiver);
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.delivered, ledger.dropped.receiver_dropped), (1, 4), "{way:?}");
    }
}

#[test]
fn drain_begun_in_a_run_stays_at_its_end() {
    for way in WAYS {
        let (_channel, mut receiver, mut entry) = filled(Overflow::Refuse, way, 5);
        assert_eq!(receiver.recv(), Ok(0));
        let mut drain = receiver.drain();
        assert_eq!(drain.next(), Some(1));
        (5..8).for_each(|event| entry.write(event).unwrap());
        assert!(drain.eq(2..5), "{way:?}");
        assert!(receiver.try_iter().eq(5..8), "{way:?}");
    }
}

#[test]
fn new_lane_has_its_turn_after_a_run() {
    let (channel, mut receiver, _first) = filled(Overflow::Refuse, Way::Private, 60);
    assert_eq!(receiver.recv(), Ok(0));
    let mut second = lane(&channel);
    second.push(1000, Deadline::NEVER).unwrap();
    let seen: Vec<_> = receiver.try_iter().collect();
    // The first lane completes its turn of sixteen events, and waits for the second one.
    assert_eq!(seen.iter().position(|event| *event == 1000), Some(15));
    assert!(seen.into_iter().filter(|event| *event != 1000).eq(1..60));
}
