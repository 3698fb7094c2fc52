//! Who gets which event, in which order and in which packets.

use crate::{
    GUARD, SECOND, announce, assert_balanced, assert_empty, balanced, director, drain, events, join, small,
    telling,
};

#[test]
fn broadcast_reaches_all_but_the_sender() {
    let (director, _clock) = director();
    let (mut alice, mut to_alice) = join(&director, "alice");
    let (mut bob, mut to_bob) = join(&director, "bob");
    let (_carol, mut to_carol) = join(&director, "carol");
    alice.broadcast(1).unwrap();
    bob.broadcast(2).unwrap();
    director.announce(3).unwrap();
    assert_eq!(drain(&mut to_alice), [2, 3]);
    assert_eq!(drain(&mut to_bob), [1, 3]);
    assert_eq!(drain(&mut to_carol), [1, 2, 3]);
    let snapshot = balanced(alice.snapshot());
    assert_eq!((snapshot.offered, snapshot.delivered, snapshot.not_for_member), (3, 2, 1));
}

#[test]
fn unicast_reaches_one_member_in_order() {
    let (director, _clock) = director();
    let (mut alice, mut to_alice) = join(&director, "alice");
    let (_bob, mut to_bob) = join(&director, "bob");
    let (_carol, mut to_carol) = join(&director, "carol");
    alice.broadcast(1).unwrap();
    alice.unicast("bob", 2).unwrap();
    alice.broadcast(3).unwrap();
    director.unicast("alice", 4).unwrap();
    assert_eq!(drain(&mut to_bob), [1, 2, 3]);
    assert_eq!(drain(&mut to_carol), [1, 3]);
    assert_eq!(drain(&mut to_alice), [4]);
}

#[test]
fn events_name_their_sender_and_position() {
    let (director, _clock) = director();
    let (mut alice, _to_alice) = join(&director, "alice");
    let (bob, mut to_bob) = join(&director, "bob");
    let first = alice.broadcast(1).unwrap();
    let second = director.announce(2).unwrap();
    let packet = to_bob.try_packet().unwrap();
    let seen: Vec<_> =
        packet.events().iter().map(|event| (event.sequence, event.from, event.event)).collect();
    assert_eq!(seen, [(first, Some(alice.epoch()), 1), (second, None, 2)]);
    assert_eq!(director.roster().name_of(alice.epoch()), Some("alice"));
    assert_eq!((packet.member(), packet.epoch(), packet.attempt()), ("bob", bob.epoch(), 1));
}

#[test]
fn packets_are_limited_by_count() {
    let (builder, _clock) = small();
    let director = builder.packet(4).build().unwrap();
    let (_bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..10);
    let mut sizes = Vec::new();
    while let Ok(packet) = outbox.try_packet() {
        sizes.push(packet.events().len());
        packet.ack().unwrap();
    }
    assert_eq!(sizes, [4, 4, 2]);
}

#[test]
fn packets_are_limited_by_bytes() {
    let (builder, _clock) = small();
    let director = builder.packet_bytes(10, |n| *n as usize).build().unwrap();
    let (_bob, mut outbox) = join(&director, "bob");
    announce(&director, [4, 4, 4, 50, 1, 1]);
    let mut packets = Vec::new();
    while let Ok(packet) = outbox.try_packet() {
        packets.push(events(&packet));
        packet.ack().unwrap();
    }
    assert_eq!(packets, [vec![4, 4, 4], vec![50], vec![1, 1]]);
}

#[test]
fn member_settings_override_the_director_settings() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = director.member("bob").packet(2).join_manual().unwrap();
    crate::pull_state(&mut outbox);
    announce(&director, 0..3);
    assert_eq!(events(&outbox.try_packet().unwrap()), [0, 1]);
}

#[test]
fn linger_begins_with_the_first_event_and_is_not_extended() {
    let (builder, clock) = small();
    let director = builder.packet(4).linger(3 * SECOND).build().unwrap();
    let (_bob, mut outbox) = join(&director, "bob");
    director.announce(1).unwrap();
    assert_empty(&mut outbox);
    clock.advance(2 * SECOND);
    director.announce(2).unwrap();
    assert_empty(&mut outbox);
    clock.advance(SECOND);
    let packet = outbox.try_packet().unwrap();
    assert_eq!(events(&packet), [1, 2]);
    packet.ack().unwrap();
    // A full packet does not linger.
    announce(&director, 3..8);
    let packet = outbox.try_packet().unwrap();
    assert_eq!(events(&packet), [3, 4, 5, 6]);
    packet.ack().unwrap();
    assert_empty(&mut outbox);
}

#[test]
fn linger_wakes_a_node_by_its_timer() {
    let (builder, clock) = small();
    let director = builder.linger(3 * SECOND).build().unwrap();
    let (_bob, told) = telling(&director, "bob");
    director.announce(1).unwrap();
    clock.await_sleepers(1);
    assert!(told.try_recv().is_err());
    clock.advance(3 * SECOND);
    assert_eq!(told.recv_timeout(GUARD).unwrap(), [1]);
}

#[test]
fn lag_is_exact_and_told_before_the_next_event() {
    let (builder, _clock) = small();
    let director = builder.history(64).packet(16).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..10);
    let first = outbox.try_packet().unwrap();
    assert_eq!((first.events().len(), first.lagged()), (10, 0));
    announce(&director, 10..300);
    first.ack().unwrap();
    let next = outbox.try_packet().unwrap();
    let begin = next.events()[0].event;
    assert_eq!(next.lagged(), u64::from(begin) - 10, "the events that are missing");
    assert!(u64::from(begin) >= 300 - 64 - 64 && next.events()[0].sequence.get() == u64::from(begin));
    next.ack().unwrap();
    let rest = drain(&mut outbox);
    assert_eq!(rest.last(), Some(&299));
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.lost, snapshot.delivered), (u64::from(begin) - 10, 300 - (u64::from(begin) - 10)));
}

#[test]
fn lag_in_the_middle_of_a_packet_ends_it() {
    let (builder, _clock) = small();
    let director = builder.history(64).linger(SECOND).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(0).unwrap();
    assert_empty(&mut outbox); // it has event 0, and lingers
    announce(&director, 1..300);
    let first = outbox.try_packet().unwrap();
    assert_eq!((events(&first)[0], first.lagged()), (0, 0));
    let after = *events(&first).last().unwrap();
    first.ack().unwrap();
    assert_empty(&mut outbox);
    drop(director.close());
    let second = outbox.try_packet().unwrap();
    assert_eq!(u64::from(second.events()[0].event - after - 1), second.lagged());
    second.ack().unwrap();
    assert_balanced(&bob.snapshot());
}

#[test]
fn slow_member_costs_the_others_nothing() {
    let (builder, _clock) = small();
    let director = builder.history(1024).build().unwrap();
    let (_slow, mut to_slow) = join(&director, "slow");
    let (_fast, mut to_fast) = join(&director, "fast");
    let mut seen = 0;
    for n in 0..1_000_000 {
        director.announce(n).unwrap();
        if n % 512 == 511 {
            seen += drain(&mut to_fast).len();
        }
    }
    seen += drain(&mut to_fast).len();
    assert_eq!(seen, 1_000_000, "the fast member lost nothing");
    let first = to_slow.try_packet().unwrap();
    assert!(first.lagged() >= 1_000_000 - 1024 - 64);
}

#[test]
fn clone_that_panics_costs_one_event_of_one_member() {
    #[derive(Debug)]
    struct Fragile(u32);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert!(self.0 != 2, "a planted panic");
            Self(self.0)
        }
    }
    let director = buslane::director::Director::builder().history(64).build().unwrap();
    let (bob, mut outbox) = director.join_manual("bob").unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    for n in 1..4 {
        director.announce(Fragile(n)).unwrap();
    }
    let packet = outbox.try_packet().unwrap();
    let seen: Vec<_> = packet.events().iter().map(|event| event.event.0).collect();
    assert_eq!(seen, [1, 3]);
    packet.ack().unwrap();
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.panicked, snapshot.delivered), (1, 2));
}

#[test]
fn lossless_member_holds_publishers_back() {
    let (builder, _clock) = small();
    let director = builder.history(64).build().unwrap();
    let (lossless, mut outbox) = director.member("bob").lossless().join_manual().unwrap();
    crate::pull_state(&mut outbox);
    let publisher = {
        let director = director.clone();
        std::thread::spawn(move || announce(&director, 0..1000))
    };
    let mut seen = Vec::new();
    while seen.len() < 1000 {
        let packet = outbox.packet_timeout(GUARD).unwrap();
        assert_eq!(packet.lagged(), 0);
        seen.extend(events(&packet));
        packet.ack().unwrap();
    }
    publisher.join().unwrap();
    assert!(seen.into_iter().eq(0..1000));
    assert_eq!(balanced(lossless.snapshot()).lost, 0);
    // Without a session it holds no publisher back.
    lossless.detach();
    announce(&director, 0..1000);
}
