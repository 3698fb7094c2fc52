//! A publisher as a `Sink` of the crate `futures`.

use crate::{Lossless, by_hand, poll};
use buslane::Bus;
use buslane::error::Closed;
use futures::{SinkExt, StreamExt, stream};
use std::sync::Arc;
use std::task::{Context, Poll};
use test_support::block_on;

#[test]
fn send_waits_for_room() {
    for mut place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        let mut expected: Vec<_> = (0..place.fill(&mut publisher)).collect();
        let mut sink = publisher.into_sink();
        let (mut send, count, waker) = by_hand(sink.send(1000));
        assert!(poll(send.as_mut(), &waker).is_pending(), "{}", place.name);
        let mut taken = place.drain();
        assert_eq!(count.get(), 1, "{}", place.name);
        assert!(matches!(poll(send.as_mut(), &waker), Poll::Ready(Ok(()))), "{}", place.name);
        drop(send);
        taken.extend(place.drain());
        expected.push(1000);
        assert_eq!(taken, expected, "{}", place.name);
        assert!(sink.into_publisher().is_some());
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 1);
    }
}

#[test]
fn cancelled_calls_lose_no_event_that_was_accepted() {
    for mut place in Lossless::all() {
        let mut sink = place.bus.publisher().into_sink();
        let (mut accepted, mut taken) = (Vec::new(), Vec::new());
        for event in 0..500 {
            // `send` and `feed` in turn, each cancelled after one poll.
            let is_accepted = if event % 2 == 0 {
                let (mut send, _, waker) = by_hand(sink.send(event));
                poll(send.as_mut(), &waker).is_ready()
            } else {
                let (mut feed, _, waker) = by_hand(sink.feed(event));
                poll(feed.as_mut(), &waker).is_ready()
            };
            accepted.extend(is_accepted.then_some(event));
            if event % 3 == 0 {
                taken.extend((place.take)());
            }
        }
        assert!(matches!(block_on(sink.flush()), Ok(())));
        taken.extend(place.drain());
        assert_eq!(taken, accepted, "{}", place.name);
        assert!(accepted.len() > 64, "{}", place.name);
    }
}

#[test]
fn cancelled_send_all_loses_one_event_at_most() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossless(2).unwrap();
    let mut sink = bus.publisher().into_sink();
    let mut events = stream::iter(0..100).map(Ok);
    let mut taken = Vec::new();
    let mut cancellations = 0;
    loop {
        let (mut send, _, waker) = by_hand(sink.send_all(&mut events));
        if poll(send.as_mut(), &waker).is_ready() {
            break;
        }
        drop(send);
        cancellations += 1;
        taken.extend(receiver.drain());
    }
    taken.extend(receiver.drain());
    assert!(taken.is_sorted() && taken.len() + cancellations >= 100, "{taken:?}");
}

#[test]
fn close_drops_the_publisher_and_not_the_bus() {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossless(2).unwrap();
    let mut sink = bus.publisher().into_sink();
    block_on(async {
        sink.feed(1).await.unwrap();
        SinkExt::close(&mut sink).await.unwrap();
        assert_eq!(sink.send(2).await, Err(Closed(())));
        SinkExt::close(&mut sink).await.unwrap();
    });
    assert!(sink.into_publisher().is_none());
    assert!(!bus.is_closed() && bus.publish(3).unwrap().is_complete());
    assert_eq!(receiver.drain().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn closed_bus_ends_the_sink() {
    for place in Lossless::all() {
        let mut publisher = place.bus.publisher();
        place.fill(&mut publisher);
        let mut sink = publisher.into_sink();
        let (mut send, count, waker) = by_hand(sink.send(7));
        assert!(poll(send.as_mut(), &waker).is_pending());
        let _ = place.bus.close();
        assert!(count.get() > 0);
        assert!(matches!(poll(send.as_mut(), &waker), Poll::Ready(Err(Closed(())))), "{}", place.name);
    }
}

#[test]
fn event_that_lost_its_room_is_sent_by_the_flush() {
    let (channel, mut receiver) = buslane::Channel::shared_lossless(1).unwrap();
    let bus = Bus::new();
    bus.add(channel).unwrap();
    let mut other = bus.publisher();
    let mut sink = bus.publisher().into_sink();
    let (_, count, waker) = by_hand(std::future::ready(()));
    let mut context = Context::from_waker(&waker);
    assert!(matches!(sink.poll_ready_unpin(&mut context), Poll::Ready(Ok(()))));
    assert!(other.try_publish(1).is_ok(), "another publisher takes the room");
    assert!(sink.start_send_unpin(2).is_ok());
    assert!(sink.poll_flush_unpin(&mut context).is_pending());
    assert!(sink.poll_ready_unpin(&mut context).is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert!(count.get() > 0);
    assert!(matches!(sink.poll_flush_unpin(&mut context), Poll::Ready(Ok(()))));
    assert_eq!(receiver.try_recv(), Ok(2));
}

#[test]
fn dropped_sink_leaves_its_lane_to_the_next_publisher() {
    let bus = Bus::builder().kept_publishers(4).build();
    let mut receiver = bus.subscribe_lossless(4).unwrap();
    for _ in 0..10 {
        let mut sink = bus.publisher().into_sink();
        let (mut send, _, waker) = by_hand(async {
            for _ in 0..10 {
                sink.send(0).await.unwrap();
            }
        });
        assert!(poll(send.as_mut(), &waker).is_pending());
        drop(send);
        drop(sink);
        assert_eq!(receiver.drain().count(), 4);
        // The lane is reused, and a wait there is woken.
        let mut next = bus.publisher();
        while next.try_publish(1).is_ok() {}
        let (mut reserve, count, waker) = by_hand(next.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending());
        receiver.drain().for_each(drop);
        assert_eq!(count.get(), 1);
    }
}
