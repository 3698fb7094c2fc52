//! Bounded channels that wait by themselves.

use super::{Peer, THERE, Waits, channel};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use std::sync::mpsc;
use thingbuf::mpsc::blocking as thingbuf;

channel! {
    /// `crossbeam-channel`.
    Crossbeam: crossbeam_channel::Sender<Event> => crossbeam_channel::Receiver<Event>,
    open: crossbeam_channel::bounded(CAPACITY),
    try_send: |sender, event| sender.try_send(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| sender.send(event).expect(THERE),
    recv: |receiver| receiver.recv().ok(),
}

channel! {
    /// `flume`.
    Flume: flume::Sender<Event> => flume::Receiver<Event>,
    open: flume::bounded(CAPACITY),
    try_send: |sender, event| sender.try_send(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| sender.send(event).expect(THERE),
    recv: |receiver| receiver.recv().ok(),
}

channel! {
    /// `kanal`.
    Kanal: kanal::Sender<Event> => kanal::Receiver<Event>,
    open: kanal::bounded(CAPACITY),
    try_send: |sender, event| sender.try_send(event) == Ok(true),
    try_recv: |receiver| receiver.try_recv().ok().flatten(),
    send: |sender, event| sender.send(event).expect(THERE),
    recv: |receiver| receiver.recv().ok(),
}

channel! {
    /// The standard library's `sync_channel`.
    Std: mpsc::SyncSender<Event> => mpsc::Receiver<Event>,
    open: mpsc::sync_channel(CAPACITY),
    try_send: |sender, event| sender.try_send(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| sender.send(event).expect(THERE),
    recv: |receiver| receiver.recv().ok(),
}

channel! {
    /// `thingbuf`'s blocking channel.
    Thingbuf: thingbuf::Sender<Event> => thingbuf::Receiver<Event>,
    open: thingbuf::channel(CAPACITY),
    try_send: |sender, event| sender.try_send(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| sender.send(event).expect(THERE),
    recv: |receiver| receiver.recv(),
}

channel! {
    /// `tokio::sync::mpsc`, from threads.
    TokioMpsc: tokio::sync::mpsc::Sender<Event> => tokio::sync::mpsc::Receiver<Event>,
    open: tokio::sync::mpsc::channel(CAPACITY),
    try_send: |sender, event| sender.try_send(event).is_ok(),
    try_recv: |receiver| receiver.try_recv().ok(),
    send: |sender, event| sender.blocking_send(event).expect(THERE),
    recv: |receiver| receiver.blocking_recv(),
}
