//! Sessions that replace each other: what is left of the older one does no harm to the newer one.

use crate::{
    GUARD, SECOND, assert_balanced, backoff, director, drain, events, join, pull_state, small, stuck,
};
use buslane::director::{DeadPacket, Delivery, Director, MemberStatus, Outbox, Packet};
use buslane::sink_fn;
use buslane::stats::Finish;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use test_support::{lock, wait_for};

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

/// A waker that runs a closure when it is woken first.
struct Act(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Act {
    fn waker(act: impl FnOnce() + Send + 'static) -> Waker {
        Waker::from(Arc::new(Self(Mutex::new(Some(Box::new(act))))))
    }
}

impl Wake for Act {
    fn wake(self: Arc<Self>) {
        let act = lock(&self.0).take();
        if let Some(act) = act {
            act();
        }
    }
}

fn parks(outbox: &mut Outbox<u32>, waker: &Waker) {
    assert!(outbox.poll_packet(&mut Context::from_waker(waker)).is_pending());
}

#[test]
fn detach_resolves_no_probe_of_the_next_session() {
    let (director, _clock) = director();
    let (mut alice, _to_alice) = join(&director, "alice");
    let (bob, mut outbox) = join(&director, "bob");
    let (tell, told) = channel();
    let other = director.clone();
    // The detach wakes the task after it has released the member, and is not yet finished.
    let waker = Act::waker(move || {
        let (member, mut outbox) = other.rejoin_manual("bob").unwrap();
        let asking = std::thread::spawn(move || alice.broadcast_acked(7, GUARD).unwrap());
        let packet = loop {
            match outbox.try_packet() {
                Ok(packet) => break packet,
                Err(_) => std::thread::yield_now(),
            }
        };
        tell.send((member, outbox, packet, asking)).unwrap();
    });
    parks(&mut outbox, &waker);
    bob.detach();
    let (_member, _outbox, packet, asking) = told.recv_timeout(GUARD).unwrap();
    packet.ack().unwrap();
    assert_eq!(asking.join().unwrap().acked, ["bob"]);
}

#[test]
fn older_reader_withdraws_no_timer_of_the_next_session() {
    let (builder, clock) = small();
    let slot = Arc::new(Mutex::new(None::<Director<u32>>));
    let (tell, told) = channel();
    let woken = Arc::new(AtomicBool::new(false));
    let (own, wakes) = (slot.clone(), woken.clone());
    // The reader of the old session writes the letter in the middle of its step.
    let letters = sink_fn(move |_: &DeadPacket<u32>| {
        let Some(director) = lock(&own).take() else { return };
        let (member, mut outbox) = director.rejoin_manual("bob").unwrap();
        director.announce(2).unwrap();
        let packet = outbox.try_packet().unwrap();
        assert_eq!(events(&packet), [2]);
        let wakes = wakes.clone();
        parks(&mut outbox, &Act::waker(move || wakes.store(true, Ordering::SeqCst)));
        tell.send((member, outbox, packet)).unwrap();
    });
    let director =
        builder.retry(backoff().max_attempts(1)).ack_timeout(SECOND).dead_letters(letters).build().unwrap();
    let (_old, mut old_outbox) = director.join_manual("bob").unwrap();
    pull_state(&mut old_outbox);
    director.announce(1).unwrap();
    let packet = old_outbox.try_packet().unwrap();
    *lock(&slot) = Some(director.clone());
    clock.advance(SECOND);
    assert!(old_outbox.try_packet().is_err(), "the packet was given up");
    let (_new, outbox, unacked) = told.recv_timeout(GUARD).unwrap();
    assert!(!woken.load(Ordering::SeqCst));
    clock.advance(SECOND);
    wait_for(|| woken.load(Ordering::SeqCst));
    drop((packet, unacked, outbox));
}
