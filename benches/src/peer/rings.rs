//! Rings and queues that do not wait.

use super::Peer;
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::ring::spsc;
use std::sync::Arc;

/// `rtrb`, popped one by one.
#[derive(Clone, Copy, Debug)]
pub struct Rtrb;

impl Peer for Rtrb {
    type Sender = rtrb::Producer<Event>;
    type Receiver = rtrb::Consumer<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        rtrb::RingBuffer::new(CAPACITY)
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.push(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.pop().ok()
    }
}

/// The ring of `buslane`, popped one by one.
#[derive(Clone, Copy, Debug)]
pub struct BareRing;

impl Peer for BareRing {
    type Sender = spsc::Producer<Event>;
    type Receiver = spsc::Consumer<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        spsc::ring(CAPACITY).expect("the capacity is valid")
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.push(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.pop()
    }
}

/// `photon-ring`'s bounded ring, read one by one. Its slots are atomic words: its default, which is
/// sound.
#[derive(Clone, Copy, Debug)]
pub struct PhotonBounded;

impl Peer for PhotonBounded {
    type Sender = photon_ring::Publisher<[u64; 4]>;
    type Receiver = photon_ring::Subscriber<[u64; 4]>;

    fn open() -> (Self::Sender, Self::Receiver) {
        let (publisher, subscribable) = photon_ring::channel_bounded(CAPACITY, 0);
        let subscriber = subscribable.subscribe();
        (publisher, subscriber)
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.try_publish(seed.event().into()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.try_recv().ok().map(Event::from)
    }
}

/// `crossbeam-queue`'s `ArrayQueue`.
#[derive(Clone, Copy, Debug)]
pub struct ArrayQueue;

impl Peer for ArrayQueue {
    type Sender = Arc<crossbeam_queue::ArrayQueue<Event>>;
    type Receiver = Self::Sender;

    fn open() -> (Self::Sender, Self::Receiver) {
        let queue = Arc::new(crossbeam_queue::ArrayQueue::new(CAPACITY));
        (queue.clone(), queue)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.push(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.pop()
    }
}

/// `yring`, published and popped one by one: the consumer's window of published events is renewed
/// when it is used up, and its slots are released then.
#[derive(Clone, Copy, Debug)]
pub struct Yring;

impl Peer for Yring {
    type Sender = yring::Producer<Event>;
    type Receiver = yring::Consumer<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        yring::spsc(CAPACITY)
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.push_and_flush(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        if let Some(event) = receiver.pop() {
            return Some(event);
        }
        receiver.release();
        receiver.prefetch();
        receiver.pop()
    }
}

/// `nexus-queue`'s ring for one producer.
#[derive(Clone, Copy, Debug)]
pub struct NexusSpsc;

impl Peer for NexusSpsc {
    type Sender = nexus_queue::spsc::Producer<Event>;
    type Receiver = nexus_queue::spsc::Consumer<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        nexus_queue::spsc::ring_buffer(CAPACITY)
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.push(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.pop()
    }
}

/// `nexus-queue`'s ring for several producers.
#[derive(Clone, Copy, Debug)]
pub struct NexusMpsc;

impl Peer for NexusMpsc {
    type Sender = nexus_queue::mpsc::Producer<Event>;
    type Receiver = nexus_queue::mpsc::Consumer<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        nexus_queue::mpsc::ring_buffer(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.push(seed.event()).is_ok()
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.pop()
    }
}
