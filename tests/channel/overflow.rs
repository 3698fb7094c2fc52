//! Every overflow policy on private and shared lanes: which event comes back, what is counted, and
//! what the hook gets.

use crate::HOUR;
use buslane::error::{RecvError, RecvTimeoutError, TryRecvError};
use buslane::stats::{DropReason, SinkStatus};
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Receiver, Sink};
use std::thread;
use std::time::Duration;
use test_support::{Entry, Log, Outcome, WAYS, Way, assert_balanced, ends, lane, outcome, wait_for, waits};

struct Full {
    channel: Channel<u64>,
    receiver: Receiver<u64>,
    entry: Entry<u64>,
    dropped: Log<(u64, DropReason)>,
}

/// Returns a lane of capacity 2 that holds 0 and 1.
fn full(overflow: Overflow, way: Way) -> Full {
    let dropped = Log::new();
    let hook = dropped.clone();
    let (channel, receiver) = Channel::builder()
        .capacity(2)
        .overflow(overflow)
        .on_drop(move |event, reason| hook.push((event, reason)))
        .build()
        .unwrap();
    let mut entry = Entry::into(&channel, way);
    (0..2).for_each(|event| entry.write(event).unwrap());
    Full { channel, receiver, entry, dropped }
}

#[test]
fn drop_newest_accepts_and_drops_the_new_event() {
    for way in WAYS {
        let mut full = full(Overflow::DropNewest, way);
        assert_eq!(outcome(full.entry.write(2)), Outcome::Accepted, "{way:?}");
        assert_eq!(full.dropped.entries(), [(2, DropReason::Full)]);
        assert_eq!((full.receiver.lost(), full.receiver.try_iter().collect::<Vec<_>>()), (1, vec![0, 1]));
        assert_eq!(outcome(full.entry.write(3)), Outcome::Accepted);
        assert_eq!(full.receiver.recv(), Ok(3));
        let ledger = assert_balanced(&full.channel.state());
        assert_eq!((ledger.offered, ledger.accepted, ledger.dropped.full, ledger.delivered), (4, 4, 1, 3));
    }
}

#[test]
fn drop_oldest_accepts_and_drops_the_oldest_event() {
    for way in WAYS {
        let mut full = full(Overflow::DropOldest, way);
        (2..4).for_each(|event| assert_eq!(outcome(full.entry.write(event)), Outcome::Accepted, "{way:?}"));
        assert_eq!(full.dropped.entries(), [(0, DropReason::Evicted), (1, DropReason::Evicted)]);
        assert_eq!((full.receiver.lost(), full.receiver.len()), (2, 2));
        full.channel.close();
        assert_eq!(outcome(full.entry.write(4)), Outcome::Closed(4));
        assert_eq!(full.receiver.iter().collect::<Vec<_>>(), [2, 3]);
        let ledger = assert_balanced(&full.channel.state());
        assert_eq!((ledger.offered, ledger.accepted, ledger.dropped.evicted), (5, 4, 2));
        assert_eq!((ledger.delivered, ledger.refused.closed), (2, 1));
    }
}

#[test]
fn drop_oldest_counts_every_evicted_event() {
    for way in WAYS {
        let Full { channel, receiver, mut entry, dropped } = full(Overflow::DropOldest, way);
        let writer = thread::spawn(move || (2..50_000).for_each(|event| entry.write(event).unwrap()));
        let reader = thread::spawn(move || {
            let mut receiver = receiver;
            let read: Vec<_> = receiver.iter().collect();
            read
        });
        writer.join().unwrap();
        channel.close();
        let read = ends(move || reader.join().unwrap());
        assert!(read.is_sorted_by(|a, b| a < b), "each event once, and in order");
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.accepted, ledger.delivered), (50_000, read.len() as u64));
        let mut all: Vec<_> =
            read.into_iter().chain(dropped.entries().into_iter().map(|(event, _)| event)).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..50_000), "{way:?}");
    }
}

#[test]
fn refuse_gives_the_new_event_back() {
    for way in WAYS {
        let mut full = full(Overflow::Refuse, way);
        assert_eq!(outcome(full.entry.write(2)), Outcome::Full(2), "{way:?}");
        assert_eq!(full.receiver.recv(), Ok(0));
        assert_eq!(outcome(full.entry.write(3)), Outcome::Accepted);
        assert_eq!(full.receiver.drain().collect::<Vec<_>>(), [1, 3]);
        assert_eq!((full.receiver.lost(), full.dropped.entries()), (0, vec![]));
        let ledger = assert_balanced(&full.channel.state());
        assert_eq!((ledger.offered, ledger.accepted, ledger.refused.full, ledger.delivered), (4, 3, 1, 3));
    }
}

#[test]
fn block_waits_for_the_reader() {
    for (overflow, way) in [Overflow::Block, Overflow::BlockFor(HOUR)]
        .into_iter()
        .flat_map(|policy| WAYS.map(|way| (policy, way)))
    {
        let Full { channel, mut receiver, mut entry, dropped } = full(overflow, way);
        let writer = waits(move || (2..1000).all(|event| entry.write(event).is_ok()));
        let read = ends(move || receiver.iter().take(1000).collect::<Vec<_>>());
        assert!(writer.join().unwrap() && read.into_iter().eq(0..1000), "{overflow:?}, {way:?}");
        assert_eq!(dropped.entries(), []);
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.accepted, ledger.delivered, ledger.refused.total()), (1000, 1000, 0));
    }
}

#[test]
fn a_writer_that_blocks_is_released_by_bulk_reads_too() {
    for way in WAYS {
        let Full { channel, mut receiver, mut entry, .. } = full(Overflow::Block, way);
        let writer = thread::spawn(move || (2..1000).all(|event| entry.write(event).is_ok()));
        let mut next = 0;
        wait_for(|| {
            receiver.drain_with(|event| {
                assert_eq!(event, next);
                next += 1;
            });
            channel.state().ledger.delivered == 1000
        });
        assert!(writer.join().unwrap());
    }
}

#[test]
fn block_gives_the_event_back_when_the_channel_ends() {
    #[derive(Clone, Copy, Debug)]
    enum By {
        Close,
        Receiver,
        ReceiversDrop,
    }
    for (by, way) in
        [By::Close, By::Receiver, By::ReceiversDrop].into_iter().flat_map(|by| WAYS.map(|way| (by, way)))
    {
        let Full { channel, mut receiver, mut entry, .. } = full(Overflow::Block, way);
        let writer = waits(move || outcome(entry.write(2)));
        match by {
            By::Close => channel.close(),
            By::Receiver => receiver.close(),
            By::ReceiversDrop => drop(receiver),
        }
        assert_eq!(ends(move || writer.join().unwrap()), Outcome::Closed(2), "{by:?}, {way:?}");
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.offered, ledger.accepted, ledger.refused.closed), (3, 2, 1), "{by:?}, {way:?}");
    }
}

#[test]
fn block_for_returns_the_event_at_its_timeout() {
    for (limit, way) in [0, 1].into_iter().flat_map(|limit| WAYS.map(|way| (limit, way))) {
        let mut full = full(Overflow::BlockFor(Duration::from_millis(limit)), way);
        assert_eq!(outcome(full.entry.write(2)), Outcome::Timeout(2), "{way:?}");
        assert_eq!(full.dropped.entries(), []);
        let ledger = assert_balanced(&full.channel.state());
        assert_eq!((ledger.offered, ledger.accepted, ledger.refused.timeout), (3, 2, 1));
        assert_eq!(full.receiver.drain().collect::<Vec<_>>(), [0, 1]);
    }
}

#[test]
fn full_lane_that_blocks_refuses_at_deadline_now() {
    for overflow in [Overflow::Block, Overflow::BlockFor(HOUR)] {
        let full = full(overflow, Way::Shared);
        let mut private = lane(&full.channel);
        (0..2).for_each(|event| private.push(event, Deadline::NOW).unwrap());
        assert_eq!(outcome(private.push(2, Deadline::NOW)), Outcome::Full(2));
        assert_eq!(assert_balanced(&full.channel.state()).refused.full, 1);
    }
}

#[test]
fn full_lane_that_blocks_waits_until_the_deadline() {
    for overflow in [Overflow::Block, Overflow::BlockFor(HOUR)] {
        let full = full(overflow, Way::Shared);
        let mut private = lane(&full.channel);
        (0..2).for_each(|event| private.push(event, Deadline::NOW).unwrap());
        let deadline = Deadline::after(Duration::from_millis(5));
        assert_eq!(outcome(private.push(2, deadline)), Outcome::Timeout(2));
        assert!(deadline.has_passed());
        assert_eq!(assert_balanced(&full.channel.state()).refused.timeout, 1);
    }
}

#[test]
fn closing_overflow_ends_after_the_backlog() {
    for way in WAYS {
        let mut full = full(Overflow::Close, way);
        let mut others = WAYS.map(|way| Entry::into(&full.channel, way));
        let expected = if way == Way::Shared { vec![0, 1, 7] } else { vec![0, 1, 7, 7] };
        others.iter_mut().take(expected.len() - 2).for_each(|entry| entry.write(7).unwrap());
        assert_eq!(outcome(full.entry.write(2)), Outcome::Closed(2), "{way:?}");
        // All lanes are closed, and a later close does not turn the overflow into a plain end.
        assert!(others.iter_mut().all(|entry| outcome(entry.write(3)) == Outcome::Closed(3)));
        full.channel.close();
        full.receiver.close();
        assert_eq!(full.channel.state().status, SinkStatus::Closed);
        let mut read: Vec<_> = full.receiver.iter().collect();
        read.sort_unstable();
        assert_eq!(read, expected);
        assert_eq!(full.receiver.recv(), Err(RecvError::Overflowed));
        assert_eq!(full.receiver.try_recv(), Err(TryRecvError::Overflowed));
        assert_eq!(full.receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Overflowed));
        assert_eq!(full.receiver.recv_batch(&mut Vec::new(), 1), Err(RecvError::Overflowed));
        assert_eq!(full.dropped.entries(), []);
        let ledger = assert_balanced(&full.channel.state());
        assert_eq!((ledger.refused.closed, ledger.delivered), (3, expected.len() as u64));
    }
}

#[test]
fn earlier_close_is_not_reported_as_overflow() {
    for way in WAYS {
        let mut full = full(Overflow::Close, way);
        full.channel.close();
        assert_eq!(outcome(full.entry.write(2)), Outcome::Closed(2));
        assert_eq!(full.receiver.iter().count(), 2);
        assert_eq!(full.receiver.recv(), Err(RecvError::Closed), "{way:?}");
    }
}

#[test]
fn unbounded_channel_never_overflows() {
    let (channel, mut receiver) =
        Channel::builder().capacity(1).overflow(Overflow::Close).unbounded().build().unwrap();
    let mut entries = WAYS.map(|way| Entry::into(&channel, way));
    (0..5000).for_each(|event| entries[event % 2].write(event).unwrap());
    assert_eq!((receiver.len(), receiver.lost(), channel.state().capacity), (5000, 0, 0));
    assert_eq!(receiver.recv(), Ok(0));
    assert_eq!(receiver.drain_with(|event| assert_eq!(event, 1)), 1);
    channel.close();
    assert_eq!(outcome(channel.write(9)), Outcome::Closed(9));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), (2..5000).collect::<Vec<_>>());
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
    let ledger = assert_balanced(&channel.state());
    assert_eq!((ledger.offered, ledger.delivered, ledger.refused.closed), (5001, 5000, 1));
}
