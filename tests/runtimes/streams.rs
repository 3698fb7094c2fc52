//! Receivers and subscribers as streams.

use crate::poll;
use buslane::channel::Entry as ChannelEntry;
use buslane::journal::{Entry, Sequence, Start, Until};
use buslane::{Channel, Journal, Overflow};
use futures::stream::FusedStream;
use futures::{Stream, StreamExt};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use test_support::{Entry as Lane, WAYS, WakeCount, block_on};

/// Polls a stream that has ended, several times.
fn assert_ended(stream: &mut (impl FusedStream + Unpin)) {
    for _ in 0..3 {
        assert!(stream.is_terminated());
        assert_eq!(stream.size_hint(), (0, Some(0)));
        let next = Pin::new(&mut *stream).poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(next, Poll::Ready(None)));
    }
}

#[test]
fn stream_of_a_receiver_has_each_event_and_one_end() {
    for way in WAYS {
        let (channel, mut receiver) = Channel::lossy(16).unwrap();
        let mut lane = Lane::into(&channel, way);
        (0..10).for_each(|event| lane.write(event).unwrap());
        channel.close();
        assert!(!receiver.is_terminated() && receiver.size_hint().1.is_none());
        assert_eq!(block_on(receiver.by_ref().collect::<Vec<_>>()), (0..10).collect::<Vec<u64>>());
        assert_ended(&mut receiver);
    }
}

#[test]
fn size_hint_counts_events_that_are_found() {
    let (channel, mut receiver) = Channel::lossy(64).unwrap();
    let mut lane = Lane::into(&channel, test_support::Way::Private);
    (0..10_u64).for_each(|event| lane.write(event).unwrap());
    assert_eq!(receiver.size_hint(), (0, None), "nothing was looked for yet");
    assert_eq!(block_on(receiver.next()), Some(0));
    let (least, most) = receiver.size_hint();
    assert!((1..=9).contains(&least) && most.is_none(), "{least}");
    for left in (0..least).rev() {
        assert!(matches!(poll(Pin::new(&mut receiver.next()), Waker::noop()), Poll::Ready(Some(_))));
        assert_eq!(receiver.size_hint(), (left, None));
    }
}

#[test]
fn streams_of_shared_receivers_divide_the_events() {
    let (channel, mut one) = Channel::shared_lossy(64).unwrap();
    let mut other = one.clone();
    let mut lane = Lane::into(&channel, test_support::Way::Shared);
    (0..20_u64).for_each(|event| lane.write(event).unwrap());
    channel.close();
    let mut events: Vec<_> = block_on(futures::stream::select(one.by_ref(), other.by_ref()).collect());
    events.sort_unstable();
    assert_eq!(events, (0..20).collect::<Vec<_>>());
    assert_ended(&mut one);
    assert_ended(&mut other);
}

#[test]
fn evictions_precede_the_next_event() {
    for way in WAYS {
        let (channel, mut receiver) =
            Channel::builder().capacity(3).overflow(Overflow::DropOldest).build().unwrap();
        let mut lane = Lane::into(&channel, way);
        let mut write = |range: std::ops::Range<u64>| range.for_each(|event| lane.write(event).unwrap());
        let mut entries = receiver.entries();
        let mut next = || block_on(entries.next());
        write(0..5);
        assert_eq!(next(), Some(ChannelEntry::Lagged(2)), "{way:?}");
        assert_eq!(next(), Some(ChannelEntry::Event(2)));
        write(5..9);
        assert_eq!(next(), Some(ChannelEntry::Lagged(3)));
        [6, 7, 8].into_iter().for_each(|event| assert_eq!(next(), Some(ChannelEntry::Event(event))));
        channel.close();
        assert_eq!((next(), next()), (None, None));
    }
}

#[test]
fn evictions_precede_younger_events_in_a_race() {
    const EVENTS: u64 = 50_000;
    for way in WAYS {
        let (channel, mut receiver) =
            Channel::builder().capacity(2).overflow(Overflow::DropOldest).build().unwrap();
        let mut lane = Lane::into(&channel, way);
        let writer = std::thread::spawn(move || {
            (0..EVENTS).for_each(|event| lane.write(event).unwrap());
            channel.close();
        });
        let (mut read, mut lost) = (0, 0);
        let mut entries = receiver.entries();
        while let Some(entry) = block_on(entries.next()) {
            match entry {
                ChannelEntry::Event(event) => {
                    assert!(event <= read + lost, "{way:?}: an event precedes the losses before it");
                    read += 1;
                }
                ChannelEntry::Lagged(count) => lost += count,
                other => panic!("{other:?}"),
            }
        }
        drop(entries);
        writer.join().unwrap();
        assert_eq!((read + lost, lost), (EVENTS, receiver.lost()), "{way:?}");
    }
}

#[test]
fn every_loss_is_in_one_entry() {
    for way in WAYS {
        let (channel, mut receiver) = Channel::lossy(2).unwrap();
        let mut lane = Lane::into(&channel, way);
        let (mut events, mut lost) = (0, 0);
        let mut count = |entry: Option<ChannelEntry<u64>>| {
            match entry {
                Some(ChannelEntry::Event(_)) => events += 1,
                Some(ChannelEntry::Lagged(n)) => lost += n,
                _ => return false,
            }
            true
        };
        for round in 0..50_u64 {
            (0..round % 7).for_each(|event| lane.write(event).unwrap());
            // A stream that is dropped and begun again reports no loss twice.
            if let Poll::Ready(entry) = poll(Pin::new(&mut receiver.entries().next()), Waker::noop()) {
                count(entry);
            }
        }
        channel.close();
        while count(block_on(receiver.entries().next())) {}
        let written: u64 = (0..50).map(|round| round % 7).sum();
        assert_eq!((events + lost, lost), (written, receiver.lost()), "{way:?}");
        assert!(lost > 0);
        assert_ended(&mut receiver);
    }
}

#[test]
fn overflow_is_the_last_entry() {
    let (channel, mut receiver) = Channel::builder().capacity(1).overflow(Overflow::Close).build().unwrap();
    let mut lane = Lane::into(&channel, test_support::Way::Private);
    lane.write(1).unwrap();
    assert!(lane.write(2_u64).is_err());
    let entries: Vec<_> = block_on(receiver.entries().collect());
    assert_eq!(entries, [ChannelEntry::Event(1), ChannelEntry::Overflowed]);
    assert_ended(&mut receiver);
}

#[test]
fn lag_of_a_subscriber_is_an_item() {
    let journal = Journal::new(64).unwrap();
    let mut subscriber = journal.subscribe(Start::Now).unwrap();
    journal.publish_batch((0..1000).collect::<Vec<u64>>()).unwrap();
    journal.close();
    let entries: Vec<_> = block_on(subscriber.by_ref().collect());
    let Entry::Lagged(missed) = entries[0] else { panic!("no lag: {:?}", entries[0]) };
    assert_eq!(entries[1], Entry::Event(Sequence::new(missed), missed));
    assert_eq!(entries.len() as u64, 1 + 1000 - missed);
    assert_ended(&mut subscriber);
}

#[test]
fn stream_of_a_bounded_subscription_ends() {
    let journal = Journal::new(64).unwrap();
    let last = Until::Sequence(Sequence::new(1));
    let mut subscriber = journal.subscription().start(Start::Oldest).until(last).subscribe().unwrap();
    journal.publish_batch((0..10).collect::<Vec<u64>>()).unwrap();
    assert_eq!(block_on(subscriber.by_ref().count()), 2);
    assert_ended(&mut subscriber);
}

#[test]
fn event_wakes_the_newest_waker_of_a_stream() {
    for way in WAYS {
        let (channel, mut receiver) = Channel::lossy(4).unwrap();
        let mut lane = Lane::into(&channel, way);
        let ((old, old_waker), (new, new_waker)) = (WakeCount::waker(), WakeCount::waker());
        assert!(receiver.poll_next_unpin(&mut Context::from_waker(&old_waker)).is_pending());
        assert!(receiver.poll_next_unpin(&mut Context::from_waker(&new_waker)).is_pending());
        lane.write(7_u64).unwrap();
        assert_eq!((old.get(), new.get()), (0, 1));
        assert_eq!(receiver.poll_next_unpin(&mut Context::from_waker(&new_waker)), Poll::Ready(Some(7)));
    }
}

#[test]
fn select_ends_when_all_streams_have() {
    let (channel, mut receiver) = Channel::lossy(4).unwrap();
    let journal = Journal::new(64).unwrap();
    let mut subscriber = journal.subscribe(Start::Now).unwrap();
    let mut lane = Lane::into(&channel, test_support::Way::Private);
    lane.write(1_u64).unwrap();
    journal.publish(2_u64).unwrap();
    channel.close();
    journal.close();
    let mut sum = 0;
    block_on(async {
        loop {
            futures::select! {
                event = receiver.select_next_some() => sum += event,
                entry = subscriber.select_next_some() => sum += entry.event().unwrap(),
                complete => break,
            }
        }
    });
    assert_eq!(sum, 3);
}

#[test]
fn every_read_gets_the_event_that_a_stream_holds() {
    type Read = fn(&mut buslane::Receiver<u64>) -> Vec<u64>;
    let reads: [(&str, Read); 8] = [
        ("try_recv", |receiver| vec![receiver.try_recv().unwrap(), receiver.try_recv().unwrap()]),
        ("recv", |receiver| vec![receiver.recv().unwrap(), receiver.recv().unwrap()]),
        ("try_iter", |receiver| receiver.try_iter().collect()),
        ("drain", |receiver| receiver.drain().collect()),
        ("drain_with", |receiver| {
            let mut events = Vec::new();
            assert_eq!(receiver.drain_with(|event| events.push(event)), 2);
            events
        }),
        ("recv_batch", |receiver| {
            let mut events = Vec::new();
            assert_eq!(receiver.recv_batch(&mut events, 10), Ok(2));
            events
        }),
        ("recv_async", |receiver| {
            vec![block_on(receiver.recv_async()).unwrap(), block_on(receiver.recv_async()).unwrap()]
        }),
        ("entries", |receiver| {
            block_on(receiver.entries().take(2).filter_map(|entry| async move { entry.event() }).collect())
        }),
    ];
    for (name, read) in reads {
        let (channel, mut receiver) =
            Channel::builder().capacity(2).overflow(Overflow::DropOldest).build().unwrap();
        let mut lane = Lane::into(&channel, test_support::Way::Private);
        (0..4).for_each(|event| lane.write(event).unwrap());
        assert_eq!(block_on(receiver.entries().next()), Some(ChannelEntry::Lagged(2)));
        assert_eq!(receiver.len(), 2, "{name}");
        assert_eq!(read(&mut receiver), [2, 3], "{name}");
        assert_eq!((receiver.len(), receiver.lost()), (0, 2), "{name}");
    }
}
