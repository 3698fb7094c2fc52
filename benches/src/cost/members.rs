//! Broadcasts to many members, each of which takes everything between two timed blocks. No member
//! sleeps.
//!
//! Members that the publishing thread drains leave their outboxes and the events in its caches, and
//! what a publish needs is gone. [`director_drained_elsewhere`] drains the same members on the other
//! processor. The difference between the two is the price of those caches; what it still costs is that
//! of the publish, and of cache lines that the other processor has read.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, Singly};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::machine::{Padded, on_consumer};
use crate::route::Consumer;
use buslane::director::{Director, Member, Outbox};
use buslane::{Bus, Channel, Overflow, Receiver};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const OPEN: &str = "the contender is open";
const SETTINGS: &str = "the settings are valid";

/// A member, which leaves when it is dropped, and its outbox.
type Joined = (Member<Event>, Outbox<Event>);

/// Makes a director, the sender, and the other members.
fn open(members: usize) -> (Director<Event>, Joined, Vec<Joined>) {
    let director = Director::builder().history(CAPACITY).build().expect(SETTINGS);
    let join = |index| {
        let (member, mut outbox) = director.join_manual(format!("member {index}")).expect(OPEN);
        outbox.try_packet().expect("the first packet").ack().expect(OPEN);
        (member, outbox)
    };
    let outboxes = (0..members).map(join).collect();
    let sender = director.join_manual("sender").expect(OPEN);
    (director, sender, outboxes)
}

/// Takes everything out of each outbox.
fn drain(outboxes: &mut [Joined], see: &mut dyn FnMut(usize, Event)) {
    for (index, (_, outbox)) in outboxes.iter_mut().enumerate() {
        while let Ok(packet) = outbox.try_packet() {
            packet.events().iter().for_each(|event| see(index, event.event));
            packet.ack().expect(OPEN);
        }
    }
}

/// `Member::broadcast` of a director, with an outbox for each of the other members.
#[must_use]
pub fn director(members: usize) -> impl Cost {
    let (director, (mut sender, own), mut outboxes) = open(members);
    Singly {
        receivers: members,
        publish: move |seed: Seed| {
            sender.broadcast(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            // Everything lives as long as the contender.
            let _ = (&director, &own);
            drain(&mut outboxes, see);
        },
    }
}

/// The words of a thread that drains: the number of events to take, and of those that it has taken.
#[derive(Default)]
struct Drained {
    goal: Padded<AtomicU64>,
    done: Padded<AtomicU64>,
}

/// In place of the number of events: one was lost or changed.
const WRONG: u64 = u64::MAX;

/// A contender whose members another thread drains.
struct DrainedElsewhere {
    /// The sender, its own outbox, and the director, which closes when it is dropped.
    sender: Joined,
    _director: Director<Event>,
    /// The number of the next event.
    next: u64,
    drained: Arc<Drained>,
    _reader: Consumer,
}

/// The same members, which another thread drains on the other processor, and checks, between two timed
/// blocks. So the publishing thread sees no event, and none is passed to it.
#[must_use]
pub fn director_drained_elsewhere(members: usize) -> impl Cost {
    let (director, sender, mut outboxes) = open(members);
    let drained = Arc::new(Drained::default());
    let asked = drained.clone();
    let mut done = 0;
    let take = move || {
        let goal = asked.goal.0.load(Ordering::Acquire);
        if goal == done {
            return false;
        }
        let (mut expected, mut is_right) = (vec![done; outboxes.len()], true);
        drain(&mut outboxes, &mut |index, event| {
            is_right &= event == Event::new(expected[index]);
            expected[index] += 1;
        });
        is_right &= expected.iter().all(|next| *next == goal);
        done = goal;
        asked.done.0.store(if is_right { goal } else { WRONG }, Ordering::Release);
        true
    };
    let reader = on_consumer(|| Consumer::spin(take));
    DrainedElsewhere { sender, _director: director, next: 0, drained, _reader: reader }
}

impl Cost for DrainedElsewhere {
    fn receivers(&self) -> usize {
        0
    }

    #[inline(always)]
    fn publish(&mut self, first: u64, count: u64) {
        for seq in first..first + count {
            self.sender.0.broadcast(Seed::new(seq, false).event()).expect(OPEN);
        }
        self.next = first + count;
    }

    fn drain(&mut self, _: &mut dyn FnMut(usize, Event)) {
        self.drained.goal.0.store(self.next, Ordering::Release);
        loop {
            match self.drained.done.0.load(Ordering::Acquire) {
                WRONG => panic!("an event was lost or changed"),
                done if done == self.next => return,
                _ => std::thread::yield_now(),
            }
        }
    }
}

/// A `Channel` for each member, without a pump: the publisher itself publishes to all of them.
#[must_use]
pub fn channels(members: usize) -> impl Cost {
    let bus = Bus::new();
    let attach = |_| {
        let builder = Channel::builder().capacity(CAPACITY).overflow(Overflow::Refuse);
        let (channel, receiver) = builder.build().expect(SETTINGS);
        bus.add(channel).expect(OPEN);
        receiver
    };
    let mut receivers: Vec<Receiver<Event>> = (0..members).map(attach).collect();
    let mut publisher = bus.publisher();
    Singly {
        receivers: members,
        publish: move |seed: Seed| {
            let _ = publisher.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            for (index, receiver) in receivers.iter_mut().enumerate() {
                while receiver.drain_with(|event| see(index, event)) > 0 {}
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{channels, director, director_drained_elsewhere};
    use crate::cost::{Cost, Meter};

    #[test]
    fn members_get_every_event_between_two_blocks() {
        fn check(contender: impl Cost) {
            Meter::new(contender).time(2000);
        }
        for members in [1, 5] {
            check(director(members));
            check(director_drained_elsewhere(members));
            check(channels(members));
        }
    }
}
