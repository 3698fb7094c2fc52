//! Retries by the director's own timer, dead letters, and nodes that fail.

use crate::{
    Reporting, SECOND, announce, assert_balanced, assert_empty, backoff, balanced, director, drain, join,
    next, small, stuck, telling,
};
use buslane::director::{DeadPacket, Delivery, MemberStatus, Packet, PacketKind};
use buslane::testing::Collect;

#[test]
fn retries_follow_the_backoff() {
    let (director, clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    let mut ids = Vec::new();
    for wait in [1, 2, 4, 8] {
        let packet = outbox.try_packet().unwrap();
        ids.push(packet.id());
        packet.retry().unwrap();
        clock.advance(wait * SECOND - SECOND / 1000);
        assert_empty(&mut outbox);
        clock.advance(SECOND / 1000);
    }
    let packet = outbox.try_packet().unwrap();
    assert_eq!(packet.attempt(), 5);
    assert!(ids.iter().all(|id| *id == packet.id()));
}

#[test]
fn asked_wait_replaces_the_backoff() {
    let (director, clock) = director();
    let (_bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    outbox.try_packet().unwrap().retry_after(10 * SECOND).unwrap();
    clock.advance(9 * SECOND);
    assert_empty(&mut outbox);
    clock.advance(SECOND);
    assert_eq!(outbox.try_packet().unwrap().attempt(), 2);
}

#[test]
fn ready_ends_the_wait() {
    let (director, _clock) = director();
    let (node, called) = Reporting::new(|packet| match packet.attempt() {
        1 => Delivery::Retry(Some(3600 * SECOND)),
        _ => Delivery::Done,
    });
    let _bob = director.join("bob", node).unwrap();
    director.announce(7).unwrap();
    let first = next(&called);
    // The node may not have returned yet, so `ready` is repeated.
    let second = loop {
        assert!(director.ready("bob"));
        if let Ok(call) = called.try_recv() {
            break call;
        }
        std::thread::yield_now();
    };
    assert_eq!((second.id, second.attempt), (first.id, 2));
    assert!(!director.ready("carol"));
}

#[test]
fn node_that_fails_and_recovers_sees_identical_packets() {
    let (builder, clock) = small();
    let director = builder.packet(8).build().unwrap();
    let (node, called) =
        Reporting::new(|packet| if packet.attempt() < 4 { Delivery::Retry(None) } else { Delivery::Done });
    let bob = director.join("bob", node).unwrap();
    announce(&director, 0..8);
    let first = next(&called);
    for wait in [1, 2, 4] {
        clock.await_sleepers(1);
        clock.advance(wait * SECOND);
        let again = next(&called);
        assert_eq!((again.id, &again.events), (first.id, &first.events));
    }
    assert!(director.close().is_done());
    assert_eq!(balanced(bob.snapshot()).attempts, 5 + u64::from(first.events.len() < 8));
}

#[test]
fn panic_of_a_node_is_a_failed_attempt() {
    let (director, clock) = director();
    let (node, called) = Reporting::new(|packet| {
        assert!(packet.attempt() > 1, "a planted panic");
        Delivery::Done
    });
    let bob = director.join("bob", node).unwrap();
    director.announce(7).unwrap();
    assert_eq!(next(&called).attempt, 1);
    clock.await_sleepers(1);
    clock.advance(SECOND);
    assert_eq!(next(&called).attempt, 2);
    assert!(director.close().is_done());
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.node_panics, snapshot.delivered), (1, 1));
    assert_eq!(snapshot.last_error.as_deref(), Some("a planted panic"));
}

#[test]
fn packet_at_its_limit_becomes_a_dead_letter() {
    let (builder, clock) = small();
    let dead = Collect::<DeadPacket<u32>>::new();
    let director =
        builder.packet(2).retry(backoff().max_attempts(2)).dead_letters(dead.clone()).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..4);
    let packet = outbox.try_packet().unwrap();
    packet.retry().unwrap();
    clock.advance(SECOND);
    outbox.try_packet().unwrap().retry().unwrap();
    let letters = dead.events();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.member(), letter.id(), letter.attempts()), ("bob", packet.id(), 2));
    assert_eq!((letter.kind(), letter.epoch()), (PacketKind::Events, bob.epoch()));
    assert!(letter.events().iter().map(|event| event.event).eq([0, 1]));
    assert_eq!(drain(&mut outbox), [2, 3], "the next packet is not held up");
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.dead_letters, snapshot.delivered), (2, 2));
}

#[test]
fn rejected_packet_becomes_a_dead_letter_at_once() {
    let (builder, _clock) = small();
    let dead = Collect::<DeadPacket<u32>>::new();
    let director = builder.dead_letters(dead.clone()).build().unwrap();
    let bob = director.join("bob", |_: &Packet<u32>| Delivery::Reject("not a number".into())).unwrap();
    director.announce(7).unwrap();
    dead.wait_for(1);
    assert_eq!(dead.events()[0].error(), Some("not a number"));
    assert!(director.close().is_done());
    assert_eq!(balanced(bob.snapshot()).dead_letters, 1);
}

#[test]
fn state_packet_is_never_given_up() {
    let (builder, clock) = small();
    let dead = Collect::<DeadPacket<u32>>::new();
    let director = builder.retry(backoff().max_attempts(2)).dead_letters(dead.clone()).build().unwrap();
    let (bob, mut outbox) = director.join_manual("bob").unwrap();
    director.announce(7).unwrap();
    director.root().broadcast(8).unwrap();
    for (attempt, wait) in (1..).zip([1, 2, 4, 8]) {
        let state = outbox.try_packet().unwrap();
        assert_eq!((state.kind(), state.attempt()), (PacketKind::State, attempt));
        if attempt == 3 {
            state.reject("no state here").unwrap();
        } else {
            state.retry().unwrap();
        }
        clock.advance(wait * SECOND - SECOND / 1000);
        assert_empty(&mut outbox);
        clock.advance(SECOND / 1000);
    }
    // The next attempt is not acknowledged in time.
    let state = outbox.try_packet().unwrap();
    clock.advance(30 * SECOND);
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.id(), again.attempt()), (state.id(), 6));
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.state_failures, snapshot.status), (5, MemberStatus::Joining));
    assert_eq!(snapshot.last_error.as_deref(), Some("no state here"));
    again.ack().unwrap();
    assert_eq!(drain(&mut outbox), [8, 7]);
    assert!(dead.events().is_empty());
}

#[test]
fn partly_acknowledged_packet_leaves_the_rest_in_the_letter() {
    let (builder, _clock) = small();
    let dead = Collect::<DeadPacket<u32>>::new();
    let director = builder.dead_letters(dead.clone()).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..4);
    let packet = outbox.try_packet().unwrap();
    packet.ack_through(packet.events()[1].sequence).unwrap();
    packet.reject("enough").unwrap();
    assert!(dead.events()[0].events().iter().map(|event| event.event).eq([2, 3]));
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.delivered, snapshot.dead_letters), (2, 2));
}

#[test]
fn refused_letters_are_counted() {
    let (builder, _clock) = small();
    let closed = buslane::sink_fn(|_: &DeadPacket<u32>| Err("no room for letters"));
    let director = builder.dead_letters(closed).build().unwrap();
    let (_bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    outbox.try_packet().unwrap().reject("never").unwrap();
    assert_eq!(director.snapshot().letters_refused, 1);
}

#[test]
fn node_that_hangs_delays_no_other_member() {
    let (director, _clock) = director();
    let (member, gate) = stuck(&director);
    let (_free, told) = telling(&director, "free");
    for n in 0..100 {
        director.announce(n).unwrap();
        assert_eq!(next(&told), [n]);
    }
    gate.wait_reached(1);
    assert!(member.snapshot().in_call_for.is_some());
    gate.open();
    assert!(director.close().is_done());
    assert_balanced(&member.snapshot());
}
