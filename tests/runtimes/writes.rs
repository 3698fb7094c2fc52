//! Writes into queues, channels and journals that wait for room as a task.

use crate::{by_hand, gated_queue, poll};
use buslane::journal::Start;
use buslane::{Bus, Channel, Journal, Overflow, Queue, Sink, WriteError};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use test_support::{GUARD, WakeCount, assert_balanced, block_on, wait_for};

#[test]
fn write_into_a_full_channel_waits_for_room() {
    let (channel, mut receiver) = Channel::lossless(1).unwrap();
    block_on(channel.write_async(1)).unwrap();
    let (mut write, count, waker) = by_hand(channel.write_async(2));
    assert!(poll(write.as_mut(), &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(count.get(), 1);
    assert!(matches!(poll(write.as_mut(), &waker), Poll::Ready(Ok(()))));
    drop(write);
    // Cancelled: the event is not in the channel.
    let (mut write, _, waker) = by_hand(channel.write_async(3));
    assert!(poll(write.as_mut(), &waker).is_pending());
    drop(write);
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [2]);
    let ledger = assert_balanced(&channel.state());
    assert_eq!((ledger.accepted, ledger.refused.full), (2, 0), "a wait is no refusal");
}

#[test]
fn write_ends_when_the_channel_closes() {
    let (channel, receiver) = Channel::lossless(1).unwrap();
    block_on(channel.write_async(1)).unwrap();
    let (mut write, count, waker) = by_hand(channel.write_async(2));
    assert!(poll(write.as_mut(), &waker).is_pending());
    drop(receiver);
    assert_eq!(count.get(), 1);
    assert!(matches!(poll(write.as_mut(), &waker), Poll::Ready(Err(WriteError::Closed(2)))));
}

#[test]
fn write_applies_a_policy_that_does_not_wait() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse, Overflow::Close] {
        let (channel, _receiver) = Channel::builder().capacity(1).overflow(overflow).build().unwrap();
        block_on(channel.write_async(1)).unwrap();
        let (mut write, _, waker) = by_hand(channel.write_async(2));
        let Poll::Ready(outcome) = poll(write.as_mut(), &waker) else { panic!("{overflow} waits") };
        match overflow {
            Overflow::Refuse => assert!(matches!(outcome, Err(WriteError::Full(2)))),
            Overflow::Close => assert!(matches!(outcome, Err(WriteError::Closed(2)))),
            _ => assert!(outcome.is_ok()),
        }
    }
}

#[test]
fn write_into_a_full_queue_waits_for_its_worker() {
    let (gate, queue) = gated_queue(Overflow::Block, 1);
    // One event at the handler, one in the queue.
    block_on(queue.write_async(0)).unwrap();
    gate.wait_reached(1);
    block_on(queue.write_async(1)).unwrap();
    let (mut write, _, waker) = by_hand(queue.write_async(2));
    assert!(poll(write.as_mut(), &waker).is_pending());
    gate.open();
    block_on(write).unwrap();
    assert!(queue.close().is_done());
    assert_eq!(queue.state().ledger.delivered, 3);
}

#[test]
fn write_waits_for_the_worker_of_its_key() {
    let queue = Queue::builder()
        .capacity(2)
        .overflow(Overflow::Block)
        .workers(4)
        .ordered_by(|event: &u64| *event % 16);
    let queue = queue.spawn_each(|_| |_: u64| ()).unwrap();
    block_on(async {
        for event in 0..10_000 {
            queue.write_async(event).await.unwrap();
        }
        assert!(queue.close_async().await.is_done());
    });
    assert_eq!(assert_balanced(&queue.state()).delivered, 10_000);
}

#[test]
fn publish_waits_for_a_gating_subscriber() {
    let journal = Journal::new(64).unwrap();
    let mut gating = journal.subscription().start(Start::Now).gating().subscribe().unwrap();
    let full = (0..).find(|n| journal.try_publish(*n).is_err()).unwrap();
    let (mut publish, count, waker) = by_hand(journal.publish_async(full));
    assert!(poll(publish.as_mut(), &waker).is_pending());
    assert_eq!(gating.try_iter().count() as u64, full);
    assert_eq!(count.get(), 1);
    let Poll::Ready(Ok(sequence)) = poll(publish.as_mut(), &waker) else { panic!("there is room") };
    assert_eq!(sequence.get(), full);
    drop(publish);
    let full = (full + 1..).find(|n| journal.try_publish(*n).is_err()).unwrap();
    let (mut publish, count, waker) = by_hand(journal.publish_async(full));
    assert!(poll(publish.as_mut(), &waker).is_pending());
    drop(gating);
    assert_eq!(count.get(), 1, "a subscriber that is gone gates no more");
    assert!(poll(publish.as_mut(), &waker).is_ready());
}

/// A kind of room that several writers share: the futures of two of them, a write that waits for
/// nothing, and a read of one event.
struct Shared<'a> {
    name: &'static str,
    first: Pin<Box<dyn Future<Output = ()> + 'a>>,
    second: Pin<Box<dyn Future<Output = ()> + 'a>>,
    fill: Box<dyn Fn() + 'a>,
    read: Box<dyn FnMut() + 'a>,
}

/// Checks that a writer that was woken, and found the room taken, is still ahead of the next one.
fn assert_keeps_its_place(shared: Shared<'_>) {
    let Shared { name, mut first, mut second, fill, mut read } = shared;
    let ((one, one_waker), (other, other_waker)) = (WakeCount::waker(), WakeCount::waker());
    fill();
    assert!(poll(first.as_mut(), &one_waker).is_pending(), "{name}");
    assert!(poll(second.as_mut(), &other_waker).is_pending(), "{name}");
    for round in 1..4 {
        // A read fails if there is nothing left.
        while one.get() < round {
            read();
        }
        assert_eq!((one.get(), other.get()), (round, 0), "{name}: the first one is woken");
        fill();
        assert!(poll(first.as_mut(), &one_waker).is_pending(), "{name}: the room was taken");
    }
    while one.get() < 4 {
        read();
    }
    assert_eq!(other.get(), 0, "{name}");
    assert!(poll(first.as_mut(), &one_waker).is_ready(), "{name}");
}

#[test]
fn write_keeps_its_place_when_the_room_is_taken() {
    for several in [false, true] {
        let builder = Channel::builder().capacity(1).overflow(Overflow::Block);
        let (channel, mut read): (_, Box<dyn FnMut()>) = if several {
            let (channel, mut receiver) = builder.build_shared().unwrap();
            (channel, Box::new(move || assert!(receiver.try_recv().is_ok())))
        } else {
            let (channel, mut receiver) = builder.build().unwrap();
            (channel, Box::new(move || assert!(receiver.try_recv().is_ok())))
        };
        assert_keeps_its_place(Shared {
            name: "channel",
            first: Box::pin(async { channel.write_async(1).await.unwrap() }),
            second: Box::pin(async { channel.write_async(2).await.unwrap() }),
            fill: Box::new(|| {
                assert!(poll(std::pin::pin!(channel.write_async(0)), Waker::noop()).is_ready())
            }),
            read: Box::new(&mut read),
        });
    }
}

#[test]
fn publish_keeps_its_place_at_the_gates() {
    let journal = Journal::new(64).unwrap();
    let mut gating = journal.subscription().start(Start::Now).gating().subscribe().unwrap();
    assert_keeps_its_place(Shared {
        name: "journal",
        first: Box::pin(async { _ = journal.publish_async(1).await.unwrap() }),
        second: Box::pin(async { _ = journal.publish_async(2).await.unwrap() }),
        fill: Box::new(|| while journal.try_publish(0).is_ok() {}),
        read: Box::new(move || assert!(gating.try_recv().is_ok())),
    });
}

#[test]
fn publisher_without_lanes_keeps_its_place() {
    let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
    let bus = Bus::new();
    bus.add(channel).unwrap();
    bus.with_local(|_| {
        bus.with_local(|one| {
            bus.with_local(|other| {
                assert_keeps_its_place(Shared {
                    name: "bus",
                    first: Box::pin(async { assert!(one.publish_async(1).await.unwrap().is_complete()) }),
                    second: Box::pin(async { assert!(other.publish_async(2).await.unwrap().is_complete()) }),
                    fill: Box::new(|| assert!(bus.try_publish(0).unwrap().is_complete())),
                    read: Box::new(|| assert!(receiver.try_recv().is_ok())),
                });
            });
        });
    });
}

#[test]
fn write_with_a_fickle_key_ends() {
    // The key of an event is asked for at each attempt, and the answers differ.
    let key = AtomicU64::new(0);
    let queue = Queue::builder().capacity(1).overflow(Overflow::Block).workers(2);
    let queue = queue.ordered_by(move |_: &u64| key.fetch_add(1, Ordering::Relaxed));
    let queue = queue.spawn_each(|_| |_: u64| ()).unwrap();
    block_on(async {
        for event in 0..1000 {
            queue.write_async(event).await.unwrap();
        }
        assert!(queue.close_async().await.is_done());
    });
    assert_eq!(assert_balanced(&queue.state()).delivered, 1000);
}

#[test]
fn write_keeps_its_place_when_its_key_takes_the_room() {
    // The function of the key runs between the poll of the wait and the next look at the room.
    let (token, tokens) = mpsc::channel::<()>();
    let (sender, begun) = mpsc::channel();
    let (tokens, sender) = (Mutex::new(tokens), Mutex::new(sender));
    let thief = Arc::new((AtomicBool::new(false), Mutex::new(None::<Queue<u64>>)));
    let steals = thief.clone();
    let builder = Queue::builder().capacity(1).overflow(Overflow::Block).workers(2);
    let builder = builder.ordered_by(move |_: &u64| {
        if steals.0.swap(false, Ordering::Relaxed) {
            let queue = test_support::lock(&steals.1).clone().expect("set before");
            queue.write(99).expect("there was room");
        }
        0
    });
    let handled = Arc::new((tokens, sender));
    let queue = builder
        .spawn_each(move |_| {
            let handled = handled.clone();
            move |event: u64| {
                test_support::lock(&handled.1).send(event).expect("the test runs");
                let _ = test_support::lock(&handled.0).recv();
            }
        })
        .unwrap();
    *test_support::lock(&thief.1) = Some(queue.clone());
    queue.write(0).unwrap();
    assert_eq!(begun.recv_timeout(GUARD), Ok(0));
    queue.write(1).unwrap();
    let (mut first, one, one_waker) = by_hand(queue.write_async(10));
    let (mut second, other, other_waker) = by_hand(queue.write_async(20));
    assert!(poll(first.as_mut(), &one_waker).is_pending());
    assert!(poll(second.as_mut(), &other_waker).is_pending());
    token.send(()).unwrap();
    wait_for(|| one.get() == 1);
    thief.0.store(true, Ordering::Relaxed);
    assert!(poll(first.as_mut(), &one_waker).is_pending(), "the room was taken");
    assert!(!thief.0.load(Ordering::Relaxed));
    token.send(()).unwrap();
    wait_for(|| one.get() + other.get() == 2);
    assert_eq!((one.get(), other.get()), (2, 0), "the first one is woken again");
    drop((first, second, token));
    *test_support::lock(&thief.1) = None;
    assert!(queue.close().is_done());
}
