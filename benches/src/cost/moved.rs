//! Events that are created before the timed part and moved in, as in user code that has built them
//! from something: a [`Payload`] with a destructor must not be rebuilt for each contender's
//! convenience.
//!
//! A publish drops the event that it overwrites, and the cost of that drop does not depend on how
//! the event is published. [`dropped`] measures it alone: events as old as those that a full
//! journal drops, created and freed in the same order.
//!
//! tokio's channel has a special case: the last receiver that reads an event drops it. If all
//! receivers read between the timed parts, [`tokio()`]'s send has nothing left to drop.
//! [`tokio_kept`], with one more, stalled receiver, overwrites as a journal does. Subtract the bare
//! drop from the latter only.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, journal, peers};
use crate::CAPACITY;
use crate::event::{Event, Payload};
use crate::sizes::Carrier;
use buslane::{Bus, Channel, WaitStrategy};
use disruptor::Producer;
use journal::OPEN;
use std::collections::VecDeque;

/// A contender into which events are moved.
struct Moved<E, P, D> {
    receivers: usize,
    ready: Vec<E>,
    publish: P,
    drain: D,
}

impl<E, P, D> Moved<E, P, D>
where
    E: Payload,
    P: FnMut(E),
    D: FnMut(&mut dyn FnMut(usize, Event)),
{
    fn new(receivers: usize, publish: P, drain: D) -> Self {
        Self { receivers, ready: Vec::with_capacity(CAPACITY), publish, drain }
    }
}

impl<E, P, D> Cost for Moved<E, P, D>
where
    E: Payload,
    P: FnMut(E),
    D: FnMut(&mut dyn FnMut(usize, Event)),
{
    fn receivers(&self) -> usize {
        self.receivers
    }

    fn prepare(&mut self, first: u64, count: u64) {
        self.ready.extend((first..first + count).map(E::of));
    }

    #[inline(always)]
    fn publish(&mut self, _first: u64, _count: u64) {
        for event in self.ready.drain(..) {
            (self.publish)(event);
        }
    }

    fn drain(&mut self, see: &mut dyn FnMut(usize, Event)) {
        (self.drain)(see);
    }
}

/// The harness alone: moves each event from its source to the slot of an older one, and drops
/// nothing. Only for events that are plain bytes.
#[must_use]
pub fn base() -> impl Cost {
    let mut ring = vec![Event::default(); CAPACITY];
    let mut next = 0;
    let publish = move |event: Event| {
        ring[next % CAPACITY] = event;
        next += 1;
    };
    Moved::new(0, publish, |_: &mut dyn FnMut(usize, Event)| {})
}

/// Drops each event when there are [`CAPACITY`] newer ones, and does nothing else.
#[must_use]
pub fn dropped<E: Payload>() -> impl Cost {
    Dropped::<E>((0..CAPACITY as u64).map(E::of).collect())
}

struct Dropped<E>(VecDeque<E>);

impl<E: Payload> Cost for Dropped<E> {
    fn receivers(&self) -> usize {
        0
    }

    fn prepare(&mut self, first: u64, count: u64) {
        self.0.extend((first..first + count).map(E::of));
    }

    #[inline(always)]
    fn publish(&mut self, _first: u64, count: u64) {
        self.0.drain(..count as usize);
    }

    fn drain(&mut self, _see: &mut dyn FnMut(usize, Event)) {
        assert_eq!(self.0.len(), CAPACITY, "all created events were dropped");
    }
}

/// `JournalWriter::publish`.
#[must_use]
pub fn single<E: Payload>(subscribers: usize) -> impl Cost {
    let (mut writer, mut all) = journal::one_writer::<E>(subscribers);
    let publish = move |event| {
        writer.publish(event).expect(OPEN);
    };
    Moved::new(subscribers, publish, move |see: &mut dyn FnMut(usize, Event)| journal::drain(&mut all, see))
}

/// `Journal::publish`.
#[must_use]
pub fn shared<E: Payload>(subscribers: usize) -> impl Cost {
    let (journal, mut all) = journal::any_writers::<E>(subscribers);
    let publish = move |event| {
        journal.publish(event).expect(OPEN);
    };
    Moved::new(subscribers, publish, move |see: &mut dyn FnMut(usize, Event)| journal::drain(&mut all, see))
}

/// A carrier of payloads.
#[must_use]
pub fn carried<E: Payload, C: Carrier<E>>() -> impl Cost {
    let (mut sender, mut receiver) = C::open();
    // No `expect`: events need not be `Debug`.
    let publish = move |event| assert!(C::try_send(&mut sender, event).is_none(), "there is room");
    Moved::new(
        1,
        publish,
        move |see: &mut dyn FnMut(usize, Event)| {
            while C::take(&mut receiver, |event: &E| see(0, event.event())) {}
        },
    )
}

/// A publisher's lane into one channel.
#[must_use]
pub fn lane<E: Payload>() -> impl Cost {
    let builder = Channel::builder().capacity(CAPACITY).wait_strategy(WaitStrategy::nap());
    let (channel, mut receiver) = builder.build().expect("the settings are valid");
    let bus = Bus::new();
    bus.add(channel).expect("the bus is open");
    let mut publisher = bus.publisher();
    // No `expect`: events need not be `Debug`.
    let publish = move |event: E| assert!(publisher.publish(event).is_ok(), "the bus is open");
    Moved::new(
        1,
        publish,
        move |see: &mut dyn FnMut(usize, Event)| {
            while receiver.drain_with(|event: E| see(0, event.event())) > 0 {}
        },
    )
}

/// `rtrb`.
#[must_use]
pub fn rtrb<E: Payload>() -> impl Cost {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<E>::new(CAPACITY);
    let publish = move |event| assert!(producer.push(event).is_ok(), "there is room");
    Moved::new(1, publish, move |see: &mut dyn FnMut(usize, Event)| {
        while let Ok(event) = consumer.pop() {
            see(0, event.event());
        }
    })
}

/// `crossbeam-channel`.
#[must_use]
pub fn crossbeam<E: Payload>() -> impl Cost {
    let (sender, receiver) = crossbeam_channel::bounded::<E>(CAPACITY);
    let publish = move |event| assert!(sender.try_send(event).is_ok(), "there is room");
    Moved::new(1, publish, move |see: &mut dyn FnMut(usize, Event)| {
        receiver.try_iter().for_each(|event| see(0, event.event()));
    })
}

/// `tokio::sync::broadcast`, whose receivers read, and drop, all events.
#[must_use]
pub fn tokio<E: Payload>(receivers: usize) -> impl Cost {
    broadcast::<E>(receivers, 0)
}

/// The same with one more receiver, which never reads: so the sender drops the events that it
/// overwrites.
#[must_use]
pub fn tokio_kept<E: Payload>(receivers: usize) -> impl Cost {
    broadcast::<E>(receivers, 1)
}

fn broadcast<E: Payload>(receivers: usize, still: usize) -> impl Cost {
    let (sender, first) = tokio::sync::broadcast::channel::<E>(CAPACITY);
    let mut all = vec![first];
    all.resize_with(receivers + still, || sender.subscribe());
    let publish = move |event| {
        // No `expect`: events need not be `Debug`.
        assert!(sender.send(event).is_ok(), "there are receivers");
    };
    Moved::new(receivers, publish, move |see: &mut dyn FnMut(usize, Event)| {
        for (index, receiver) in all[..receivers].iter_mut().enumerate() {
            while let Ok(event) = receiver.try_recv() {
                see(index, event.event());
            }
        }
    })
}

/// `disruptor`: the event is moved into the slot of an older one, which drops that.
#[must_use]
pub fn disruptor<E: Payload>(consumers: usize) -> impl Cost {
    let (mut producer, mut pollers) = peers::pollers(consumers, || E::of(0));
    let publish = move |event| producer.publish(|slot| *slot = event);
    Moved::new(consumers, publish, move |see: &mut dyn FnMut(usize, Event)| {
        peers::poll(&mut pollers, |index, event| see(index, event.event()));
    })
}

/// `photon-ring`'s event channel, in the same way. It waits for subscribers.
#[must_use]
pub fn photon<E: Payload>(subscribers: usize) -> impl Cost {
    let (mut publisher, subscribable) = photon_ring::event_channel(CAPACITY, || E::of(0));
    let mut all: Vec<_> = (0..subscribers).map(|_| subscribable.subscribe()).collect();
    let publish = move |event| assert!(publisher.try_publish(|slot| *slot = event), "there is room");
    Moved::new(subscribers, publish, move |see: &mut dyn FnMut(usize, Event)| {
        for (index, subscriber) in all.iter_mut().enumerate() {
            while subscriber.process(|event| see(index, event.event())).is_some() {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{broadcast, crossbeam, disruptor, dropped, lane, photon, rtrb, shared, single};
    use crate::cost::{Cost, Meter};
    use crate::event::{Event, Payload};
    use std::cell::Cell;

    thread_local! {
        static ALIVE: Cell<i64> = const { Cell::new(0) };
    }

    /// A value that counts the live ones on this thread.
    struct Counted(u64);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            Self::of(self.0)
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.with(|alive| alive.set(alive.get() - 1));
        }
    }

    impl Payload for Counted {
        fn of(seq: u64) -> Self {
            ALIVE.with(|alive| alive.set(alive.get() + 1));
            Self(seq)
        }

        fn event(&self) -> Event {
            Event::new(self.0)
        }
    }

    #[test]
    fn each_event_is_dropped_once() {
        fn check(contender: impl Cost) {
            let mut meter = Meter::new(contender);
            meter.time(5000);
            drop(meter);
            assert_eq!(ALIVE.with(Cell::get), 0);
        }
        check(dropped::<Counted>());
        check(lane::<Counted>());
        check(rtrb::<Counted>());
        check(crossbeam::<Counted>());
        for receivers in [1, 4] {
            check(single::<Counted>(receivers));
            check(shared::<Counted>(receivers));
            check(broadcast::<Counted>(receivers, 0));
            check(broadcast::<Counted>(receivers, 1));
            check(disruptor::<Counted>(receivers));
            check(photon::<Counted>(receivers));
        }
    }
}
