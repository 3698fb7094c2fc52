//! What the streams of entries and the sinks of `futures` keep when a call is cancelled, at each step.

use crate::cancelled::{STEPS, Step, cancel};
use crate::{Lossless, by_hand, poll};
use buslane::bus::PublisherSink;
use buslane::channel::{Entry, Kind};
use buslane::{Bus, Channel, Overflow, Receiver, Sink, sink_fn};
use futures::{SinkExt, StreamExt, stream};
use std::pin::pin;
use std::task::{Poll, Waker};
use test_support::{Entry as Lane, WAYS, block_on};

/// Takes the entries that are there, each from a stream of its own that is then dropped.
fn entries<K: Kind>(receiver: &mut Receiver<u64, K>) -> Vec<Entry<u64>> {
    std::iter::from_fn(|| match poll(pin!(receiver.entries().next()), Waker::noop()) {
        Poll::Ready(entry) => entry,
        Poll::Pending => None,
    })
    .collect()
}

#[test]
fn losses_stay_after_a_cancelled_entry() {
    for (step, way) in STEPS.into_iter().flat_map(|step| WAYS.map(|way| (step, way))) {
        for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
            let case = format!("{step:?}, {way:?}, {overflow}");
            let (channel, mut receiver) = Channel::builder().capacity(3).overflow(overflow).build().unwrap();
            let mut lane = Lane::into(&channel, way);
            let kept = if overflow == Overflow::DropNewest { [0, 1, 2] } else { [2, 3, 4] };
            // In the second round, the losses of the first one have been reported.
            for round in 1..=2 {
                let mut write = || (0..5).for_each(|event| lane.write(event).unwrap());
                cancel(receiver.entries().next(), step, &mut write);
                if step != Step::Woken {
                    write();
                }
                let expected: Vec<_> = [Entry::Lagged(2)].into_iter().chain(kept.map(Entry::Event)).collect();
                assert_eq!(entries(&mut receiver), expected, "{case}");
                assert_eq!(receiver.lost(), round * 2, "{case}");
            }
            cancel(receiver.entries().next(), step, || channel.close());
            channel.close();
            assert_eq!(block_on(receiver.entries().next()), None, "{case}");
        }
    }
}

#[test]
fn overflow_stays_after_a_cancelled_entry() {
    for (step, way) in STEPS.into_iter().flat_map(|step| WAYS.map(|way| (step, way))) {
        let (channel, mut receiver) =
            Channel::builder().capacity(1).overflow(Overflow::Close).build().unwrap();
        let mut lane = Lane::into(&channel, way);
        let mut write = || assert_eq!([0, 1].map(|event| lane.write(event).is_ok()), [true, false]);
        cancel(receiver.entries().next(), step, &mut write);
        if step != Step::Woken {
            write();
        }
        assert_eq!(entries(&mut receiver), [Entry::Event(0), Entry::Overflowed], "{step:?}, {way:?}");
    }
}

#[test]
fn event_after_a_reported_loss_stays() {
    for step in STEPS {
        let (channel, mut receiver) =
            Channel::builder().capacity(1).overflow(Overflow::DropOldest).build().unwrap();
        let write = || (0..3).for_each(|event| channel.write(event).unwrap());
        cancel(receiver.entries().next(), step, write);
        if step != Step::Woken {
            write();
        }
        // The stream has already read the event that follows the loss.
        assert_eq!(block_on(receiver.entries().next()), Some(Entry::Lagged(2)), "{step:?}");
        cancel(receiver.entries().next(), Step::NotPolled, || ());
        assert_eq!(receiver.try_recv(), Ok(2), "{step:?}");
        assert_eq!(entries(&mut receiver), [], "{step:?}");
    }
}

#[test]
fn wake_up_of_a_cancelled_entry_is_passed_on() {
    for step in STEPS {
        let (channel, mut one) = Channel::shared_lossy(1).unwrap();
        let mut other = one.clone();
        let (mut read, count, waker) = by_hand(other.recv_async());
        assert!(poll(read.as_mut(), &waker).is_pending());
        let write = || (0..3).for_each(|event| channel.write(event).unwrap());
        // The consumer that parked last is woken first.
        cancel(one.entries().next(), step, write);
        if step != Step::Woken {
            write();
        }
        assert_eq!(count.get(), 1, "{step:?}");
        assert_eq!(poll(read.as_mut(), &waker), Poll::Ready(Ok(0)), "{step:?}");
        drop(read);
        // Each receiver gets the losses of the whole channel.
        assert_eq!(entries(&mut one), [Entry::Lagged(2)], "{step:?}");
        assert_eq!(entries(&mut other), [Entry::Lagged(2)], "{step:?}");
    }
}

#[test]
fn cancelled_send_and_feed_publish_nothing() {
    for (step, feeds) in STEPS.into_iter().flat_map(|step| [(step, false), (step, true)]) {
        for mut place in Lossless::all() {
            let case = format!("{}: {step:?}, feeds: {feeds}", place.name);
            let mut publisher = place.bus.publisher();
            let expected: Vec<_> = (0..place.fill(&mut publisher)).collect();
            let (mut sink, mut taken) = (publisher.into_sink(), Vec::new());
            if feeds {
                cancel(sink.feed(1000), step, || taken = place.drain());
            } else {
                cancel(sink.send(1000), step, || taken = place.drain());
            }
            taken.extend(place.drain());
            assert_eq!(taken, expected, "{case}");
            assert_eq!(block_on(sink.flush()), Ok(()), "{case}");
            assert_eq!(block_on(sink.send(1001)), Ok(()), "{case}");
            assert_eq!(place.drain(), [1001], "{case}");
        }
    }
}

/// Returns a sink that has room for an event until it publishes one: a closure takes the room for an
/// event that is greater by 100. The function takes an event from the channel that both share.
fn stolen() -> (PublisherSink<u64>, impl FnMut() -> Option<u64>) {
    let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
    let bus = Bus::new();
    let other = channel.clone();
    bus.add(sink_fn(move |event: &u64| other.write(*event + 100).unwrap())).unwrap();
    bus.add(channel).unwrap();
    (bus.publisher().into_sink(), move || {
        // The bus lives as long as this function.
        assert!(!bus.is_closed());
        receiver.try_recv().ok()
    })
}

#[test]
fn accepted_event_is_sent_after_a_cancellation() {
    for (step, closes) in STEPS.into_iter().flat_map(|step| [(step, false), (step, true)]) {
        for feeds in [false, true] {
            let case = format!("{step:?}, closes: {closes}, feeds: {feeds}");
            let (mut sink, mut take) = stolen();
            let mut taken = Vec::new();
            if feeds {
                assert_eq!(block_on(sink.feed(1)), Ok(()));
                cancel(sink.flush(), step, || taken.extend(take()));
            } else {
                // `send` has published the event when it waits for the first time.
                cancel(sink.send(1), step, || taken.extend(take()));
            }
            taken.extend(take());
            let ended = if closes { block_on(sink.close()) } else { block_on(sink.flush()) };
            assert_eq!(ended, Ok(()), "{case}");
            taken.extend(std::iter::from_fn(&mut take));
            let is_accepted = feeds || step != Step::NotPolled;
            let expected: &[u64] = if is_accepted { &[101, 1] } else { &[] };
            assert_eq!(taken, expected, "{case}");
        }
    }
}

#[test]
fn cancelled_send_all_loses_the_event_in_hand() {
    for step in STEPS {
        for mut place in Lossless::all() {
            let case = format!("{}: {step:?}", place.name);
            let room = place.fill(&mut place.bus.publisher());
            place.drain();
            let mut sink = place.bus.publisher().into_sink();
            let mut events = stream::iter(0..room + 3).map(Ok);
            let mut taken = Vec::new();
            cancel(sink.send_all(&mut events), step, || taken = place.drain());
            let (mut rest, _, waker) = by_hand(sink.send_all(&mut events));
            while poll(rest.as_mut(), &waker).is_pending() {
                let more = place.drain();
                assert!(!more.is_empty(), "{case}: it waits while there is room");
                taken.extend(more);
            }
            taken.extend(place.drain());
            let expected: Vec<_> =
                (0..room + 3).filter(|event| step == Step::NotPolled || *event != room).collect();
            assert_eq!(taken, expected, "{case}");
        }
    }
}

#[test]
fn wake_up_of_a_cancelled_send_stays_with_its_sink() {
    for mut place in Lossless::all().into_iter().filter(|place| place.is_shared) {
        let (mut first, mut second) = (place.bus.publisher(), place.bus.publisher());
        place.fill(&mut first);
        let mut sink = first.into_sink();
        let (mut send, woken, waker) = by_hand(sink.send(1000));
        assert!(poll(send.as_mut(), &waker).is_pending(), "{}", place.name);
        let (mut reserve, count, waker) = by_hand(second.reserve());
        assert!(poll(reserve.as_mut(), &waker).is_pending(), "{}", place.name);
        while woken.get() == 0 {
            assert!((place.take)().is_some(), "{}", place.name);
        }
        drop(send);
        assert_eq!(count.get(), 0, "{}", place.name);
        drop(sink);
        assert_eq!(count.get(), 1, "{}: the drop of the sink passes it on", place.name);
        assert!(poll(reserve.as_mut(), &waker).is_ready(), "{}", place.name);
    }
}
