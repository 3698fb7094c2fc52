//! A director whose members are outboxes, beside the model: joins, leaves, detached members, lost
//! and late acknowledgments, retries, events whose clones panic, and lag, with a clock that the case
//! moves.

mod flights;
mod model;
pub(crate) mod puppets;

use super::value::{Step, pick};
use buslane::director::{
    AckError, DeadPacket, Director, DirectorBuilder, Epoch, Member, MemberSnapshot, MemberStatus, Outbox,
    Packet, PacketKind, SendError,
};
use buslane::error::TryRecvError;
use buslane::retry::Backoff;
use buslane::testing::ManualClock;
use buslane::{Channel, Receiver};
pub(crate) use model::Rules;
use model::{Counts, Key, Kind, Letter, Model, Next, Presence, Refused, Sent};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

/// The most members of a case, those that have left included.
const MEMBERS: usize = 12;

/// The most packets that a case holds at once. The oldest is dropped to make room.
const HELD: usize = 12;

impl Rules {
    pub(crate) fn decode([history, packet, flight, timeout, base, attempts]: [u8; 6]) -> Self {
        let base = MILLI * (u32::from(base % 16) + 1);
        Self {
            history: u64::from(history) + 1,
            packet: usize::from(packet % 8) + 1,
            bytes: (packet >= 192).then(|| usize::from(packet / 8) + 1),
            in_flight: usize::from(flight % 4) + 1,
            root_capacity: usize::from(flight / 4 % 16) + 1,
            ack_timeout: MILLI * (u32::from(timeout) + 1) * 2,
            base,
            longest: base * (u32::from(timeout % 8) + 1),
            attempts: (attempts % 3 != 0).then(|| u32::from(attempts % 8) + 1),
        }
    }

    /// Returns a director with these settings.
    fn director(&self, clock: &ManualClock) -> DirectorBuilder<Event> {
        let mut backoff = Backoff::new(self.base, self.longest).jitter(0.0);
        if let Some(attempts) = self.attempts {
            backoff = backoff.max_attempts(attempts);
        }
        let mut builder = Director::builder()
            .history(usize::try_from(self.history).expect("a small history"))
            .packet(self.packet)
            .in_flight(self.in_flight)
            .root_capacity(self.root_capacity)
            .ack_timeout(self.ack_timeout)
            .retry(backoff)
            .clock(clock.clone());
        if let Some(most) = self.bytes {
            builder = builder.packet_bytes(most, |event: &Event| event.number as usize % 8);
        }
        builder
    }
}

/// What is done with a packet that the case holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settle {
    Ack,
    /// Up to the event at this index of the packet; past its end for the event after the last.
    AckThrough(usize),
    Retry(Option<Duration>),
    Reject,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Join,
    Leave(usize),
    Detach(usize),
    Rejoin(usize),
    /// Sends this many events: by a member, or from outside.
    Broadcast(Option<usize>, usize),
    Unicast(Option<usize>, usize),
    /// An event whose clone panics.
    Broken(Option<usize>),
    Root(Option<usize>, usize),
    /// Takes up to this many packets.
    Take(usize, usize),
    Settle(usize, Settle),
    Ready(usize),
    Advance(Duration),
    Close,
}

impl Op {
    pub(crate) fn decode([code, one, two]: Step) -> Self {
        let member = usize::from(one);
        let sender = (one % 4 != 3).then_some(member / 4);
        match code % 64 {
            0..12 => Self::Broadcast(sender, pick(two, 40) + 1),
            12..16 => Self::Unicast(sender, usize::from(two)),
            16..21 => Self::Join,
            21..33 => Self::Take(member, pick(two, 4) + 1),
            33..42 => Self::Settle(member, Settle::Ack),
            42..45 => Self::Settle(member, Settle::AckThrough(pick(two, 10))),
            45..47 => Self::Settle(member, Settle::Retry(None)),
            47 => Self::Settle(member, Settle::Retry(Some(MILLI * u32::from(two)))),
            48 => Self::Settle(member, Settle::Reject),
            49..51 => Self::Settle(member, Settle::Drop),
            51..54 => Self::Root((two % 2 == 1).then_some(member), pick(two, 20) + 1),
            54..57 => Self::Advance(MILLI * u32::from(two)),
            57 => Self::Ready(member),
            58 => Self::Detach(member),
            59..61 => Self::Rejoin(member),
            61 => Self::Leave(member),
            62 => Self::Broken(sender),
            _ if two >= 192 => Self::Close,
            _ => Self::Advance(MILLI * u32::from(two) * 20),
        }
    }
}

/// An event: its number, and whether its clone panics.
#[derive(Debug)]
struct Event {
    number: u64,
    is_broken: bool,
}

impl Clone for Event {
    fn clone(&self) -> Self {
        if self.is_broken {
            std::panic::resume_unwind(Box::new("as requested"));
        }
        Self { number: self.number, is_broken: false }
    }
}

/// A member, with the index that it has in the model.
struct Seat {
    name: String,
    member: Option<Member<Event>>,
    outbox: Option<Outbox<Event>>,
}

/// A packet that the case holds.
struct Held {
    index: usize,
    key: Key,
    packet: Packet<Event>,
}

struct World {
    director: Director<Event>,
    clock: ManualClock,
    letters: Receiver<DeadPacket<Event>>,
    model: Model,
    seats: Vec<Seat>,
    held: Vec<Held>,
    /// The number of the next event.
    next: u64,
}

/// Runs a case; panics where the director and the model differ.
pub(crate) fn run(rules: Rules, ops: &[Op]) {
    let clock = ManualClock::new();
    let (letters, dead) = Channel::lossy(4096).expect("a channel");
    let director = rules.director(&clock).dead_letters(letters).build().expect("valid settings");
    let mut world = World {
        director,
        clock,
        letters: dead,
        model: Model::new(rules),
        seats: Vec::new(),
        held: Vec::new(),
        next: 0,
    };
    for op in ops {
        world.step(*op);
        world.check();
    }
    world.finish();
}

impl World {
    fn step(&mut self, op: Op) {
        match op {
            Op::Join => self.join(),
            Op::Leave(seat) => self.leave(seat),
            Op::Detach(seat) => self.detach(seat),
            Op::Rejoin(seat) => self.rejoin(seat),
            Op::Broadcast(sender, count) => (0..count).for_each(|_| self.broadcast(sender, false)),
            Op::Broken(sender) => self.broadcast(sender, true),
            Op::Unicast(sender, receiver) => self.unicast(sender, receiver),
            Op::Root(receiver, count) => (0..count).for_each(|_| self.root(receiver)),
            Op::Take(seat, most) => self.take(seat, most),
            Op::Settle(held, settle) => self.settle(held, settle),
            Op::Ready(seat) => {
                if let Some(index) = self.model.present(seat) {
                    self.model.ready(index);
                    assert!(self.director.ready(&self.seats[index].name), "a member");
                }
            }
            Op::Advance(by) => {
                self.model.now += by;
                self.clock.advance(by);
            }
            Op::Close => self.close(),
        }
    }

    fn join(&mut self) {
        let name = format!("member {}", self.seats.len());
        if self.model.is_closed {
            assert!(self.director.join_manual(name.as_str()).is_err(), "a closed director admits no member");
            return;
        }
        if self.seats.len() == MEMBERS {
            return;
        }
        if let Some(index) = self.model.present(self.seats.len()) {
            let taken = self.director.join_manual(self.seats[index].name.as_str());
            assert!(taken.is_err(), "a name twice");
        }
        let (index, epoch) = self.model.join();
        let (member, outbox) = self.director.join_manual(name.as_str()).expect("an open director");
        assert_eq!((index, epoch), (self.seats.len(), member.epoch().get()));
        self.seats.push(Seat { name, member: Some(member), outbox: Some(outbox) });
    }

    fn leave(&mut self, number: usize) {
        let Some(index) = self.model.present(number) else { return };
        // A member that is detached has no handle with which it could leave.
        let Some(member) = self.seats[index].member.take() else { return };
        let undelivered = self.model.leave(index);
        let report = member.leave();
        assert!(report.was_member, "it was a member");
        assert_eq!(report.member.undelivered, undelivered, "the undelivered events of {index}");
        self.compare(index, &report.member.member);
        assert!(self.director.snapshot().member(&self.seats[index].name).is_none());
    }

    fn detach(&mut self, number: usize) {
        let Some(index) = self.model.present(number) else { return };
        if let Some(member) = self.seats[index].member.take() {
            self.model.detach(index);
            member.detach();
        }
    }

    fn rejoin(&mut self, number: usize) {
        let Some(index) = self.model.present(number) else {
            assert!(self.director.rejoin_manual("stranger").is_err(), "no member has this name");
            return;
        };
        let name = self.seats[index].name.clone();
        if self.model.is_closed {
            assert!(self.director.rejoin_manual(&name).is_err(), "a closed director admits no member");
            return;
        }
        let epoch = self.model.rejoin(index);
        let (member, outbox) = self.director.rejoin_manual(&name).expect("a member");
        assert_eq!(epoch, member.epoch().get());
        let seat = &mut self.seats[index];
        let former = seat.member.replace(member);
        let mut old = seat.outbox.replace(outbox);
        if let Some(former) = former {
            // Its handle is stale: the drop must not make the member leave.
            assert!(!former.is_current());
        }
        if let Some(old) = &mut old {
            assert!(matches!(old.try_packet(), Err(TryRecvError::Closed)), "one session hands packets out");
        }
    }

    /// Returns the number of the next event.
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn broadcast(&mut self, sender: Option<usize>, is_broken: bool) {
        let event = Event { number: self.number(), is_broken };
        let number = event.number;
        let sender = sender.and_then(|sender| self.model.present(sender));
        let sent = match sender {
            None => self.director.announce(event),
            Some(index) => match &mut self.seats[index].member {
                Some(member) => member.broadcast(event),
                // A detached member cannot send.
                None => return,
            },
        };
        if self.model.is_closed {
            let refused = sent.expect_err("a closed director accepts no event");
            assert!(refused.is_closed() && refused.into_event().number == number);
            return;
        }
        assert_eq!(sent.expect("an open director").get(), self.model.tail());
        let from = sender.map(|index| self.model.members[index].epoch);
        self.model.send(from, None, number, is_broken);
    }

    fn unicast(&mut self, sender: Option<usize>, receiver: usize) {
        let event = Event { number: self.number(), is_broken: false };
        let number = event.number;
        let sender = sender.and_then(|sender| self.model.present(sender));
        let receiver = self.model.present(receiver);
        let name = receiver.map_or("stranger", |index| &self.seats[index].name).to_owned();
        let sent = match sender {
            None => self.director.unicast(&name, event),
            Some(index) => match &mut self.seats[index].member {
                Some(member) => member.unicast(&name, event),
                None => return,
            },
        };
        match sent {
            Ok(sequence) => {
                assert!(!self.model.is_closed && receiver.is_some() && receiver != sender);
                assert_eq!(sequence.get(), self.model.tail());
                let from = sender.map(|index| self.model.members[index].epoch);
                self.model.send(from, receiver, number, false);
            }
            Err(error) => {
                let is_expected = match &error {
                    SendError::Closed(_) => self.model.is_closed,
                    SendError::UnknownMember { .. } => receiver.is_none(),
                    SendError::SelfTarget(_) => receiver == sender,
                    _ => false,
                };
                assert!(is_expected && error.into_event().number == number, "unicast to {name}");
            }
        }
    }

    fn root(&mut self, receiver: Option<usize>) {
        let event = Event { number: self.number(), is_broken: false };
        let number = event.number;
        let receiver = match receiver.map(|receiver| self.model.present(receiver)) {
            None => None,
            Some(Some(index)) => Some(index),
            Some(None) => return,
        };
        let root = self.director.root();
        let sent = match receiver {
            None => root.broadcast(event),
            Some(index) => root.unicast(&self.seats[index].name, event),
        };
        if self.model.is_closed {
            assert!(sent.is_err(), "a closed director accepts no root event");
            return;
        }
        sent.expect("an open director");
        self.model.send_root(receiver, number);
    }

    fn take(&mut self, number: usize, most: usize) {
        if self.seats.is_empty() {
            return;
        }
        // Also of members that have left.
        let index = pick(number as u8, self.seats.len());
        for _ in 0..most {
            if !self.take_one(index) {
                return;
            }
        }
    }

    /// Takes a packet, and compares it with that of the model. Returns whether there was one.
    fn take_one(&mut self, index: usize) -> bool {
        let Some(outbox) = &mut self.seats[index].outbox else { return false };
        let taken = outbox.try_packet();
        let expected = self.model.next(index);
        let packet = match taken {
            Ok(packet) => packet,
            Err(TryRecvError::Empty) => {
                assert_eq!(expected, Next::Nothing, "member {index} has no packet");
                return false;
            }
            Err(TryRecvError::Closed) => {
                assert_eq!(expected, Next::End, "the session of member {index} has ended");
                return false;
            }
            Err(other) => panic!("{other:?}"),
        };
        let kind = kind(&packet);
        let found = Next::Packet {
            kind,
            id: packet.id(),
            attempt: packet.attempt(),
            lagged: packet.lagged(),
            events: packet.events().iter().map(sent).collect(),
        };
        assert_eq!(found, expected, "member {index}");
        let key = Key { epoch: packet.epoch().get(), kind, id: packet.id(), attempt: packet.attempt() };
        self.held.push(Held { index, key, packet });
        if self.held.len() > HELD {
            let oldest = self.held.remove(0);
            self.drop_held(oldest);
        }
        true
    }

    fn drop_held(&mut self, held: Held) {
        self.model.dropped(held.index, held.key);
        drop(held.packet);
    }

    fn settle(&mut self, number: usize, settle: Settle) {
        if self.held.is_empty() {
            return;
        }
        let at = pick(number as u8, self.held.len());
        if settle == Settle::Drop {
            let held = self.held.remove(at);
            return self.drop_held(held);
        }
        let Held { index, key, packet } = &self.held[at];
        let (index, key) = (*index, *key);
        let (found, expected) = match settle {
            Settle::Ack => (packet.ack(), self.model.ack(index, key)),
            Settle::AckThrough(event) => {
                let events = packet.events();
                let known = events.get(event).or(events.last());
                let Some(known) = known else { return };
                let beyond = event >= events.len();
                let through = if beyond { known.sequence.next() } else { known.sequence };
                (packet.ack_through(through), self.model.ack_through(index, key, through.get()))
            }
            Settle::Retry(None) => (packet.retry(), self.model.retry(index, key, None)),
            Settle::Retry(Some(wait)) => (packet.retry_after(wait), self.model.retry(index, key, Some(wait))),
            Settle::Reject => (packet.reject("as requested"), self.model.reject(index, key)),
            Settle::Drop => return,
        };
        let found = found.map_err(|error| match error {
            AckError::StaleEpoch { .. } => Refused::StaleEpoch,
            AckError::NotDelivered { .. } => Refused::NotDelivered,
            other => panic!("{other}"),
        });
        assert_eq!(found, expected, "{settle:?} of {key:?} of member {index}");
    }

    fn close(&mut self) {
        self.model.is_closed = true;
        let report = self.director.close_timeout(Duration::ZERO);
        for index in 0..self.seats.len() {
            let listed = report.member(&self.seats[index].name);
            let is_there = self.model.members[index].presence != Presence::Left;
            assert_eq!(listed.is_some(), is_there, "member {index} in the report");
            if let Some(listed) = listed {
                let undelivered = self.model.unread(index) + self.model.members[index].in_flight();
                assert_eq!(listed.undelivered, undelivered, "the undelivered events of {index}");
            }
        }
    }

    /// Compares the counters of all members, and the dead letters.
    fn check(&mut self) {
        let snapshot = self.director.snapshot();
        assert_eq!((snapshot.published, snapshot.oldest.get()), (self.model.tail(), self.model.oldest()));
        assert_eq!((snapshot.is_closed, snapshot.orphans), (self.model.is_closed, self.model.orphans));
        for (index, seat) in self.seats.iter().enumerate() {
            if let Some(member) = snapshot.member(&seat.name) {
                self.compare(index, member);
            }
        }
        for letter in std::mem::take(&mut self.model.letters) {
            let found = self.letters.try_recv().map(|dead| read(&dead)).ok();
            assert_eq!(found, Some(letter), "the dead letters");
        }
        assert!(self.letters.try_recv().is_err(), "a dead letter too many");
    }

    /// Compares the counters of one member.
    fn compare(&self, index: usize, found: &MemberSnapshot) {
        let model = &self.model.members[index];
        assert!(found.is_balanced(), "{found}");
        assert_eq!(counts(found), model.counts, "member {index}");
        assert_eq!((found.epoch.get(), found.next.get()), (model.epoch, model.next), "member {index}");
        assert_eq!(found.offered, self.model.tail() - model.begin, "member {index}");
        assert_eq!(found.in_flight, model.in_flight(), "member {index}");
        assert_eq!(found.unread, self.model.tail() - model.next, "member {index}");
        let pending = model.inbox.len() as u64 + model.root_in_flight();
        assert_eq!(found.root_pending, pending, "member {index}");
        let is_there = matches!(found.status, MemberStatus::Attached | MemberStatus::Joining);
        assert_eq!(is_there, model.presence == Presence::Attached, "member {index}: {}", found.status);
    }

    /// Delivers everything to all members that have a session, and checks that nothing is left.
    fn finish(&mut self) {
        while !self.held.is_empty() {
            let held = self.held.remove(0);
            self.drop_held(held);
        }
        for index in 0..self.seats.len() {
            // Each wait for a retry is over by then.
            let wait = self.model.longest_wait();
            self.step(Op::Advance(wait));
            while self.take_one(index) {
                self.settle(self.held.len() - 1, Settle::Ack);
                let held = self.held.pop().expect("a packet");
                self.drop_held(held);
            }
            let member = &self.model.members[index];
            if member.presence == Presence::Attached {
                assert_eq!((member.next, member.in_flight()), (self.model.tail(), 0), "member {index}");
                assert!(member.inbox.is_empty() && member.root_in_flight() == 0, "member {index}");
            }
            self.check();
        }
    }
}

/// Returns the counters of one member.
fn counts(found: &MemberSnapshot) -> Counts {
    Counts {
        delivered: found.delivered,
        others: found.not_for_member,
        lost: found.lost,
        given_up: found.dead_letters,
        clone_panics: found.panicked,
        root_offered: found.root_offered,
        root_delivered: found.root_delivered,
        root_lost: found.root_lost,
        root_given_up: found.root_dead_letters,
        packets: found.packets,
        attempts: found.attempts,
        ack_timeouts: found.ack_timeouts,
        late_acks: found.late_acks,
        refused_acks: found.refused_acks,
        node_panics: found.node_panics,
        dropped_tickets: found.dropped_tickets,
    }
}

fn kind(packet: &Packet<Event>) -> Kind {
    match packet.kind() {
        PacketKind::State => Kind::State,
        PacketKind::Root => Kind::Root,
        PacketKind::Events => Kind::Events,
        other => panic!("{other}"),
    }
}

fn sent(event: &buslane::director::PacketEvent<Event>) -> Sent {
    Sent { sequence: event.sequence.get(), from: event.from.map(Epoch::get), event: event.event.number }
}

fn read(letter: &DeadPacket<Event>) -> Letter {
    let kind = match letter.kind() {
        PacketKind::State => Kind::State,
        PacketKind::Root => Kind::Root,
        _ => Kind::Events,
    };
    let events = letter.events().iter().map(|event| event.event.number).collect();
    (kind, letter.id(), letter.attempts(), events)
}
