//! A publisher of a bus that is the only writer of a journal for a while, and what ends that: other
//! writers, a drop, a leak, a close, a removal, a gate. No event is lost, and the order is total.

use crate::{now, numbers};
use buslane::bus::Removed;
use buslane::journal::{Entry, Start};
use buslane::{Bus, Journal, Publisher, Subscriber, WriteError};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use test_support::bus::took;
use test_support::ends;

/// More events than a publisher writes before it is taken for the only writer.
const ALONE: u64 = 100;

fn on_a_bus(capacity: usize) -> (Bus<u64>, Journal<u64>, Subscriber<u64>) {
    let (bus, journal) = (Bus::new(), Journal::new(capacity).unwrap());
    bus.add(journal.clone()).unwrap();
    let subscriber = journal.subscribe(Start::Oldest).unwrap();
    (bus, journal, subscriber)
}

fn publish(publisher: &mut Publisher<u64>, events: std::ops::Range<u64>) {
    events.for_each(|event| assert_eq!(publisher.publish(event).unwrap(), took(1, 0)));
}

#[test]
fn only_writer_keeps_order_across_blocks() {
    let (bus, _journal, mut subscriber) = on_a_bus(256);
    let mut publisher = bus.publisher();
    for lap in 0..20 {
        publish(&mut publisher, lap * 200..(lap + 1) * 200);
        assert_eq!(now(&mut subscriber), numbers(lap * 200..(lap + 1) * 200));
    }
}

#[test]
fn other_writer_joins_in_order() {
    let (bus, journal, mut subscriber) = on_a_bus(1024);
    let (mut one, mut other) = (bus.publisher(), bus.publisher());
    let mut next = 0;
    for _ in 0..3 {
        publish(&mut one, next..next + ALONE);
        next += ALONE;
        assert_eq!(journal.publish(next).unwrap().get(), next);
        assert_eq!(bus.publish(next + 1).unwrap(), took(1, 0));
        publish(&mut other, next + 2..next + 2 + ALONE);
        next += 2 + ALONE;
    }
    assert_eq!(now(&mut subscriber), numbers(0..next));
}

#[test]
fn concurrent_writers_lose_no_event() {
    const WRITERS: u64 = 3;
    const EVENTS: u64 = 3000;
    let (bus, journal, mut subscriber) = on_a_bus(16_384);
    let start = Barrier::new(WRITERS as usize);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (bus, journal, start) = (&bus, &journal, &start);
            scope.spawn(move || {
                start.wait();
                let event = |n| n * WRITERS + writer;
                if writer == 0 {
                    (0..EVENTS).for_each(|n| assert!(journal.publish(event(n)).is_ok()));
                    return;
                }
                for begin in (0..EVENTS).step_by(300) {
                    // A new publisher is soon taken for the only writer.
                    let mut publisher = bus.publisher();
                    (begin..begin + 300).for_each(|n| assert!(publisher.publish(event(n)).is_ok()));
                }
            });
        }
    });
    let seen = now(&mut subscriber);
    assert_eq!(seen.len() as u64, WRITERS * EVENTS);
    for writer in 0..WRITERS {
        let own = seen.iter().filter(|event| *event % WRITERS == writer).map(|event| event / WRITERS);
        assert!(own.eq(0..EVENTS), "the order of writer {writer}");
    }
}

#[test]
fn only_writer_may_move_to_another_thread() {
    let (bus, journal, mut subscriber) = on_a_bus(1024);
    let mut publisher = bus.publisher();
    publish(&mut publisher, 0..ALONE);
    let mut publisher = ends(move || {
        publish(&mut publisher, ALONE..2 * ALONE);
        publisher
    });
    journal.publish(2 * ALONE).unwrap();
    publish(&mut publisher, 2 * ALONE + 1..3 * ALONE);
    assert_eq!(now(&mut subscriber), numbers(0..3 * ALONE));
}

#[test]
fn dropped_or_leaked_only_writer_delays_no_other() {
    let (bus, journal, mut subscriber) = on_a_bus(1024);
    let mut next = 0;
    for leave in [drop::<Publisher<u64>>, std::mem::forget] {
        let mut publisher = bus.publisher();
        publish(&mut publisher, next..next + ALONE);
        leave(publisher);
        next += ALONE;
        let other = journal.clone();
        assert_eq!(ends(move || other.publish(next)).unwrap().get(), next);
        next += 1;
    }
    assert_eq!(now(&mut subscriber), numbers(0..next));
}

#[test]
fn close_is_exact_for_the_only_writer() {
    let (bus, journal, mut subscriber) = on_a_bus(1024);
    let mut publisher = bus.publisher();
    publish(&mut publisher, 0..ALONE);
    journal.close();
    assert_eq!(publisher.publish(ALONE).unwrap(), took(0, 1));
    assert_eq!(now(&mut subscriber), numbers(0..ALONE));
    assert_eq!(journal.state().ledger.refused.closed, 1);
    journal.state().ledger.check().unwrap();
}

#[test]
fn remove_ends_the_deliveries_of_the_only_writer() {
    let (bus, journal) = (Bus::new(), Journal::new(1024).unwrap());
    let id = bus.add(journal.clone()).unwrap();
    let mut subscriber = journal.subscribe(Start::Oldest).unwrap();
    let mut publisher = bus.publisher();
    publish(&mut publisher, 0..ALONE);
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(publisher.publish(ALONE).unwrap(), took(0, 0));
    journal.publish(ALONE).unwrap();
    assert_eq!(now(&mut subscriber), numbers(0..ALONE + 1));
}

#[test]
fn new_gate_stops_the_only_writer() {
    let (bus, journal, _subscriber) = on_a_bus(64);
    let mut publisher = bus.publisher();
    publish(&mut publisher, 0..ALONE);
    let mut gate = journal.subscription().start(Start::Oldest).gating().subscribe().unwrap();
    let first = gate.next_sequence().get();
    let full = (ALONE..).find(|event| match publisher.try_publish(*event) {
        Ok(_) => false,
        Err(WriteError::Full(back)) => back == *event,
        Err(other) => panic!("{other}"),
    });
    assert_eq!(now(&mut gate), numbers(first..full.unwrap()));
    publish(&mut publisher, full.unwrap()..full.unwrap() + 1);
    assert_eq!(now(&mut gate), numbers(full.unwrap()..full.unwrap() + 1));
}

#[test]
fn only_writer_drops_overwritten_events_once() {
    let (bus, journal, counted) = (Bus::new(), Journal::new(64).unwrap(), Arc::new(()));
    bus.add(journal.clone()).unwrap();
    let mut publisher = bus.publisher();
    for _ in 0..1000 {
        assert_eq!(publisher.publish(counted.clone()).unwrap(), took(1, 0));
    }
    // The journal keeps its capacity, and at most two blocks more.
    assert!((64..=3 * 64).contains(&(Arc::strong_count(&counted) - 1)));
    drop((publisher, bus, journal));
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// An event whose destructor publishes another event into the journal, once.
#[derive(Clone)]
struct Echo(Option<Arc<Mutex<Option<Journal<Self>>>>>);

impl Drop for Echo {
    fn drop(&mut self) {
        let journal = self.0.take().and_then(|target| target.lock().unwrap().take());
        if let Some(journal) = journal {
            assert!(journal.publish(Self(None)).is_ok());
        }
    }
}

#[test]
fn overwritten_event_may_publish_as_it_is_dropped() {
    let (bus, journal, target) = (Bus::new(), Journal::new(64).unwrap(), Arc::new(Mutex::new(None)));
    bus.add(journal.clone()).unwrap();
    let mut publisher = bus.publisher();
    (0..200).for_each(|_| assert!(publisher.publish(Echo(Some(target.clone()))).is_ok()));
    let mut subscriber = journal.subscribe(Start::Now).unwrap();
    *target.lock().unwrap() = Some(journal.clone());
    assert_eq!(publisher.publish(Echo(Some(target))).unwrap(), took(1, 0));
    let is_echo = |entry: Entry<Echo>| entry.event().is_some_and(|event| event.0.is_none());
    let seen: Vec<bool> = subscriber.try_iter().map(is_echo).collect();
    assert_eq!(seen, [false, true]);
}

#[test]
fn removed_journal_leaves_no_event_with_an_idle_publisher() {
    let event = Arc::new(7);
    let (bus, journal) = (Bus::new(), Journal::new(256).unwrap());
    let id = bus.add(journal).unwrap();
    let mut publisher = bus.publisher();
    (0..ALONE).for_each(|_| assert_eq!(publisher.publish(event.clone()).unwrap(), took(1, 0)));
    assert_eq!(bus.remove(id), Ok(Removed::Quiet));
    assert_eq!(Arc::strong_count(&event), 1, "the bus had the last handle of the journal");
    drop(publisher);
}
