//! The contenders.
//!
//! `Publisher::publish_async` waits for room as the peers' calls do. With the other calls, the channel
//! of `buslane` refuses an event without room, and the task yields before it publishes again.

use super::Tasks;
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::peer::{self, Peer, prepare_crossfire};
use buslane::{Bus, Channel, Overflow, Publisher, Receiver};
use std::future::Future;
use tokio::task::yield_now;

const OPEN: &str = "the bus is open";
const THERE: &str = "the receiver is alive";

fn bus() -> (Bus<Event>, Receiver<Event>) {
    bus_with(Overflow::Refuse)
}

fn bus_with(overflow: Overflow) -> (Bus<Event>, Receiver<Event>) {
    let builder = Channel::builder().capacity(CAPACITY).overflow(overflow);
    let (channel, receiver) = builder.build().expect("the settings are valid");
    let bus = Bus::new();
    bus.add(channel).expect(OPEN);
    (bus, receiver)
}

/// Returns the halves of [`fanring::mpsc`], with this room.
fn fanring<const ROOM: bool>(
    tasks: usize,
) -> (Vec<fanring::mpsc::Sender<Event>>, fanring::mpsc::Receiver<Event>) {
    let (first, receiver) = peer::Fanring::<ROOM>::open_for(tasks);
    let mut senders = vec![first];
    (1..tasks).for_each(|_| senders.push(peer::Fanring::<ROOM>::share(&senders[0])));
    (senders, receiver)
}

/// Implements a path for tasks: its halves, and the mapping of its calls.
macro_rules! tasks {
    (
        $(#[$doc:meta])*
        $name:ident: $sender_type:ty => $receiver_type:ty, ordered: $ordered:literal,
        open: |$tasks:ident| $open:expr,
        send: |$sender:ident, $seed:ident| $send:expr,
        recv: |$receiver:ident| $recv:expr,
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Tasks for $name {
            type Sender = $sender_type;
            type Receiver = $receiver_type;

            const ORDERED: bool = $ordered;

            fn open($tasks: usize) -> (Vec<Self::Sender>, Self::Receiver) {
                $open
            }

            #[inline(always)]
            fn send($sender: &mut Self::Sender, $seed: Seed) -> impl Future<Output = ()> + Send {
                async move { $send }
            }

            #[inline(always)]
            fn recv($receiver: &mut Self::Receiver) -> impl Future<Output = Option<Event>> + Send {
                async move { $recv }
            }
        }
    };
}

/// Returns `count` clones of the sending half.
fn shared<S: Clone, R>((sender, receiver): (S, R), count: usize) -> (Vec<S>, R) {
    (vec![sender; count], receiver)
}

tasks! {
    /// `Publisher::publish` of a publisher for each task, and `Receiver::recv_async`.
    OwnPublisher: Publisher<Event> => Receiver<Event>, ordered: true,
    open: |tasks| {
        let (bus, receiver) = bus();
        ((0..tasks).map(|_| bus.publisher()).collect(), receiver)
    },
    send: |sender, seed| while sender.publish(seed.event()).expect(OPEN).accepted == 0 {
        yield_now().await;
    },
    recv: |receiver| receiver.recv_async().await.ok(),
}

tasks! {
    /// `Publisher::publish_async` of a publisher for each task, and `Receiver::recv_async`.
    PublishAsync: Publisher<Event> => Receiver<Event>, ordered: true,
    open: |tasks| {
        let (bus, receiver) = bus_with(Overflow::Block);
        ((0..tasks).map(|_| bus.publisher()).collect(), receiver)
    },
    send: |sender, seed| {
        let published = sender.publish_async(seed.event()).await.expect(OPEN);
        assert_eq!(published.accepted, 1, "the channel is lossless");
    },
    recv: |receiver| receiver.recv_async().await.ok(),
}

tasks! {
    /// `Bus::with_local` and `Receiver::recv_async`. A task that moves to another thread continues
    /// with that thread's publisher.
    WithLocal: Bus<Event> => Receiver<Event>, ordered: false,
    open: |tasks| shared(bus(), tasks),
    send: |sender, seed| while sender.with_local(|own| own.publish(seed.event())).expect(OPEN).accepted == 0 {
        yield_now().await;
    },
    recv: |receiver| receiver.recv_async().await.ok(),
}

tasks! {
    /// `Bus::publish` and `Receiver::recv_async`.
    BusPublish: Bus<Event> => Receiver<Event>, ordered: true,
    open: |tasks| shared(bus(), tasks),
    send: |sender, seed| while sender.publish(seed.event()).expect(OPEN).accepted == 0 {
        yield_now().await;
    },
    recv: |receiver| receiver.recv_async().await.ok(),
}

tasks! {
    /// `tokio::sync::mpsc`.
    TokioMpsc: tokio::sync::mpsc::Sender<Event> => tokio::sync::mpsc::Receiver<Event>, ordered: true,
    open: |tasks| shared(tokio::sync::mpsc::channel(CAPACITY), tasks),
    send: |sender, seed| sender.send(seed.event()).await.expect(THERE),
    recv: |receiver| receiver.recv().await,
}

tasks! {
    /// `flume`.
    Flume: flume::Sender<Event> => flume::Receiver<Event>, ordered: true,
    open: |tasks| shared(flume::bounded(CAPACITY), tasks),
    send: |sender, seed| sender.send_async(seed.event()).await.expect(THERE),
    recv: |receiver| receiver.recv_async().await.ok(),
}

tasks! {
    /// `kanal`.
    Kanal: kanal::AsyncSender<Event> => kanal::AsyncReceiver<Event>, ordered: true,
    open: |tasks| shared(kanal::bounded_async(CAPACITY), tasks),
    send: |sender, seed| sender.send(seed.event()).await.expect(THERE),
    recv: |receiver| receiver.recv().await.ok(),
}

tasks! {
    /// `crossfire::mpsc`.
    Crossfire: crossfire::MAsyncTx<crossfire::mpsc::Array<Event>>
        => crossfire::AsyncRx<crossfire::mpsc::Array<Event>>, ordered: true,
    open: |tasks| {
        prepare_crossfire();
        shared(crossfire::mpsc::bounded_async(CAPACITY), tasks)
    },
    send: |sender, seed| sender.send(seed.event()).await.expect(THERE),
    recv: |receiver| receiver.recv().await.ok(),
}

tasks! {
    /// `rapidfire::mpsc`.
    Rapidfire: rapidfire::mpsc::Sender<Event> => rapidfire::mpsc::Receiver<Event>, ordered: true,
    open: |tasks| shared(rapidfire::mpsc::bounded(CAPACITY), tasks),
    send: |sender, seed| sender.send(seed.event()).await.expect(THERE),
    recv: |receiver| receiver.recv().await.ok(),
}

tasks! {
    /// `fanring::mpsc`, with room for 1024 events for each task, as in the lanes of [`OwnPublisher`].
    Fanring: fanring::mpsc::Sender<Event> => fanring::mpsc::Receiver<Event>, ordered: true,
    open: |tasks| fanring::<{ peer::EACH }>(tasks),
    send: |sender, seed| sender.send_async(seed.event()).await.expect(THERE),
    recv: |receiver| receiver.recv_async().await.ok(),
}

tasks! {
    /// The same, with that room for all tasks together.
    FanringTogether: fanring::mpsc::Sender<Event> => fanring::mpsc::Receiver<Event>, ordered: true,
    open: |tasks| fanring::<{ peer::TOGETHER }>(tasks),
    send: |sender, seed| sender.send_async(seed.event()).await.expect(THERE),
    recv: |receiver| receiver.recv_async().await.ok(),
}

tasks! {
    /// `async-broadcast`.
    AsyncBroadcast: async_broadcast::Sender<Event> => async_broadcast::Receiver<Event>, ordered: true,
    open: |tasks| shared(async_broadcast::broadcast(CAPACITY), tasks),
    send: |sender, seed| {
        sender.broadcast_direct(seed.event()).await.expect(THERE);
    },
    recv: |receiver| receiver.recv().await.ok(),
}
