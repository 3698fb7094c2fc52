//! The ways to publish.
//!
//! Each route but [`ByLossyBatch`] is lossless: an event that every sink has refused is published
//! again. The bus closes when all sending halves are dropped.

use super::OPEN;
use crate::event::{Event, Seed};
use buslane::Bus;
use std::hint::spin_loop;

/// A way to publish.
pub trait Publish: Copy + Send + 'static {
    /// Whether events that a sink refuses are lost.
    const LOSSY: bool = false;

    /// Returns `count` sending halves of this bus.
    fn senders(self, bus: Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) + Send + 'static>;
}

/// `Publisher::publish`, with a publisher for each thread.
#[derive(Clone, Copy, Debug)]
pub struct ByPublisher;

impl Publish for ByPublisher {
    fn senders(self, bus: Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) + Send + 'static> {
        let senders = (0..count).map(|_| {
            let mut publisher = bus.publisher();
            move |seed: Seed| {
                while publisher.publish(seed.event()).expect(OPEN).accepted == 0 {
                    spin_loop();
                }
            }
        });
        senders.collect()
    }
}

/// `Bus::with_local`, with the cached publisher of each thread.
#[derive(Clone, Copy, Debug)]
pub struct ByLocal;

impl Publish for ByLocal {
    fn senders(self, bus: Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) + Send + 'static> {
        let senders = std::iter::repeat_n(bus, count).map(|bus| {
            move |seed: Seed| {
                let publish = || bus.with_local(|publisher| publisher.publish(seed.event()));
                while publish().expect(OPEN).accepted == 0 {
                    spin_loop();
                }
            }
        });
        senders.collect()
    }
}

/// `Bus::publish`, through the shared lane.
#[derive(Clone, Copy, Debug)]
pub struct ByBus;

impl Publish for ByBus {
    fn senders(self, bus: Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) + Send + 'static> {
        let senders = std::iter::repeat_n(bus, count).map(|bus| {
            move |seed: Seed| {
                while bus.publish(seed.event()).expect(OPEN).accepted == 0 {
                    spin_loop();
                }
            }
        });
        senders.collect()
    }
}

/// `Publisher::publish_batch` with `N` events, which the sending half collects first. The last
/// event of a transfer ends a shorter batch.
///
/// Only for sinks that wait for room: which events of a batch a sink has refused is unknown.
#[derive(Clone, Copy, Debug)]
pub struct ByBatch<const N: usize>;

impl<const N: usize> Publish for ByBatch<N> {
    fn senders(self, bus: Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) + Send + 'static> {
        let senders = (0..count).map(|_| {
            let mut publisher = bus.publisher();
            let (mut batch, mut length) = ([Event::default(); N], 0);
            move |seed: Seed| {
                let event = seed.event();
                batch[length] = event;
                length += 1;
                if length == N || event.last != 0 {
                    let published = publisher.publish_batch(&batch[..length]).expect(OPEN);
                    assert!(published.accepted == length, "the sink waits for room");
                    length = 0;
                }
            }
        });
        senders.collect()
    }
}

/// `Publisher::publish_batch` with `N` events, which the sending half collects first, and never
/// publishes again: which events of a batch a sink has refused is unknown, so these are lost. The last
/// event of a transfer is published by itself, until it is accepted.
#[derive(Clone, Copy, Debug)]
pub struct ByLossyBatch<const N: usize>;

impl<const N: usize> Publish for ByLossyBatch<N> {
    const LOSSY: bool = true;

    fn senders(self, bus: Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) + Send + 'static> {
        let senders = (0..count).map(|_| {
            let mut publisher = bus.publisher();
            let (mut batch, mut length) = ([Event::default(); N], 0);
            move |seed: Seed| {
                let event = seed.event();
                let is_last = event.last != 0;
                if !is_last {
                    batch[length] = event;
                    length += 1;
                }
                if length == N || is_last {
                    let _ = publisher.publish_batch(&batch[..length]).expect(OPEN);
                    length = 0;
                }
                while is_last && publisher.publish(event).expect(OPEN).accepted == 0 {
                    spin_loop();
                }
            }
        });
        senders.collect()
    }
}
