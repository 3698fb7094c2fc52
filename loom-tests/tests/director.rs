//! Directors: a join against publishes, sessions that replace each other, acknowledgements of an
//! older session, a leave against a unicast, and wake-ups of readers.
//!
//! A lost wake-up is a deadlock, because a model has no time.

use buslane::director::{AckError, Delivery, Director, Member, Outbox, Packet, PacketKind, SendError};
use buslane::error::RecvError;
use buslane::stats::Finish;
use loom_tests::{LIMIT, before, model, model_with, thread};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn new() -> Director<u8> {
    Director::builder().history(4).packet(2).build().expect("a small director")
}

/// Joins, and acknowledges the state packet. Returns the position of the first event, too.
fn join(director: &Director<u8>, name: &str) -> (Member<u8>, Outbox<u8>, u64) {
    let (member, mut outbox) = director.join_manual(name).unwrap();
    let state = outbox.try_packet().unwrap();
    assert_eq!(state.kind(), PacketKind::State);
    let next = state.roster().unwrap().next.get();
    state.ack().unwrap();
    (member, outbox, next)
}

/// A director with a member that has pulled the state.
fn with_bob() -> (Director<u8>, Member<u8>, Outbox<u8>) {
    let director = new();
    let (bob, outbox, _) = join(&director, "bob");
    (director, bob, outbox)
}

/// Takes and acknowledges every packet that is there, and returns the positions of the events whose
/// acknowledgement was accepted.
fn drain(outbox: &mut Outbox<u8>) -> Vec<u64> {
    let mut positions = Vec::new();
    while let Ok(packet) = outbox.try_packet() {
        if packet.ack().is_ok() {
            positions.extend(packet.events().iter().map(|event| event.sequence.get()));
        }
    }
    positions
}

#[test]
fn join_against_publishes_loses_and_repeats_nothing() {
    // The member gets exactly the events from the position on that its state packet names. Fails if
    // the position is read before the cursor is placed. The publisher is alone, and so has the bias:
    // it stores the tail without a load, which loom needs to see that the two depend on each other.
    model(|| {
        let (director, mut alice, _to_alice) = before(|| {
            let director = new();
            let (mut alice, outbox, _) = join(&director, "alice");
            assert!(alice.broadcast(0).is_ok() && alice.broadcast(1).is_ok());
            (director, alice, outbox)
        });
        let publisher = thread::spawn(move || {
            assert!(alice.broadcast(2).is_ok() && alice.broadcast(3).is_ok());
            alice
        });
        let (bob, mut outbox, next) = join(&director, "bob");
        let mut positions = drain(&mut outbox);
        let alice = publisher.join().unwrap();
        positions.extend(drain(&mut outbox));
        assert!(positions.into_iter().eq(next..4), "from {next} on");
        assert!(bob.snapshot().is_balanced());
        drop(alice);
    });
}

#[test]
fn unicast_finds_the_member_after_its_cursor_is_placed() {
    // A unicast that finds the member in the list is published behind its cursor. Fails if the
    // member enters the list first.
    model(|| {
        let director = before(new);
        let publisher = {
            let director = director.clone();
            thread::spawn(move || director.unicast("bob", 1).is_ok())
        };
        let (_bob, mut outbox, _) = join(&director, "bob");
        let was_found = publisher.join().unwrap();
        assert_eq!(drain(&mut outbox).len(), usize::from(was_found));
    });
}

#[test]
fn rejoins_at_the_same_time_leave_one_session() {
    // Each session has its own epoch, the highest one is the present one, and the event is handled
    // once. The outboxes are kept: one that is dropped ends its session. Fails if an older rejoin may
    // replace a newer one.
    model_with(2, || {
        let (director, first) = before(|| {
            let director = new();
            let first = join(&director, "bob");
            assert!(director.announce(1).is_ok());
            (director, first)
        });
        let rejoin = |director: &Director<u8>| {
            let (member, mut outbox) = director.rejoin_manual("bob").unwrap();
            let events = drain(&mut outbox).len();
            (member, outbox, events)
        };
        let other = {
            let director = director.clone();
            thread::spawn(move || rejoin(&director))
        };
        let mine = rejoin(&director);
        let other = other.join().unwrap();
        assert_eq!(mine.2 + other.2, 1, "the event is handled once");
        let is_mine_newer = mine.0.epoch() > other.0.epoch();
        assert_eq!((mine.0.is_current(), other.0.is_current()), (is_mine_newer, !is_mine_newer));
        assert!(director.snapshot().members[0].is_balanced());
        drop((first, mine, other));
    });
}

#[test]
fn replaced_reader_ends_and_the_new_one_is_woken() {
    // The reader of the old session is parked, or is about to, or has just been woken, while the
    // reader of the new one parks. Both have to return. Fails if the old reader removes the sleeper of
    // the new one from the bell, takes its mark, or is not woken by the rejoin.
    model(|| {
        let (director, old, mut old_outbox) = before(with_bob);
        let old_reader = thread::spawn(move || old_outbox.packet().err());
        let (member, mut outbox) = director.rejoin_manual("bob").unwrap();
        let reader = thread::spawn(move || outbox.packet().is_ok_and(|packet| packet.ack().is_ok()));
        assert!(director.root().unicast("bob", 1).is_ok());
        assert!(reader.join().unwrap());
        assert_eq!(old_reader.join().unwrap(), Some(RecvError::Closed));
        drop((old, member));
    });
}

#[test]
fn rejoin_against_a_close_is_refused_or_seen() {
    // A close that is done finds no session later. Fails if the member is attached after the list was
    // released.
    model(|| {
        let director = before(|| {
            let (director, bob, outbox) = with_bob();
            assert!(director.announce(1).is_ok());
            bob.detach();
            drop(outbox);
            director
        });
        let other = {
            let director = director.clone();
            thread::spawn(move || director.rejoin_manual("bob").ok())
        };
        let report = director.close_timeout(LIMIT);
        let session = other.join().unwrap();
        assert_eq!(report.members[0].undelivered, 1);
        assert!(session.is_none() || report.finish == Finish::Pending, "an outbox is open after the close");
    });
}

#[test]
fn ack_against_a_rejoin_counts_or_is_refused() {
    // An acknowledgement that is accepted ends the packet, and one that is refused leaves it to the
    // next session. Fails if the epoch is not checked under the lock of the member.
    model(|| {
        let (director, packet, old) = before(|| {
            let director = new();
            let (bob, mut outbox, _) = join(&director, "bob");
            assert!(director.announce(1).is_ok());
            (director, outbox.try_packet().unwrap(), (bob, outbox))
        });
        let (ticket, id) = (packet.ticket(), packet.id());
        let acker = thread::spawn(move || ticket.ack());
        let (bob, mut outbox) = director.rejoin_manual("bob").unwrap();
        let again = outbox.try_packet().ok();
        match acker.join().unwrap() {
            Ok(()) => assert!(again.is_none(), "it was acknowledged"),
            Err(error) => {
                assert!(matches!(error, AckError::StaleEpoch { .. }));
                let again = again.expect("nothing has acknowledged it");
                assert_eq!((again.id(), again.attempt()), (id, 2));
                again.ack().unwrap();
            }
        }
        assert_eq!((bob.snapshot().delivered, bob.snapshot().is_balanced()), (1, true));
        drop((packet, old));
    });
}

#[test]
fn reader_of_an_older_session_commits_nothing() {
    // The old reader reads an event while its session is replaced. The event is handled by exactly
    // one of the two. Fails if a commit does not check the epoch.
    model_with(2, || {
        let (director, old) = before(|| {
            let director = new();
            let old = join(&director, "bob");
            assert!(director.announce(1).is_ok());
            (director, old)
        });
        let (old, mut old_outbox, _) = old;
        let reader = thread::spawn(move || {
            let packet = old_outbox.try_packet().ok();
            packet.is_some_and(|packet| packet.ack().is_ok())
        });
        let (bob, mut outbox) = director.rejoin_manual("bob").unwrap();
        let is_new = drain(&mut outbox).len() == 1;
        let is_old = reader.join().unwrap();
        assert!(is_old != is_new, "by the old session {is_old}, by the new one {is_new}");
        assert_eq!((bob.snapshot().delivered, bob.snapshot().is_balanced()), (1, true));
        drop(old);
    });
}

#[test]
fn unicast_against_a_leave_is_counted_once() {
    // The event is in the report of the leave, or an orphan, or refused. Fails if the end is stored
    // outside the lock of the member.
    model(|| {
        let (director, bob, outbox) = before(with_bob);
        let publisher = {
            let director = director.clone();
            thread::spawn(move || match director.unicast("bob", 1) {
                Ok(_) => 1,
                Err(SendError::UnknownMember { .. }) => 0,
                Err(error) => panic!("{error}"),
            })
        };
        let report = bob.leave_timeout(LIMIT);
        let accepted = publisher.join().unwrap();
        assert_eq!(report.member.undelivered + director.snapshot().orphans, accepted);
        drop(outbox);
    });
}

#[test]
fn announcement_and_close_wake_a_node() {
    // The worker parks, or is about to. Fails if the wait for events does not look again.
    model_with(2, || {
        let director = before(new);
        let seen = Arc::new(AtomicUsize::new(0));
        let counts = seen.clone();
        let node = move |packet: &Packet<u8>| {
            counts.fetch_add(packet.events().len(), Ordering::Relaxed);
            Delivery::Done
        };
        let bob = director.join("bob", node).unwrap();
        assert!(director.announce(1).is_ok());
        let report = director.close_timeout(LIMIT);
        assert!(report.is_done() && report.members[0].member.is_balanced());
        assert_eq!(seen.load(Ordering::Relaxed), 1);
        drop(bob);
    });
}

#[test]
fn root_event_wakes_a_blocked_reader() {
    // Fails if the bell is rung before the event is in the inbox, or the reader enters its sleeper
    // after its last look.
    model(|| {
        let (director, member, mut outbox) = before(with_bob);
        let reader = thread::spawn(move || {
            let packet = outbox.packet().unwrap();
            (packet.kind(), packet.ack().is_ok())
        });
        assert!(director.root().unicast("bob", 1).is_ok());
        assert_eq!(reader.join().unwrap(), (PacketKind::Root, true));
        drop(member);
    });
}

#[test]
fn acknowledgement_wakes_a_reader_without_room() {
    // The reader waits for room, and not for events, of which there is one. Fails if an
    // acknowledgement rings no bell.
    model_with(2, || {
        let (director, packet, member, mut outbox) = before(|| {
            let director = Director::builder().history(4).packet(1).build().unwrap();
            let (member, mut outbox, _) = join(&director, "bob");
            assert!(director.announce(1).is_ok() && director.announce(2).is_ok());
            let packet = outbox.try_packet().unwrap();
            (director, packet, member, outbox)
        });
        let acker = thread::spawn(move || packet.ack().is_ok());
        let next = outbox.packet().unwrap();
        assert_eq!(next.events()[0].event, 2);
        next.ack().unwrap();
        assert!(acker.join().unwrap());
        drop((director, member));
    });
}

#[test]
fn detach_wakes_a_blocked_reader() {
    // Fails if the end of a session rings no bell.
    model(|| {
        let (director, member, mut outbox) = before(with_bob);
        let reader = thread::spawn(move || outbox.packet().err());
        member.detach();
        assert_eq!(reader.join().unwrap(), Some(RecvError::Closed));
        drop(director);
    });
}
