//! Channels with a ring for each sender.

use super::{Peer, THERE, Waits};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use fanring::mpsc;

/// Room for [`CAPACITY`] events for each sender, as in the lanes of `buslane`.
pub const EACH: bool = false;
/// Room for [`CAPACITY`] events for all senders together, as in a channel.
pub const TOGETHER: bool = true;

/// `fanring::mpsc`, with room for each sender or for all of them. It rounds the room of a sender up to
/// a power of two. Built with its feature `async`, for the rows of its futures: a send into a ring
/// that was empty then executes two more locked instructions, also by the calls that block.
#[derive(Clone, Copy, Debug)]
pub struct Fanring<const ROOM: bool>;

impl<const ROOM: bool> Peer for Fanring<ROOM> {
    type Sender = mpsc::Sender<Event>;
    type Receiver = mpsc::Receiver<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        Self::open_for(1)
    }

    fn open_for(senders: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::channel(if ROOM == TOGETHER { CAPACITY / senders } else { CAPACITY })
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.try_clone().expect("the receiver is alive, and there is a free slot for a sender")
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

impl<const ROOM: bool> Waits for Fanring<ROOM> {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv().ok()
    }
}
