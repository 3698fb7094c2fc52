//! The contenders of other crates, each through its cheapest call that does not wait.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, InSlices, Singly, halves};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::peer::Peer;
use disruptor::{BusySpin, EventPoller, Polling, Producer, SingleProducer, SingleProducerBarrier};
use disruptor::{MultiConsumerBarrier, build_multi_producer, build_single_producer};

const ROOM: &str = "there is room";

/// `N` instances of the same peer, one for each receiver: a fan-out by hand.
#[must_use]
pub fn peers<P: Peer, const N: usize>() -> impl Cost {
    let (mut senders, mut receivers) = halves::<N, _, _>(P::open);
    Singly {
        receivers: N,
        publish: move |seed: Seed| {
            for sender in &mut senders {
                assert!(P::try_send(sender, seed), "{ROOM}");
            }
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            for (index, receiver) in receivers.iter_mut().enumerate() {
                while let Some(event) = P::try_recv(receiver) {
                    see(index, event);
                }
            }
        },
    }
}

/// A peer with one receiver.
#[must_use]
pub fn peer<P: Peer>() -> impl Cost {
    peers::<P, 1>()
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

/// One `yring`, flushed after each slice.
#[must_use]
pub fn yring_in_slices<const N: usize>() -> impl Cost {
    let (mut producer, mut consumer) = yring::spsc::<Event>(CAPACITY);
    InSlices::<N, Event, _, _>::new(
        move |events| {
            events.iter().for_each(|event| producer.push(*event).expect(ROOM));
            producer.flush();
        },
        move |see| {
            consumer.prefetch();
            while let Some(event) = consumer.pop() {
                see(0, event);
            }
            consumer.release();
        },
    )
}

/// `tokio::sync::broadcast` with `receivers` receivers. It loses events that a slow receiver has
/// not read; here no receiver is slow.
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

type Words = [u64; 4];

fn drain_photon(subscribers: &mut [photon_ring::Subscriber<Words>], see: &mut dyn FnMut(usize, Event)) {
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        while let Ok(event) = subscriber.try_recv() {
            see(index, event.into());
        }
    }
}

/// `photon-ring`'s broadcast ring with `subscribers` subscribers. It overwrites events that a slow
/// subscriber has not read.
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

/// `photon-ring`'s bounded ring with several subscribers: it loses nothing.
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

/// `photon-ring`'s broadcast ring for several publishers, with several subscribers.
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

/// Returns a disruptor with one producer and several consumers, which poll. It loses nothing.
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

/// Reads all available events.
pub(super) fn poll<E>(pollers: &mut Pollers<E>, mut see: impl FnMut(usize, &E)) {
    for (index, poller) in pollers.iter_mut().enumerate() {
        match poller.poll() {
            Ok(mut events) => (&mut events).for_each(|event| see(index, event)),
            Err(Polling::NoEvents) => {}
            Err(Polling::Shutdown) => unreachable!("the producer is alive"),
        }
    }
}

/// `disruptor` with one producer and several consumers, which poll.
#[must_use]
pub fn disruptor(consumers: usize) -> impl Cost {
    let (mut producer, mut pollers) = pollers(consumers, Event::default);
    Singly {
        receivers: consumers,
        publish: move |seed: Seed| producer.publish(|slot| *slot = seed.event()),
        drain: move |see: &mut dyn FnMut(usize, Event)| poll(&mut pollers, |index, event| see(index, *event)),
    }
}

/// `disruptor` with one producer and one consumer, filled with slices.
#[must_use]
pub fn disruptor_in_slices<const N: usize>() -> impl Cost {
    let (mut producer, mut pollers) = pollers(1, Event::default);
    InSlices::<N, Event, _, _>::new(
        move |events| {
            producer.batch_publish(events.len(), |slots| {
                slots.zip(events).for_each(|(slot, event)| *slot = *event);
            });
        },
        move |see| poll(&mut pollers, |index, event| see(index, *event)),
    )
}

/// `disruptor` for several producers, of which there is one, with one consumer, which polls.
#[must_use]
pub fn disruptor_multi() -> impl Cost {
    let (mut poller, builder) = build_multi_producer(CAPACITY, Event::default, BusySpin).new_event_poller();
    let mut producer = builder.build();
    Singly {
        receivers: 1,
        publish: move |seed: Seed| producer.publish(|slot| *slot = seed.event()),
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            if let Ok(mut events) = poller.poll() {
                (&mut events).for_each(|event| see(0, *event));
            }
        },
    }
}

/// The crate `bus` with several readers. It waits for them.
#[must_use]
pub fn bus(readers: usize) -> impl Cost {
    let mut bus = bus::Bus::<Event>::new(CAPACITY);
    let mut readers: Vec<_> = (0..readers).map(|_| bus.add_rx()).collect();
    Singly {
        receivers: readers.len(),
        publish: move |seed: Seed| bus.try_broadcast(seed.event()).expect(ROOM),
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            for (index, reader) in readers.iter_mut().enumerate() {
                while let Ok(event) = reader.try_recv() {
                    see(index, event);
                }
            }
        },
    }
}

/// `async-broadcast` with several receivers. It waits for them.
#[must_use]
pub fn async_broadcast(receivers: usize) -> impl Cost {
    let (sender, first) = async_broadcast::broadcast::<Event>(CAPACITY);
    let mut all = vec![first];
    all.resize_with(receivers, || sender.new_receiver());
    Singly {
        receivers,
        publish: move |seed: Seed| {
            sender.try_broadcast(seed.event()).expect(ROOM);
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
