//! Sessions that replace each other: what is left of the older one does no harm to the newer one.

use crate::{GUARD, SECOND, assert_balanced, director, drain, stuck};
use buslane::director::{Delivery, MemberStatus, Packet};
use buslane::stats::Finish;
use std::sync::mpsc::channel;
use std::time::Duration;
use test_support::wait_for;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn close_leaves_an_outbox_whole_after_a_node_that_hangs() {
    let (director, clock) = director();
    let (_old, gate) = stuck(&director);
    director.announce(1).unwrap();
    gate.wait_reached(1);
    let (new, mut outbox) = director.rejoin_manual("stuck").unwrap();
    director.announce(2).unwrap();
    clock.advance(SECOND);
    let report = director.close_timeout(SHORT);
    assert_eq!(report.finish, Finish::TimedOut, "the old node has not returned");
    let member = &report.members[0].member;
    assert_eq!((member.status, member.in_call_for), (MemberStatus::Attached, None));
    assert_eq!(member.replaced_in_call_for, Some(SECOND));
    assert_eq!(drain(&mut outbox), [1, 2], "what is left stays readable");
    gate.open();
    wait_for(|| new.snapshot().replaced_in_call_for.is_none());
    assert_balanced(&new.snapshot());
}

#[test]
fn close_reports_a_drained_node_after_a_node_that_hangs() {
    let (director, _clock) = director();
    let (_old, gate) = stuck(&director);
    director.announce(1).unwrap();
    gate.wait_reached(1);
    let (tell, told) = channel();
    let node = move |packet: &Packet<u32>| {
        tell.send(packet.attempt()).unwrap();
        Delivery::Done
    };
    let new = director.rejoin("stuck", node).unwrap();
    assert_eq!(told.recv_timeout(GUARD), Ok(2));
    let report = director.close_timeout(SHORT);
    wait_for(|| new.snapshot().status == MemberStatus::Drained);
    let member = new.snapshot();
    assert_eq!((report.finish, report.members[0].undelivered), (Finish::TimedOut, 0));
    assert!(member.in_call_for.is_none() && member.replaced_in_call_for.is_some(), "{member:?}");
    gate.open();
    wait_for(|| director.close().is_done());
}
