//! The channel: every read method, the ways in which a stream ends, and what the reader is told.

mod asynchronous;

mod iterators;
mod overflow;
mod runs;
mod shared_receivers;
mod task_and_thread;
mod visibility;

use buslane::error::{BuildError, ConfigErrorKind, OutOfMemory, RecvError, RecvTimeoutError, TryRecvError};
use buslane::ring::MAX_CAPACITY;
use buslane::stats::{DropReason, Finish, FlushReport, SinkKind, SinkStatus};
use buslane::time::Deadline;
use buslane::{Channel, Overflow, Receiver, Sink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use test_support::{
    Drops, Entry, GUARD, Log, Outcome, Tracked, WAYS, Way, assert_balanced, ends, invalid, lane, outcome,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Returns a channel that holds the numbers below `count`, written by the given way.
fn filled(way: Way, count: u64) -> (Channel<u64>, Receiver<u64>, Entry<u64>) {
    let (channel, receiver) = Channel::lossy(16).unwrap();
    let mut entry = Entry::into(&channel, way);
    (0..count).for_each(|event| entry.write(event).unwrap());
    (channel, receiver, entry)
}

fn flush(channel: &Channel<u64>, deadline: Deadline) -> Finish {
    let mut report = FlushReport::default();
    channel.flush_by(deadline, &mut report);
    report.finish
}

#[test]
fn invalid_settings_are_typed_errors() {
    assert_eq!(invalid(Channel::<u8>::lossy(0)), ConfigErrorKind::Capacity);
    assert_eq!(invalid(Channel::<u8>::lossy(MAX_CAPACITY + 1)), ConfigErrorKind::Capacity);
    let text = Channel::<u8>::lossy(MAX_CAPACITY + 1).unwrap_err().to_string();
    assert_eq!(text, "capacity 268435457 is invalid: it must be at most 268435456 events");
    let error = BuildError::OutOfMemory(OutOfMemory::new(MAX_CAPACITY));
    assert_eq!(Channel::<[u8; 1 << 20]>::lossy(MAX_CAPACITY).err(), Some(error));
}

#[test]
fn lane_holds_exactly_its_capacity() {
    for (capacity, way) in [1, 3, 1000].into_iter().flat_map(|capacity| WAYS.map(|way| (capacity, way))) {
        let (channel, mut receiver) = Channel::lossy(capacity).unwrap();
        let mut entry = Entry::into(&channel, way);
        (0..capacity + 5).for_each(|event| entry.write(event).unwrap());
        assert_eq!((receiver.len(), receiver.lost()), (capacity, 5));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..capacity).collect::<Vec<_>>(), "{way:?}");
        assert_eq!((receiver.len(), receiver.is_empty()), (0, true));
        assert_balanced(&channel.state());
    }
}

#[test]
fn every_read_method_takes_the_next_event() {
    for way in WAYS {
        let (channel, mut receiver, mut entry) = filled(way, 12);
        assert!(!receiver.is_empty());
        assert_eq!(receiver.recv(), Ok(0));
        assert_eq!(receiver.try_recv(), Ok(1));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(2));
        assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(3));
        assert_eq!(receiver.recv_deadline(Instant::now()), Ok(4));
        let mut batch = vec![99];
        assert_eq!(receiver.recv_batch(&mut batch, 0), Ok(0));
        assert_eq!(receiver.recv_batch(&mut batch, 2), Ok(2));
        assert_eq!(batch, [99, 5, 6]);
        assert_eq!(receiver.iter().next(), Some(7));
        assert_eq!(receiver.try_iter().next(), Some(8));
        let mut drain = receiver.drain();
        // Not in the channel when the drain began.
        entry.write(12).unwrap();
        assert_eq!(drain.by_ref().collect::<Vec<_>>(), [9, 10, 11]);
        drop(drain);
        assert_eq!(receiver.recv_batch(&mut batch, usize::MAX), Ok(1));
        assert_eq!(assert_balanced(&channel.state()).delivered, 13);
        // No method returns an event from an empty channel.
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
        assert_eq!((receiver.try_iter().count(), receiver.drain().count()), (0, 0));
        assert_eq!((receiver.recv_batch(&mut batch, 0), receiver.drain_with(drop)), (Ok(0), 0));
    }
}

#[test]
fn waiting_reader_gets_the_event_of_another_thread() {
    for way in WAYS {
        let (_channel, mut receiver, mut entry) = filled(way, 0);
        let (sender, seen) = mpsc::channel();
        let reader = thread::spawn(move || {
            sender.send(receiver.recv().ok()).unwrap();
            sender.send(receiver.recv_timeout(HOUR).ok()).unwrap();
            sender.send(receiver.recv_deadline(Instant::now() + HOUR).ok()).unwrap();
            let mut batch = Vec::new();
            receiver.recv_batch(&mut batch, 5).unwrap();
            sender.send(batch.pop()).unwrap();
            receiver.iter().for_each(|event| sender.send(Some(event)).unwrap());
        });
        for event in 0..20 {
            entry.write(event).unwrap();
            assert_eq!(seen.recv_timeout(GUARD), Ok(Some(event)), "{way:?}");
        }
        // Drops the last other handle and then the channel itself, so the reader's iterator ends.
        drop((entry, _channel));
        ends(move || reader.join().unwrap());
    }
}

#[test]
fn closed_channel_drains_then_reports_closed() {
    for (way, by_receiver) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (channel, mut receiver, mut entry) = filled(way, 4);
        for _ in 0..2 {
            if by_receiver { receiver.close() } else { channel.close() }
        }
        assert!(Sink::close_by(&channel, Deadline::NOW).is_done());
        assert_eq!(outcome(entry.write(9)), Outcome::Closed(9));
        assert_eq!(outcome(channel.write(9)), Outcome::Closed(9));
        assert_eq!(outcome(lane(&channel).push(9, Deadline::NEVER)), Outcome::Closed(9));
        assert_eq!((channel.state().status, receiver.len()), (SinkStatus::Closed, 4));
        assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(0), Ok(1)));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [2, 3], "{way:?}");
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Closed));
        assert_eq!(receiver.recv_deadline(Instant::now() + HOUR), Err(RecvTimeoutError::Closed));
        assert_eq!(receiver.recv_batch(&mut Vec::new(), 1), Err(RecvError::Closed));
        assert_eq!(channel.state().status, SinkStatus::Drained);
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.delivered, ledger.refused.closed), (4, 3));
    }
}

#[test]
fn close_wakes_a_waiting_reader() {
    for way in WAYS {
        let (channel, mut receiver, entry) = filled(way, 1);
        let reader = thread::spawn(move || (receiver.recv(), receiver.recv(), receiver.recv_timeout(HOUR)));
        test_support::wait_for(|| channel.state().ledger.delivered == 1);
        channel.close();
        let end = ends(move || reader.join().unwrap());
        assert_eq!(end, (Ok(0), Err(RecvError::Closed), Err(RecvTimeoutError::Closed)));
        drop(entry);
    }
}

#[test]
fn last_handle_closes_the_channel_despite_open_lanes() {
    let (channel, mut receiver, mut entry) = filled(Way::Private, 1);
    let other = channel.clone();
    assert_eq!(channel.key(), other.key());
    drop(channel);
    entry.write(1).unwrap();
    drop(other);
    assert_eq!(outcome(entry.write(2)), Outcome::Closed(2));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn unread_events_of_a_dropped_receiver_are_counted() {
    for unbounded in [false, true] {
        let (drops, log) = (Drops::default(), Log::new());
        let hook = log.clone();
        let builder = Channel::builder().on_drop(move |event: Tracked, reason| hook.push((event.id, reason)));
        let (channel, mut receiver) =
            if unbounded { builder.unbounded() } else { builder.capacity(16) }.build().unwrap();
        let mut entries = WAYS.map(|way| Entry::into(&channel, way));
        for id in 0..10 {
            assert!(entries[id as usize % 2].write(drops.track(id)).is_ok());
        }
        let read = receiver.recv().map(|event| event.id).unwrap();
        drop(receiver);
        assert_eq!(drops.ids(), (0..10).collect::<Vec<_>>());
        let mut told = log.entries();
        told.sort_by_key(|(id, _)| *id);
        let left = (0..10).filter(|id| *id != read).map(|id| (id, DropReason::ReceiverDropped));
        assert_eq!(told, left.collect::<Vec<_>>());
        assert!(entries.iter_mut().all(|entry| entry.write(drops.track(10)).is_err()));
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.delivered, ledger.dropped.receiver_dropped, ledger.refused.closed), (1, 9, 2));
        assert_eq!(channel.state().status, SinkStatus::Drained);
    }
}

#[test]
fn single_reads_take_turns_over_the_lanes() {
    // A quarter of eight is two: no lane gets further ahead while the other lane has events.
    for private in [[true, true], [true, false]] {
        let (channel, mut receiver) = Channel::lossy(8).unwrap();
        let mut entries =
            private.map(|private| Entry::into(&channel, if private { Way::Private } else { Way::Shared }));
        for (entry, first) in entries.iter_mut().zip([0, 100]) {
            (first..first + 8).for_each(|event| entry.write(event).unwrap());
        }
        let read: Vec<i32> = receiver.try_iter().collect();
        let mut ahead = 0_i32;
        for event in &read {
            ahead += if *event < 100 { 1 } else { -1 };
            assert!(ahead.abs() <= 2, "{private:?}: {read:?}");
        }
        assert_eq!(read.len(), 16);
    }
}

#[test]
fn a_bulk_read_takes_a_quarter_of_each_lane() {
    let (channel, mut receiver) = Channel::lossy(8).unwrap();
    let mut entries = [Way::Private, Way::Private, Way::Shared].map(|way| Entry::into(&channel, way));
    for (entry, first) in entries.iter_mut().zip([0, 100, 200]) {
        (first..first + 8).for_each(|event| entry.write(event).unwrap());
    }
    let mut counts = [0; 3];
    for visit in 1..=4 {
        assert_eq!(receiver.drain_with(|event| counts[event / 100] += 1), 6);
        assert_eq!(counts, [2 * visit; 3]);
    }
    assert_eq!(receiver.drain_with(|_| unreachable!()), 0);
    assert_eq!(assert_balanced(&channel.state()).delivered, 24);
}

#[test]
fn panicking_callback_consumes_only_its_event() {
    for way in WAYS {
        let (channel, mut receiver, _entry) = filled(way, 4);
        let unwound = catch_unwind(AssertUnwindSafe(|| receiver.drain_with(|event| assert_ne!(event, 1))));
        assert!(unwound.is_err());
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.delivered, ledger.pending), (2, 2), "{way:?}");
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(assert_balanced(&channel.state()).delivered, 4);
    }
}

#[test]
fn flush_waits_for_the_reader_to_drain_the_backlog() {
    for way in WAYS {
        let (channel, mut receiver, mut entry) = filled(way, 2);
        assert_eq!(flush(&channel, Deadline::NOW), Finish::TimedOut, "{way:?}");
        assert_eq!(flush(&channel, Deadline::after(Duration::from_millis(1))), Finish::TimedOut);
        let flusher = channel.clone();
        let flushed = thread::spawn(move || flush(&flusher, Deadline::after(GUARD)));
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(0), Ok(1)));
        assert_eq!(ends(move || flushed.join().unwrap()), Finish::Done);
        entry.write(2).unwrap();
        assert_eq!(flush(&channel, Deadline::NOW), Finish::TimedOut);
        drop(receiver);
        assert_eq!(
            flush(&channel, Deadline::NEVER),
            Finish::Done,
            "without a receiver there is nothing to wait for"
        );
    }
}

#[test]
fn flush_counts_an_event_in_hand_as_unhandled() {
    for (way, unbounded) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let builder = Channel::builder();
        let (channel, mut receiver) = if unbounded { builder.unbounded() } else { builder }.build().unwrap();
        Entry::into(&channel, way).write(1).unwrap();
        let mut finish = Finish::Done;
        assert_eq!(receiver.drain_with(|_| finish = flush(&channel, Deadline::NOW)), 1);
        assert_eq!(finish, Finish::TimedOut, "{way:?}, unbounded {unbounded}");
        assert_eq!(flush(&channel, Deadline::NOW), Finish::Done);
    }
}

#[test]
fn channel_state_reports_kind_depth_and_lanes() {
    for bulk in [false, true] {
        let (channel, mut receiver, entry) = filled(Way::Private, 5);
        let state = channel.state();
        assert_eq!((state.kind, state.status, state.depth), (SinkKind::Channel, SinkStatus::Open, 5));
        assert_eq!((state.capacity, state.lanes), (16, 1));
        assert!(state.backlog_for.is_some() && entry_seals(&entry));
        drop(entry);
        if bulk {
            while receiver.drain_with(drop) > 0 {}
        } else {
            assert_eq!(receiver.try_iter().count(), 5);
        }
        let state = receiver.state();
        assert_eq!(
            (state.kind, state.depth, state.lanes, state.backlog_for),
            (SinkKind::Channel, 0, 0, None)
        );
        assert_eq!(assert_balanced(&state).delivered, 5);
        assert!(format!("{channel:?} {receiver:?}").contains("Receiver"));
    }
}

#[test]
fn every_read_method_records_the_high_water_mark() {
    let (oldest, newest) = (Overflow::DropOldest, Overflow::DropNewest);
    for (overflow, unbounded) in [(newest, false), (oldest, false), (newest, true)] {
        for (way, bulk) in WAYS.into_iter().flat_map(|way| [(way, false), (way, true)]) {
            let builder = Channel::builder().capacity(16).overflow(overflow);
            let (channel, mut receiver) =
                if unbounded { builder.unbounded() } else { builder }.build().unwrap();
            let mut entry = Entry::into(&channel, way);
            (0..5).for_each(|event| entry.write(event).unwrap());
            assert_eq!(if bulk { receiver.drain_with(drop) } else { receiver.recv().map(|_| 4).unwrap() }, 4);
            let high_water = channel.state().high_water;
            assert_eq!(high_water, 5, "{overflow:?}, unbounded {unbounded}, {way:?}, bulk {bulk}");
        }
    }
}

fn entry_seals(entry: &Entry<u64>) -> bool {
    matches!(entry, Entry::Private(lane) if lane.sealer().is_some() && !lane.may_wait())
}

#[test]
fn short_lived_lanes_lose_no_event() {
    let (channel, mut receiver) = Channel::lossy(4).unwrap();
    for round in 0..50 {
        let mut lanes = [lane(&channel), lane(&channel)];
        lanes.iter_mut().for_each(|lane| lane.push(round, Deadline::NEVER).unwrap());
        drop(lanes);
        assert_eq!(receiver.drain().collect::<Vec<_>>(), [round, round]);
    }
    let state = channel.state();
    assert_eq!((state.lanes, assert_balanced(&state).delivered), (0, 100));
}
