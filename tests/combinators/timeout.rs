//! The limit on waits: on every kind of lane, for the crate's own waits only, and without a thread
//! per write.

use crate::{channel, describe, entry};
use buslane::time::Deadline;
use buslane::{Bus, Overflow, Sink, SinkExt, WriteError, sink_fn};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;
use test_support::bus::{assert_books, ledger, took};
use test_support::{Outcome, WAYS, assert_balanced, lane, outcome};

/// Short, because the limited wait is for room that never comes.
const LIMIT: Duration = Duration::from_millis(2);
const HOUR: Duration = Duration::from_secs(3600);

/// swarmkit's `TestTimeoutDropErrSinkGen`: no reader at first, and then there is one.
#[test]
fn unread_channel_times_out_and_a_read_one_accepts() {
    for way in WAYS {
        let (channel, mut receiver) = channel(1, Overflow::Block);
        let sink = Arc::new(channel.timeout(LIMIT));
        let mut entry = entry(&sink, way);
        assert_eq!(outcome(entry.write(1)), Outcome::Accepted, "{way:?}");
        assert_eq!(outcome(entry.write(2)), Outcome::Timeout(2), "{way:?}");
        // Unlike swarmkit's sink, this one is not closed by a timeout.
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(outcome(entry.write(3)), Outcome::Accepted, "{way:?}");
        // An event that came back is not delivered later.
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [3]);
        let ledger = assert_balanced(&describe(&sink));
        assert_eq!((ledger.offered, ledger.delivered, ledger.refused.timeout), (3, 2, 1));
        receiver.close();
        assert_eq!(outcome(entry.write(4)), Outcome::Closed(4));
    }
}

#[test]
fn zero_never_waits_and_the_earliest_limit_applies() {
    for way in WAYS {
        let (channel, _receiver) = channel(1, Overflow::Block);
        let limits = [(Duration::ZERO, HOUR), (HOUR, Duration::ZERO), (Duration::MAX, LIMIT)];
        for (outer, inner) in limits {
            let sink = Arc::new(channel.clone().timeout(inner).timeout(outer));
            let mut entry = entry(&sink, way);
            let _ = entry.write(1);
            assert_eq!(outcome(entry.write(2)), Outcome::Timeout(2), "{way:?}, {outer:?}, {inner:?}");
        }
    }
    let (channel, _receiver) = channel(1, Overflow::BlockFor(HOUR));
    let sink = channel.timeout(LIMIT);
    sink.write(1).unwrap();
    assert_eq!(outcome(sink.write(2)), Outcome::Timeout(2));
}

#[test]
fn publisher_waits_at_most_the_limit() {
    let (slow, mut slow_reader) = channel(1, Overflow::Block);
    let (other, mut other_reader) = channel(8, Overflow::Refuse);
    let bus = Bus::new();
    bus.add_named("slow", slow.timeout(LIMIT)).unwrap();
    bus.add_named("other", other).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish(1), Ok(took(2, 0)));
    assert_eq!(publisher.publish(2), Ok(took(1, 1)));
    assert_eq!(publisher.try_publish(3).unwrap(), took(1, 1));
    assert_eq!(ledger(&bus, "slow").refused.timeout, 1);
    assert_eq!(ledger(&bus, "slow").refused.full, 1, "a publish that does not wait does not time out");
    assert_eq!(slow_reader.recv(), Ok(1));
    assert_eq!(publisher.publish(4), Ok(took(2, 0)));
    assert_eq!(bus.publish(5), Ok(took(2, 0)), "the shared lane has its own room");
    assert_eq!(bus.publish(6), Ok(took(1, 1)));
    let mut left: Vec<_> = slow_reader.drain().collect();
    left.sort_unstable();
    assert_eq!(left, [4, 5]);
    assert_eq!(other_reader.drain().count(), 6);
    assert_books(&bus);
}

#[test]
fn a_timeout_ends_with_the_write_it_was_for() {
    let (limited, mut reader) = channel(1, Overflow::Block);
    let sink = limited.clone().timeout(Duration::ZERO);
    sink.write(1).unwrap();
    assert_eq!(outcome(sink.write(2)), Outcome::Timeout(2));
    // The same thread without the limit waits until there is room.
    let writer = thread::spawn(move || {
        let timed_out = matches!(sink.write(2), Err(WriteError::Timeout(2)));
        (timed_out, outcome(limited.write(3)))
    });
    while reader.recv().is_ok_and(|event| event != 3) {}
    assert_eq!(writer.join().unwrap().1, Outcome::Accepted);
}

/// swarmkit's timeout sink ran each write on its own thread, which a write that timed out left
/// running.
#[test]
fn e38_a_timeout_starts_no_thread_for_a_write() {
    let threads = Arc::new(Mutex::new(Vec::<ThreadId>::new()));
    let seen = threads.clone();
    let sink = sink_fn(move |_: &u64| seen.lock().unwrap().push(thread::current().id())).timeout(LIMIT);
    (0..1000).for_each(|event| sink.write(event).unwrap());
    let me = thread::current().id();
    let threads = threads.lock().unwrap();
    assert!(threads.len() == 1000 && threads.iter().all(|thread| *thread == me));
    // A thousand writes that time out leave nothing that could deliver or hold their events.
    let (channel, mut receiver) = channel(1, Overflow::Block);
    let sink = channel.timeout(Duration::ZERO);
    let mut lane = lane(&sink);
    sink.write(0).unwrap();
    lane.push(0, Deadline::NEVER).unwrap();
    for event in 1..=1000 {
        assert_eq!(outcome(sink.write(event)), Outcome::Timeout(event));
        assert_eq!(outcome(lane.push(event, Deadline::NEVER)), Outcome::Timeout(event));
    }
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [0, 0]);
    assert_eq!(assert_balanced(&describe(&sink)).refused.timeout, 2000);
}
