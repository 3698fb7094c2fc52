//! The contenders of other crates, each through its cheapest call that does not wait.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, InSlices, Singly, halves};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use disruptor::{BusySpin, EventPoller, Polling, Producer, SingleProducer, SingleProducerBarrier};
use disruptor::{MultiConsumerBarrier, build_single_producer};
use std::sync::Arc;

const ROOM: &str = "there is room";

/// `N` `rtrb` rings.
#[must_use]
pub fn rtrb<const N: usize>() -> impl Cost {
    let (mut producers, mut consumers) = halves::<N, _, _>(|| rtrb::RingBuffer::<Event>::new(CAPACITY));
    Singly {
        receivers: N,
        publish: move |seed: Seed| {
            for producer in &mut producers {
                producer.push(seed.event()).expect(ROOM);
            }
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            for (index, consumer) in consumers.iter_mut().enumerate() {
                while let Ok(event) = consumer.pop() {
                    see(index, event);
                }
            }
        },
    }
}

/// One `rtrb` ring, filled with slices.
#[must_use]
pub fn rtrb_in_slices<const N: usize>() -> impl Cost {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<Event>::new(CAPACITY);
    InSlices::<N, Event, _, _>::new(
        move |events| producer.push_entire_slice(events).expect(ROOM),
        move |see| {
            while let Ok(event) = consumer.pop() {
                see(0, event);
            }
        },
    )
}

/// `tokio::sync::broadcast` with so many receivers. It loses what a slow receiver has not read; here nobody is slow.
#[must_use]
pub fn tokio(receivers: usize) -> impl Cost {
    let (sender, first) = tokio::sync::broadcast::channel::<Event>(CAPACITY);
    let mut all = vec![first];
    all.resize_with(receivers, || sender.subscribe());
    Singly {
        receivers,
        publish: move |seed: Seed| {
            sender.send(seed.event()).expect("there are receivers");
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            for (index, receiver) in all.iter_mut().enumerate() {
                while let Ok(event) = receiver.try_recv() {
                    see(index, event);
                }
            }
        },
    }
}

/// `N` bounded channels of `crossbeam-channel`.
#[must_use]
pub fn crossbeam<const N: usize>() -> impl Cost {
    let (senders, receivers) = halves::<N, _, _>(|| crossbeam_channel::bounded::<Event>(CAPACITY));
    Singly {
        receivers: N,
        publish: move |seed: Seed| {
            for sender in &senders {
                sender.try_send(seed.event()).expect(ROOM);
            }
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            for (index, receiver) in receivers.iter().enumerate() {
                receiver.try_iter().for_each(|event| see(index, event));
            }
        },
    }
}

/// A bounded channel of `kanal`.
#[must_use]
pub fn kanal() -> impl Cost {
    let (sender, receiver) = kanal::bounded::<Event>(CAPACITY);
    Singly {
        receivers: 1,
        publish: move |seed: Seed| assert_eq!(sender.try_send(seed.event()), Ok(true)),
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            while let Ok(Some(event)) = receiver.try_recv() {
                see(0, event);
            }
        },
    }
}

type Words = [u64; 4];

fn drain_photon(subscribers: &mut [photon_ring::Subscriber<Words>], see: &mut dyn FnMut(usize, Event)) {
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        while let Ok(event) = subscriber.try_recv() {
            see(index, event.into());
        }
    }
}

/// `photon-ring`'s broadcast ring with so many subscribers. It overwrites what a slow one has not read.
#[must_use]
pub fn photon(subscribers: usize) -> impl Cost {
    let (mut publisher, subscribable) = photon_ring::channel::<Words>(CAPACITY);
    let mut all: Vec<_> = (0..subscribers).map(|_| subscribable.subscribe()).collect();
    Singly {
        receivers: subscribers,
        publish: move |seed: Seed| publisher.publish(seed.event().into()),
        drain: move |see: &mut dyn FnMut(usize, Event)| drain_photon(&mut all, see),
    }
}

/// `photon-ring`'s bounded ring with so many subscribers: it loses nothing.
#[must_use]
pub fn photon_bounded(subscribers: usize) -> impl Cost {
    let (mut publisher, subscribable) = photon_ring::channel_bounded::<Words>(CAPACITY, 0);
    let mut all: Vec<_> = (0..subscribers).map(|_| subscribable.subscribe()).collect();
    Singly {
        receivers: subscribers,
        publish: move |seed: Seed| publisher.try_publish(seed.event().into()).expect(ROOM),
        drain: move |see: &mut dyn FnMut(usize, Event)| drain_photon(&mut all, see),
    }
}

/// `photon-ring`'s broadcast ring for several publishers, with so many subscribers.
#[must_use]
pub fn photon_shared(subscribers: usize) -> impl Cost {
    let (publisher, subscribable) = photon_ring::channel_mpmc::<Words>(CAPACITY);
    let mut all: Vec<_> = (0..subscribers).map(|_| subscribable.subscribe()).collect();
    Singly {
        receivers: subscribers,
        publish: move |seed: Seed| publisher.publish(seed.event().into()),
        drain: move |see: &mut dyn FnMut(usize, Event)| drain_photon(&mut all, see),
    }
}

/// `photon-ring`'s broadcast ring with one subscriber, filled with slices.
#[must_use]
pub fn photon_in_slices<const N: usize>() -> impl Cost {
    let (mut publisher, subscribable) = photon_ring::channel::<Words>(CAPACITY);
    let mut all = [subscribable.subscribe()];
    InSlices::<N, Words, _, _>::new(
        move |events| publisher.publish_batch(events),
        move |see| drain_photon(&mut all, see),
    )
}

type Pollers<E> = Vec<EventPoller<E, SingleProducerBarrier>>;

/// A disruptor with one producer and so many consumers, which poll. It loses nothing.
pub(super) fn pollers<E: Send + Sync + 'static>(
    consumers: usize,
    make: impl FnMut() -> E,
) -> (SingleProducer<E, MultiConsumerBarrier>, Pollers<E>) {
    let mut builder = build_single_producer(CAPACITY, make, BusySpin).with_multi_consumer();
    let mut pollers = Vec::with_capacity(consumers);
    for _ in 0..consumers {
        let (poller, next) = builder.new_event_poller();
        pollers.push(poller);
        builder = next;
    }
    (builder.build(), pollers)
}

/// Reads all that is there.
pub(super) fn poll<E>(pollers: &mut Pollers<E>, mut see: impl FnMut(usize, &E)) {
    for (index, poller) in pollers.iter_mut().enumerate() {
        match poller.poll() {
            Ok(mut events) => (&mut events).for_each(|event| see(index, event)),
            Err(Polling::NoEvents) => {}
            Err(Polling::Shutdown) => unreachable!("the producer is there"),
        }
    }
}

/// `disruptor` with one producer and so many consumers, which poll.
#[must_use]
pub fn disruptor(consumers: usize) -> impl Cost {
    let (mut producer, mut pollers) = pollers(consumers, Event::default);
    Singly {
        receivers: consumers,
        publish: move |seed: Seed| producer.publish(|slot| *slot = seed.event()),
        drain: move |see: &mut dyn FnMut(usize, Event)| poll(&mut pollers, |index, event| see(index, *event)),
    }
}

/// `crossbeam-queue`'s `ArrayQueue`.
#[must_use]
pub fn array_queue() -> impl Cost {
    let queue = Arc::new(crossbeam_queue::ArrayQueue::<Event>::new(CAPACITY));
    let other = queue.clone();
    Singly {
        receivers: 1,
        publish: move |seed: Seed| queue.push(seed.event()).expect(ROOM),
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            while let Some(event) = other.pop() {
                see(0, event);
            }
        },
    }
}
