//! Tests of the choice of threads that a notification wakes; one thread plays all of them.

use super::{Place, WaitList, Waiter, Want};
use crate::sync::Ordering;
use crate::sync::membarrier::FencePair;
use crate::sync::parking::Unparker;

/// Puts threads with these wants on a list, for a test that plays all of them.
fn in_line<const N: usize>(list: &WaitList, wants: [Want; N], check: impl FnOnce(&mut [Place<'_>])) {
    let waiters = wants.map(Waiter::wanting);
    let mut places: Vec<_> = waiters.iter().map(|waiter| Place::new(list, waiter)).collect();
    let thread = Unparker::current();
    places.iter_mut().for_each(|place| _ = place.enter(&thread));
    check(&mut places);
}

fn woken(places: &[Place<'_>]) -> Vec<bool> {
    places.iter().map(|place| place.waiter.0.woken.load(Ordering::Relaxed)).collect()
}

#[test]
fn answers_wake_the_first_waiter_for_them() {
    let list = WaitList::new(FencePair::Symmetric);
    let requests = [0_u8; 2];
    let (mine, other) = (Want::answers_to(&requests[0]), Want::answers_to(&requests[1]));
    in_line(&list, [other, mine, Want::PROGRESS, mine], |places| {
        list.notify_one(mine);
        assert_eq!(woken(places), [false, true, false, false]);
        list.notify_made(mine);
        assert_eq!(woken(places), [false, true, true, true]);
        list.notify();
        assert_eq!(woken(places), [true; 4]);
    });
    assert_eq!(format!("{list:?}"), "WaitList { waiting: 0 }");
}

#[test]
fn own_room_wakes_its_waiter_and_those_for_progress() {
    let list = WaitList::new(FencePair::Symmetric);
    let waiters = [Waiter::for_own_room(), Waiter::for_own_room(), Waiter::new()];
    let mut places: Vec<_> = waiters.iter().map(|waiter| Place::new(&list, waiter)).collect();
    let thread = Unparker::current();
    places[0].enter(&thread);
    places[2].enter(&thread);
    list.notify_room(&waiters[1]);
    assert_eq!(woken(&places), [false, true, true], "it does not wait");
    places[1].enter(&thread);
    places[2].enter(&thread);
    list.notify_room(&waiters[1]);
    assert_eq!(woken(&places), [false, true, true]);
    // Who left is not searched for.
    places[0].leave();
    assert!(!waiters[0].may_wait() && !waiters[1].may_wait());
    list.notify_room(&waiters[0]);
    drop(places);
    assert_eq!(format!("{list:?}"), "WaitList { waiting: 0 }");
}

#[test]
fn progress_wakes_no_waiter_for_room() {
    let list = WaitList::new(FencePair::Symmetric);
    in_line(&list, [Want::SHARED_ROOM, Want::PROGRESS, Want::PROGRESS], |places| {
        list.notify_progress();
        assert_eq!(woken(places), [false, true, true]);
    });
}

#[test]
fn report_calls_one_scout_at_a_time() {
    let list = WaitList::new(FencePair::Symmetric);
    let waiters = [false, true, false].map(|reached| Waiter::for_goal(move || reached));
    let mut places: Vec<_> = waiters.iter().map(|waiter| Place::new(&list, waiter)).collect();
    places.iter_mut().for_each(|place| _ = place.enter(&Unparker::current()));
    list.notify_progress();
    list.notify_made(Want::SHARED_ROOM);
    assert_eq!(woken(&places), [true, false, false]);
    places[0].leave();
    assert!(places[0].position.scouts);
    list.wake_reached();
    assert_eq!(woken(&places), [true, true, false]);
    list.notify_progress();
    assert_eq!(woken(&places), [true; 3]);
}

#[test]
fn unwinding_scout_calls_another_scout() {
    let list = WaitList::new(FencePair::Symmetric);
    let waiters = [(); 2].map(|()| Waiter::for_goal(|| false));
    let mut places: Vec<_> = waiters.iter().map(|waiter| Place::new(&list, waiter)).collect();
    places.iter_mut().for_each(|place| _ = place.enter(&Unparker::current()));
    list.notify_progress();
    // As when its attempt unwinds.
    drop(places.remove(0));
    assert_eq!(woken(&places), [true]);
}

#[test]
fn returning_waiter_keeps_its_position() {
    let list = WaitList::new(FencePair::Symmetric);
    in_line(&list, [Want::SHARED_ROOM; 3], |places| {
        list.notify_one(Want::SHARED_ROOM);
        places[0].leave();
        assert!(places[0].position.called);
        let _ = places[0].enter(&Unparker::current());
        list.notify_one(Want::SHARED_ROOM);
        assert_eq!(woken(places), [true, false, false]);
    });
}

#[test]
fn unused_wake_up_is_passed_on() {
    let list = WaitList::new(FencePair::Symmetric);
    let waiter = Waiter::wanting(Want::SHARED_ROOM);
    let mut unwinds = Place::new(&list, &waiter);
    let _ = unwinds.enter(&Unparker::current());
    in_line(&list, [Want::SHARED_ROOM; 2], |places| {
        list.notify_one(Want::SHARED_ROOM);
        assert_eq!(woken(places), [false, false]);
        // As when its attempt unwinds.
        drop(unwinds);
        assert_eq!(woken(places), [true, false]);
        // A thread that was not called has nothing to pass on.
        let last = Waiter::wanting(Want::SHARED_ROOM);
        let mut leaves = Place::new(&list, &last);
        let _ = leaves.enter(&Unparker::current());
        drop(leaves);
        assert_eq!(woken(places), [true, false]);
    });
}
