//! The routes of `buslane`.

use super::{Consumer, Line, Route};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::{Bus, Channel, Overflow, Queue, WaitStrategy};

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// A route with a publisher for each thread, and a queue.
#[derive(Clone, Copy, Debug)]
pub struct Queued {
    /// The wait strategy of the queue.
    pub wait: WaitStrategy,
    /// The behavior of a publisher without room: wait as [`Overflow::Block`] does, or try again at
    /// once.
    pub overflow: Overflow,
}

impl Queued {
    /// No thread ever sleeps.
    pub const SPINNING: Self = Self { wait: WaitStrategy::BusySpin, overflow: Overflow::Refuse };
    /// The default waiting of a queue; publishers wait for room.
    pub const DEFAULT: Self = Self::waiting(WaitStrategy::nap());

    /// Returns a queue with this wait strategy; publishers wait for room.
    #[must_use]
    pub const fn waiting(wait: WaitStrategy) -> Self {
        Self { wait, overflow: Overflow::Block }
    }
}

/// Returns a bus with one queue on it.
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

/// Returns a publisher for each thread; the bus closes when all of them are dropped.
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

/// A route with `Bus::publish` on each thread, through the shared lane, and a queue with the
/// default waiting.
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

/// A route with a publisher for each thread, and a channel whose receiver takes single events.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// The wait strategy of the receiver.
    pub wait: WaitStrategy,
}

impl Received {
    /// The default waiting of a receiver.
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
        // The drop of the last publisher closes the bus, and with it the channel.
        let consumer = Consumer::spawn(move || {
            while let Ok(event) = receiver.recv() {
                handle(&event);
            }
        });
        Line { senders, consumer }
    }
}
