//! `Bus::publish` into the shared lanes of several sinks, which are claimed together and then
//! filled.
//!
//! All scenarios have three preemptions, except those that state another bound.

use buslane::bus::Removed;
use buslane::{Bus, Overflow, Receiver};
use loom_tests::channels::{channel, left};
use loom_tests::{LIMIT, model, model_with, thread};

/// Returns a bus with two channels of these capacities, and their receivers.
fn bus_with(capacities: [usize; 2], overflow: Overflow) -> (Bus<usize>, [Receiver<usize>; 2]) {
    let bus = Bus::new();
    let readers = capacities.map(|capacity| {
        let (channel, reader) = channel(capacity, overflow);
        bus.add(channel).expect("open");
        reader
    });
    (bus, readers)
}

#[test]
fn two_publishers_reach_both_sinks() {
    // Both publishers claim in both lanes before they fill one: each event enters each lane once,
    // and no publisher waits for the other one. Fails when a claimed position is not filled.
    model(|| {
        let (bus, [mut first_reader, mut second_reader]) = bus_with([2, 2], Overflow::DropNewest);
        let other = bus.clone();
        let during = thread::spawn(move || other.publish(1).expect("open").accepted);
        assert_eq!(bus.publish(2).expect("open").accepted, 2);
        assert_eq!(during.join().unwrap(), 2);
        for reader in [&mut first_reader, &mut second_reader] {
            let mut events = left(reader);
            events.sort_unstable();
            assert_eq!(events, [1, 2]);
        }
    });
}

#[test]
fn publish_wakes_the_parked_reader_of_each_lane() {
    // The readers park one after the other, while the publisher is between its claims and its
    // wake-ups. Fails when a lane is filled and its consumer not woken.
    model_with(2, || {
        let (bus, [mut first_reader, mut second_reader]) = bus_with([2, 2], Overflow::DropNewest);
        let during = thread::spawn(move || {
            let _ = bus.publish(1).expect("open");
            bus
        });
        assert_eq!((second_reader.recv(), first_reader.recv()), (Ok(1), Ok(1)));
        drop(during.join().unwrap());
    });
}

#[test]
fn lane_without_room_refuses_and_the_others_accept() {
    // One lane has no room for the second of two events. The refusal is counted, and the other lane
    // gets both. Fails when the event of a lane without room enters another lane, or is lost without
    // a count.
    model(|| {
        let (bus, [mut first_reader, mut second_reader]) = bus_with([1, 2], Overflow::Refuse);
        let other = bus.clone();
        let during = thread::spawn(move || other.publish(1).expect("open"));
        let here = bus.publish(2).expect("open");
        let there = during.join().unwrap();
        assert_eq!((here.accepted + there.accepted, here.refused + there.refused), (3, 1));
        assert_eq!(left(&mut first_reader).len(), 1);
        let mut events = left(&mut second_reader);
        events.sort_unstable();
        assert_eq!(events, [1, 2]);
    });
}

#[test]
fn remove_ends_publishes_into_its_lane_only() {
    // After `remove` returned no event enters the removed sink, and the other one gets every event.
    // Fails when the removal does not wait for a publisher with claims.
    model(|| {
        let bus = Bus::new();
        let (first, mut first_reader) = channel(2, Overflow::DropNewest);
        let (second, mut second_reader) = channel(2, Overflow::DropNewest);
        let keep_open = first.clone();
        let id = bus.add(first).expect("open");
        bus.add(second).expect("open");
        let other = bus.clone();
        let during = thread::spawn(move || other.publish(1).expect("open").accepted);
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let at_return = left(&mut first_reader).len();
        assert_eq!(during.join().unwrap(), at_return + 1);
        assert_eq!((left(&mut first_reader).len(), left(&mut second_reader).len()), (0, 1));
        drop(keep_open);
    });
}

#[test]
fn close_returns_or_delivers_the_event_of_each_lane() {
    // What the publish reports as accepted is readable after the close, and nothing else. Fails when
    // a claim succeeds in a lane that was closed between the claims.
    model(|| {
        let (bus, [mut first_reader, mut second_reader]) = bus_with([2, 2], Overflow::DropNewest);
        let other = bus.clone();
        let during = thread::spawn(move || other.publish(1).map_or(0, |published| published.accepted));
        assert!(bus.close_timeout(LIMIT).is_done());
        let accepted = during.join().unwrap();
        assert_eq!(left(&mut first_reader).len() + left(&mut second_reader).len(), accepted);
        assert!(bus.snapshot().sinks.iter().all(|sink| sink.state.ledger.check().is_ok()));
    });
}
