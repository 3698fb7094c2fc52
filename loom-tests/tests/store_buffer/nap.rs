//! Threads that wait for a consumer against its nap: `WaitCell::wake_now` against `nap_unless`,
//! both with full fences, and against `park_unless`, with either heavy one.

use super::check_pairs;
use super::explore::Scenario;
use super::park::{ASLEEP, EVENTS, FOUND, STATE, sleep, take};
use super::program::{Fence, Program};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// The consumer's condition changes twice, and each time `wake_now` follows.
fn wake_now(frequent: Fence, rare: Fence, parks: bool) -> Scenario {
    let waker = [1, 2].into_iter().fold(Program::new("waker"), |waker, change| {
        waker
            .store(EVENTS, change, Release)
            .fence(frequent)
            .load(STATE, FOUND, Relaxed)
            .when(|r| r[FOUND] == ASLEEP, |then| take(then, parks, |woken| woken.unpark(0)))
    });
    Scenario::new().thread(sleep(Program::new("consumer"), rare, parks)).thread(waker)
}

#[test]
fn wake_now_ends_a_nap() {
    check_pairs("wake_now against a nap", &[], |frequent, rare| wake_now(frequent, rare, false));
}

#[test]
fn wake_now_ends_a_park() {
    check_pairs("wake_now against a park", &[], |frequent, rare| wake_now(frequent, rare, true));
}
