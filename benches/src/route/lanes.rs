//! The routes of `buslane`.

use super::{Consumer, Line, Route};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::{Bus, Channel, Overflow, Queue, WaitStrategy};

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// A publisher of its own for each thread, and a queue.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// How the queue waits.
    pub wait: WaitStrategy,
    /// What a publisher without room does: wait as [`Overflow::Block`] does, or try again at once.
    pub overflow: Overflow,
}

impl Queued {
    /// Nobody ever sleeps.
    pub const SPINNING: Self = Self { wait: WaitStrategy::BusySpin, overflow: Overflow::Refuse };
    /// As a queue waits by default; publishers wait for room.
    pub const DEFAULT: Self = Self::waiting(WaitStrategy::nap());

    /// A queue that waits so; publishers wait for room.
    #[must_use]
    pub const fn waiting(wait: WaitStrategy) -> Self {
        Self { wait, overflow: Overflow::Block }
    }
}

/// A bus with one queue on it.
fn bus_with_queue(
    Queued { wait, overflow }: Queued,
    mut handle: impl FnMut(&Event) + Send + 'static,
) -> Bus<Event> {
    let builder = Queue::builder().capacity(CAPACITY).overflow(overflow).wait_strategy(wait);
    let queue = builder.spawn(move |event: Event| handle(&event)).expect(SETTINGS);
    let bus = Bus::new();
    bus.add(queue).expect(OPEN);
    bus
}

/// One for each thread; the bus closes when all of them are gone.
fn publishers(bus: &Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) + Send + 'static + use<>> {
    let senders = (0..count).map(|_| {
        let mut publisher = bus.publisher();
        move |seed: Seed| {
            while publisher.publish(seed.event()).expect(OPEN).accepted == 0 {
                std::hint::spin_loop();
            }
        }
    });
    senders.collect()
}

impl Route for Queued {
    fn open(
        self,
        count: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let bus = bus_with_queue(self, handle);
        Line { senders: publishers(&bus, count), consumer: Consumer::held(bus) }
    }
}

/// `Bus::publish` by each thread, through the one lane that all share, and a queue with the default
/// waiting.
#[derive(Clone, Copy, Debug)]
pub struct Shared;

impl Route for Shared {
    fn open(
        self,
        count: usize,
        handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let bus = bus_with_queue(Queued::DEFAULT, handle);
        let senders = (0..count).map(|_| {
            let bus = bus.clone();
            move |seed: Seed| {
                let _ = bus.publish(seed.event()).expect(OPEN);
            }
        });
        Line { senders: senders.collect(), consumer: Consumer::held(bus) }
    }
}

/// A publisher of its own for each thread, and a channel whose receiver takes event by event.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// How the receiver waits.
    pub wait: WaitStrategy,
}

impl Received {
    /// As a receiver waits by default.
    pub const DEFAULT: Self = Self { wait: WaitStrategy::SpinPark };
}

impl Route for Received {
    fn open(
        self,
        count: usize,
        mut handle: impl FnMut(&Event) + Send + 'static,
    ) -> Line<impl FnMut(Seed) + Send + 'static> {
        let builder =
            Channel::builder().capacity(CAPACITY).overflow(Overflow::Block).wait_strategy(self.wait);
        let (channel, mut receiver) = builder.build().expect(SETTINGS);
        let bus = Bus::new();
        bus.add(channel).expect(OPEN);
        let senders = publishers(&bus, count);
        // The bus closes, and with it the channel, when the last publisher goes.
        let consumer = Consumer::spawn(move || {
            while let Ok(event) = receiver.recv() {
                handle(&event);
            }
        });
        Line { senders, consumer }
    }
}
