//! Bounded channels that wait by themselves.

use super::{Peer, THERE, Waits};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use std::sync::mpsc;
use thingbuf::mpsc::blocking as thingbuf;

/// `crossbeam-channel`.
#[derive(Clone, Copy, Debug)]
pub struct Crossbeam;

impl Peer for Crossbeam {
    type Sender = crossbeam_channel::Sender<Event>;
    type Receiver = crossbeam_channel::Receiver<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        crossbeam_channel::bounded(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
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

impl Waits for Crossbeam {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv().ok()
    }
}

/// `flume`.
#[derive(Clone, Copy, Debug)]
pub struct Flume;

impl Peer for Flume {
    type Sender = flume::Sender<Event>;
    type Receiver = flume::Receiver<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        flume::bounded(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
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

impl Waits for Flume {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv().ok()
    }
}

/// `kanal`.
#[derive(Clone, Copy, Debug)]
pub struct Kanal;

impl Peer for Kanal {
    type Sender = kanal::Sender<Event>;
    type Receiver = kanal::Receiver<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        kanal::bounded(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
    }

    #[inline(always)]
    fn try_send(sender: &mut Self::Sender, seed: Seed) -> bool {
        sender.try_send(seed.event()) == Ok(true)
    }

    #[inline(always)]
    fn try_recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.try_recv().ok().flatten()
    }
}

impl Waits for Kanal {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv().ok()
    }
}

/// The standard library's `sync_channel`.
#[derive(Clone, Copy, Debug)]
pub struct Std;

impl Peer for Std {
    type Sender = mpsc::SyncSender<Event>;
    type Receiver = mpsc::Receiver<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        mpsc::sync_channel(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
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

impl Waits for Std {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv().ok()
    }
}

/// `thingbuf`'s blocking channel.
#[derive(Clone, Copy, Debug)]
pub struct Thingbuf;

impl Peer for Thingbuf {
    type Sender = thingbuf::Sender<Event>;
    type Receiver = thingbuf::Receiver<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        thingbuf::channel(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
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

impl Waits for Thingbuf {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.recv()
    }
}

/// `tokio::sync::mpsc`, from threads.
#[derive(Clone, Copy, Debug)]
pub struct TokioMpsc;

impl Peer for TokioMpsc {
    type Sender = tokio::sync::mpsc::Sender<Event>;
    type Receiver = tokio::sync::mpsc::Receiver<Event>;

    fn open() -> (Self::Sender, Self::Receiver) {
        tokio::sync::mpsc::channel(CAPACITY)
    }

    fn share(sender: &Self::Sender) -> Self::Sender {
        sender.clone()
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

impl Waits for TokioMpsc {
    #[inline(always)]
    fn send(sender: &mut Self::Sender, seed: Seed) {
        sender.blocking_send(seed.event()).expect(THERE);
    }

    #[inline(always)]
    fn recv(receiver: &mut Self::Receiver) -> Option<Event> {
        receiver.blocking_recv()
    }
}
