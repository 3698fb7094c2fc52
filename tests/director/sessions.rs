//! Sessions: join as a barrier, leave, detach, rejoin, and epochs.

use crate::{
    GUARD, SECOND, announce, assert_balanced, assert_empty, backoff, balanced, director, drain, events, join,
    pull_state, small,
};
use buslane::director::{Delivery, Director, MemberStatus, Node, Packet, PacketKind, Roster, SendError};
use buslane::error::TryRecvError;
use buslane::testing::Gate;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use test_support::wait_for;

#[test]
fn state_comes_before_events_and_root_events() {
    let (director, clock) = director();
    let (bob, mut outbox) = director.join_manual("bob").unwrap();
    director.announce(1).unwrap();
    director.root().broadcast(100).unwrap();
    let state = outbox.try_packet().unwrap();
    assert_eq!((state.kind(), state.events().len()), (PacketKind::State, 0));
    assert_empty(&mut outbox);
    assert_eq!(bob.snapshot().status, MemberStatus::Joining);
    state.retry().unwrap();
    assert_empty(&mut outbox);
    clock.advance(SECOND);
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.id(), again.attempt()), (state.id(), 2));
    again.ack().unwrap();
    assert_eq!(bob.snapshot().status, MemberStatus::Attached);
    assert_eq!(drain(&mut outbox), [100, 1]);
}

#[test]
fn roster_of_the_state_names_members_and_position() {
    let (director, _clock) = director();
    let (alice, _to_alice) = join(&director, "alice");
    director.announce(1).unwrap();
    let (bob, mut to_bob) = director.join_manual("bob").unwrap();
    director.announce(2).unwrap();
    let roster = pull_state(&mut to_bob);
    let names: Vec<_> = roster.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!((names, roster.next.get()), (vec!["alice", "bob"], 1));
    assert_eq!(roster.find("alice").map(|member| member.epoch), Some(alice.epoch()));
    assert_eq!(roster.find("bob").map(|member| member.epoch), Some(bob.epoch()));
    let packet = to_bob.try_packet().unwrap();
    assert_eq!((packet.events()[0].sequence, events(&packet)), (roster.next, vec![2]));
}

/// A node with a state: what it pulled, and the events after that.
struct Replica {
    source: Arc<Mutex<Vec<u32>>>,
    state: Vec<u32>,
    done: Sender<Vec<u32>>,
    last: u32,
    is_done: bool,
}

impl Node<u32> for Replica {
    fn deliver(&mut self, packet: &Packet<u32>) -> Delivery {
        for event in packet.events() {
            // The state may contain it already.
            if event.sequence.get() >= self.state.len() as u64 {
                self.state.push(event.event);
            }
        }
        if self.state.last() == Some(&self.last) && !std::mem::replace(&mut self.is_done, true) {
            self.done.send(self.state.clone()).unwrap();
        }
        Delivery::Done
    }

    fn joined(&mut self, roster: &Roster, _state: &Packet<u32>) -> Delivery {
        self.state = self.source.lock().unwrap().clone();
        assert!(self.state.len() as u64 >= roster.next.get(), "the state has every event before");
        Delivery::Done
    }
}

#[test]
fn join_under_load_loses_and_repeats_nothing() {
    const LAST: u32 = 20_000;
    let director = Director::builder().history(1 << 16).build().unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let publisher = {
        let (director, log) = (director.clone(), log.clone());
        std::thread::spawn(move || {
            for n in 0..=LAST {
                // The state is changed first, and the event follows.
                log.lock().unwrap().push(n);
                director.announce(n).unwrap();
            }
        })
    };
    let (done, all) = channel();
    let members: Vec<_> = (0..8)
        .map(|n| {
            let replica = Replica {
                source: log.clone(),
                state: Vec::new(),
                done: done.clone(),
                last: LAST,
                is_done: false,
            };
            director.join(format!("replica {n}"), replica).unwrap()
        })
        .collect();
    publisher.join().unwrap();
    director.announce(LAST).unwrap(); // reaches replicas that have pulled everything
    for _ in &members {
        let state = all.recv_timeout(GUARD).unwrap();
        assert!(state.iter().copied().take(LAST as usize + 1).eq(0..=LAST), "a replica differs");
    }
    members.iter().for_each(|member| drop(balanced(member.snapshot())));
}

#[test]
fn detached_member_continues_where_it_was() {
    let (builder, _clock) = small();
    let director = builder.packet(2).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    announce(&director, 0..5);
    outbox.try_packet().unwrap().ack().unwrap();
    let unacked = outbox.try_packet().unwrap();
    bob.detach();
    assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Closed));
    assert_eq!(director.snapshot().members[0].status, MemberStatus::Detached);
    assert!(!director.roster().members[0].attached);
    director.unicast("bob", 5).unwrap();
    let (bob, mut outbox) = director.rejoin_manual("bob").unwrap();
    let again = outbox.try_packet().unwrap();
    assert_eq!((again.id(), again.attempt(), events(&again)), (unacked.id(), 2, vec![2, 3]));
    assert!(again.epoch() > unacked.epoch());
    again.ack().unwrap();
    assert_eq!(drain(&mut outbox), [4, 5], "no state packet: nothing is missing");
    assert_eq!(balanced(bob.snapshot()).delivered, 6);
}

#[test]
fn rejoin_after_the_history_pulls_the_state_again() {
    let (builder, _clock) = small();
    let director = builder.history(64).build().unwrap();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(0).unwrap();
    assert_eq!(drain(&mut outbox), [0]);
    bob.detach();
    announce(&director, 1..500);
    let (bob, mut outbox) = director.rejoin_manual("bob").unwrap();
    let roster = pull_state(&mut outbox);
    assert_eq!(roster.next.get(), 1);
    let packet = outbox.try_packet().unwrap();
    assert_eq!(packet.lagged(), packet.events()[0].sequence.get() - 1);
    packet.ack().unwrap();
    drain(&mut outbox);
    assert_balanced(&bob.snapshot());
}

#[test]
fn dropped_outbox_keeps_the_place() {
    let (director, _clock) = director();
    let (old, outbox) = join(&director, "bob");
    drop(outbox);
    director.announce(1).unwrap();
    assert!(!old.is_current());
    let (new, mut outbox) = director.rejoin_manual("bob").unwrap();
    assert_eq!(drain(&mut outbox), [1]);
    drop(old); // of an older session: it does nothing
    assert!(new.is_current());
    assert_eq!(director.roster().members.len(), 1);
}

#[test]
fn rejoin_of_an_attached_member_replaces_its_session() {
    let (director, _clock) = director();
    let gate = Gate::closed();
    let (first, calls) = channel();
    let held = gate.clone();
    let mut old = director
        .join("bob", move |packet: &Packet<u32>| {
            first.send(events(packet)).unwrap();
            held.pass();
            Delivery::Done
        })
        .unwrap();
    director.announce(1).unwrap();
    gate.wait_reached(1); // the old node is in a call
    let (second, new_calls) = channel();
    let new = director
        .rejoin("bob", move |packet: &Packet<u32>| {
            second.send((packet.attempt(), events(packet))).unwrap();
            Delivery::Done
        })
        .unwrap();
    assert_eq!(new_calls.recv_timeout(GUARD).unwrap(), (2, vec![1]), "the packet was not acknowledged");
    director.announce(2).unwrap();
    assert_eq!(new_calls.recv_timeout(GUARD).unwrap(), (1, vec![2]));
    assert!(matches!(old.broadcast(9), Err(SendError::NotMember(9))));
    gate.open();
    assert!(director.close().is_done(), "the old worker has ended, too");
    assert_eq!(calls.try_iter().collect::<Vec<_>>(), [vec![1]], "the old node gets nothing any more");
    let snapshot = balanced(new.snapshot());
    assert_eq!((snapshot.delivered, snapshot.refused_acks), (2, 1));
}

#[test]
fn rejoins_at_the_same_time_leave_one_session() {
    let (director, _clock) = director();
    let (_bob, _outbox) = join(&director, "bob");
    let barrier = std::sync::Barrier::new(4);
    let sessions: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    director.rejoin_manual("bob")
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).collect()
    });
    let current: Vec<_> = sessions.iter().filter(|(member, _)| member.is_current()).collect();
    assert_eq!(current.len(), 1, "of {} sessions", sessions.len());
}

#[test]
fn leave_reports_what_was_not_delivered() {
    let (builder, _clock) = small();
    let director = builder.packet(2).build().unwrap();
    let (mut alice, _to_alice) = join(&director, "alice");
    let (mut bob, mut outbox) = join(&director, "bob");
    for n in 0..4 {
        alice.broadcast(n).unwrap();
    }
    bob.broadcast(100).unwrap(); // not for itself
    alice.unicast("bob", 4).unwrap();
    outbox.try_packet().unwrap().ack().unwrap();
    let _unacked = outbox.try_packet().unwrap();
    director.root().unicast("bob", 7).unwrap();
    let report = bob.leave();
    assert!(report.was_member);
    let undelivered = report.member.undelivered;
    let member = balanced(report.member.member);
    assert_eq!((undelivered, member.delivered, member.root_pending), (3, 2, 1));
    assert_eq!((member.status, director.roster().members.len()), (MemberStatus::Left, 1));
    assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Closed));
    assert!(matches!(alice.unicast("bob", 5), Err(SendError::UnknownMember { .. })));
    assert_eq!(director.snapshot().left, 1);
    let _bob = join(&director, "bob"); // the name is free
}

#[test]
fn member_is_removed_by_its_name() {
    let (director, _clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(1).unwrap();
    assert!(director.remove("bob").is_some_and(|report| report.was_member));
    assert!(!bob.is_current());
    assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Closed));
    assert!(director.remove("bob").is_none());
    let (bob, _outbox) = join(&director, "bob");
    bob.detach();
    director.announce(2).unwrap();
    let report = director.remove("bob").unwrap();
    assert_eq!((report.member.undelivered, report.member.member.status), (1, MemberStatus::Left));
    assert!(director.rejoin_manual("bob").is_err());
    assert_eq!(director.snapshot().left, 2);
}

#[test]
fn name_of_a_member_that_left_is_another_member() {
    let (director, _clock) = director();
    let (mut alice, _to_alice) = join(&director, "alice");
    let (bob, _outbox) = join(&director, "bob");
    alice.unicast("bob", 1).unwrap();
    assert_eq!(bob.leave().member.undelivered, 1);
    let (_bob, mut outbox) = join(&director, "bob");
    alice.unicast("bob", 2).unwrap();
    assert_eq!(drain(&mut outbox), [2], "not what was sent to the one before");
}

#[test]
fn node_that_replaces_itself_pulls_state_only_after_a_loss() {
    let (builder, _clock) = small();
    let director = builder.history(64).retry(backoff()).build().unwrap();
    let (kinds, told) = channel();
    let node = |kinds: &Sender<PacketKind>| {
        let kinds = kinds.clone();
        move |packet: &Packet<u32>| {
            kinds.send(packet.kind()).unwrap();
            Delivery::Done
        }
    };
    struct Telling<F>(F, Sender<PacketKind>);
    impl<F: FnMut(&Packet<u32>) -> Delivery + Send> Node<u32> for Telling<F> {
        fn deliver(&mut self, packet: &Packet<u32>) -> Delivery {
            (self.0)(packet)
        }
        fn joined(&mut self, _roster: &Roster, state: &Packet<u32>) -> Delivery {
            self.1.send(state.kind()).unwrap();
            Delivery::Done
        }
    }
    let bob = director.join("bob", Telling(node(&kinds), kinds.clone())).unwrap();
    assert_eq!(told.recv_timeout(GUARD), Ok(PacketKind::State));
    wait_for(|| bob.snapshot().status == MemberStatus::Attached); // it is acknowledged
    bob.detach();
    director.announce(1).unwrap();
    let bob = director.rejoin("bob", Telling(node(&kinds), kinds.clone())).unwrap();
    assert_eq!(told.recv_timeout(GUARD), Ok(PacketKind::Events));
    wait_for(|| bob.snapshot().delivered == 1);
    bob.detach();
    announce(&director, 0..500);
    let _bob = director.rejoin("bob", Telling(node(&kinds), kinds.clone())).unwrap();
    assert_eq!(told.recv_timeout(GUARD), Ok(PacketKind::State));
    assert_eq!(told.recv_timeout(GUARD), Ok(PacketKind::Events));
}

#[test]
fn state_packet_names_the_members_of_each_attempt() {
    let (director, _clock) = director();
    let (_bob, mut outbox) = director.join_manual("bob").unwrap();
    director.announce(1).unwrap();
    let first = outbox.try_packet().unwrap();
    assert_eq!(first.roster().unwrap().members.len(), 1);
    let (_carol, _to_carol) = director.join_manual("carol").unwrap();
    first.retry_after(Duration::ZERO).unwrap();
    let again = outbox.try_packet().unwrap();
    assert_eq!(again.id(), first.id());
    assert!(again.roster().unwrap().find("carol").is_some());
    assert_eq!(again.roster().unwrap().next, first.roster().unwrap().next);
}

#[test]
fn counters_of_a_member_that_has_left_are_balanced() {
    let (director, _clock) = director();
    let (former, _outbox) = join(&director, "bob");
    let (bob, mut outbox) = director.rejoin_manual("bob").unwrap();
    director.announce(1).unwrap();
    let _packet = outbox.try_packet().unwrap();
    director.announce(2).unwrap();
    director.root().broadcast(3).unwrap();
    let left = balanced(bob.leave().member.member);
    assert_eq!((left.in_flight, left.root_pending, left.discarded), (1, 1, 0));
    let after = balanced(former.snapshot());
    assert_eq!((after.in_flight, after.root_pending), (0, 0));
    assert_eq!((after.discarded, after.root_discarded, after.unread), (1, 1, 1));
}

/// A thread needs an address space that no machine has: see `RUST_MIN_STACK` of the standard library.
#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn join_without_a_thread_leaves_no_member() {
    use buslane::director::JoinError;
    const MARK: &str = "BUSLANE_TEST_WITHOUT_THREADS";
    /// A node whose destructor panics.
    struct Bomb(Sender<()>);

    impl Node<u32> for Bomb {
        fn deliver(&mut self, _: &Packet<u32>) -> Delivery {
            Delivery::Done
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            panic!("the destructor of a node panics");
        }
    }

    if std::env::var_os(MARK).is_none() {
        let this = std::env::current_exe().unwrap();
        let child = std::process::Command::new(this)
            .args(["sessions::join_without_a_thread_leaves_no_member", "--exact", "--test-threads=1"])
            .envs([(MARK, "1"), ("RUST_MIN_STACK", "1125899906842624")])
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && printed.contains("1 passed"), "{printed}");
        return;
    }
    let (director, _clock) = director();
    let (tell, told) = channel();
    let refused = director.join("bob", Bomb(tell.clone()));
    assert!(matches!(refused, Err(JoinError::Spawn(_))));
    told.try_recv().expect("the node was dropped");
    assert!(director.roster().members.is_empty());
    assert_eq!(director.snapshot().left, 0);
    let (_bob, mut outbox) = join(&director, "bob"); // the name is free
    let refused = director.rejoin("bob", Bomb(tell));
    assert!(matches!(refused, Err(JoinError::Spawn(_))));
    assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Closed));
    assert!(!director.roster().members[0].attached);
    let (_bob, mut outbox) = director.rejoin_manual("bob").unwrap();
    director.announce(1).unwrap();
    assert_eq!(drain(&mut outbox), [1]);
}
