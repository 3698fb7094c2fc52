//! `reserve`, permits and `publish_async`: what they wait for, who is woken, and what a cancellation
//! leaves.

use crate::{Lossless, by_hand, gated_queue, poll};
use buslane::error::Closed;
use buslane::{Bus, Channel, Overflow, Queue, WriteError, sink_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};
use test_support::{WakeCount, assert_balanced, block_on, wait_for};

#[test]
fn permit_is_ready_while_there_is_room() {
    for mut place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        let room = place.fill(&mut place.bus.publisher());
        place.drain();
        for event in 0..room {
            let Poll::Ready(Ok(permit)) = poll(std::pin::pin!(publisher.reserve()), Waker::noop()) else {
                panic!("{}: room for {event}", place.name)
            };
            assert!(permit.publish(event).unwrap().is_complete());
        }
        assert!(poll(std::pin::pin!(publisher.reserve()), Waker::noop()).is_pending(), "{}", place.name);
    }
}

#[test]
fn room_wakes_the_task_that_reserves() {
    for mut place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        let mut expected: Vec<_> = (0..place.fill(&mut publisher)).collect();
        let (mut reserve, count, waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending(), "{}", place.name);
        assert!(poll(reserve.as_mut(), &waker).is_pending(), "a spurious poll");
        let mut taken = place.drain();
        assert_eq!(count.get(), 1, "{}", place.name);
        let Poll::Ready(Ok(permit)) = poll(reserve.as_mut(), &waker) else { panic!("{}", place.name) };
        drop(reserve);
        assert!(permit.publish(1000).unwrap().is_complete());
        taken.extend(place.drain());
        expected.push(1000);
        assert_eq!(taken, expected, "{}", place.name);
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 1, "{}: a waker is left", place.name);
    }
}

#[test]
fn newest_waker_of_a_reservation_is_woken() {
    for mut place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        place.fill(&mut publisher);
        let (old, old_waker) = WakeCount::waker();
        let (mut reserve, new, new_waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &old_waker).is_pending());
        assert!(poll(reserve.as_mut(), &new_waker).is_pending());
        drop(old_waker);
        assert_eq!(Arc::strong_count(&old), 1, "{}: the old waker is kept", place.name);
        place.drain();
        assert_eq!((old.get(), new.get()), (0, 1), "{}", place.name);
        assert!(poll(reserve.as_mut(), &new_waker).is_ready());
    }
}

#[test]
fn cancelled_reservation_leaves_nothing() {
    for mut place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        let room = place.fill(&mut publisher);
        for polls in 0..3 {
            let (mut reserve, count, waker) = by_hand(publisher.reserve());
            (0..polls).for_each(|_| assert!(poll(reserve.as_mut(), &waker).is_pending()));
            drop((reserve, waker));
            assert_eq!((count.get(), Arc::strong_count(&count)), (0, 1), "{}", place.name);
        }
        // Cancelled after it was woken, and a permit that is not used.
        let (mut reserve, count, waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending());
        assert_eq!(place.drain(), (0..room).collect::<Vec<_>>(), "{}", place.name);
        assert_eq!(count.get(), 1);
        drop(reserve);
        drop(block_on(publisher.reserve()).unwrap());
        assert_eq!(block_on(publisher.publish_async(7)).unwrap().accepted, 1);
        assert_eq!(place.drain(), [7], "{}: nothing was published by a cancelled call", place.name);
    }
}

#[test]
fn close_ends_a_reservation() {
    for place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        place.fill(&mut publisher);
        let (mut reserve, count, waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending());
        let _ = place.bus.close();
        assert!(count.get() > 0, "{}", place.name);
        assert!(matches!(poll(reserve.as_mut(), &waker), Poll::Ready(Err(Closed(())))), "{}", place.name);
        drop(reserve);
        assert!(matches!(block_on(publisher.publish_async(7)), Err(Closed(7))), "{}", place.name);
    }
}

#[test]
fn removal_ends_a_reservation() {
    for place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        place.fill(&mut publisher);
        let id = place.bus.snapshot().sinks[0].id;
        let (mut reserve, count, waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending());
        place.bus.remove(id).unwrap();
        assert!(count.get() > 0, "{}", place.name);
        let Poll::Ready(Ok(permit)) = poll(reserve.as_mut(), &waker) else { panic!("{}", place.name) };
        assert_eq!(permit.publish(7).unwrap().accepted, 0, "no sink is left");
    }
}

#[test]
fn dropped_receiver_ends_a_reservation() {
    let bus = Bus::new();
    let receiver = bus.subscribe_lossless(1).unwrap();
    let mut publisher = bus.publisher();
    assert!(publisher.publish(0).unwrap().is_complete());
    let (mut reserve, count, waker) = by_hand(publisher.reserve());
    assert!(poll(reserve.as_mut(), &waker).is_pending());
    drop(receiver);
    assert_eq!(count.get(), 1);
    let Poll::Ready(Ok(permit)) = poll(reserve.as_mut(), &waker) else { panic!("no room is needed") };
    assert_eq!(permit.publish(1).map(|published| published.accepted).unwrap_or(0), 0);
}

#[test]
fn sinks_that_do_not_wait_are_always_ready() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::Refuse, Overflow::Close] {
        let (channel, _receiver) = Channel::builder().capacity(1).overflow(overflow).build().unwrap();
        let bus = Bus::new();
        bus.add(channel).unwrap();
        bus.add(sink_fn(|_: &u64| ())).unwrap();
        let mut publisher = bus.publisher();
        for event in 0..5 {
            let Poll::Ready(Ok(permit)) = poll(std::pin::pin!(publisher.reserve()), Waker::noop()) else {
                panic!("{overflow}")
            };
            assert!(permit.publish(event).unwrap().accepted > 0);
        }
    }
}

#[test]
fn reservation_waits_for_every_full_sink() {
    let bus = Bus::new();
    let mut first = bus.subscribe_lossless(1).unwrap();
    let mut second = bus.subscribe_lossless(1).unwrap();
    let (several, mut third) = Channel::shared_lossless(1).unwrap();
    bus.add(several).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(publisher.publish(0).unwrap().accepted, 3);
    let (mut reserve, _, waker) = by_hand(publisher.reserve());
    assert!(poll(reserve.as_mut(), &waker).is_pending());
    assert_eq!(third.try_recv(), Ok(0));
    assert!(poll(reserve.as_mut(), &waker).is_pending());
    assert_eq!(first.try_recv(), Ok(0));
    assert!(poll(reserve.as_mut(), &waker).is_pending());
    assert_eq!(second.try_recv(), Ok(0));
    let Poll::Ready(Ok(permit)) = poll(reserve.as_mut(), &waker) else { panic!("there is room") };
    assert_eq!(permit.publish(1).unwrap().accepted, 3);
    assert_eq!((first.try_recv(), second.try_recv(), third.try_recv()), (Ok(1), Ok(1), Ok(1)));
}

#[test]
fn sink_added_after_a_reservation_gets_the_event() {
    let bus = Bus::new();
    let mut publisher = bus.publisher();
    let mut place = None;
    let permit = block_on(publisher.reserve()).unwrap();
    place.replace(bus.subscribe_lossless(1).unwrap());
    assert_eq!(permit.publish(7).unwrap().accepted, 1);
    assert_eq!(place.unwrap().try_recv(), Ok(7));
}

#[test]
fn permit_refuses_where_another_took_the_room() {
    let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
    let bus = Bus::new();
    bus.add(channel).unwrap();
    let (mut one, mut other) = (bus.publisher(), bus.publisher());
    let permit = block_on(one.reserve()).unwrap();
    assert!(other.try_publish(1).is_ok());
    assert!(matches!(permit.publish(2), Err(WriteError::Full(2))));
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn unused_wake_up_goes_to_the_next_task() {
    for mut place in Lossless::all().into_iter().filter(|place| place.is_shared) {
        let (mut first, mut second) = (place.bus.publisher(), place.bus.publisher());
        place.fill(&mut first);
        for use_permit in [false, true] {
            let (mut one, one_count, one_waker) = by_hand(first.reserve());
            let (mut other, other_count, other_waker) = by_hand(second.reserve());
            assert!(poll(one.as_mut(), &one_waker).is_pending(), "{}", place.name);
            assert!(poll(other.as_mut(), &other_waker).is_pending(), "{}", place.name);
            while one_count.get() == 0 {
                assert!((place.take)().is_some(), "{}", place.name);
            }
            if use_permit {
                // The room that is left is reported to the next one.
                let Poll::Ready(Ok(permit)) = poll(one.as_mut(), &one_waker) else { panic!("room") };
                assert!(permit.publish(1).is_ok());
                place.drain();
            } else {
                drop(one);
            }
            assert_eq!(other_count.get(), 1, "{}: the second task is woken", place.name);
            assert!(poll(other.as_mut(), &other_waker).is_ready());
            drop(other);
            while second.try_publish(0).is_ok() {}
        }
    }
}

#[test]
fn blocked_thread_is_woken_by_a_task_that_cancels() {
    // A blocked `publish` makes an attempt every second by itself, and so it only fails here if the
    // cancelled task keeps the room. A thread that blocks on a future relies on the wake-up.
    for by_future in [false, true] {
        let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
        let bus = Bus::new();
        bus.add(channel).unwrap();
        let (mut task, mut blocked) = (bus.publisher(), bus.publisher());
        assert!(task.publish(0).unwrap().is_complete());
        let (mut reserve, count, waker) = by_hand(task.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending());
        let thread = test_support::waits(move || {
            if by_future { block_on(blocked.publish_async(1)) } else { blocked.publish(1) }
        });
        assert_eq!(receiver.recv(), Ok(0));
        wait_for(|| count.get() == 1 || thread.is_finished());
        drop(reserve);
        assert_eq!(test_support::ends(move || receiver.recv()), Ok(1), "by a future: {by_future}");
        assert!(thread.join().unwrap().unwrap().is_complete());
    }
}

#[test]
fn napping_worker_is_woken_for_a_reservation() {
    let queue = Queue::builder()
        .capacity(1)
        .overflow(Overflow::Block)
        .wait_strategy(buslane::WaitStrategy::Poll {
            busy: std::time::Duration::from_secs(3600),
            idle: std::time::Duration::from_secs(3600),
        })
        .spawn(|_: u64| ())
        .unwrap();
    let bus = Bus::new();
    bus.add(queue).unwrap();
    let mut publisher = bus.publisher();
    for event in 0..20 {
        assert!(block_on(publisher.publish_async(event)).unwrap().is_complete());
    }
    assert!(bus.close().is_done());
}

#[test]
fn publish_async_reaches_every_kind_of_sink() {
    let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
    let bus = Bus::new();
    let direct = test_support::Log::new();
    let log = direct.clone();
    bus.add(sink_fn(move |event: &u64| log.push(*event))).unwrap();
    let mut private = bus.subscribe_lossless(4).unwrap();
    bus.add(channel).unwrap();
    let mut publisher = bus.publisher();
    assert_eq!(block_on(publisher.publish_async(1)).unwrap().accepted, 3);
    let (mut publish, count, waker) = by_hand(publisher.publish_async(2));
    assert!(poll(publish.as_mut(), &waker).is_pending());
    assert_eq!(direct.entries(), [1], "no sink has the event before all have room");
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(count.get(), 1);
    let Poll::Ready(Ok(published)) = poll(publish.as_mut(), &waker) else { panic!("there is room") };
    assert_eq!((published.accepted, published.refused), (3, 0));
    assert_eq!((receiver.try_recv(), private.drain().collect::<Vec<_>>()), (Ok(2), vec![1, 2]));
    assert_eq!(direct.entries(), [1, 2]);
}

#[test]
fn publish_async_waits_again_for_shared_room() {
    let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
    let bus = Bus::new();
    let mut private = bus.subscribe_lossy(16).unwrap();
    bus.add(channel.clone()).unwrap();
    let (mut one, mut other) = (bus.publisher(), bus.publisher());
    assert_eq!(other.publish(0).unwrap().accepted, 2);
    let (mut publish, _, waker) = by_hand(one.publish_async(1));
    assert!(poll(publish.as_mut(), &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(0));
    // Another writer takes the room before the task runs.
    assert_eq!(other.try_publish(2).unwrap().accepted, 2);
    assert!(poll(publish.as_mut(), &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(2));
    let Poll::Ready(Ok(published)) = poll(publish.as_mut(), &waker) else { panic!("there is room") };
    assert_eq!((published.accepted, published.refused), (2, 0));
    let private = test_support::sorted(private.drain().collect());
    assert_eq!((receiver.try_recv(), private), (Ok(1), vec![0, 1, 2]));
    assert_balanced(&channel.state());
}

#[test]
fn cancelled_publish_reaches_no_private_lane() {
    let bus = Bus::new();
    let mut first = bus.subscribe_lossless(1).unwrap();
    let mut second = bus.subscribe_lossy(16).unwrap();
    let mut publisher = bus.publisher();
    assert!(publisher.publish(0).unwrap().is_complete());
    for polls in 0..3 {
        let (mut publish, _, waker) = by_hand(publisher.publish_async(1));
        (0..polls).for_each(|_| assert!(poll(publish.as_mut(), &waker).is_pending()));
    }
    assert_eq!((first.try_recv(), second.drain().collect::<Vec<_>>()), (Ok(0), vec![0]));
    assert!(first.is_empty());
}

#[test]
fn stuck_handler_delays_no_other_publisher() {
    // One publisher waits for its own lane; the lane of the other one has room.
    let (gate, queue) = gated_queue(Overflow::Block, 2);
    let bus = Bus::new();
    bus.add(queue).unwrap();
    let (mut one, mut other) = (bus.publisher(), bus.publisher());
    (0..).take_while(|n| one.try_publish(*n).is_ok()).for_each(drop);
    let (mut reserve, _, waker) = by_hand(one.reserve());
    // The worker may have taken one more event meanwhile.
    let is_pending = poll(reserve.as_mut(), &waker).is_pending();
    assert!(block_on(other.publish_async(7)).unwrap().is_complete());
    gate.open();
    if is_pending {
        assert!(block_on(reserve).is_ok());
    } else {
        drop(reserve);
    }
    assert!(bus.close().is_done());
}

#[test]
fn leaked_reservation_does_not_stop_the_publisher() {
    for mut place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        place.fill(&mut publisher);
        let (mut reserve, _, waker) = by_hand(publisher.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending());
        std::mem::forget(reserve);
        let (mut again, count, waker) = by_hand(publisher.reserve());
        assert!(poll(again.as_mut(), &waker).is_pending());
        place.drain();
        assert!(count.get() > 0, "{}", place.name);
        assert!(poll(again.as_mut(), &waker).is_ready(), "{}", place.name);
    }
}

#[test]
fn kept_lane_of_a_stale_permit_wakes_its_next_user() {
    // The lane of a publisher inside a nested bus is kept for the next publisher of that bus, while the
    // permit of the first one still has the wait in which it used the lane's entry.
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    let (outer, inner) = (Bus::<u64>::new(), Bus::<u64>::new());
    inner.add(channel).unwrap();
    let id = outer.add(inner.clone()).unwrap();
    let mut first = outer.publisher();
    assert!(first.publish(0).unwrap().is_complete());
    let (mut reserve, _, waker) = by_hand(first.reserve());
    assert!(poll(reserve.as_mut(), &waker).is_pending());
    outer.remove(id).unwrap();
    assert_eq!(receiver.try_recv(), Ok(0));
    let permit = poll(reserve.as_mut(), &waker);
    assert!(permit.is_ready());

    let mut second = inner.publisher();
    assert!(second.publish(1).unwrap().is_complete());
    let (mut waiting, count, waker) = by_hand(second.reserve());
    assert!(poll(waiting.as_mut(), &waker).is_pending());
    drop(permit);
    drop(reserve);
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(count.get(), 1, "the room woke no task");
    assert!(poll(waiting.as_mut(), &waker).is_ready());
}
