//! The ways of `buslane`: full sinks drop the newest event, and every consumer waits by default.

use super::{Contender, Line, Listener, Reports};
use crate::CAPACITY;
use crate::event::{Event, Seed};
use buslane::error::Closed;
use buslane::journal::{Entry, Start};
use buslane::{Bus, Channel, Journal, Published, Queue};
use std::thread;

const OPEN: &str = "the bus is open";
const SETTINGS: &str = "the settings are valid";

/// Returns the number of deliveries that did not enter a sink.
#[inline(always)]
fn refused(answer: Result<Published, Closed<Event>>) -> u64 {
    let published = answer.expect(OPEN);
    u64::from(published.dropped) + u64::from(published.refused)
}

/// Returns a line whose publishers are these, and whose bus is closed at the end.
fn line<P>(bus: Bus<Event>, senders: Vec<P>, reports: Reports) -> Line<P> {
    let end = move || {
        assert!(bus.close().is_done(), "the bus is closed");
        drop(bus);
        None
    };
    Line::new(senders, reports, end)
}

/// Returns a bus with a queue for each listener.
fn queues(reports: &Reports) -> Bus<Event> {
    let bus = Bus::new();
    for mut listener in reports.listeners() {
        let queue = Queue::builder().capacity(CAPACITY).spawn(move |event: Event| listener.see(&event));
        bus.add(queue.expect(SETTINGS)).expect(OPEN);
    }
    bus
}

/// Returns the senders of publishers.
fn publishers(bus: &Bus<Event>, count: usize) -> Vec<impl FnMut(Seed) -> u64 + Send + use<>> {
    let publisher = |_| {
        let mut publisher = bus.publisher();
        move |seed: Seed| refused(publisher.publish(seed.event()))
    };
    (0..count).map(publisher).collect()
}

/// A [`buslane::Publisher`] for each thread, and a queue for each listener.
#[derive(Clone, Copy, Debug)]
pub struct Queued;

impl Contender for Queued {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let bus = queues(&reports);
        let senders = publishers(&bus, count);
        line(bus, senders, reports)
    }
}

/// [`Bus::publish`], and a queue for each listener.
#[derive(Clone, Copy, Debug)]
pub struct Shared;

impl Contender for Shared {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let bus = queues(&reports);
        let sender = |_| {
            let bus = bus.clone();
            move |seed: Seed| refused(bus.publish(seed.event()))
        };
        let senders = (0..count).map(sender).collect();
        line(bus, senders, reports)
    }
}

/// [`Bus::with_local`], and a queue for each listener.
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl Contender for Local {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let bus = queues(&reports);
        let sender = |_| {
            let bus = bus.clone();
            move |seed: Seed| refused(bus.with_local(|publisher| publisher.publish(seed.event())))
        };
        let senders = (0..count).map(sender).collect();
        line(bus, senders, reports)
    }
}

/// A [`buslane::Publisher`] for each thread, and a channel for each listener, whose thread calls
/// `recv`.
#[derive(Clone, Copy, Debug)]
pub struct Channels;

impl Contender for Channels {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let bus = Bus::new();
        for mut listener in reports.listeners() {
            let (channel, mut receiver) = Channel::lossy(CAPACITY).expect(SETTINGS);
            bus.add(channel).expect(OPEN);
            thread::spawn(move || {
                while let Ok(event) = receiver.recv() {
                    listener.see(&event);
                }
            });
        }
        let senders = publishers(&bus, count);
        line(bus, senders, reports)
    }
}

/// A [`buslane::Publisher`] for each thread, and a journal on the bus, which every listener
/// subscribes to.
#[derive(Clone, Copy, Debug)]
pub struct Journaled;

impl Contender for Journaled {
    fn open(self, count: usize, reports: Reports) -> Line<impl FnMut(Seed) -> u64 + Send + 'static> {
        let bus = Bus::new();
        let journal = Journal::new(CAPACITY).expect(SETTINGS);
        for listener in reports.listeners() {
            let subscriber = journal.subscribe(Start::Now).expect(SETTINGS);
            thread::spawn(move || follow(subscriber, listener));
        }
        bus.add(journal).expect(OPEN);
        let senders = publishers(&bus, count);
        line(bus, senders, reports)
    }
}

fn follow(mut subscriber: buslane::Subscriber<Event>, mut listener: Listener) {
    while let Ok(entry) = subscriber.recv() {
        match entry {
            Entry::Event(_, event) => listener.see(&event),
            Entry::Lagged(events) => listener.lag(events),
            other => unreachable!("nothing panics: {other:?}"),
        }
    }
}
