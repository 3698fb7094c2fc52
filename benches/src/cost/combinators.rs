//! The cost that combinators add upstream of a channel's lane, and upstream of a sink that is
//! called directly.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, Singly};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::retry::Backoff;
use buslane::{Bus, Channel, Receiver, Sink, SinkExt, WaitStrategy, sink_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";
const HOUR: Duration = Duration::from_secs(3600);

fn channel() -> (Channel<Event>, Receiver<Event>) {
    Channel::builder().capacity(CAPACITY).wait_strategy(WaitStrategy::nap()).build().expect(SETTINGS)
}

/// Returns a contender whose bus has one sink: a wrapped channel.
fn in_front<S: Sink<Event> + 'static>(wrap: impl FnOnce(Channel<Event>) -> S, passing: bool) -> impl Cost {
    let (channel, mut receiver) = channel();
    let bus = Bus::new();
    bus.add(wrap(channel)).expect(OPEN);
    let mut publisher = bus.publisher();
    Singly {
        receivers: usize::from(passing),
        publish: move |seed: Seed| {
            let _ = publisher.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            while receiver.drain_with(|event| see(0, event)) > 0 {}
        },
    }
}

/// Returns a contender whose bus has one sink: a wrapped sink that is called directly and sums its
/// events.
fn around<S: Sink<Event> + 'static>(wrap: impl FnOnce(Box<dyn Fn(&Event) + Send + Sync>) -> S) -> impl Cost {
    let got = Arc::new(AtomicU64::new(0));
    let total = got.clone();
    // There is one thread, so a load and a store are enough.
    let add = move |event: &Event| {
        total.store(total.load(Ordering::Relaxed).wrapping_add(event.sum()), Ordering::Relaxed);
    };
    let bus = Bus::new();
    bus.add(wrap(Box::new(add))).expect(OPEN);
    let mut publisher = bus.publisher();
    let sent = Arc::new(AtomicU64::new(0));
    let expected = sent.clone();
    Singly {
        receivers: 0,
        publish: move |seed: Seed| {
            let event = seed.event();
            sent.store(sent.load(Ordering::Relaxed).wrapping_add(event.sum()), Ordering::Relaxed);
            let _ = publisher.publish(event).expect(OPEN);
        },
        drain: move |_: &mut dyn FnMut(usize, Event)| {
            // A batch that is not full yet is held back.
            assert!(bus.flush_timeout(HOUR).is_done(), "all events were forwarded");
            assert_eq!(
                got.load(Ordering::Relaxed),
                expected.load(Ordering::Relaxed),
                "the sum of all events"
            );
        },
    }
}

/// A filter that rejects every event.
#[must_use]
pub fn filter_rejecting() -> impl Cost {
    in_front(|channel| channel.filter(|event: &Event| event.last != 0), false)
}

/// A map that changes nothing.
#[must_use]
pub fn map() -> impl Cost {
    in_front(|channel| channel.map(|event: &Event| *event), true)
}

/// An inspector that counts.
#[must_use]
pub fn inspect() -> impl Cost {
    let seen = AtomicU64::new(0);
    let look = move |_: &Event| seen.store(seen.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    in_front(move |channel| channel.inspect_fn(look), true)
}

/// A sample of one in one: no event is filtered.
#[must_use]
pub fn sample() -> impl Cost {
    in_front(|channel| channel.sample(1), true)
}

/// A rate limit that is never reached.
#[must_use]
pub fn rate_limit() -> impl Cost {
    in_front(|channel| channel.rate_limit(1e9, u64::from(u32::MAX)), true)
}

/// A timeout that is never needed.
#[must_use]
pub fn timeout() -> impl Cost {
    in_front(|channel| channel.timeout(HOUR), true)
}

/// A tee into two channels.
#[must_use]
pub fn tee() -> impl Cost {
    let ((one, mut left), (other, mut right)) = (channel(), channel());
    let bus = Bus::new();
    bus.add(one.tee(other)).expect(OPEN);
    let mut publisher = bus.publisher();
    Singly {
        receivers: 2,
        publish: move |seed: Seed| {
            let _ = publisher.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            while left.drain_with(|event| see(0, event)) > 0 {}
            while right.drain_with(|event| see(1, event)) > 0 {}
        },
    }
}

/// A sink that is called directly, bare.
#[must_use]
pub fn direct() -> impl Cost {
    around(|add| sink_fn(move |event: &Event| add(event)))
}

/// Retries that are never needed.
#[must_use]
pub fn retry() -> impl Cost {
    around(|add| sink_fn(move |event: &Event| add(event)).retry(Backoff::default()))
}

/// Retries by key that are never needed, of 16 keys.
#[must_use]
pub fn retry_by_key() -> impl Cost {
    around(|add| {
        let sink = sink_fn(move |event: &Event| add(event));
        sink.retry_by_key(|event: &Event| event.seq % 16, Backoff::default())
    })
}

/// Batches of 64.
#[must_use]
pub fn batch() -> impl Cost {
    around(|add| {
        let sink = sink_fn(move |batch: &Vec<Event>| batch.iter().for_each(&add));
        sink.batch(64)
    })
}

/// A limit for waits that never occur.
#[must_use]
pub fn direct_timeout() -> impl Cost {
    around(|add| sink_fn(move |event: &Event| add(event)).timeout(HOUR))
}

/// A guard against panics that never occur.
#[must_use]
pub fn catch_panic() -> impl Cost {
    around(|add| sink_fn(move |event: &Event| add(event)).catch_panic())
}
