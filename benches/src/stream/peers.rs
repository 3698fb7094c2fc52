//! The contenders of other crates.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Consumer, Counter, InSlices, Report, Singly, Stream, spin};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use crate::machine::on_consumer;
use disruptor::{BusySpin, Producer, Sequence, build_single_producer};
use std::sync::Arc;
use tokio::sync::broadcast::error::TryRecvError;

/// `rtrb`, read chunk by chunk: all available events.
#[must_use]
pub fn rtrb_chunks() -> impl Stream {
    let report = Arc::default();
    let (mut producer, consumer) = rtrb::RingBuffer::<Event>::new(CAPACITY);
    let consumer = read_chunks(&report, consumer);
    Singly::new(move |seed: Seed| push_rtrb(&mut producer, seed.event()), report, Some(consumer))
}

/// `rtrb`, written slice by slice and read chunk by chunk.
#[must_use]
pub fn rtrb_in_slices<const N: usize>() -> impl Stream {
    let report = Arc::default();
    let (mut producer, consumer) = rtrb::RingBuffer::<Event>::new(CAPACITY);
    let consumer = read_chunks(&report, consumer);
    let send = move |mut events: &[Event]| {
        while !events.is_empty() {
            (_, events) = producer.push_partial_slice(events);
        }
    };
    InSlices::<N, _> { send, report, _consumer: Some(consumer) }
}

#[inline(always)]
fn push_rtrb(producer: &mut rtrb::Producer<Event>, event: Event) {
    while producer.push(event).is_err() {
        std::hint::spin_loop();
    }
}

fn read_chunks(report: &Arc<Report>, mut consumer: rtrb::Consumer<Event>) -> Consumer {
    spin(report, move |counter| {
        let there = consumer.slots();
        let Ok(chunk) = consumer.read_chunk(there) else { return false };
        let (front, back) = chunk.as_slices();
        front.iter().chain(back).for_each(|event| counter.see(event));
        chunk.commit_all();
        there > 0
    })
}

/// `yring`, published one by one, and read window by window: all published events.
#[must_use]
pub fn yring_windows() -> impl Stream {
    let report = Arc::default();
    let (mut producer, consumer) = yring::spsc::<Event>(CAPACITY);
    let consumer = read_windows(&report, consumer);
    let send = move |seed: Seed| {
        while producer.push_and_flush(seed.event()).is_err() {
            std::hint::spin_loop();
        }
    };
    Singly::new(send, report, Some(consumer))
}

/// `yring`, published slice by slice, and read window by window.
#[must_use]
pub fn yring_in_slices<const N: usize>() -> impl Stream {
    let report = Arc::default();
    let (mut producer, consumer) = yring::spsc::<Event>(CAPACITY);
    let consumer = read_windows(&report, consumer);
    let send = move |events: &[Event]| {
        for event in events {
            while producer.push(*event).is_err() {
                producer.flush();
                std::hint::spin_loop();
            }
        }
        producer.flush();
    };
    InSlices::<N, _> { send, report, _consumer: Some(consumer) }
}

fn read_windows(report: &Arc<Report>, mut consumer: yring::Consumer<Event>) -> Consumer {
    spin(report, move |counter| {
        consumer.prefetch();
        let mut found = false;
        while let Some(event) = consumer.pop() {
            counter.see(&event);
            found = true;
        }
        consumer.release();
        found
    })
}

/// `fanring`, read into a buffer of 64.
#[must_use]
pub fn fanring_batches() -> impl Stream {
    let report = Arc::default();
    let (mut sender, mut receiver) = fanring::mpsc::channel::<Event>(CAPACITY);
    let mut buffer = Vec::with_capacity(64);
    let consumer = spin(&report, move |counter| {
        let found = receiver.try_recv_batch_into(&mut buffer, 64).is_ok();
        buffer.drain(..).for_each(|event| counter.see(&event));
        found
    });
    let send = move |seed: Seed| {
        while sender.try_send(seed.event()).is_err() {
            std::hint::spin_loop();
        }
    };
    Singly::new(send, report, Some(consumer))
}

/// `kanal`, read into a buffer: all available events.
#[must_use]
pub fn kanal_drained() -> impl Stream {
    let report = Arc::default();
    let (sender, receiver) = kanal::bounded::<Event>(CAPACITY);
    let mut buffer = Vec::with_capacity(CAPACITY);
    let consumer = spin(&report, move |counter| {
        let found = receiver.drain_into(&mut buffer).is_ok_and(|count| count > 0);
        buffer.drain(..).for_each(|event| counter.see(&event));
        found
    });
    let send = move |seed: Seed| {
        while sender.try_send(seed.event()) != Ok(true) {
            std::hint::spin_loop();
        }
    };
    Singly::new(send, report, Some(consumer))
}

/// A disruptor with one producer and one spinning consumer.
fn build_disruptor(report: &Arc<Report>) -> impl Producer<Event> + use<> {
    let mut counter = Counter::new(report);
    on_consumer(|| {
        build_single_producer(CAPACITY, Event::default, BusySpin)
            .handle_events_with(move |event: &Event, _: Sequence, _: bool| counter.see(event))
            .build()
    })
}

/// `disruptor`, slice by slice.
#[must_use]
pub fn disruptor_in_slices<const N: usize>() -> impl Stream {
    let report = Arc::default();
    let mut producer = build_disruptor(&report);
    let send = move |events: &[Event]| {
        producer.batch_publish(events.len(), |slots| {
            slots.zip(events).for_each(|(slot, event)| *slot = *event);
        });
    };
    InSlices::<N, _> { send, report, _consumer: None }
}

/// `photon-ring`'s bounded ring, read into a buffer of 64.
#[must_use]
pub fn photon() -> impl Stream {
    let report = Arc::default();
    let (mut publisher, subscribable) = photon_ring::channel_bounded::<[u64; 4]>(CAPACITY, 0);
    let mut subscriber = subscribable.subscribe();
    let mut buffer = [[0; 4]; 64];
    let consumer = spin(&report, move |counter| {
        let count = subscriber.recv_batch(&mut buffer);
        buffer[..count].iter().for_each(|words| counter.see(&Event::from(*words)));
        count > 0
    });
    Singly::new(move |seed: Seed| publisher.publish(seed.event().into()), report, Some(consumer))
}

/// `photon-ring`'s broadcast ring, single reads. It does not wait for a slow subscriber.
#[must_use]
pub fn photon_free() -> impl Stream {
    let report = Arc::default();
    let (mut publisher, subscribable) = photon_ring::channel::<[u64; 4]>(CAPACITY);
    let mut subscriber = subscribable.subscribe();
    let consumer = spin(&report, move |counter| match subscriber.try_recv() {
        Ok(words) => {
            counter.see_next(&words.into());
            true
        }
        Err(photon_ring::TryRecvError::Lagged { skipped }) => {
            counter.miss(skipped);
            true
        }
        Err(photon_ring::TryRecvError::Empty) => false,
    });
    let send = move |seed: Seed| publisher.publish(seed.event().into());
    Singly { send, report, lossy: true, _consumer: Some(consumer) }
}

/// `tokio::sync::broadcast`. It never waits for a slow receiver: unread events are lost, and
/// counted.
#[must_use]
pub fn tokio() -> impl Stream {
    let report = Arc::default();
    let (sender, mut receiver) = tokio::sync::broadcast::channel::<Event>(CAPACITY);
    let consumer = spin(&report, move |counter| match receiver.try_recv() {
        Ok(event) => {
            counter.see_next(&event);
            true
        }
        Err(TryRecvError::Lagged(events)) => {
            counter.miss(events);
            true
        }
        Err(_) => false,
    });
    let send = move |seed: Seed| {
        sender.send(seed.event()).expect("the receiver is alive");
    };
    Singly { send, report, lossy: true, _consumer: Some(consumer) }
}
