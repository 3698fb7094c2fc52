//! The lanes of dropped publishers: kept, taken by the next publisher, and dropped while the bus
//! changes.
//!
//! The control plane's lock passes the lanes on, so no ordering of one word makes most of these
//! scenarios fail. Each names the step of `bus/kept.rs` without which it fails. All have three
//! preemptions, except those that state another bound.

use buslane::bus::Removed;
use buslane::{Bus, Channel, Journal, Overflow, Receiver, SinkId};
use loom_tests::channels::{channel, left};
use loom_tests::{LIMIT, model, model_with, thread};

/// Returns a bus that keeps the lanes of one publisher, with a channel on it.
fn bus_with_channel(capacity: usize) -> (Bus<u32>, SinkId, Channel<u32>, Receiver<u32>) {
    let bus = Bus::builder().kept_publishers(1).build();
    let (sink, receiver) = channel(capacity, Overflow::DropNewest);
    let id = bus.add(sink.clone()).expect("open");
    (bus, id, sink, receiver)
}

/// Publishes an event with a publisher of its own. Returns the number of sinks that accepted it.
fn once(bus: &Bus<u32>, event: u32) -> usize {
    bus.publisher().publish(event).map_or(0, |published| published.accepted)
}

#[test]
fn next_publisher_continues_in_the_lane() {
    // The new publisher finds the lane, its tail and its counters as the old one left them, or makes
    // a lane of its own. Fails when a publisher that takes kept lanes is not registered.
    model(|| {
        let (bus, _, sink, mut receiver) = bus_with_channel(4);
        let mut publisher = bus.publisher();
        let before = thread::spawn(move || {
            assert_eq!(publisher.publish(1).expect("open").accepted, 1);
        });
        assert_eq!(once(&bus, 2), 1);
        before.join().unwrap();
        assert_eq!(once(&bus, 3), 1);
        let mut got = left(&mut receiver);
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3]);
        let state = sink.state();
        assert_eq!((state.ledger.delivered, state.ledger.check(), state.lanes), (3, Ok(()), 1));
    });
}

#[test]
fn two_publishers_never_share_kept_lanes() {
    // One of two publishers takes the kept lanes. Each event is read once. Nothing that compiles makes
    // it fail, since links move.
    model(|| {
        let (bus, _, sink, mut receiver) = bus_with_channel(4);
        assert_eq!(once(&bus, 1), 1);
        let other = bus.clone();
        let there = thread::spawn(move || once(&other, 2));
        assert_eq!((once(&bus, 3), there.join().unwrap()), (1, 1));
        let mut got = left(&mut receiver);
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3]);
        assert!(sink.state().ledger.check().is_ok());
    });
}

#[test]
fn publisher_dropped_during_an_add_leaves_no_old_lanes() {
    // The next publisher reaches the new sink. Fails when a publisher leaves its lanes without a look
    // at the version, or when an add does not take the kept ones.
    model(|| {
        let (bus, _, _sink, mut receiver) = bus_with_channel(4);
        let mut publisher = bus.publisher();
        let (second, mut second_reader) = channel(4, Overflow::DropNewest);
        let going = thread::spawn(move || publisher.publish(1).expect("open").accepted);
        bus.add(second).expect("open");
        let accepted = going.join().unwrap();
        assert_eq!(once(&bus, 2), 2);
        assert_eq!(left(&mut receiver), [1, 2]);
        assert_eq!(left(&mut second_reader), if accepted == 2 { &[1, 2][..] } else { &[2] });
    });
}

#[test]
fn publisher_made_during_an_add_reaches_the_sink() {
    // A publisher that took kept lanes gets the change like any other one. Fails when it is not
    // registered, or when an add does not take the kept lanes.
    model(|| {
        let (bus, _, _sink, mut receiver) = bus_with_channel(4);
        drop(bus.publisher());
        let (second, mut second_reader) = channel(4, Overflow::DropNewest);
        let other = bus.clone();
        let made = thread::spawn(move || other.publisher());
        bus.add(second).expect("open");
        let mut publisher = made.join().unwrap();
        assert_eq!(publisher.publish(1).expect("open").accepted, 2);
        assert_eq!((left(&mut receiver), left(&mut second_reader)), (vec![1], vec![1]));
    });
}

#[test]
fn publisher_dropped_during_a_removal_keeps_no_lane() {
    // After `remove` returned no event enters, also not through the lanes that the publisher left.
    // Fails when a fence of ORD(spsc.fin) is missing. Without the look at the version it passes: the
    // next publisher finds the kept lane sealed.
    model(|| {
        let (bus, id, sink, mut receiver) = bus_with_channel(4);
        let mut publisher = bus.publisher();
        let going = thread::spawn(move || publisher.publish(1).expect("open").accepted);
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let at_return = receiver.len();
        assert_eq!(going.join().unwrap(), at_return, "no event enters after the removal");
        assert_eq!(once(&bus, 2), 0);
        assert_eq!(left(&mut receiver), &[1][..at_return]);
        let state = sink.state();
        assert_eq!((state.lanes, state.ledger.check()), (0, Ok(())));
    });
}

#[test]
fn publisher_made_during_a_removal_is_shut_out() {
    // As above, for a publisher that takes the kept lanes: they are sealed like those of any other
    // publisher. Fails when a fence of ORD(spsc.fin) is missing, when a removal does not take the
    // kept lanes, or when their new publisher is not registered.
    model(|| {
        let (bus, id, sink, mut receiver) = bus_with_channel(4);
        drop(bus.publisher());
        let other = bus.clone();
        let during = thread::spawn(move || {
            let mut publisher = other.publisher();
            publisher.publish(1).expect("open").accepted + publisher.publish(2).expect("open").accepted
        });
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let at_return = receiver.len();
        let accepted = during.join().unwrap();
        assert_eq!(accepted, at_return, "no event enters after the removal");
        assert_eq!(left(&mut receiver), &[1, 2][..accepted]);
        assert!(sink.state().ledger.check().is_ok());
    });
}

#[test]
fn close_ends_kept_lanes() {
    // Each accepted event is readable, and no lane is left, wherever the close finds the lanes: at
    // their publisher, kept, or at the next publisher. Fails when a close does not take the kept
    // lanes, when a publisher leaves its lanes to a closed bus, or when a fence of ORD(spsc.fin) is
    // missing.
    model_with(2, || {
        let (bus, _, sink, mut receiver) = bus_with_channel(4);
        let mut publisher = bus.publisher();
        let other = bus.clone();
        let during = thread::spawn(move || {
            let first = publisher.publish(1).is_ok_and(|published| published.accepted == 1);
            drop(publisher);
            [first, once(&other, 2) == 1]
        });
        assert!(bus.close_timeout(LIMIT).is_done());
        let [first, second] = during.join().unwrap();
        let expected: Vec<u32> =
            [(1, first), (2, second)].iter().filter(|(_, is)| *is).map(|(n, _)| *n).collect();
        assert_eq!(left(&mut receiver), expected);
        let state = sink.state();
        assert_eq!((state.lanes, state.ledger.check()), (0, Ok(())));
        assert!(bus.publisher().publish(3).is_err());
    });
}

#[test]
fn kept_lane_of_a_dropped_receiver_refuses_events() {
    // The receiver seals the lane while it is kept or being taken. An event that the lane accepted
    // counts as dropped with the receiver. Fails when a fence of ORD(spsc.fin) is missing.
    model(|| {
        let (bus, _, sink, receiver) = bus_with_channel(4);
        drop(bus.publisher());
        let other = bus.clone();
        let during = thread::spawn(move || once(&other, 1));
        drop(receiver);
        let accepted = during.join().unwrap() as u64;
        assert_eq!(once(&bus, 2), 0);
        let ledger = sink.state().ledger;
        assert_eq!(
            (ledger.accepted, ledger.dropped.receiver_dropped, ledger.check()),
            (accepted, accepted, Ok(()))
        );
    });
}

#[test]
fn kept_lane_follows_the_shared_lane() {
    // A thread that wrote into the shared lane and then takes a kept lane, which the reader already
    // knows, keeps its order. Fails when `Reuse` does not ask whether the shared lane was read.
    model(|| {
        let (bus, _, _sink, mut receiver) = bus_with_channel(4);
        assert_eq!(once(&bus, 1), 1);
        assert_eq!(receiver.recv(), Ok(1));
        let during = thread::spawn(move || {
            assert_eq!(bus.publish(2).expect("open").accepted, 1);
            assert_eq!(once(&bus, 3), 1);
            bus
        });
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(2), Ok(3)));
        drop(during.join().unwrap());
    });
}

#[test]
fn publisher_of_a_journal_is_dropped_during_its_removal() {
    // The dropped publisher gives back the bias in its lane, unless the removal takes the lane back:
    // the journal is dropped once, and no thread uses the lane after that. Without the guard of the
    // sink, the publisher would use a freed lane. A model does not see that, but Miri and the address
    // sanitizer do.
    model(|| {
        let bus = Bus::builder().kept_publishers(1).build();
        let id = bus.add(Journal::new(4).expect("a small journal")).expect("open");
        let mut publisher = bus.publisher();
        (0..3).for_each(|event| assert_eq!(publisher.publish(event).expect("open").accepted, 1));
        let going = thread::spawn(move || drop(publisher));
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        going.join().unwrap();
        assert_eq!(once(&bus, 3), 0);
    });
}
