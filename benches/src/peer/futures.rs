//! Channels that wait as futures only.
//!
//! A thread that waits blocks on the future with `pollster`, which parks the thread until the
//! future's waker is called.

use super::{Peer, THERE, Waits, channel};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use pollster::block_on;
use rapidfire::mpsc;

channel! {
    /// `rapidfire::mpsc`.
    Rapidfire: mpsc::Sender<Event> => mpsc::Receiver<Event>,
    open: mpsc::bounded(CAPACITY),
    try_send: |sender, event| sender.try_send(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| block_on(sender.send(event)).expect(THERE),
    recv: |receiver| block_on(receiver.recv()).ok(),
}
