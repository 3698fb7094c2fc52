//! Many publishers that publish nothing, beside few that do. The consumer stops to poll the lanes of
//! idle publishers, and no event, count or end depends on that.

use super::strategies;
use buslane::error::{RecvError, TryRecvError};
use buslane::{Bus, Channel, Overflow, Publisher, Queue, Receiver, WaitStrategy};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread;
use test_support::{GUARD, WakeCount, assert_balanced};

/// Many more than a consumer polls at each look.
const MANY: usize = if cfg!(miri) { 20 } else { 1000 };
/// Empty polls after which a consumer has stopped to poll idle lanes.
const POLLS: usize = if cfg!(miri) { 500 } else { 100 };

/// Returns a bus with a channel, and publishers whose lanes the receiver has found empty often. The
/// lanes of a dropped publisher end with it.
fn idle(overflow: Overflow) -> (Bus<usize>, Receiver<usize>, Vec<Publisher<usize>>) {
    let (channel, mut receiver) = Channel::builder().capacity(4).overflow(overflow).build().unwrap();
    let bus = Bus::builder().kept_publishers(0).build();
    bus.add(channel).unwrap();
    let publishers = (0..MANY).map(|_| bus.publisher()).collect();
    poll_often(&mut receiver);
    (bus, receiver, publishers)
}

fn poll_often(receiver: &mut Receiver<usize>) {
    (0..POLLS).for_each(|_| assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty)));
}

fn lanes(receiver: &Receiver<usize>) -> usize {
    receiver.state().lanes
}

#[test]
fn idle_publishers_that_speak_again_are_heard() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let (_bus, mut receiver, mut publishers) = idle(overflow);
        for round in 0..3 {
            for (number, publisher) in publishers.iter_mut().enumerate().rev() {
                for event in [number, number + MANY] {
                    assert!(publisher.publish(event).unwrap().is_complete());
                }
            }
            assert_eq!(receiver.len(), 2 * MANY);
            let mut got: Vec<_> = if round == 1 {
                let mut got = Vec::new();
                while receiver.drain_with(|event| got.push(event)) > 0 {}
                got
            } else {
                receiver.try_iter().collect()
            };
            // The events of one publisher are in order.
            for number in 0..MANY {
                let place = |event| got.iter().position(|got| *got == event);
                assert!(place(number) < place(number + MANY));
            }
            got.sort_unstable();
            assert!(got.into_iter().eq(0..2 * MANY));
            poll_often(&mut receiver);
        }
        let state = receiver.state();
        assert_balanced(&state);
        assert_eq!((state.ledger.delivered, state.depth, state.lanes), (6 * MANY as u64, 0, MANY));
    }
}

#[test]
fn speaker_beside_idle_publishers_keeps_its_order() {
    let (_bus, mut receiver, mut publishers) = idle(Overflow::DropNewest);
    for event in 0..10_000 {
        assert!(publishers[MANY / 2].publish(event).unwrap().is_complete());
        assert_eq!(receiver.recv(), Ok(event));
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn batch_after_idleness_arrives_whole() {
    let (_bus, mut receiver, mut publishers) = idle(Overflow::DropNewest);
    let published = publishers[3].publish_batch([1, 2, 3]).unwrap();
    assert_eq!(published.accepted, 3);
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn full_lane_blocks_a_publisher_that_was_idle() {
    let (bus, mut receiver, mut publishers) = idle(Overflow::Block);
    let mut publisher = publishers.swap_remove(7);
    let blocked = thread::spawn(move || {
        (0..100).for_each(|event| assert!(publisher.publish(event).unwrap().is_complete()));
    });
    assert!((0..100).all(|event| receiver.recv_timeout(GUARD) == Ok(event)));
    blocked.join().unwrap();
    drop((bus, publishers));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
}

#[test]
fn dropped_idle_publishers_leave_nothing() {
    let (bus, mut receiver, mut publishers) = idle(Overflow::DropNewest);
    for publisher in publishers.iter_mut().skip(1).step_by(2) {
        assert!(publisher.publish(1).unwrap().is_complete());
    }
    drop(publishers);
    assert_eq!(receiver.try_iter().count(), MANY / 2);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(lanes(&receiver), 0);
    // New publishers after old ones.
    let mut publishers: Vec<_> = (0..MANY).map(|_| bus.publisher()).collect();
    poll_often(&mut receiver);
    publishers.truncate(MANY / 2);
    assert!(publishers.iter_mut().all(|publisher| publisher.publish(2).unwrap().is_complete()));
    assert_eq!(receiver.try_iter().sum::<usize>(), MANY);
    assert_eq!(lanes(&receiver), MANY / 2);
    let state = receiver.state();
    assert_balanced(&state);
    assert_eq!(state.ledger.delivered, 2 * (MANY / 2) as u64);
}

#[test]
fn close_keeps_the_last_events_of_idle_publishers() {
    let (bus, mut receiver, mut publishers) = idle(Overflow::DropNewest);
    for publisher in publishers.iter_mut().step_by(3) {
        assert!(publisher.publish(1).unwrap().is_complete());
    }
    assert!(bus.close().is_done());
    assert!(publishers.iter_mut().all(|publisher| publisher.publish(2).is_err()));
    assert_eq!(receiver.iter().count(), MANY.div_ceil(3));
    assert_eq!(receiver.recv(), Err(RecvError::Closed));
    assert_balanced(&receiver.state());
}

#[test]
fn remove_ends_the_lanes_of_idle_publishers() {
    let (channel, mut receiver) = Channel::lossy(4).unwrap();
    let (bus, other) = (Bus::new(), Bus::new());
    let id = bus.add(channel.clone()).unwrap();
    other.add(channel).unwrap();
    let mut publishers: Vec<_> = (0..MANY).map(|_| bus.publisher()).collect();
    let mut others: Vec<_> = (0..MANY).map(|_| other.publisher()).collect();
    poll_often(&mut receiver);
    assert!(publishers[1].publish(1).unwrap().is_complete());
    bus.remove(id).unwrap();
    assert_eq!(publishers[2].publish(2).unwrap().accepted, 0);
    assert!(others[2].publish(3).unwrap().is_complete());
    // A lane leaves the channel when its publisher and the receiver have both left it.
    drop(publishers);
    let mut got: Vec<_> = receiver.try_iter().collect();
    got.sort_unstable();
    assert_eq!(got, [1, 3]);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(lanes(&receiver), MANY);
    assert_balanced(&receiver.state());
}

#[test]
fn dropped_receiver_counts_events_of_idle_publishers() {
    let (bus, receiver, mut publishers) = idle(Overflow::DropNewest);
    assert!(publishers[MANY - 1].publish(1).unwrap().is_complete());
    drop(receiver);
    assert_eq!(publishers[0].publish(2).unwrap().accepted, 0);
    assert!(bus.snapshot().sinks.is_empty());
}

#[test]
fn pending_task_is_woken_by_an_idle_publisher() {
    let (_bus, mut receiver, mut publishers) = idle(Overflow::DropNewest);
    let (wakes, waker) = WakeCount::waker();
    let mut context = Context::from_waker(&waker);
    {
        let mut next = pin!(receiver.recv_async());
        assert!(next.as_mut().poll(&mut context).is_pending());
        assert!(publishers[5].publish(1).unwrap().is_complete());
        assert_eq!(wakes.get(), 1);
        assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(Ok(1)));
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn queue_with_any_strategy_hears_idle_publishers() {
    for wait in strategies() {
        let sum = Arc::new(AtomicU64::new(0));
        let seen = sum.clone();
        let queue = Queue::builder().capacity(16).overflow(Overflow::Block).wait_strategy(wait);
        let queue = queue.spawn(move |event: u64| {
            seen.fetch_add(event, Ordering::Relaxed);
        });
        let bus = Bus::new();
        bus.add(queue.unwrap()).unwrap();
        let mut publishers: Vec<_> = (0..64).map(|_| bus.publisher()).collect();
        let mut expected = 0;
        for round in 1..200_u64 {
            // The speaker changes, and some of the others speak a little.
            let speaker = (round / 16) as usize % publishers.len();
            for event in 0..8 {
                assert!(publishers[speaker].publish(event).unwrap().is_complete());
                expected += event;
            }
            let other = (round * 7) as usize % publishers.len();
            assert!(publishers[other].publish(round).unwrap().is_complete());
            expected += round;
            if round % 8 == 0 {
                assert!(bus.flush_timeout(GUARD).is_done(), "{wait}");
                assert_eq!(sum.load(Ordering::Relaxed), expected, "{wait}");
            }
        }
        publishers.truncate(5);
        assert!(publishers[4].publish(1).unwrap().is_complete());
        assert!(bus.close_timeout(GUARD).is_done(), "{wait}");
        assert_eq!(sum.load(Ordering::Relaxed), expected + 1, "{wait}");
    }
}

#[test]
fn flush_waits_for_the_event_of_an_idle_publisher() {
    let (channel, mut receiver) =
        Channel::builder().capacity(4).wait_strategy(WaitStrategy::Park).build().unwrap();
    let bus = Bus::new();
    bus.add(channel).unwrap();
    let mut publishers: Vec<_> = (0..MANY).map(|_| bus.publisher()).collect();
    poll_often(&mut receiver);
    let reader = thread::spawn(move || receiver.iter().count());
    for publisher in publishers.iter_mut().step_by(MANY / 10) {
        assert!(publisher.publish(1).unwrap().is_complete());
        assert!(bus.flush_timeout(GUARD).is_done());
    }
    assert!(bus.close().is_done());
    assert_eq!(reader.join().unwrap(), 10);
}
