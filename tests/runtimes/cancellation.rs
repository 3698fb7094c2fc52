//! Every future of the API, cancelled at each step, and polled from another task.

use crate::{by_hand, gated_queue, poll, woken};
use buslane::director::Director;
use buslane::journal::Start;
use buslane::{Bus, Channel, Journal, Overflow, Publisher, Sink, sink_fn};
use futures::{SinkExt as _, StreamExt};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use test_support::{WakeCount, wait_for};

/// A future that is pending, and what makes it ready. That returns what has to stay alive.
struct Pending {
    name: &'static str,
    future: Pin<Box<dyn Future<Output = ()>>>,
    bring: Bring,
}

type Bring = Box<dyn FnOnce() -> Box<dyn Any>>;

impl Pending {
    fn new<K: 'static>(
        name: &'static str,
        future: impl Future<Output = ()> + 'static,
        bring: impl FnOnce() -> K + 'static,
    ) -> Self {
        Self { name, future: Box::pin(future), bring: Box::new(move || Box::new(bring())) }
    }

    fn all() -> Vec<Self> {
        [publishes(), writes(), ends(), reads(), sinks()].into_iter().flatten().collect()
    }
}

/// Returns a bus with a full channel, the publisher for which it is full, and what makes room.
fn full() -> (Publisher<u64>, impl FnOnce() -> Box<dyn Any>) {
    let bus = Bus::new();
    let mut receiver = bus.subscribe_lossless(1).unwrap();
    let mut publisher = bus.publisher();
    assert!(publisher.publish(0).unwrap().is_complete());
    (publisher, move || {
        assert_eq!(receiver.recv(), Ok(0));
        Box::new((bus, receiver))
    })
}

/// Returns a publisher, and what makes room. There is room when a publish begins, and a sink takes it
/// before the publish gets there: it is pending in its second step.
fn stolen(is_nested: bool) -> (Publisher<u64>, impl FnOnce() -> Box<dyn Any>) {
    let (channel, mut receiver) = Channel::shared_lossless(1).unwrap();
    let (bus, inner) = (Bus::new(), Bus::new());
    let lossy = inner.subscribe_lossy(16).unwrap();
    inner.add(channel.clone()).unwrap();
    if is_nested {
        bus.add(inner.clone()).unwrap();
    }
    let outer = if is_nested { &bus } else { &inner };
    outer.add(sink_fn(move |event: &u64| assert!(channel.write(*event + 100).is_ok()))).unwrap();
    let publisher = outer.publisher();
    (publisher, move || {
        // There is an event if the future was polled.
        let _ = receiver.try_recv();
        Box::new((bus, inner, receiver, lossy))
    })
}

fn publishes() -> Vec<Pending> {
    let (mut publisher, room) = full();
    let reserve = async move { drop(publisher.reserve().await.unwrap()) };
    let reserve = Pending::new("reserve", reserve, room);
    let publish = |name, (mut publisher, room): (Publisher<u64>, Bring)| {
        let publish = async move { assert_eq!(publisher.publish_async(1).await.unwrap().refused, 0) };
        Pending::new(name, publish, room)
    };
    let (publisher, room) = full();
    let first = publish("publish_async", (publisher, Box::new(room)));
    let (publisher, room) = stolen(false);
    let second = publish("publish_async, second step", (publisher, Box::new(room)));
    let (publisher, room) = stolen(true);
    let inside = publish("publish_async, inside a bus", (publisher, Box::new(room)));
    vec![reserve, first, second, inside]
}

fn writes() -> Vec<Pending> {
    let (channel, mut receiver) = Channel::lossless(1).unwrap();
    channel.write(0).unwrap();
    let write = async move { channel.write_async(1).await.unwrap() };
    let read = move || (receiver.recv(), receiver);
    let into_channel = Pending::new("write_async of a channel", write, read);

    let (gate, queue) = gated_queue(Overflow::Block, 1);
    queue.write(0).unwrap();
    gate.wait_reached(1);
    queue.write(1).unwrap();
    let kept = queue.clone();
    let write = async move { queue.write_async(2).await.unwrap() };
    let open = move || {
        gate.open();
        kept
    };
    let into_queue = Pending::new("write_async of a queue", write, open);

    let journal = Journal::new(64).unwrap();
    let mut gating = journal.subscription().start(Start::Now).gating().subscribe().unwrap();
    while journal.try_publish(0).is_ok() {}
    let kept = journal.clone();
    let publish = async move { _ = journal.publish_async(1).await.unwrap() };
    let read = move || {
        assert!(gating.try_iter().count() > 0);
        (gating, kept)
    };
    let into_journal = Pending::new("publish_async of a journal", publish, read);
    vec![into_channel, into_queue, into_journal]
}

fn ends() -> Vec<Pending> {
    let mut all = Vec::new();
    for (name, of_bus, closes) in [
        ("flush_async of a bus", true, false),
        ("flush_async of a queue", false, false),
        ("close_async of a bus", true, true),
        ("close_async of a queue", false, true),
    ] {
        let (gate, queue) = gated_queue(Overflow::DropNewest, 16);
        queue.write(1).unwrap();
        gate.wait_reached(1);
        let bus = Bus::new();
        bus.add(queue.clone()).unwrap();
        let kept = (bus.clone(), queue.clone());
        let end = async move {
            assert!(match (of_bus, closes) {
                (true, false) => bus.flush_async().await.is_done(),
                (false, false) => queue.flush_async().await.is_done(),
                (true, true) => bus.close_async().await.is_done(),
                (false, true) => queue.close_async().await.is_done(),
            });
        };
        let open = move || {
            gate.open();
            kept
        };
        all.push(Pending::new(name, end, open));
    }
    let (channel, mut receiver) = Channel::lossy(4).unwrap();
    channel.write(1).unwrap();
    let kept = channel.clone();
    let flush = async move { assert!(channel.flush_async().await.is_done()) };
    all.push(Pending::new("flush_async of a channel", flush, move || (receiver.recv(), receiver, kept)));
    let bus = Bus::<u64>::new();
    let closed = bus.closed();
    all.push(Pending::new("closed", closed, move || bus.close()));
    all
}

fn reads() -> Vec<Pending> {
    let (one, mut receiver) = Channel::lossy(4).unwrap();
    let read = async move { assert_eq!(receiver.recv_async().await, Ok(1)) };
    let single = Pending::new("recv_async", read, move || (one.write(1), one));
    let (one, mut receiver) = Channel::shared_lossy(4).unwrap();
    let read = async move { assert_eq!(receiver.recv_async().await, Ok(1)) };
    let shared = Pending::new("recv_async of a shared receiver", read, move || (one.write(1), one));
    let journal = Journal::new(64).unwrap();
    let mut subscriber = journal.subscribe(Start::Now).unwrap();
    let read = async move { assert!(subscriber.recv_async().await.is_ok()) };
    let journaled = Pending::new("recv_async of a subscriber", read, move || (journal.publish(1), journal));

    let (one, mut receiver) = Channel::lossy(4).unwrap();
    let read = async move { assert_eq!(receiver.next().await, Some(1)) };
    let stream = Pending::new("next", read, move || (one.write(1), one));
    let (one, mut receiver) = Channel::lossy(4).unwrap();
    let read = async move { assert!(receiver.entries().next().await.is_some()) };
    let entries = Pending::new("next of entries", read, move || (one.write(1), one));
    let (one, mut receiver) = Channel::shared_lossy(4).unwrap();
    let read = async move { assert_eq!(receiver.next().await, Some(1)) };
    let shared_stream = Pending::new("next of a shared receiver", read, move || (one.write(1), one));
    let journal = Journal::new(64).unwrap();
    let mut subscriber = journal.subscribe(Start::Now).unwrap();
    let read = async move { assert!(subscriber.next().await.is_some()) };
    let journal_stream = Pending::new("next of a subscriber", read, move || (journal.publish(1), journal));

    let director = Director::<u32>::new().unwrap();
    let (member, mut outbox) = director.join_manual("bob").unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    let read = async move { outbox.packet_async().await.unwrap().ack().unwrap() };
    let announce = move || {
        let _ = director.announce(7).unwrap();
        (director, member)
    };
    let packet = Pending::new("packet_async", read, announce);
    vec![single, shared, journaled, stream, entries, shared_stream, journal_stream, packet]
}

fn sinks() -> Vec<Pending> {
    let (publisher, room) = full();
    let mut sink = publisher.into_sink();
    let send = Pending::new("send", async move { sink.send(1).await.unwrap() }, room);
    let (publisher, room) = stolen(false);
    let mut sink = publisher.into_sink();
    let flush = async move {
        sink.feed(1).await.unwrap();
        sink.flush().await.unwrap();
    };
    let flush = Pending::new("flush of a sink", flush, room);
    let (publisher, room) = stolen(true);
    let mut sink = publisher.into_sink();
    let close = async move {
        sink.feed(1).await.unwrap();
        sink.close().await.unwrap();
    };
    vec![send, flush, Pending::new("close of a sink", close, room)]
}

#[test]
fn newest_waker_of_every_future_is_woken() {
    for Pending { name, mut future, bring } in Pending::all() {
        let ((old, old_waker), (new, new_waker)) = (WakeCount::waker(), WakeCount::waker());
        assert!(poll(future.as_mut(), &old_waker).is_pending(), "{name}");
        assert!(poll(future.as_mut(), &new_waker).is_pending(), "{name}");
        drop(old_waker);
        assert_eq!(Arc::strong_count(&old), 1, "{name}: the old waker is kept");
        let kept = bring();
        wait_for(|| new.get() > 0);
        assert_eq!(old.get(), 0, "{name}");
        woken(future.as_mut(), &new, &new_waker);
        drop((future, kept));
    }
}

#[test]
fn every_cancelled_future_leaves_no_waker() {
    for polls in 0..3 {
        for Pending { name, future, bring } in Pending::all() {
            let (mut future, count, waker) = by_hand(future);
            (0..polls).for_each(|_| assert!(poll(future.as_mut(), &waker).is_pending(), "{name}"));
            drop((future, waker));
            assert_eq!(Arc::strong_count(&count), 1, "{name}, after {polls} polls: a waker is left");
            // The drop of a receiver closes its channel, which may have called its own waker.
            let woken = count.get();
            let kept = bring();
            assert_eq!(count.get(), woken, "{name}");
            drop(kept);
        }
    }
}

#[test]
fn every_future_may_be_cancelled_when_it_was_woken() {
    for Pending { name, future, bring } in Pending::all() {
        let (mut future, count, waker) = by_hand(future);
        assert!(poll(future.as_mut(), &waker).is_pending(), "{name}");
        let kept = bring();
        wait_for(|| count.get() > 0);
        drop((future, waker));
        // Another thread may still be calling the waker.
        wait_for(|| Arc::strong_count(&count) == 1);
        drop(kept);
    }
}
