//! Broadcasts to many members, each of which takes everything between two timed blocks. No member
//! sleeps.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, Singly};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::director::Director;
use buslane::{Bus, Channel, Overflow, Receiver};

const OPEN: &str = "the contender is open";
const SETTINGS: &str = "the settings are valid";

/// `Member::broadcast` of a director, with an outbox for each of the other members.
#[must_use]
pub fn director(members: usize) -> impl Cost {
    let director = Director::builder().history(CAPACITY).build().expect(SETTINGS);
    let join = |index| {
        let (member, mut outbox) = director.join_manual(format!("member {index}")).expect(OPEN);
        outbox.try_packet().expect("the first packet").ack().expect(OPEN);
        (member, outbox)
    };
    let mut outboxes: Vec<_> = (0..members).map(join).collect();
    let (mut sender, own) = director.join_manual("sender").expect(OPEN);
    Singly {
        receivers: members,
        publish: move |seed: Seed| {
            sender.broadcast(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            // Everything lives as long as the contender.
            let _ = (&director, &own);
            for (index, (_, outbox)) in outboxes.iter_mut().enumerate() {
                while let Ok(packet) = outbox.try_packet() {
                    packet.events().iter().for_each(|event| see(index, event.event));
                    packet.ack().expect(OPEN);
                }
            }
        },
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
