//! Journals with several subscribers, each of which reads everything between two timed blocks. No
//! subscriber parks.
#![expect(clippy::missing_panics_doc, reason = "a contender that fails ends the bench")]

use super::{Cost, InSlices, Singly};
use crate::CAPACITY;
use crate::event::{Dropping, Event, Payload, Seed};
use buslane::journal::{Entry, Feed, JournalWriter, Start};
use buslane::{Bus, Journal, Subscriber};
use std::hint::black_box;

pub(super) const OPEN: &str = "the journal is open";
const SETTINGS: &str = "the settings are valid";

/// A journal with one publisher.
pub(super) fn one_writer<E: Payload>(subscribers: usize) -> (JournalWriter<E>, Vec<Subscriber<E>>) {
    let (writer, feed) = Journal::single(CAPACITY).expect(SETTINGS);
    (writer, subscribe(&feed, subscribers))
}

/// A journal for any number of publishers.
pub(super) fn any_writers<E: Payload>(subscribers: usize) -> (Journal<E>, Vec<Subscriber<E>>) {
    let journal = Journal::new(CAPACITY).expect(SETTINGS);
    let subscribers = subscribe(&journal.feed(), subscribers);
    (journal, subscribers)
}

fn subscribe<E: Payload>(feed: &Feed<E>, subscribers: usize) -> Vec<Subscriber<E>> {
    (0..subscribers).map(|_| feed.subscribe(Start::Now).expect(SETTINGS)).collect()
}

/// Reads all events; each position must be that of its event.
pub(super) fn drain<E: Payload>(subscribers: &mut [Subscriber<E>], see: &mut dyn FnMut(usize, Event)) {
    for (index, subscriber) in subscribers.iter_mut().enumerate() {
        while let Ok(entry) = subscriber.try_recv_with(E::event) {
            let Entry::Event(sequence, event) = entry else { unreachable!("nothing is lost: {entry:?}") };
            assert_eq!(sequence.get(), event.seq, "the position of an event");
            see(index, event);
        }
    }
}

/// [`JournalWriter::publish`].
#[must_use]
pub fn single(subscribers: usize) -> impl Cost {
    let (mut writer, mut subscribers) = one_writer(subscribers);
    Singly {
        receivers: subscribers.len(),
        publish: move |seed: Seed| {
            writer.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| drain(&mut subscribers, see),
    }
}

/// [`JournalWriter::publish`] with one subscriber; between two timed blocks the contender reads as
/// much other memory as `subscribers` use. The cost above that of [`single`] with one subscriber is
/// caused by the processor's cache, and not by the journal.
#[must_use]
pub fn single_beside(subscribers: usize) -> impl Cost {
    /// The cache lines that a subscriber touches when it reads: itself, its seat, and a copy of an
    /// event on the stack.
    const LINES: usize = (size_of::<Subscriber<Event>>() + 256).div_ceil(64);
    let (mut writer, mut all) = one_writer(1);
    let mut other = vec![[0_u64; 8]; subscribers * LINES];
    Singly {
        receivers: 1,
        publish: move |seed: Seed| {
            writer.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            drain(&mut all, see);
            black_box(&mut other).iter_mut().for_each(|line| line[0] += 1);
        },
    }
}

/// [`Journal::publish`].
#[must_use]
pub fn shared(subscribers: usize) -> impl Cost {
    let (journal, mut subscribers) = any_writers(subscribers);
    Singly {
        receivers: subscribers.len(),
        publish: move |seed: Seed| {
            journal.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| drain(&mut subscribers, see),
    }
}

/// [`Journal::publish`] of events with destructors, with one subscriber that reads everything,
/// `stalled` ones that have read one event, and `idle` ones that have read none. The publisher
/// drops overwritten events, including those in the blocks of stalled subscribers.
#[must_use]
pub fn shared_beside(stalled: usize, idle: usize) -> impl Cost {
    let (journal, mut subscribers) = any_writers::<Dropping>(1);
    let mut stalling = subscribe(&journal.feed(), stalled);
    let idle = subscribe(&journal.feed(), idle);
    Singly {
        receivers: 1,
        publish: move |seed: Seed| {
            journal.publish(Dropping::of(seed.event().seq)).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| {
            drain(&mut subscribers, see);
            for subscriber in stalling.iter_mut().filter(|subscriber| subscriber.next_sequence().get() == 0) {
                subscriber.try_recv_with(Dropping::event).expect(OPEN);
            }
            black_box(&idle);
        },
    }
}

/// A publisher of a bus on which the journal is the only sink.
#[must_use]
pub fn on_bus(subscribers: usize) -> impl Cost {
    let (journal, mut subscribers) = any_writers(subscribers);
    let bus = Bus::new();
    bus.add(journal).expect(OPEN);
    let mut publisher = bus.publisher();
    Singly {
        receivers: subscribers.len(),
        publish: move |seed: Seed| {
            let _ = publisher.publish(seed.event()).expect(OPEN);
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| drain(&mut subscribers, see),
    }
}

/// Two publishers of a bus on which the journal is the only sink. They publish in turn.
#[must_use]
pub fn on_bus_by_two(subscribers: usize) -> impl Cost {
    let (journal, mut subscribers) = any_writers(subscribers);
    let bus = Bus::new();
    bus.add(journal).expect(OPEN);
    let mut publishers = [bus.publisher(), bus.publisher()];
    let mut turn = 0;
    Singly {
        receivers: subscribers.len(),
        publish: move |seed: Seed| {
            let _ = publishers[turn].publish(seed.event()).expect(OPEN);
            turn ^= 1;
        },
        drain: move |see: &mut dyn FnMut(usize, Event)| drain(&mut subscribers, see),
    }
}

/// [`JournalWriter::publish_batch`], one subscriber.
#[must_use]
pub fn single_in_slices<const N: usize>() -> impl Cost {
    let (mut writer, mut subscribers) = one_writer::<Event>(1);
    InSlices::<N, Event, _, _>::new(
        move |events| {
            writer.publish_batch(events).expect(OPEN);
        },
        move |see| drain(&mut subscribers, see),
    )
}

/// [`Journal::publish_batch`], one subscriber. The timed part creates and frees a `Vec` of the
/// clones.
#[must_use]
pub fn shared_in_slices<const N: usize>() -> impl Cost {
    let (journal, mut subscribers) = any_writers::<Event>(1);
    InSlices::<N, Event, _, _>::new(
        move |events| {
            journal.publish_batch(events).expect(OPEN);
        },
        move |see| drain(&mut subscribers, see),
    )
}
