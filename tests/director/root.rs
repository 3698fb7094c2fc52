//! Root events: ahead of ordinary ones, and without starving them.

use crate::{
    Reporting, SECOND, announce, assert_balanced, assert_empty, balanced, director, drain, events, join,
    next, small,
};
use buslane::director::{Delivery, Director, PacketKind, SendError};
use buslane::error::TryRecvError;

#[test]
fn root_events_overtake() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    director.announce(1).unwrap();
    director.root().broadcast(100).unwrap();
    director.root().unicast("bob", 101).unwrap();
    let root = outbox.try_packet().unwrap();
    assert_eq!((root.kind(), events(&root)), (PacketKind::Root, vec![100, 101]));
    root.ack().unwrap();
    assert_eq!(drain(&mut outbox), [1]);
}

#[test]
fn root_broadcast_reaches_every_member() {
    let (director, _clock) = director();
    let mut members: Vec<_> = ["alice", "bob", "carol"].map(|name| join(&director, name)).into();
    assert_eq!(director.root().broadcast(7).unwrap().get(), 0);
    assert_eq!(director.root().broadcast(8).unwrap().get(), 1);
    for (member, outbox) in &mut members {
        let packet = outbox.try_packet().unwrap();
        let positions: Vec<_> = packet.events().iter().map(|event| event.sequence.get()).collect();
        assert_eq!((events(&packet), positions), (vec![7, 8], vec![0, 1]));
        packet.ack().unwrap();
        let snapshot = balanced(member.snapshot());
        assert_eq!((snapshot.root_offered, snapshot.root_delivered), (2, 2));
    }
}

#[test]
fn root_events_do_not_starve_ordinary_ones() {
    let (builder, _clock) = small();
    let director = builder.packet(1).build().unwrap();
    let (_bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..20);
    for n in 100..200 {
        director.root().broadcast(n).unwrap();
    }
    let mut row = 0;
    let mut ordinary = 0;
    for _ in 0..60 {
        let packet = outbox.try_packet().unwrap();
        packet.ack().unwrap();
        if packet.kind() == PacketKind::Root {
            row += 1;
            assert!(row <= 8, "at most eight root packets in a row");
        } else {
            row = 0;
            ordinary += 1;
        }
    }
    assert!(ordinary >= 6, "{ordinary} ordinary packets among 60");
}

#[test]
fn ordinary_events_of_others_do_not_starve_root_events() {
    let (builder, _clock) = small();
    let director = builder.packet(1).build().unwrap();
    let (mut bob, mut outbox) = join(&director, "bob");
    for n in 0..200 {
        bob.broadcast(n).unwrap();
    } // none of them is for bob
    for n in 0..50 {
        director.root().broadcast(n).unwrap();
    }
    assert!(drain(&mut outbox).into_iter().eq(0..50));
    assert_eq!(balanced(bob.snapshot()).not_for_member, 200);
}

#[test]
fn failing_root_packet_does_not_hold_events_up() {
    let (director, clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.root().broadcast(100).unwrap();
    director.announce(1).unwrap();
    let root = outbox.try_packet().unwrap();
    root.retry().unwrap();
    assert_eq!(drain(&mut outbox), [1]);
    clock.advance(SECOND);
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.kind(), again.id(), again.attempt()), (PacketKind::Root, root.id(), 2));
    again.ack().unwrap();
    assert_balanced(&bob.snapshot());
}

#[test]
fn failing_packet_does_not_hold_root_events_up() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    director.announce(1).unwrap();
    outbox.try_packet().unwrap().retry().unwrap();
    director.root().broadcast(100).unwrap();
    let root = outbox.try_packet().unwrap();
    assert_eq!(root.kind(), PacketKind::Root);
    root.ack().unwrap();
    assert_empty(&mut outbox);
}

#[test]
fn full_inbox_evicts_the_oldest_and_tells() {
    let (builder, _clock) = small();
    let director = builder.root_capacity(4).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    for n in 0..10 {
        director.root().broadcast(n).unwrap();
    }
    let packet = outbox.try_packet().unwrap();
    assert_eq!((packet.lagged(), events(&packet)), (6, vec![6, 7, 8, 9]));
    packet.ack().unwrap();
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.root_offered, snapshot.root_lost, snapshot.root_delivered), (10, 6, 4));
}

#[test]
fn root_event_to_an_unknown_member_comes_back() {
    let (director, _clock) = director();
    let error = director.root().unicast("bob", 7).unwrap_err();
    assert!(matches!(&error, SendError::UnknownMember { name, event: 7 } if name == "bob"));
    drop(director.close());
    assert!(matches!(director.root().broadcast(8), Err(SendError::Closed(8))));
    assert!(matches!(director.root().unicast("bob", 9), Err(SendError::Closed(9))));
}

#[test]
fn root_event_wakes_a_node() {
    let (director, _clock) = director();
    let (node, called) = Reporting::new(|_| Delivery::Done);
    let _bob = director.join("bob", node).unwrap();
    for n in 0..50 {
        director.root().unicast("bob", n).unwrap();
        let call = next(&called);
        assert_eq!((call.kind, call.events), (PacketKind::Root, vec![n]));
    }
}

#[test]
fn panic_of_a_clone_reaches_no_publisher_and_no_other_member() {
    let director = Director::builder().history(64).build().unwrap();
    let (alice, mut to_alice) = director.join_manual("alice").unwrap();
    let (bob, mut to_bob) = director.join_manual("bob").unwrap();
    to_alice.try_packet().unwrap().ack().unwrap();
    to_bob.try_packet().unwrap().ack().unwrap();
    director.root().broadcast(Broken).unwrap();
    // The last member gets the event itself.
    assert_eq!(to_bob.try_packet().unwrap().events().len(), 1);
    assert_eq!(to_alice.try_packet().err(), Some(TryRecvError::Empty));
    let (alice, bob) = (balanced(alice.snapshot()), balanced(bob.snapshot()));
    assert_eq!((alice.root_offered, alice.root_panicked), (1, 1));
    assert_eq!((bob.root_offered, bob.root_panicked), (1, 0));
}

#[derive(Debug)]
struct Broken;

impl Clone for Broken {
    fn clone(&self) -> Self {
        panic!("a planted panic");
    }
}
