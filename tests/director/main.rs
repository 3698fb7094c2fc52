//! Directors: members with outboxes and with nodes, and a clock that the test moves.

mod acks;
mod closing;
mod defects;
mod delivery;
mod input;
mod outboxes;
mod replacing;
mod retries;
mod root;
mod sessions;

use buslane::director::{
    Delivery, Director, DirectorBuilder, Member, MemberSnapshot, Node, Outbox, Packet, PacketKind, Roster,
};
use buslane::error::TryRecvError;
use buslane::retry::Backoff;
use buslane::testing::{Gate, ManualClock};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use test_support::GUARD;

const SECOND: Duration = Duration::from_secs(1);

/// Waits of 1, 2, 4 ... seconds, up to a minute.
fn backoff() -> Backoff {
    Backoff::new(SECOND, 60 * SECOND).jitter(0.0)
}

/// A small director with a clock that the test moves.
fn small() -> (DirectorBuilder<u32>, ManualClock) {
    let clock = ManualClock::new();
    (Director::builder().history(256).retry(backoff()).clock(clock.clone()), clock)
}

fn director() -> (Director<u32>, ManualClock) {
    let (builder, clock) = small();
    (builder.build().unwrap(), clock)
}

/// Joins without a thread, and acknowledges the state packet.
fn join(director: &Director<u32>, name: &str) -> (Member<u32>, Outbox<u32>) {
    let (member, mut outbox) = director.join_manual(name).unwrap();
    pull_state(&mut outbox);
    (member, outbox)
}

fn pull_state(outbox: &mut Outbox<u32>) -> Roster {
    let packet = outbox.try_packet().unwrap();
    assert_eq!(packet.kind(), PacketKind::State);
    packet.ack().unwrap();
    packet.roster().unwrap().clone()
}

fn events(packet: &Packet<u32>) -> Vec<u32> {
    packet.events().iter().map(|event| event.event).collect()
}

/// Takes and acknowledges every packet that is there, and returns the events.
fn drain(outbox: &mut Outbox<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    while let Ok(packet) = outbox.try_packet() {
        all.extend(events(&packet));
        packet.ack().unwrap();
    }
    all
}

fn assert_empty(outbox: &mut Outbox<u32>) {
    assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Empty));
}

#[track_caller]
fn assert_balanced(snapshot: &MemberSnapshot) {
    assert!(snapshot.is_balanced(), "{snapshot:?}");
}

#[track_caller]
fn balanced(snapshot: MemberSnapshot) -> MemberSnapshot {
    assert_balanced(&snapshot);
    snapshot
}

/// Publishes these numbers from outside.
fn announce(director: &Director<u32>, numbers: impl IntoIterator<Item = u32>) {
    for n in numbers {
        director.announce(n).unwrap();
    }
}

/// What a node was called with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    kind: PacketKind,
    id: u64,
    attempt: u32,
    events: Vec<u32>,
}

/// A node that reports each call, and answers with what a function returns.
struct Reporting<F> {
    calls: Sender<Call>,
    answer: F,
}

impl<F: FnMut(&Packet<u32>) -> Delivery + Send> Reporting<F> {
    fn new(answer: F) -> (Self, Receiver<Call>) {
        let (calls, called) = channel();
        (Self { calls, answer }, called)
    }

    fn report(&self, packet: &Packet<u32>) {
        let (kind, id, attempt, events) = (packet.kind(), packet.id(), packet.attempt(), events(packet));
        let _ = self.calls.send(Call { kind, id, attempt, events });
    }
}

impl<F: FnMut(&Packet<u32>) -> Delivery + Send> Node<u32> for Reporting<F> {
    fn deliver(&mut self, packet: &Packet<u32>) -> Delivery {
        self.report(packet);
        (self.answer)(packet)
    }
}

fn next<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(GUARD).expect("the node was not called")
}

/// Joins a node that waits at a gate in each call.
fn stuck(director: &Director<u32>) -> (Member<u32>, Gate) {
    let gate = Gate::closed();
    let held = gate.clone();
    let node = move |_: &Packet<u32>| {
        held.pass();
        Delivery::Done
    };
    (director.join("stuck", node).unwrap(), gate)
}

/// Joins a node that tells the events of each packet.
fn telling(director: &Director<u32>, name: &str) -> (Member<u32>, Receiver<Vec<u32>>) {
    let (tell, told) = channel();
    let node = move |packet: &Packet<u32>| {
        let _ = tell.send(events(packet));
        Delivery::Done
    };
    (director.join(name, node).unwrap(), told)
}
