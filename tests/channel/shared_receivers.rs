//! A channel with several receivers: each event goes to one of them, and the end to all.

use buslane::channel::SharedReceiver;
use buslane::error::{ConfigErrorKind, RecvError, RecvTimeoutError, TryRecvError};
use buslane::stats::{DropReason, Finish, SinkKind, SinkStatus};
use buslane::{Bus, Channel, Overflow, Sink, SinkExt, WaitStrategy, WriteError};
use std::task::Context;
use std::thread;
use std::time::{Duration, Instant};
use test_support::{
    Drops, Entry, GUARD, Log, Outcome, WAYS, WakeCount, Way, assert_balanced, block_on, ends, invalid,
    outcome, sorted, waits,
};

fn channel(capacity: usize, overflow: Overflow) -> (Channel<u64>, SharedReceiver<u64>) {
    Channel::builder().capacity(capacity).overflow(overflow).build_shared().unwrap()
}

#[test]
fn invalid_settings_are_typed_errors() {
    assert_eq!(invalid(Channel::<u8>::shared_lossy(0)), ConfigErrorKind::Capacity);
    assert_eq!(invalid(Channel::<u8>::shared_lossless(0)), ConfigErrorKind::Capacity);
}

#[test]
fn full_shared_lossy_channel_drops_the_newest() {
    let (channel, mut receiver) = Channel::shared_lossy(2).unwrap();
    (0..3).for_each(|n| channel.write(n).unwrap());
    assert_eq!((receiver.try_iter().collect::<Vec<_>>(), receiver.lost()), (vec![0, 1], 1));
}

#[test]
fn full_shared_lossless_channel_blocks_its_writer() {
    let (channel, mut receiver) = Channel::shared_lossless(2).unwrap();
    (0..2).for_each(|n| channel.write(n).unwrap());
    let without_wait = channel.clone().timeout(Duration::ZERO);
    assert!(matches!(without_wait.write(2), Err(WriteError::Timeout(2))));
    assert_eq!((receiver.try_iter().collect::<Vec<_>>(), receiver.lost()), (vec![0, 1], 0));
}

#[test]
fn shared_readers_divide_events_exactly_once() {
    const EVENTS: u64 = 5_000;
    for wait in [WaitStrategy::SpinPark, WaitStrategy::Park, WaitStrategy::nap()] {
        let builder = Channel::builder().capacity(64).overflow(Overflow::Block).wait_strategy(wait);
        let (channel, receiver) = builder.build_shared().unwrap();
        let bus = Bus::new();
        bus.add(channel.clone()).unwrap();
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let mut receiver = receiver.clone();
                thread::spawn(move || receiver.iter().collect::<Vec<_>>())
            })
            .collect();
        thread::scope(|scope| {
            for thread in 0..4 {
                let mut publisher = bus.publisher();
                scope.spawn(move || {
                    (0..EVENTS).for_each(|n| assert!(publisher.publish(thread * EVENTS + n).is_ok()));
                });
            }
        });
        channel.close();
        let parts: Vec<Vec<u64>> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        for part in &parts {
            // Each reader gets the events of one publisher in order.
            for publisher in 0..4 {
                assert!(part.iter().filter(|n| **n / EVENTS == publisher).is_sorted());
            }
        }
        assert_eq!(sorted(parts.concat()), (0..4 * EVENTS).collect::<Vec<_>>());
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.accepted, ledger.delivered, ledger.pending), (4 * EVENTS, 4 * EVENTS, 0));
    }
}

#[test]
fn every_read_method_takes_the_next_event_and_ends() {
    let (channel, mut one) = channel(8, Overflow::Refuse);
    let mut other = one.clone();
    assert_eq!(one.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(one.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    assert_eq!(one.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    assert_eq!(one.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    (0..7).for_each(|event| channel.write(event).unwrap());
    assert_eq!((one.len(), other.len(), one.is_empty()), (7, 7, false));
    assert_eq!((one.recv(), other.recv()), (Ok(0), Ok(1)));
    assert_eq!(one.recv_timeout(GUARD), Ok(2));
    assert_eq!(other.recv_deadline(Instant::now() + GUARD), Ok(3));
    assert_eq!(block_on(one.recv_async()), Ok(4));
    one.close();
    assert_eq!(outcome(channel.write(9)), Outcome::Closed(9));
    assert_eq!(other.try_iter().collect::<Vec<_>>(), [5, 6]);
    assert_eq!(one.recv(), Err(RecvError::Closed));
    assert_eq!(block_on(other.recv_async()), Err(RecvError::Closed));
    assert_eq!(other.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(other.recv_timeout(GUARD), Err(RecvTimeoutError::Closed));
    assert_eq!(one.iter().count(), 0);
    assert_eq!((channel.state().kind, one.state().status), (SinkKind::Channel, SinkStatus::Drained));
    assert_balanced(&one.state());
}

#[test]
fn last_receiver_drop_closes_and_counts_the_rest() {
    for way in WAYS {
        let (drops, dropped) = (Drops::default(), Log::new());
        let hook = dropped.clone();
        let builder = Channel::builder().capacity(8);
        let (channel, mut one) = builder
            .on_drop(move |event: test_support::Tracked, reason| hook.push((event.id, reason)))
            .build_shared()
            .unwrap();
        let other = one.clone();
        let mut entry = Entry::into(&channel, way);
        (0..4).for_each(|id| assert!(entry.write(drops.track(id)).is_ok()));
        drop(one.recv().unwrap());
        drop(one);
        assert_eq!(channel.state().status, SinkStatus::Open, "{way:?}");
        let ledger = assert_balanced(&channel.state());
        assert_eq!(
            (ledger.delivered, ledger.pending),
            (1, 3),
            "the ledger still counts for the dropped receiver"
        );
        drop(other);
        assert!(entry.write(drops.track(9)).is_err_and(|error| error.is_closed()));
        assert_eq!(dropped.entries(), [1, 2, 3].map(|id| (id, DropReason::ReceiverDropped)));
        let ledger = assert_balanced(&channel.state());
        assert_eq!((ledger.delivered, ledger.dropped.receiver_dropped, ledger.pending), (1, 3, 0));
        assert_eq!(drops.ids(), [0, 1, 2, 3, 9]);
        assert_eq!(channel.flush_timeout(GUARD).finish, Finish::Done);
    }
}

#[test]
fn bus_removes_a_channel_without_receivers() {
    let bus = Bus::new();
    let (channel, one) = channel(8, Overflow::DropNewest);
    bus.add(channel).unwrap();
    let other = one.clone();
    drop(one);
    let _ = bus.publish(1).unwrap();
    assert_eq!(other.len(), 1);
    drop(other);
    assert!(bus.publish(2).is_ok());
    assert_eq!(bus.snapshot().sinks.len(), 0);
}

#[test]
fn overflow_policies_span_all_shared_receivers() {
    for way in WAYS {
        for (overflow, came_to, left, lost) in [
            (Overflow::DropNewest, Outcome::Accepted, vec![0, 1, 2], 1),
            (Overflow::DropOldest, Outcome::Accepted, vec![1, 2, 3], 1),
            (Overflow::Refuse, Outcome::Full(3), vec![0, 1, 2], 0),
            (Overflow::BlockFor(Duration::from_millis(1)), Outcome::Timeout(3), vec![0, 1, 2], 0),
            (Overflow::Close, Outcome::Closed(3), vec![0, 1, 2], 0),
        ] {
            let (channel, mut one) = channel(3, overflow);
            let mut other = one.clone();
            let mut entry = Entry::into(&channel, way);
            (0..3).for_each(|event| entry.write(event).unwrap());
            assert_eq!(outcome(entry.write(3)), came_to, "{overflow:?} {way:?}");
            assert_eq!((one.len(), one.lost(), other.lost()), (3, lost, lost));
            let got = [one.recv(), other.recv(), one.recv()].map(Result::unwrap);
            assert_eq!(got[..], left[..], "{overflow:?} {way:?}");
            let end =
                if overflow == Overflow::Close { TryRecvError::Overflowed } else { TryRecvError::Empty };
            assert_eq!((one.try_recv(), other.try_recv()), (Err(end), Err(end)));
            assert_balanced(&channel.state());
        }
    }
}

#[test]
fn read_by_any_receiver_releases_a_blocked_publisher() {
    for way in WAYS {
        let (channel, mut one) = channel(1, Overflow::Block);
        let mut other = one.clone();
        let mut entry = Entry::into(&channel, way);
        entry.write(1).unwrap();
        let blocked = waits(move || outcome(entry.write(2)));
        assert_eq!(other.recv(), Ok(1));
        assert_eq!(blocked.join().unwrap(), Outcome::Accepted);
        assert_eq!(one.recv(), Ok(2));
        assert_balanced(&channel.state());
    }
}

#[test]
fn flush_returns_when_receivers_read_everything() {
    let (channel, mut one) = channel(8, Overflow::Refuse);
    let mut other = one.clone();
    (0..2).for_each(|event| channel.write(event).unwrap());
    assert_eq!(channel.flush_timeout(Duration::from_millis(1)).finish, Finish::TimedOut);
    let flusher = channel.clone();
    let flushing = waits(move || flusher.flush_timeout(GUARD).finish);
    assert_eq!((other.recv(), one.recv()), (Ok(0), Ok(1)));
    assert_eq!(flushing.join().unwrap(), Finish::Done);
}

#[test]
fn an_event_wakes_one_task_and_the_end_wakes_all() {
    let (channel, receiver) = channel(8, Overflow::Refuse);
    let mut receivers: Vec<_> = (0..3).map(|_| receiver.clone()).collect();
    let tasks: Vec<_> = (0..3).map(|_| WakeCount::waker()).collect();
    let poll = |receiver: &mut SharedReceiver<u64>, at: usize| {
        receiver.poll_recv(&mut Context::from_waker(&tasks[at].1))
    };
    let woken = || tasks.iter().map(|(count, _)| count.get()).collect::<Vec<_>>();
    for (at, receiver) in receivers.iter_mut().enumerate() {
        assert!(poll(receiver, at).is_pending());
    }
    channel.write(1).unwrap();
    assert_eq!(woken(), [0, 0, 1], "the task that polled last is woken");
    channel.write(2).unwrap();
    assert_eq!(woken(), [0, 1, 1]);
    assert!(poll(&mut receivers[1], 1).is_ready());
    assert!(poll(&mut receivers[2], 2).is_ready());
    assert_eq!(woken(), [0, 1, 1]);
    assert!(poll(&mut receivers[2], 2).is_pending());
    channel.close();
    assert_eq!(woken(), [1, 1, 2]);
}

#[test]
fn woken_task_that_is_dropped_wakes_another() {
    let (channel, mut one) = channel(8, Overflow::Refuse);
    let mut other = one.clone();
    let ((first, first_waker), (second, second_waker)) = (WakeCount::waker(), WakeCount::waker());
    assert!(one.poll_recv(&mut Context::from_waker(&first_waker)).is_pending());
    {
        let mut future = std::pin::pin!(other.recv_async());
        let poll = std::future::Future::poll(future.as_mut(), &mut Context::from_waker(&second_waker));
        assert!(poll.is_pending());
        channel.write(1).unwrap();
        assert_eq!((first.get(), second.get()), (0, 1));
    }
    assert_eq!((first.get(), second.get()), (1, 1));
    // A task that was not woken leaves no registration.
    assert!(other.poll_recv(&mut Context::from_waker(&second_waker)).is_ready());
    assert!(one.poll_recv(&mut Context::from_waker(&first_waker)).is_pending());
    drop(other);
    assert_eq!(one.try_recv(), Err(TryRecvError::Empty));
    channel.write(2).unwrap();
    assert_eq!((first.get(), second.get()), (1, 1), "no task is registered any longer");
    assert_eq!(one.recv(), Ok(2));
}

#[test]
fn parked_receivers_are_woken_by_the_end() {
    let (channel, receiver) = channel(8, Overflow::Refuse);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut receiver = receiver.clone();
            waits(move || receiver.recv())
        })
        .collect();
    let mut late = receiver;
    channel.close();
    ends(move || {
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Err(RecvError::Closed));
        }
    });
    assert_eq!(late.recv(), Err(RecvError::Closed));
}

#[test]
fn unbounded_channel_supports_shared_receivers() {
    let (channel, mut one) = Channel::<u64>::builder().unbounded().build_shared().unwrap();
    let mut other = one.clone();
    let mut entries = WAYS.map(|way: Way| Entry::into(&channel, way));
    entries.iter_mut().for_each(|entry| (0..3).for_each(|event| entry.write(event).unwrap()));
    assert_eq!(
        sorted((0..3).flat_map(|_| [one.recv().unwrap(), other.recv().unwrap()]).collect()),
        [0, 0, 1, 1, 2, 2]
    );
    assert_eq!(channel.flush_timeout(GUARD).finish, Finish::Done);
    drop(one);
    channel.write(7).unwrap();
    drop(other);
    assert_eq!(assert_balanced(&channel.state()).dropped.receiver_dropped, 1);
}

#[test]
fn a_removal_ends_the_wait_of_a_publisher_for_room() {
    let (channel, mut receiver) = channel(1, Overflow::Block);
    let bus = Bus::new();
    let id = bus.add(channel.clone()).unwrap();
    let mut publisher = bus.publisher();
    let _ = publisher.publish(1).unwrap();
    let blocked = waits(move || publisher.publish(2).unwrap());
    // The thread that removes the sink is also the reader.
    let remover = bus.clone();
    ends(move || remover.remove(id).unwrap());
    assert_eq!(ends(move || blocked.join().unwrap()).accepted, 0);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}
