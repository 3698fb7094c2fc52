//! Closing: drain with a deadline, and a report for each member.

use crate::{
    GUARD, Reporting, SECOND, announce, assert_balanced, balanced, director, drain, events, join, next,
    small, stuck,
};
use buslane::director::{Delivery, Director, MemberStatus, Packet, SendError};
use buslane::error::{RecvError, TryRecvError};
use buslane::stats::Finish;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn close_drains_every_node() {
    let (director, _clock) = director();
    let (tell, told) = channel();
    let _nodes: Vec<_> = (0..4)
        .map(|n| {
            let tell = tell.clone();
            let node = move |packet: &Packet<u32>| {
                tell.send(packet.events().len()).unwrap();
                Delivery::Done
            };
            director.join(format!("node {n}"), node).unwrap()
        })
        .collect();
    announce(&director, 0..100);
    director.root().broadcast(7).unwrap();
    let report = director.close();
    assert!(report.is_done(), "{report}");
    assert_eq!(report.members.len(), 4);
    for member in &report.members {
        let member = balanced(member.member.clone());
        assert_eq!((member.delivered, member.root_delivered, member.status), (100, 1, MemberStatus::Drained));
    }
    assert_eq!(told.try_iter().sum::<usize>(), 4 * 101);
    assert!(matches!(director.announce(1), Err(SendError::Closed(1))));
    assert_eq!(director.close(), report, "a second close reports the same");
}

#[test]
fn close_in_the_middle_of_a_retry_ends_at_the_deadline() {
    let (director, clock) = director();
    let (node, called) = Reporting::new(|_| Delivery::Retry(Some(3600 * SECOND)));
    let _bob = director.join("bob", node).unwrap();
    announce(&director, 0..3);
    next(&called);
    clock.await_sleepers(1);
    let report = director.close_timeout(Duration::from_millis(20));
    assert_eq!(report.finish, Finish::TimedOut);
    let bob = report.member("bob").unwrap();
    assert_eq!((bob.undelivered, bob.member.status), (3, MemberStatus::Aborted));
    assert_balanced(&bob.member.clone());
    // The worker has ended, or does soon: nothing waits an hour.
    assert_eq!(called.recv_timeout(GUARD).err(), Some(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn close_names_a_node_that_hangs() {
    let (director, _clock) = director();
    let (_stuck, gate) = stuck(&director);
    let _carol = director.join("carol", |_: &Packet<u32>| Delivery::Done).unwrap();
    director.announce(7).unwrap();
    gate.wait_reached(1);
    let report = director.close_timeout(Duration::from_millis(20));
    let stuck: Vec<_> = report.members.iter().filter(|member| member.member.in_call_for.is_some()).collect();
    assert_eq!((report.finish, stuck.len(), stuck[0].member.name.as_str()), (Finish::TimedOut, 1, "stuck"));
    assert_eq!(report.member("carol").map(|carol| carol.undelivered), Some(0));
    gate.open();
}

#[test]
fn closed_outbox_stays_readable() {
    let (director, _clock) = director();
    let (bob, mut outbox) = join(&director, "bob");
    director.announce(1).unwrap();
    director.root().broadcast(2).unwrap();
    let report = director.close();
    assert_eq!(report.finish, Finish::Pending);
    assert_eq!(report.member("bob").map(|bob| bob.undelivered), Some(1));
    assert_eq!(drain(&mut outbox), [2, 1]);
    assert_eq!(outbox.packet().err(), Some(RecvError::Closed));
    assert_eq!(balanced(bob.snapshot()).status, MemberStatus::Drained);
    assert!(director.close().is_done());
}

#[test]
fn detached_member_is_reported_at_a_close() {
    let (director, _clock) = director();
    let (bob, _outbox) = join(&director, "bob");
    bob.detach();
    director.announce(1).unwrap();
    let report = director.close();
    assert_eq!(report.finish, Finish::Done);
    assert!(!report.is_done(), "an event is undelivered");
    assert_eq!(report.members[0].undelivered, 1);
    assert!(director.rejoin_manual("bob").is_err());
}

#[test]
fn close_inside_a_node_does_not_wait() {
    let (director, _clock) = director();
    let (tell, told) = channel();
    let own = director.clone();
    let _bob = director.join("bob", move |packet: &Packet<u32>| {
        tell.send((own.close().finish, events(packet))).unwrap();
        Delivery::Done
    });
    director.announce(1).unwrap();
    assert_eq!(told.recv_timeout(GUARD).unwrap(), (Finish::Pending, vec![1]));
    assert!(director.close().is_done());
}

#[test]
fn node_may_leave_join_and_publish() {
    let (director, _clock) = director();
    let (_carol, mut to_carol) = join(&director, "carol");
    let (tell, told) = channel();
    let own = director.clone();
    let _bob = director.join("bob", move |packet: &Packet<u32>| {
        let (member, outbox) = own.join_manual(format!("child {}", packet.id())).unwrap();
        drop(outbox);
        own.unicast("carol", 8).unwrap();
        tell.send(member.leave().was_member).unwrap();
        Delivery::Done
    });
    director.announce(1).unwrap();
    assert!(told.recv_timeout(GUARD).unwrap());
    assert!(director.close_timeout(GUARD).members.len() == 2);
    assert_eq!(drain(&mut to_carol), [1, 8]);
}

#[test]
fn dropping_the_last_handle_closes() {
    let (builder, _clock) = small();
    let director = builder.build().unwrap();
    let (mut bob, mut outbox) = join(&director, "bob");
    let other = director.clone();
    drop(director);
    other.announce(1).unwrap();
    drop(other);
    assert_eq!(drain(&mut outbox), [1]);
    assert_eq!(outbox.try_packet().err(), Some(TryRecvError::Closed));
    assert!(matches!(bob.broadcast(2), Err(SendError::Closed(2))));
}

#[test]
fn dropped_member_ends_its_thread() {
    struct Dropped(std::sync::mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let director = Director::<u32>::builder().history(64).build().unwrap();
    let (tell, told) = channel();
    let dropped = Dropped(tell);
    let node = move |_: &Packet<u32>| {
        let _ = &dropped;
        Delivery::Done
    };
    let bob = director.join("bob", node).unwrap();
    drop(bob);
    told.recv_timeout(GUARD).unwrap();
    assert!(director.roster().members.is_empty());
}

#[test]
fn close_in_a_function_that_weighs_does_not_wait() {
    let (director, _clock) = director();
    let director = Arc::new(director);
    let (weak, (tell, told)) = (Arc::downgrade(&director), channel());
    let weigh = move |_: &u32| {
        let finish = weak.upgrade().map(|director| director.close_timeout(GUARD).finish);
        tell.send(finish).unwrap();
        1
    };
    let _bob = director.member("bob").packet_bytes(10, weigh).join(|_: &Packet<u32>| Delivery::Done).unwrap();
    director.announce(1).unwrap();
    assert_eq!(next(&told), Some(Finish::Pending));
}

#[test]
fn panic_of_the_destructor_of_a_weigher_stops_no_rejoin() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a planted panic");
        }
    }
    let (director, _clock) = director();
    let bomb = Bomb;
    let weigh = move |_: &u32| {
        let _held = &bomb;
        1
    };
    let (former, outbox) = director.member("bob").packet_bytes(10, weigh).join_manual().unwrap();
    drop(outbox);
    let node = |_: &Packet<u32>| Delivery::Done;
    let bob = director.member("bob").packet_bytes(10, |_| 1).rejoin(node).unwrap();
    drop(former);
    director.announce(1).unwrap();
    assert!(director.close().is_done());
    assert_eq!(bob.snapshot().delivered, 1);
}

#[test]
fn report_at_the_deadline_is_an_upper_bound() {
    let (builder, _clock) = small();
    let director = builder.history(1 << 14).build().unwrap();
    let (_alice, _to_alice) = join(&director, "alice");
    let (_bob, _to_bob) = join(&director, "bob");
    for n in 0..10_000 {
        director.unicast("alice", n).unwrap();
    }
    let at_once = director.close_timeout(Duration::ZERO);
    assert_eq!(at_once.member("alice").unwrap().undelivered, 10_000);
    assert!((1..10_000).contains(&at_once.member("bob").unwrap().undelivered));
    assert_eq!(director.close_timeout(GUARD).member("bob").unwrap().undelivered, 0);
}
