//! `crossfire`: its channel for several senders, and its channel for one.
//!
//! Both are opened after `detect_backoff_cfg`, as its documentation requests: it adapts the spinning
//! to the number of processors.

use super::{Peer, THERE, Waits, channel};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crossfire::{MTx, Rx, Tx, mpsc, spsc};
use std::sync::Once;

/// Calls `detect_backoff_cfg` once.
pub(crate) fn prepare() {
    static DETECTED: Once = Once::new();
    DETECTED.call_once(crossfire::detect_backoff_cfg);
}

channel! {
    /// `crossfire::mpsc`.
    Crossfire: MTx<mpsc::Array<Event>> => Rx<mpsc::Array<Event>>,
    open: {
        prepare();
        mpsc::bounded_blocking(CAPACITY)
    },
    try_send: |sender, event| sender.try_send(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| sender.send(event).expect(THERE),
    recv: |receiver| receiver.recv().ok(),
}

/// `crossfire::spsc`.
#[derive(Clone, Copy, Debug)]
pub struct CrossfireSpsc;

impl Peer for CrossfireSpsc {
    type Sender = Tx<spsc::Array<Event>>;
    type Receiver = Rx<spsc::Array<Event>>;

    fn open() -> (Self::Sender, Self::Receiver) {
        prepare();
        spsc::bounded_blocking(CAPACITY)
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.try_send(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.try_recv().ok()
    }
}

impl Waits for CrossfireSpsc {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv().ok()
    }
}
