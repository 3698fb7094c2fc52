//! The contenders: a director, tokio's broadcast channel, and a channel for each member that a pump
//! fills.
//!
//! A pump is a thread or task between the publisher and the members. With one, a publisher pays for
//! one channel however many members there are, and every event is copied once more.

use super::{Account, Members, READERS};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::route::Consumer;
use buslane::director::{Delivery, Director, Member, Outbox, Packet};
use buslane::{Bus, Channel, Overflow, Publisher, Receiver, WaitStrategy};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc};

const OPEN: &str = "the contender is open";
const SETTINGS: &str = "the settings are valid";

/// Distributes members over the reading threads. `take` handles what a member can get, and returns
/// whether there was anything.
fn poll<S: Send + 'static>(
    members: Vec<(S, Account)>,
    take: impl Fn(&mut S, &mut Account) -> bool + Copy + Send + 'static,
) -> Vec<Consumer> {
    let mut parts: Vec<Vec<(S, Account)>> = (0..READERS).map(|_| Vec::new()).collect();
    for (index, member) in members.into_iter().enumerate() {
        parts[index % READERS].push(member);
    }
    let spin = |mut part: Vec<(S, Account)>| {
        Consumer::spin(move || {
            let mut found = false;
            for (source, account) in &mut part {
                found |= take(source, account);
            }
            if !found {
                // There are more threads than processors.
                std::thread::yield_now();
            }
            found
        })
    };
    parts.into_iter().map(spin).collect()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(READERS).build().expect("a runtime")
}

/// A member, which leaves when it is dropped, and its outbox.
type Joined = (Member<Event>, Outbox<Event>);

/// The sender, which is a member as well.
#[derive(Debug)]
struct Sender {
    member: Member<Event>,
    _outbox: Outbox<Event>,
    /// It closes when it is dropped.
    _director: Director<Event>,
}

impl Sender {
    fn join(director: Director<Event>) -> Self {
        let (member, outbox) = director.join_manual("sender").expect(OPEN);
        Self { member, _outbox: outbox, _director: director }
    }

    #[inline(always)]
    fn broadcast(&mut self, seed: Seed) {
        self.member.broadcast(seed.event()).expect(OPEN);
    }
}

/// A director with a sender, and the other members.
fn direct(accounts: Vec<Account>) -> (Sender, Vec<(Joined, Account)>) {
    let director = Director::builder().history(CAPACITY).build().expect(SETTINGS);
    let join = |(index, account)| {
        let (member, mut outbox) = director.join_manual(format!("member {index}")).expect(OPEN);
        outbox.try_packet().expect("the first packet").ack().expect(OPEN);
        ((member, outbox), account)
    };
    let members = accounts.into_iter().enumerate().map(join).collect();
    (Sender::join(director), members)
}

fn handle(packet: &Packet<Event>, account: &mut Account) {
    packet.events().iter().for_each(|event| account.see(&event.event));
}

/// `Director` with outboxes that two threads poll.
#[derive(Debug)]
pub struct DirectorPolled {
    sender: Sender,
    _readers: Vec<Consumer>,
}

impl Members for DirectorPolled {
    fn open(accounts: Vec<Account>) -> Self {
        let (sender, members) = direct(accounts);
        let readers = poll(members, |(_, outbox): &mut Joined, account| {
            let Ok(packet) = outbox.try_packet() else { return false };
            handle(&packet, account);
            packet.ack().expect(OPEN);
            true
        });
        Self { sender, _readers: readers }
    }

    #[inline(always)]
    fn publish(&mut self, seed: Seed) {
        self.sender.broadcast(seed);
    }
}

/// `Director` with a task for each outbox.
#[derive(Debug)]
pub struct DirectorTasks {
    sender: Sender,
    _runtime: Runtime,
}

impl Members for DirectorTasks {
    fn open(accounts: Vec<Account>) -> Self {
        let (sender, members) = direct(accounts);
        let runtime = runtime();
        for ((member, mut outbox), mut account) in members {
            runtime.spawn(async move {
                let _member = member;
                while let Ok(packet) = outbox.packet_async().await {
                    handle(&packet, &mut account);
                    packet.ack().expect(OPEN);
                }
            });
        }
        Self { sender, _runtime: runtime }
    }

    #[inline(always)]
    fn publish(&mut self, seed: Seed) {
        self.sender.broadcast(seed);
    }
}

/// `Director` with a node on a thread for each member.
#[derive(Debug)]
pub struct DirectorThreads {
    sender: Sender,
    _members: Vec<Member<Event>>,
}

impl Members for DirectorThreads {
    fn open(accounts: Vec<Account>) -> Self {
        let director = Director::builder().history(CAPACITY).build().expect(SETTINGS);
        let join = |(index, mut account)| {
            let node = move |packet: &Packet<Event>| {
                handle(packet, &mut account);
                Delivery::Done
            };
            director.join(format!("member {index}"), node).expect(OPEN)
        };
        let members = accounts.into_iter().enumerate().map(join).collect();
        Self { sender: Sender::join(director), _members: members }
    }

    #[inline(always)]
    fn publish(&mut self, seed: Seed) {
        self.sender.broadcast(seed);
    }
}

/// `tokio::sync::broadcast` with a receiving task for each member.
#[derive(Debug)]
pub struct TokioTasks {
    sender: broadcast::Sender<Event>,
    _runtime: Runtime,
}

impl Members for TokioTasks {
    fn open(accounts: Vec<Account>) -> Self {
        let (sender, _) = broadcast::channel(CAPACITY);
        let runtime = runtime();
        for mut account in accounts {
            let mut receiver = sender.subscribe();
            runtime.spawn(async move {
                while let Ok(event) = receiver.recv().await {
                    account.see(&event);
                }
            });
        }
        Self { sender, _runtime: runtime }
    }

    #[inline(always)]
    fn publish(&mut self, seed: Seed) {
        self.sender.send(seed.event()).expect(OPEN);
    }
}

/// Returns a channel of `buslane` with room for every event that is not handled yet.
fn channel() -> (Channel<Event>, Receiver<Event>) {
    let builder = Channel::builder().capacity(CAPACITY).overflow(Overflow::Refuse);
    builder.wait_strategy(WaitStrategy::SpinPark).build().expect(SETTINGS)
}

/// A `Channel` for each member, which a pumping thread fills and two threads poll.
#[derive(Debug)]
pub struct ChannelEach {
    publisher: Publisher<Event>,
    _pump: Consumer,
    _readers: Vec<Consumer>,
}

impl Members for ChannelEach {
    fn open(accounts: Vec<Account>) -> Self {
        let fan_out = Bus::new();
        let attach = |account| {
            let (channel, receiver) = channel();
            fan_out.add(channel).expect(OPEN);
            (receiver, account)
        };
        let members = accounts.into_iter().map(attach).collect();
        let (inlet, mut outlet) = channel();
        let mut publisher = fan_out.publisher();
        let pump = Consumer::spawn(move || {
            while let Ok(event) = outlet.recv() {
                let published = publisher.publish(event).expect(OPEN);
                assert!(published.is_complete(), "there is room");
            }
        });
        let readers = poll(members, |receiver: &mut Receiver<Event>, account| {
            receiver.drain_with(|event| account.see(&event)) > 0
        });
        let bus = Bus::new();
        bus.add(inlet).expect(OPEN);
        Self { publisher: bus.publisher(), _pump: pump, _readers: readers }
    }

    #[inline(always)]
    fn publish(&mut self, seed: Seed) {
        let _ = self.publisher.publish(seed.event()).expect(OPEN);
    }
}

/// `tokio::sync::mpsc` for each member, with a task that reads it, and one that pumps.
#[derive(Debug)]
pub struct ChannelTasks {
    sender: mpsc::Sender<Event>,
    _runtime: Runtime,
}

impl Members for ChannelTasks {
    fn open(accounts: Vec<Account>) -> Self {
        let runtime = runtime();
        let mut members = Vec::new();
        for mut account in accounts {
            let (sender, mut receiver) = mpsc::channel(CAPACITY);
            members.push(sender);
            runtime.spawn(async move {
                while let Some(event) = receiver.recv().await {
                    account.see(&event);
                }
            });
        }
        let (sender, mut pumped) = mpsc::channel(CAPACITY);
        runtime.spawn(async move {
            while let Some(event) = pumped.recv().await {
                for member in &members {
                    if member.send(event).await.is_err() {
                        return;
                    }
                }
            }
        });
        Self { sender, _runtime: runtime }
    }

    #[inline(always)]
    fn publish(&mut self, seed: Seed) {
        self.sender.try_send(seed.event()).expect("there is room");
    }
}
