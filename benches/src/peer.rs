//! The peers that carry a stream to one consumer, all with the same interface.
//!
//! | | one producer | several | waits by itself |
//! |---|---|---|---|
//! | [`Rtrb`], [`PhotonBounded`], [`Yring`], [`NexusSpsc`], [`BareRing`] | yes | | |
//! | [`ArrayQueue`], [`NexusMpsc`] | yes | yes | |
//! | [`Crossbeam`], [`Flume`], [`Kanal`], [`Std`], [`Thingbuf`], [`TokioMpsc`] | yes | yes | yes |
//! | [`Crossfire`], [`Fanring`] | yes | yes | yes |
//! | [`CrossfireSpsc`] | yes | | yes |
//! | [`Rapidfire`] | yes | yes | as futures |
//! | [`AsyncBroadcast`] | yes | yes | yes |
//! | [`JonhooBus`] | yes | | yes |
//! | [`TokioBroadcast`], which overwrites what was not read | yes | yes | its receiver |
//!
//! Each has room for [`CAPACITY`](crate::CAPACITY) events, and is called as documented for single
//! events. [`Fanring`] has a ring for each sender, as `buslane` has, and so exists twice: with that
//! room for each sender, and with that room for all senders together. [`BareRing`] is no peer, but the ring of a `buslane` lane, without the bus, the counters
//! and the wake-ups.

mod broadcasts;
mod channels;
mod crossfire;
mod futures;
mod per_sender;
mod rings;

use crate::event::{Event, Seed};

pub use broadcasts::{AsyncBroadcast, JonhooBus, TokioBroadcast};
pub use channels::{Crossbeam, Flume, Kanal, Std, Thingbuf, TokioMpsc};
pub(crate) use crossfire::prepare as prepare_crossfire;
pub use crossfire::{Crossfire, CrossfireSpsc};
pub use futures::Rapidfire;
pub use per_sender::{EACH, Fanring, TOGETHER};
pub use rings::{ArrayQueue, BareRing, NexusMpsc, NexusSpsc, PhotonBounded, Rtrb, Yring};

/// A path for events, from one or more senders to one receiver.
pub trait Peer: 'static {
    /// The sending half; for one thread.
    type Sender: Send + 'static;
    /// The receiving half.
    type Receiver: Send + 'static;

    /// Whether unread events are overwritten.
    const LOSSY: bool = false;

    /// Returns both halves.
    fn open() -> (Self::Sender, Self::Receiver);

    /// Returns both halves, for this number of sending halves.
    #[must_use]
    fn open_for(_senders: usize) -> (Self::Sender, Self::Receiver) {
        Self::open()
    }

    /// Returns a sending half for another thread.
    ///
    /// # Panics
    /// If the crate does not have any.
    #[must_use]
    fn share(_sender: &Self::Sender) -> Self::Sender {
        panic!("this peer has one producer")
    }

    /// Creates the event and sends it, if there is room.
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool;

    /// Takes an event, if there is one.
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event>;
}

/// A peer with its own waiting.
pub trait Waits: Peer {
    /// Creates the event and sends it; waits for room.
    fn send(sender: &mut Self::Sender, seed: Seed);

    /// Waits for an event. Returns `None` when all senders are dropped.
    fn recv(receiver: &mut Self::Receiver) -> Option<Event>;
}

/// The panic text for a peer whose other half was dropped too early.
const THERE: &str = "the receiver is alive";

/// Implements a channel with a cloneable sending half: its halves, and the mapping of its calls.
macro_rules! channel {
    (
        $(#[$doc:meta])*
        $name:ident: $sender_type:ty => $receiver_type:ty,
        open: $open:expr,
        try_send: |$try_sender:ident, $try_event:ident| $try_send:expr,
        try_recv: |$try_receiver:ident| $try_recv:expr,
        send: |$sender:ident, $event:ident| $send:expr,
        recv: |$receiver:ident| $recv:expr,
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Peer for $name {
            type Sender = $sender_type;
            type Receiver = $receiver_type;

            fn open() -> (Self::Sender, Self::Receiver) {
                $open
            }

            fn share(sender: &Self::Sender) -> Self::Sender {
                sender.clone()
            }

            #[inline(always)]
            fn try_send($try_sender: &mut Self::Sender, seed: Seed) -> bool {
                let $try_event = seed.event();
                $try_send
            }

            #[inline(always)]
            fn try_recv($try_receiver: &mut Self::Receiver) -> Option<Event> {
                $try_recv
            }
        }

        impl Waits for $name {
            #[inline(always)]
            fn send($sender: &mut Self::Sender, seed: Seed) {
                let $event = seed.event();
                $send
            }

            #[inline(always)]
            fn recv($receiver: &mut Self::Receiver) -> Option<Event> {
                $recv
            }
        }
    };
}

use channel;
