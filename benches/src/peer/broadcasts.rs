//! Broadcast channels with one receiver.

use super::{Peer, THERE, Waits, channel};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

channel! {
    /// `async-broadcast`, from threads; it waits for its receivers.
    AsyncBroadcast: async_broadcast::Sender<Event> => async_broadcast::Receiver<Event>,
    open: async_broadcast::broadcast(CAPACITY),
    try_send: |sender, event| sender.try_broadcast(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| {
        sender.broadcast_blocking(event).expect(THERE);
    },
    recv: |receiver| receiver.recv_blocking().ok(),
}

/// The crate `bus`; it waits for its readers.
#[derive(Clone, Copy, Debug)]
pub struct JonhooBus;

impl Peer for JonhooBus {
    type Sender = bus::Bus<Event>;
    type Receiver = bus::BusReader<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        let mut bus = bus::Bus::new(CAPACITY);
        let reader = bus.add_rx();
        (bus, reader)
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.try_broadcast(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.try_recv().ok()
    }
}

impl Waits for JonhooBus {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.broadcast(seed.event());
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv().ok()
    }
}

/// `tokio::sync::broadcast`, from threads. It never waits for its receivers.
#[derive(Clone, Copy, Debug)]
pub struct TokioBroadcast;

impl Peer for TokioBroadcast {
    type Sender = broadcast::Sender<Event>;
    type Receiver = broadcast::Receiver<Event>;

    const LOSSY: bool = true;

    fn open() -> (Self::Sender, Self::Receiver) {
        broadcast::channel(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.send(seed.event()).expect(THERE);
        true
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        loop {
            match receiver.try_recv() {
                Ok(event) => return Some(event),
                Err(TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

impl Waits for TokioBroadcast {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        loop {
            match receiver.blocking_recv() {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
