//! The peers that carry a stream to one consumer, each under the same few names.
//!
//! | | one producer | several | waits by itself |
//! |---|---|---|---|
//! | [`Rtrb`], [`PhotonBounded`], [`BareRing`] | yes | | |
//! | [`ArrayQueue`] | yes | yes | |
//! | [`Crossbeam`], [`Flume`], [`Kanal`], [`Std`], [`Thingbuf`], [`TokioMpsc`] | yes | yes | yes |
//! | [`AsyncBroadcast`] | yes | yes | yes |
//! | [`JonhooBus`] | yes | | yes |
//! | [`TokioBroadcast`], which overwrites what was not read | yes | yes | its receiver |
//!
//! Each has room for [`CAPACITY`](crate::CAPACITY) events, and is called as its documentation has
//! it for single events. [`BareRing`] is no peer, but the ring that a lane of `buslane` is made of,
//! without bus, books and wake-ups.

mod broadcasts;
mod channels;
mod rings;

use crate::event::{Event, Seed};

pub use broadcasts::{AsyncBroadcast, JonhooBus, TokioBroadcast};
pub use channels::{Crossbeam, Flume, Kanal, Std, Thingbuf, TokioMpsc};
pub use rings::{ArrayQueue, BareRing, PhotonBounded, Rtrb};

/// A way for events, from one or more senders to one receiver.
pub trait Peer: 'static {
    /// The sending half; for one thread.
    type Sender: Send + 'static;
    /// The receiving half.
    type Receiver: Send + 'static;

    /// Whether events that are not read in time are overwritten.
    const LOSSY: bool = false;

    /// Both halves.
    fn open() -> (Self::Sender, Self::Receiver);

    /// A sending half for another thread.
    ///
    /// # Panics
    /// When the crate does not have any.
    #[must_use]
    fn share(_sender: &Self::Sender) -> Self::Sender {
        panic!("this peer has one producer")
    }

    /// Makes the event and sends it, if there is room.
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool;

    /// Takes an event, if there is one.
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event>;
}

/// A peer that waits by itself, as it sees fit.
pub trait Waits: Peer {
    /// Makes the event and sends it; waits for room.
    fn send(sender: &mut Self::Sender, seed: Seed);

    /// Waits for an event; `None` when all senders are gone.
    fn recv(receiver: &mut Self::Receiver) -> Option<Event>;
}

/// What is said of a peer whose other half has gone too early.
const THERE: &str = "the receiver is there";

/// A channel whose sending half can be cloned: its halves, and how its calls say what ours say.
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
