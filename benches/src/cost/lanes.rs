//! The contenders of `buslane`.
//!
//! Channels represent queues: a publisher's lane into either is the same code, and this thread can
//! drain a channel between two timed blocks.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, InSlices, Singly};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::{Bus, Channel, Overflow, Receiver, SinkExt, WaitStrategy};

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// Returns a bus with `channels` channels on it.
fn bus(channels: usize, wait: WaitStrategy) -> (Bus<Event>, Vec<Receiver<Event>>) {
    let bus = Bus::new();
    let receivers = (0..channels)
        .map(|_| {
            let (channel, receiver) =
                Channel::builder().capacity(CAPACITY).wait_strategy(wait).build().expect(SETTINGS);
            bus.add(channel).expect(OPEN);
            receiver
        })
        .collect();
    (bus, receivers)
}

fn drain(receivers: &mut [Receiver<Event>], see: &mut dyn FnMut(usize, Event)) {
    for (index, receiver) in receivers.iter_mut().enumerate() {
        while receiver.drain_with(|event| see(index, event)) > 0 {}
    }
}

/// Returns a contender that publishes single events with a publisher of this bus, for these
/// receivers.
fn published(bus: &Bus<Event>, mut receivers: Vec<Receiver<Event>>) -> impl Cost + use<> {
    let mut publisher = bus.publisher();
    Singly {
        receivers: receivers.len(),
        publish: move |seed: Seed| {
            let _ = publisher.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| drain(&mut receivers, see),
    }
}

/// A publisher's lanes into `channels` channels. No reader parks here, so no publish executes a
/// fence, whatever the wait strategy.
#[must_use]
pub fn lanes(channels: usize, wait: WaitStrategy) -> impl Cost {
    let (bus, receivers) = bus(channels, wait);
    published(&bus, receivers)
}

/// A publisher's lane into one channel with this overflow policy.
#[must_use]
pub fn lane_with(overflow: Overflow) -> impl Cost {
    let builder = Channel::builder().capacity(CAPACITY).overflow(overflow).wait_strategy(WaitStrategy::nap());
    let (channel, receiver) = builder.build().expect(SETTINGS);
    let bus = Bus::new();
    bus.add(channel).expect(OPEN);
    published(&bus, vec![receiver])
}

/// A publisher's lane into one channel, through `publish_batch`.
#[must_use]
pub fn lanes_in_slices<const N: usize>() -> impl Cost {
    let (bus, mut receivers) = bus(1, WaitStrategy::nap());
    let mut publisher = bus.publisher();
    InSlices::<N, Event, _, _>::new(
        move |events| {
            let _ = publisher.publish_batch(events).expect(OPEN);
        },
        move |see| drain(&mut receivers, see),
    )
}

/// A channel downstream of a filter that reads each event and accepts all of them.
#[must_use]
pub fn filtered() -> impl Cost {
    let (channel, receiver) =
        Channel::builder().capacity(CAPACITY).wait_strategy(WaitStrategy::nap()).build().expect(SETTINGS);
    let bus = Bus::new();
    bus.add(channel.filter(|event: &Event| event.last == 0)).expect(OPEN);
    published(&bus, vec![receiver])
}

/// The thread's cached publisher, looked up for each event.
#[must_use]
pub fn local() -> impl Cost {
    let (bus, mut receivers) = bus(1, WaitStrategy::nap());
    Singly {
        receivers: 1,
        publish: move |seed: Seed| {
            let _ = bus.with_local(|publisher| publisher.publish(seed.event())).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| drain(&mut receivers, see),
    }
}

/// `Bus::publish`, through the shared lanes of these channels.
#[must_use]
pub fn bus_shared(channels: usize) -> impl Cost {
    let (bus, mut receivers) = bus(channels, WaitStrategy::nap());
    Singly {
        receivers: channels,
        publish: move |seed: Seed| {
            let _ = bus.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| drain(&mut receivers, see),
    }
}
