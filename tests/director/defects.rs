//! The defects of the system that this one succeeds, by their numbers: each test would fail there.

use crate::{
    Reporting, SECOND, announce, assert_balanced, director, drain, events, join, next, small, stuck, telling,
};
use buslane::director::{Delivery, Director, PacketKind, SendError};

/// Members were added to an unlocked map while another thread iterated over it.
#[test]
fn e25_members_come_and_go_while_events_flow() {
    let (builder, _clock) = small();
    let director = builder.history(1 << 16).build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let director = &director;
            scope.spawn(move || {
                for n in 0..100 {
                    let (mut member, mut outbox) = director.join_manual(format!("{thread}.{n}")).unwrap();
                    outbox.try_packet().unwrap().ack().unwrap();
                    member.broadcast(n).unwrap();
                    director.root().broadcast(n).unwrap();
                    drain(&mut outbox);
                    assert_balanced(&member.leave().member.member);
                }
            });
        }
        for n in 0..3000 {
            director.announce(n).unwrap();
            assert!(director.roster().members.len() <= 3);
        }
    });
    assert_eq!((director.snapshot().left, director.snapshot().published), (300, 3300));
}

/// An unknown sender or receiver ended the process, and only a member could publish.
#[test]
fn e26_unknown_members_are_errors_and_anyone_may_announce() {
    let (director, _clock) = director();
    let (mut alice, mut to_alice) = join(&director, "alice");
    assert!(matches!(alice.unicast("stranger", 1), Err(SendError::UnknownMember { event: 1, .. })));
    assert!(!director.ready("stranger"));
    director.announce(2).unwrap();
    director.unicast("alice", 3).unwrap();
    assert_eq!(drain(&mut to_alice), [2, 3]);
}

/// One slow node blocked the director, all nodes and all publishers.
#[test]
fn e27_slow_node_stalls_no_publisher_and_no_member() {
    let (director, _clock) = director();
    let (member, gate) = stuck(&director);
    let (_free, told) = telling(&director, "free");
    director.announce(0).unwrap();
    gate.wait_reached(1);
    // More than every buffer of that system, 256 signals and 1024, while one node is in a call.
    for n in 1..=5000 {
        director.announce(n).unwrap();
        while n % 100 == 0 && next(&told).last() != Some(&n) {}
    }
    gate.open();
    assert!(director.close().is_done());
    assert_balanced(&member.snapshot());
}

/// A packet that failed was tried again only at the next event.
#[test]
fn e28_failed_packet_is_retried_without_another_event() {
    let (director, clock) = director();
    let (node, called) = Reporting::new(|packet| match (packet.attempt(), packet.events().len()) {
        (1 | 2, 1) => Delivery::Retry(None),
        _ => Delivery::Done,
    });
    let _bob = director.join("bob", node).unwrap();
    director.announce(7).unwrap();
    assert_eq!(next(&called).attempt, 1);
    // Another event does not make a hot loop of it.
    clock.await_sleepers(1);
    announce(&director, 0..100);
    assert!(called.try_recv().is_err());
    clock.advance(SECOND);
    assert_eq!(next(&called).attempt, 2);
    clock.await_sleepers(1);
    clock.advance(2 * SECOND);
    assert_eq!(next(&called).attempt, 3);
    assert!(director.close().is_done());
}

/// A failing internal packet starved normal events; drops were silent; a node that registered again
/// leaked its backlog, and did not get what its former self had sent.
#[test]
fn e29_root_failures_drops_and_sessions_are_told() {
    let (builder, _clock) = small();
    let director = builder.history(64).build().unwrap();
    let (mut alice, mut to_alice) = join(&director, "alice");
    director.root().unicast("alice", 100).unwrap();
    director.announce(1).unwrap();
    let root = to_alice.try_packet().unwrap();
    assert_eq!(root.kind(), PacketKind::Root);
    root.retry().unwrap();
    assert_eq!(drain(&mut to_alice), [1], "events are not held up");
    // Sent by the session that is replaced before its next session reads.
    alice.broadcast(2).unwrap();
    let (alice, mut to_alice) = director.rejoin_manual("alice").unwrap();
    let mut seen = Vec::new();
    while let Ok(packet) = to_alice.try_packet() {
        seen.push((packet.kind(), events(&packet)));
        packet.ack().unwrap();
    }
    assert_eq!(seen, [(PacketKind::Root, vec![100]), (PacketKind::Events, vec![2])]);
    // Dropped: the exact number of positions, in band.
    announce(&director, 0..1000);
    let packet = to_alice.try_packet().unwrap();
    assert_eq!(packet.lagged(), u64::from(packet.events()[0].event));
    let report = alice.leave();
    assert!(report.was_member && report.member.undelivered > 0);
    assert_balanced(&report.member.member);
}

/// A retried packet had no number, so a duplicate could not be recognized, and the node got the live
/// packet itself.
#[test]
fn e30_retried_packet_has_its_number_events_and_boundaries() {
    let director = Director::builder().history(256).packet(4).build().unwrap();
    let (bob, mut outbox) = director.join_manual("bob").unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    for n in 0..3 {
        director.announce(n.to_string()).unwrap();
    }
    let first = outbox.try_packet().unwrap();
    // What comes later does not grow the packet, and what is overwritten does not change it.
    for n in 3..1000 {
        director.announce(n.to_string()).unwrap();
    }
    let kept = first.events().to_vec();
    first.retry_after(std::time::Duration::ZERO).unwrap();
    drop(first);
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.attempt(), again.events()), (2, &kept[..]));
    again.ack().unwrap();
    let later = outbox.try_packet().unwrap();
    assert!(later.id() > again.id());
    assert!(later.events()[0].sequence > again.events()[2].sequence);
    assert_balanced(&bob.snapshot());
}
