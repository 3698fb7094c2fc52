//! Nodes on threads of their own that do what a case says: they finish, fail, panic, or keep the
//! ticket of a packet.
//!
//! After each operation the case waits until every idle node has got the packet that it must get,
//! and its counters are those of the model. So nothing depends on when a thread runs.

use super::model::{Key, Model, Next, Presence, Rules};
use super::{Event, MILLI, counts, kind, sent};
use crate::oracle::value::{Step, pick};
use buslane::director::{Delivery, Director, Member, Node, Packet, Roster, Ticket};
use buslane::testing::ManualClock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const MEMBERS: usize = 4;

/// How long a thread may take for a step. Reached only if a packet or a count never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a node does with the packet that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Finish,
    Fail(Option<Duration>),
    Reject,
    Panic,
    /// It returns `Pending`, and the case gets the ticket.
    Keep,
    /// It returns `Pending` without a ticket.
    Forget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Join,
    Leave(usize),
    Detach(usize),
    Rejoin(usize),
    Broadcast(Option<usize>),
    Root,
    Order(usize, Order),
    /// Acknowledges, fails or drops a kept ticket.
    Settle(usize, u8),
    Ready(usize),
    Advance(Duration),
}

impl Op {
    pub(crate) fn decode([code, one, two]: Step) -> Self {
        let member = usize::from(one);
        match code % 64 {
            0..16 => Self::Broadcast((one % 3 != 2).then_some(member)),
            16..20 => Self::Join,
            20..34 => Self::Order(member, Order::Finish),
            34..38 => Self::Order(member, Order::Panic),
            38..41 => Self::Order(member, Order::Fail(None)),
            41 => Self::Order(member, Order::Fail(Some(MILLI * u32::from(two)))),
            42 => Self::Order(member, Order::Reject),
            43..47 => Self::Order(member, Order::Keep),
            47 => Self::Order(member, Order::Forget),
            48..52 => Self::Settle(member, two),
            52..55 => Self::Root,
            55..59 => Self::Advance(MILLI * u32::from(two)),
            59 => Self::Ready(member),
            60 => Self::Detach(member),
            61..63 => Self::Rejoin(member),
            _ => Self::Leave(member),
        }
    }
}

/// The node of a member, with the ends of its threads.
struct Puppet {
    taken: Sender<(Next, Key)>,
    orders: Receiver<Order>,
    tickets: Sender<Ticket>,
}

impl Puppet {
    fn obey(&self, packet: &Packet<Event>) -> Delivery {
        let key = key(packet);
        let next = Next::Packet {
            kind: key.kind,
            id: key.id,
            attempt: key.attempt,
            lagged: packet.lagged(),
            events: packet.events().iter().map(sent).collect(),
        };
        // Without the case there is nothing to do.
        let (Ok(()), Ok(order)) = (self.taken.send((next, key)), self.orders.recv()) else {
            return Delivery::Done;
        };
        match order {
            Order::Finish => Delivery::Done,
            Order::Fail(wait) => Delivery::Retry(wait),
            Order::Reject => Delivery::Reject("as requested".into()),
            Order::Panic => std::panic::resume_unwind(Box::new("as requested")),
            Order::Keep => {
                let _ = self.tickets.send(packet.ticket());
                Delivery::Pending
            }
            Order::Forget => Delivery::Pending,
        }
    }
}

impl Node<Event> for Puppet {
    fn deliver(&mut self, packet: &Packet<Event>) -> Delivery {
        self.obey(packet)
    }

    fn joined(&mut self, _roster: &Roster, state: &Packet<Event>) -> Delivery {
        self.obey(state)
    }
}

fn key(packet: &Packet<Event>) -> Key {
    Key { epoch: packet.epoch().get(), kind: kind(packet), id: packet.id(), attempt: packet.attempt() }
}

/// The other ends of a puppet.
struct Strings {
    taken: Receiver<(Next, Key)>,
    orders: Sender<Order>,
    tickets: Receiver<Ticket>,
    /// The packet that the node has, if it is in a call.
    in_call: Option<Key>,
}

fn puppet() -> (Puppet, Strings) {
    let ((taken, takes), (orders, obeys), (keeps, tickets)) = (channel(), channel(), channel());
    let puppet = Puppet { taken, orders: obeys, tickets: keeps };
    (puppet, Strings { taken: takes, orders, tickets, in_call: None })
}

struct Seat {
    /// Dropped before the member, which waits for the end of its node's call.
    strings: Strings,
    name: String,
    member: Option<Member<Event>>,
}

struct Stage {
    director: Director<Event>,
    clock: ManualClock,
    model: Model,
    seats: Vec<Seat>,
    kept: Vec<(usize, Key, Ticket)>,
    next: u64,
}

/// Runs a case; panics where the director and the model differ.
pub(crate) fn run(rules: Rules, ops: &[Op]) {
    let clock = ManualClock::new();
    let director = rules.director(&clock).build().expect("valid settings");
    let (seats, kept, model) = (Vec::new(), Vec::new(), Model::new(rules));
    let mut stage = Stage { director, clock, model, seats, kept, next: 0 };
    for op in ops {
        stage.step(*op);
        stage.settle();
    }
    // Orders that never come end the calls, and the close ends the threads.
    stage.seats.clear();
}

impl Stage {
    fn step(&mut self, op: Op) {
        match op {
            Op::Join => {
                if self.seats.len() < MEMBERS {
                    let name = format!("puppet {}", self.seats.len());
                    let (index, epoch) = self.model.join();
                    self.model.members[index].has_thread = true;
                    let (node, strings) = puppet();
                    let member = self.director.join(name.as_str(), node).expect("an open director");
                    assert_eq!(member.epoch().get(), epoch);
                    self.seats.push(Seat { name, member: Some(member), strings });
                }
            }
            Op::Rejoin(number) => {
                let Some(index) = self.model.present(number) else { return };
                let epoch = self.model.rejoin(index);
                let (node, strings) = puppet();
                let member = self.director.rejoin(&self.seats[index].name, node).expect("a member");
                assert_eq!(member.epoch().get(), epoch);
                self.seats[index].member = Some(member);
                let old = std::mem::replace(&mut self.seats[index].strings, strings);
                self.dismiss(index, &old);
            }
            Op::Detach(number) => {
                let Some(index) = self.model.present(number) else { return };
                if let Some(member) = self.seats[index].member.take() {
                    self.model.detach(index);
                    member.detach();
                    self.dismiss_present(index);
                }
            }
            Op::Leave(number) => {
                let Some(index) = self.model.present(number) else { return };
                if let Some(member) = self.seats[index].member.take() {
                    let undelivered = self.model.leave(index);
                    let report = member.leave_timeout(Duration::ZERO);
                    assert_eq!(report.member.undelivered, undelivered, "the undelivered events of {index}");
                    self.dismiss_present(index);
                }
            }
            Op::Broadcast(sender) => {
                let event = Event { number: self.next, is_broken: false };
                let sender = sender.and_then(|sender| self.model.present(sender));
                let sent = match sender.map(|index| &mut self.seats[index].member) {
                    None => self.director.announce(event),
                    Some(Some(member)) => member.broadcast(event),
                    Some(None) => return,
                };
                assert_eq!(sent.expect("an open director").get(), self.model.tail());
                let from = sender.map(|index| self.model.members[index].epoch);
                self.model.send(from, None, self.next, false);
                self.next += 1;
            }
            Op::Root => {
                let event = Event { number: self.next, is_broken: false };
                self.director.root().broadcast(event).expect("an open director");
                self.model.send_root(None, self.next);
                self.next += 1;
            }
            Op::Order(number, order) => self.order(number, order),
            Op::Settle(number, how) => self.settle_ticket(number, how),
            Op::Ready(number) => {
                if let Some(index) = self.model.present(number) {
                    self.model.ready(index);
                    assert!(self.director.ready(&self.seats[index].name), "a member");
                }
            }
            Op::Advance(by) => {
                self.model.now += by;
                self.clock.advance(by);
            }
        }
    }

    fn dismiss_present(&mut self, index: usize) {
        let (_, strings) = puppet();
        let old = std::mem::replace(&mut self.seats[index].strings, strings);
        self.dismiss(index, &old);
    }

    /// Ends the call of a session that is over. Its verdict is refused.
    fn dismiss(&mut self, index: usize, strings: &Strings) {
        if let Some(key) = strings.in_call {
            strings.orders.send(Order::Finish).expect("a node in a call");
            assert!(self.model.ack(index, key).is_err(), "a verdict of a session that is over");
        }
    }

    /// Gives an order to one of the nodes that are in a call.
    fn order(&mut self, number: usize, order: Order) {
        let in_call = |index: &usize| self.seats[*index].strings.in_call.is_some();
        let called: Vec<_> = (0..self.seats.len()).filter(in_call).collect();
        if called.is_empty() {
            return;
        }
        let index = called[number % called.len()];
        let strings = &mut self.seats[index].strings;
        let Some(key) = strings.in_call.take() else { return };
        strings.orders.send(order).expect("a node in a call");
        let judged = match order {
            Order::Finish => self.model.ack(index, key),
            Order::Fail(wait) => self.model.retry(index, key, wait),
            Order::Reject => self.model.reject(index, key),
            Order::Panic => self.model.panicked(index, key),
            Order::Keep => {
                let ticket = strings.tickets.recv_timeout(PATIENCE).expect("a ticket");
                self.kept.push((index, key, ticket));
                self.model.returned(index, key, true)
            }
            Order::Forget => self.model.returned(index, key, false),
        };
        assert_eq!(judged, Ok(()), "{order:?} of {key:?}");
    }

    fn settle_ticket(&mut self, number: usize, how: u8) {
        if self.kept.is_empty() {
            return;
        }
        let (index, key, ticket) = self.kept.remove(pick(number as u8, self.kept.len()));
        let (found, expected) = match how % 4 {
            0 | 1 => (ticket.ack().is_ok(), self.model.ack(index, key).is_ok()),
            2 => (ticket.retry().is_ok(), self.model.retry(index, key, None).is_ok()),
            _ => {
                drop(ticket);
                self.model.dropped(index, key);
                return;
            }
        };
        assert_eq!(found, expected, "a ticket of {key:?}");
        // The drop of the ticket follows its verdict.
        self.model.dropped(index, key);
    }

    /// Waits until each idle node has the packet that it must get, and the counters are right.
    fn settle(&mut self) {
        for index in 0..self.seats.len() {
            let is_attached = self.model.members[index].presence == Presence::Attached;
            if is_attached && self.seats[index].strings.in_call.is_none() {
                let expected = self.model.next(index);
                if expected != Next::Nothing {
                    let strings = &mut self.seats[index].strings;
                    let (found, key) = strings.taken.recv_timeout(PATIENCE).expect("a packet");
                    assert_eq!(found, expected, "member {index}");
                    strings.in_call = Some(key);
                }
            }
            self.await_counts(index);
        }
    }

    fn await_counts(&self, index: usize) {
        let begin = Instant::now();
        let model = &self.model.members[index];
        loop {
            let snapshot = self.director.snapshot();
            let Some(found) = snapshot.member(&self.seats[index].name) else {
                assert_eq!(model.presence, Presence::Left, "member {index} is not listed");
                return;
            };
            assert!(found.is_balanced(), "{found}");
            // A verdict is settled when the call is over.
            let is_in_call = self.seats[index].strings.in_call.is_some();
            let found = (
                counts(found),
                found.epoch.get(),
                found.next.get(),
                found.in_flight,
                found.in_call_for.is_some(),
            );
            let expected = (model.counts, model.epoch, model.next, model.in_flight(), is_in_call);
            if found == expected {
                return;
            }
            if begin.elapsed() > PATIENCE {
                assert_eq!(found, expected, "member {index}");
            }
            std::thread::yield_now();
        }
    }
}
