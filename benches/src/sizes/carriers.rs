//! The carriers.

use super::Carrier;
use crate::CAPACITY;
use crate::event::Payload;
use buslane::{Bus, Channel, Overflow, Publisher, Receiver, WaitStrategy, WriteError};
use std::sync::mpsc;

const SETTINGS: &str = "the settings are valid";

fn lane<E: Payload>() -> (Publisher<E>, Receiver<E>) {
    let builder = Channel::builder().capacity(CAPACITY).overflow(Overflow::Refuse);
    let (channel, receiver) = builder.wait_strategy(WaitStrategy::BusySpin).build().expect(SETTINGS);
    let bus = Bus::new();
    bus.add(channel).expect("the bus is open");
    (bus.publisher(), receiver)
}

fn publish<E: Payload>(publisher: &mut Publisher<E>, payload: E) -> Option<E> {
    match publisher.try_publish(payload) {
        Ok(_) => None,
        Err(WriteError::Full(back)) => Some(back),
        Err(_) => panic!("the bus is open"),
    }
}

/// `Publisher::try_publish` and `Receiver::try_recv`.
#[derive(Clone, Copy, Debug)]
pub struct Lane;

impl<E: Payload> Carrier<E> for Lane {
    type Sender = Publisher<E>;
    type Receiver = Receiver<E>;

    fn open() -> (Publisher<E>, Receiver<E>) {
        lane()
    }

    #[inline(always)]
    fn try_send(sender: &mut Publisher<E>, payload: E) -> Option<E> {
        publish(sender, payload)
    }

    #[inline(always)]
    fn take(receiver: &mut Receiver<E>, mut see: impl FnMut(&E)) -> bool {
        receiver.try_recv().is_ok_and(|payload| {
            see(&payload);
            true
        })
    }
}

/// `Publisher::try_publish` and `Receiver::drain_with`.
#[derive(Clone, Copy, Debug)]
pub struct Drained;

impl<E: Payload> Carrier<E> for Drained {
    type Sender = Publisher<E>;
    type Receiver = Receiver<E>;

    fn open() -> (Publisher<E>, Receiver<E>) {
        lane()
    }

    #[inline(always)]
    fn try_send(sender: &mut Publisher<E>, payload: E) -> Option<E> {
        publish(sender, payload)
    }

    #[inline(always)]
    fn take(receiver: &mut Receiver<E>, mut see: impl FnMut(&E)) -> bool {
        receiver.drain_with(|payload| see(&payload)) > 0
    }
}

/// Implements a carrier by the calls that do not wait, for single payloads.
macro_rules! carrier {
    (
        $(#[$doc:meta])*
        $name:ident: $sender_type:ty => $receiver_type:ty,
        open: $open:expr,
        try_send: |$sender:ident, $payload:ident| $try_send:expr,
        try_recv: |$receiver:ident| $try_recv:expr,
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl<E: Payload> Carrier<E> for $name {
            type Sender = $sender_type;
            type Receiver = $receiver_type;

            fn open() -> (Self::Sender, Self::Receiver) {
                $open
            }

            #[inline(always)]
            fn try_send($sender: &mut Self::Sender, $payload: E) -> Option<E> {
                $try_send
            }

            #[inline(always)]
            fn take($receiver: &mut Self::Receiver, mut see: impl FnMut(&E)) -> bool {
                let taken: Option<E> = $try_recv;
                taken.is_some_and(|payload| {
                    see(&payload);
                    true
                })
            }
        }
    };
}

carrier! {
    /// `rtrb`.
    Rtrb: rtrb::Producer<E> => rtrb::Consumer<E>,
    open: rtrb::RingBuffer::new(CAPACITY),
    try_send: |sender, payload| sender.push(payload).err().map(|rtrb::PushError::Full(back)| back),
    try_recv: |receiver| receiver.pop().ok(),
}

carrier! {
    /// `nexus-queue`'s ring for one producer.
    NexusSpsc: nexus_queue::spsc::Producer<E> => nexus_queue::spsc::Consumer<E>,
    open: nexus_queue::spsc::ring_buffer(CAPACITY),
    try_send: |sender, payload| sender.push(payload).err().map(nexus_queue::Full::into_inner),
    try_recv: |receiver| receiver.pop(),
}

carrier! {
    /// `yring`, published and popped one by one.
    Yring: yring::Producer<E> => yring::Consumer<E>,
    open: yring::spsc(CAPACITY),
    try_send: |sender, payload| sender.push_and_flush(payload).err(),
    try_recv: |receiver| receiver.pop().or_else(|| {
        receiver.release();
        receiver.prefetch();
        receiver.pop()
    }),
}

carrier! {
    /// `fanring`.
    Fanring: fanring::mpsc::Sender<E> => fanring::mpsc::Receiver<E>,
    open: fanring::mpsc::channel(CAPACITY),
    try_send: |sender, payload| sender.try_send(payload).err().map(fanring::mpsc::TrySendError::into_inner),
    try_recv: |receiver| receiver.try_recv().ok(),
}

carrier! {
    /// `crossfire::spsc`.
    Crossfire: crossfire::Tx<crossfire::spsc::Array<E>> => crossfire::Rx<crossfire::spsc::Array<E>>,
    open: {
        crate::peer::prepare_crossfire();
        crossfire::spsc::bounded_blocking(CAPACITY)
    },
    try_send: |sender, payload| sender.try_send(payload).err().map(crossfire::TrySendError::into_inner),
    try_recv: |receiver| receiver.try_recv().ok(),
}

carrier! {
    /// `crossbeam-channel`.
    Crossbeam: crossbeam_channel::Sender<E> => crossbeam_channel::Receiver<E>,
    open: crossbeam_channel::bounded(CAPACITY),
    try_send: |sender, payload| sender.try_send(payload).err().map(crossbeam_channel::TrySendError::into_inner),
    try_recv: |receiver| receiver.try_recv().ok(),
}

carrier! {
    /// `kanal`.
    Kanal: kanal::Sender<E> => kanal::Receiver<E>,
    open: kanal::bounded(CAPACITY),
    try_send: |sender, payload| {
        let mut payload = Some(payload);
        sender.try_send_option(&mut payload).expect("the receiver is alive");
        payload
    },
    try_recv: |receiver| receiver.try_recv().ok().flatten(),
}

carrier! {
    /// `rapidfire::mpsc`.
    Rapidfire: rapidfire::mpsc::Sender<E> => rapidfire::mpsc::Receiver<E>,
    open: rapidfire::mpsc::bounded(CAPACITY),
    try_send: |sender, payload| sender.try_send(payload).err().map(rapidfire::TrySendError::into_inner),
    try_recv: |receiver| receiver.try_recv().ok(),
}

carrier! {
    /// The standard library's `sync_channel`.
    Std: mpsc::SyncSender<E> => mpsc::Receiver<E>,
    open: mpsc::sync_channel(CAPACITY),
    try_send: |sender, payload| match sender.try_send(payload) {
        Ok(()) => None,
        Err(mpsc::TrySendError::Full(back) | mpsc::TrySendError::Disconnected(back)) => Some(back),
    },
    try_recv: |receiver| receiver.try_recv().ok(),
}

carrier! {
    /// `tokio::sync::mpsc`.
    TokioMpsc: tokio::sync::mpsc::Sender<E> => tokio::sync::mpsc::Receiver<E>,
    open: tokio::sync::mpsc::channel(CAPACITY),
    try_send: |sender, payload| {
        sender.try_send(payload).err().map(tokio::sync::mpsc::error::TrySendError::into_inner)
    },
    try_recv: |receiver| receiver.try_recv().ok(),
}
