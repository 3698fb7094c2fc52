//! Acknowledgements: tickets, late and stale ones, and broadcasts that wait for them.

use crate::{
    GUARD, Reporting, SECOND, announce, assert_empty, balanced, director, drain, events, join, next, small,
    stuck,
};
use buslane::director::{AckError, Acks, Delivery, Director, Member, Packet};
use buslane::error::TryRecvError;
use buslane::journal::Sequence;
use buslane::testing::Gate;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

#[test]
fn next_packet_waits_for_the_acknowledgement() {
    let (builder, _clock) = small();
    let director = builder.packet(2).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..4);
    let first = outbox.try_packet().unwrap();
    assert_empty(&mut outbox);
    assert_eq!(balanced(bob.snapshot()).in_flight, 2);
    first.ack().unwrap();
    assert_eq!(events(&outbox.try_packet().unwrap()), [2, 3]);
}

#[test]
fn several_packets_are_in_flight_when_asked_for() {
    let (builder, _clock) = small();
    let director = builder.packet(1).in_flight(3).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..5);
    let [one, two, three] = [0; 3].map(|_| outbox.try_packet().unwrap());
    assert_empty(&mut outbox);
    // The second one alone makes no room, and does not move the position: without that bound, one
    // that is never acknowledged would keep all later ones in the queue.
    two.ack().unwrap();
    assert_eq!(bob.snapshot().acked_through, Sequence::new(0));
    assert_empty(&mut outbox);
    one.ack().unwrap();
    assert_eq!(bob.snapshot().acked_through, Sequence::new(2));
    let four = outbox.try_packet().unwrap();
    assert_eq!(events(&four), [3]);
    three.ack().unwrap();
    four.ack().unwrap();
    assert_eq!(drain(&mut outbox), [4]);
    assert_eq!(balanced(bob.snapshot()).delivered, 5);
}

#[test]
fn acknowledged_packet_behind_another_keeps_no_events() {
    let director = Director::builder().history(64).packet(1).in_flight(2).build().unwrap();
    let (_bob, mut outbox) = director.join_manual("bob").unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    let event = Arc::new(7);
    director.announce(Arc::new(6)).unwrap();
    director.announce(event.clone()).unwrap();
    let before = Arc::strong_count(&event);
    let _held = outbox.try_packet().unwrap();
    let later = outbox.try_packet().unwrap();
    assert_eq!(Arc::strong_count(&event), before + 1);
    later.ack().unwrap();
    drop(later);
    assert_eq!(Arc::strong_count(&event), before);
}

#[test]
fn packet_in_a_call_follows_an_earlier_one_that_fails_meanwhile() {
    let (builder, _clock) = small();
    let director = builder.packet(1).in_flight(2).build().unwrap();
    let gate = Gate::closed();
    let (held, (keep, kept)) = (gate.clone(), channel());
    let (node, called) = Reporting::new(move |packet| {
        keep.send(packet.ticket()).unwrap();
        if packet.attempt() == 1 && events(packet) == [1] {
            held.pass();
        }
        Delivery::Pending
    });
    let _bob = director.join("bob", node).unwrap();
    director.announce(0).unwrap();
    assert_eq!(next(&called).events, [0]);
    let first = next(&kept);
    director.announce(1).unwrap();
    gate.wait_reached(1);
    assert_eq!(next(&called).events, [1]);
    let _second = next(&kept);
    first.retry_after(Duration::ZERO).unwrap();
    gate.open();
    for n in 0..2 {
        let again = next(&called);
        assert_eq!((again.events, again.attempt), (vec![n], 2));
    }
    kept.try_iter().for_each(|ticket| ticket.ack().unwrap());
}

#[test]
fn failed_packet_comes_again_with_those_after_it() {
    let (builder, clock) = small();
    let director = builder.packet(1).in_flight(4).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..4);
    let packets: Vec<_> = (0..4).map(|_| outbox.try_packet().unwrap()).collect();
    let ids: Vec<_> = packets.iter().map(Packet::id).collect();
    packets[0].ack().unwrap();
    packets[2].ack().unwrap();
    packets[1].retry().unwrap();
    director.announce(4).unwrap();
    assert_empty(&mut outbox);
    clock.advance(SECOND);
    let again: Vec<_> = (0..3).map(|_| outbox.try_packet().unwrap()).collect();
    let seen: Vec<_> = again.iter().map(|packet| (packet.id(), packet.attempt(), events(packet))).collect();
    assert_eq!(seen[..2], [(ids[1], 2, vec![1]), (ids[3], 2, vec![3])], "not the acknowledged one");
    assert_eq!(seen[2].2, [4]);
    again.iter().for_each(|packet| packet.ack().unwrap());
    assert_eq!(balanced(bob.snapshot()).delivered, 5);
}

#[test]
fn ack_through_acknowledges_a_part() {
    let (builder, clock) = small();
    let director = builder.packet(4).in_flight(2).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..8);
    let [_first, second] = [0; 2].map(|_| outbox.try_packet().unwrap());
    // Through the second packet, so all of the first one, too.
    second.ack_through(Sequence::new(5)).unwrap();
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.delivered, snapshot.in_flight, snapshot.acked_through.get()), (6, 2, 6));
    second.retry().unwrap();
    clock.advance(SECOND);
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.id(), events(&again)), (second.id(), vec![4, 5, 6, 7]), "the same boundaries");
    again.ack().unwrap();
    assert_eq!(balanced(bob.snapshot()).delivered, 8);
}

#[test]
fn ack_of_what_was_not_delivered_is_refused() {
    let (director, _clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    let packet = outbox.try_packet().unwrap();
    let error = packet.ack_through(Sequence::new(9)).unwrap_err();
    let last = Some(Sequence::new(0));
    assert_eq!(error, AckError::NotDelivered { asked: Sequence::new(9), last });
    assert_eq!(error.to_string(), "sequence 9 was not delivered: acknowledge at most 0");
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.refused_acks, snapshot.delivered, snapshot.in_flight), (1, 0, 1));
}

#[test]
fn ack_of_an_earlier_attempt_counts() {
    let (director, clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    let first = outbox.try_packet().unwrap();
    let early = first.ticket();
    first.retry().unwrap();
    clock.advance(SECOND);
    let second = outbox.try_packet().unwrap();
    assert_eq!((second.id(), second.attempt()), (first.id(), 2));
    early.ack().unwrap();
    let snapshot = balanced(bob.snapshot());
    assert_eq!((snapshot.late_acks, snapshot.delivered), (1, 1));
    second.ack().unwrap(); // nothing is left to acknowledge
    drop((first, second));
    assert_empty(&mut outbox);
    assert_eq!(balanced(bob.snapshot()).delivered, 1);
}

#[test]
fn ack_of_an_older_epoch_is_refused() {
    let (director, _clock) = director();
    let (old, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    let packet = outbox.try_packet().unwrap();
    let (new, mut outbox) = director.rejoin_manual("bob").unwrap();
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.id(), again.attempt()), (packet.id(), 2));
    assert_eq!(packet.ack(), Err(AckError::StaleEpoch { epoch: old.epoch() }));
    assert_eq!(packet.ticket().ack(), Err(AckError::StaleEpoch { epoch: old.epoch() }));
    let snapshot = balanced(new.snapshot());
    assert_eq!((snapshot.refused_acks, snapshot.delivered), (2, 0));
    again.ack().unwrap();
    assert_eq!(new.snapshot().delivered, 1);
}

#[test]
fn dropped_ticket_brings_the_packet_again() {
    let (director, clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    let packet = outbox.try_packet().unwrap();
    let (id, ticket) = (packet.id(), packet.ticket());
    drop(packet);
    assert_empty(&mut outbox); // the ticket is there
    drop(ticket);
    // At once the first time, and then by the backoff.
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.id(), again.attempt()), (id, 2));
    drop(again);
    assert_empty(&mut outbox);
    clock.advance(2 * SECOND);
    outbox.try_packet().unwrap().ack().unwrap();
    assert_eq!(balanced(bob.snapshot()).dropped_tickets, 2);
}

#[test]
fn pending_without_a_ticket_is_a_failure() {
    let (director, clock) = director();
    let (node, called) = crate::Reporting::new(|packet| match packet.attempt() {
        1 | 2 => Delivery::Pending,
        _ => Delivery::Done,
    });
    let bob = director.join("bob", node).unwrap();
    director.announce(7).unwrap();
    assert_eq!((next(&called).attempt, next(&called).attempt), (1, 2));
    clock.await_sleepers(1);
    clock.advance(2 * SECOND);
    assert_eq!(next(&called).attempt, 3);
    assert!(director.close().is_done());
    assert_eq!(balanced(bob.snapshot()).dropped_tickets, 2);
}

#[test]
fn ticket_of_a_node_acknowledges_from_another_thread() {
    let (director, _clock) = director();
    let (hand_over, handed) = channel();
    let bob = director.join("bob", move |packet: &Packet<u32>| {
        hand_over.send((packet.ticket(), events(packet))).unwrap();
        Delivery::Pending
    });
    let bob = bob.unwrap();
    for n in 0..10 {
        director.announce(n).unwrap();
        let (ticket, seen) = handed.recv_timeout(GUARD).unwrap();
        assert_eq!(seen, [n]);
        assert_eq!(bob.snapshot().in_flight, 1);
        ticket.ack().unwrap();
    }
    assert!(director.close().is_done());
    assert_eq!(balanced(bob.snapshot()).delivered, 10);
}

#[test]
fn overdue_acknowledgement_brings_the_packet_again() {
    let (builder, clock) = small();
    let director = builder.ack_timeout(30 * SECOND).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(7).unwrap();
    let packet = outbox.try_packet().unwrap();
    clock.advance(29 * SECOND);
    assert_empty(&mut outbox);
    clock.advance(SECOND);
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.id(), again.attempt()), (packet.id(), 2));
    again.ack().unwrap();
    assert_eq!(balanced(bob.snapshot()).ack_timeouts, 1);
}

#[test]
fn broadcast_acked_names_who_is_missing() {
    let (director, _clock) = director();
    let (mut alice, _to_alice) = join(&director, "alice");
    let _done = director.join("done", |_: &Packet<u32>| Delivery::Done).unwrap();
    let (_silent, _to_silent) = join(&director, "silent");
    let (away, _) = join(&director, "away");
    away.detach();
    let (rejecting, _to_rejecting) = join(&director, "rejecting");
    drop(rejecting);
    let refuses = |_: &Packet<u32>| Delivery::Reject("never".into());
    let _refuses = director.join("refuses", refuses).unwrap();
    let acks = alice.broadcast_acked(7, Duration::from_millis(200)).unwrap();
    assert!(acks.missing.contains(&String::from("silent")));
    assert_eq!(acks.missing, ["away", "refuses", "silent"]);
    assert_eq!(acks.acked, ["done"]);
}

#[test]
fn broadcast_acked_returns_when_all_have_acked() {
    let (director, _clock) = director();
    let (mut alice, _to_alice) = join(&director, "alice");
    let _nodes: Vec<_> = (0..5)
        .map(|n| director.join(format!("node {n}"), |_: &Packet<u32>| Delivery::Done).unwrap())
        .collect();
    for n in 0..20 {
        let acks = alice.broadcast_acked(n, GUARD).unwrap();
        assert!(acks.is_complete() && acks.acked.len() == 5, "{acks:?}");
        assert_eq!(acks.sequence, Sequence::new(u64::from(n)));
    }
}

/// Broadcasts on a thread of its own, without a limit, and returns when the event is published. So a
/// member that nothing decides makes a test fail.
fn broadcast_acked<E>(director: &Director<E>, mut member: Member<E>, event: E) -> Receiver<Acks>
where
    E: Clone + Send + Sync + std::fmt::Debug + 'static,
{
    let (tell, told) = channel();
    let before = director.snapshot().published;
    std::thread::spawn(move || {
        let _ = tell.send(member.broadcast_acked(event, Duration::MAX).unwrap());
    });
    while director.snapshot().published == before {
        std::thread::yield_now();
    }
    told
}

#[test]
fn broadcast_acked_counts_a_member_that_leaves_as_missing() {
    let (director, _clock) = director();
    let (alice, _to_alice) = join(&director, "alice");
    let (bob, _unread) = join(&director, "bob");
    let told = broadcast_acked(&director, alice, 7);
    assert!(bob.leave().was_member);
    assert_eq!(next(&told).missing, ["bob"]);
}

#[test]
fn broadcast_acked_counts_a_member_as_missing_whose_clone_panics() {
    let director = Director::builder().history(64).build().unwrap();
    let (alice, _to_alice) = director.join_manual("alice").unwrap();
    let (bob, mut outbox) = director.join_manual("bob").unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    let told = broadcast_acked(&director, alice, Broken { _text: String::from("broken") });
    assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Empty));
    assert_eq!(bob.snapshot().panicked, 1);
    assert_eq!(next(&told).missing, ["bob"]);
}

#[test]
fn broadcast_acked_counts_a_member_as_missing_that_a_close_aborts() {
    let (director, _clock) = director();
    let (alice, _to_alice) = join(&director, "alice");
    let (_member, gate) = stuck(&director);
    let told = broadcast_acked(&director, alice, 7);
    gate.wait_reached(1);
    drop(director.close_timeout(Duration::ZERO));
    assert_eq!(next(&told).missing, ["stuck"]);
    gate.open();
}

/// Events for others come before the gap in one read, since the clone of an event publishes more.
#[test]
fn broadcast_acked_finds_its_event_in_a_gap_behind_events_for_others() {
    let director = Arc::new(Director::builder().history(64).build().unwrap());
    let (alice, _to_alice) = director.join_manual("alice").unwrap();
    let (mut bob, mut outbox) = director.join_manual("bob").unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    let flood = Arc::downgrade(&director);
    let flooding = Flooding(Some(Arc::new(move || {
        let director = flood.upgrade().unwrap();
        for _ in 0..70 {
            director.announce(Flooding(None)).unwrap();
        }
    })));
    for _ in 0..32 {
        bob.broadcast(Flooding(None)).unwrap();
    }
    director.announce(flooding).unwrap();
    for _ in 33..60 {
        director.announce(Flooding(None)).unwrap();
    }
    let told = broadcast_acked(&director, alice, Flooding(None));
    // The gap begins at 33. Counted from 0, where the read began, it would end before 60.
    let packet = outbox.try_packet().unwrap();
    assert!((28..=60).contains(&packet.lagged()), "{packet:?}");
    assert_eq!(next(&told).missing, ["bob"]);
}

/// An event whose clone panics.
#[derive(Debug)]
struct Broken {
    _text: String,
}

impl Clone for Broken {
    fn clone(&self) -> Self {
        panic!("a planted panic");
    }
}

/// An event whose clone calls a function, and panics then.
struct Flooding(Option<Arc<dyn Fn() + Send + Sync>>);

impl Clone for Flooding {
    fn clone(&self) -> Self {
        if let Some(flood) = &self.0 {
            flood();
            panic!("a planted panic");
        }
        Self(None)
    }
}

impl std::fmt::Debug for Flooding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flooding")
    }
}
