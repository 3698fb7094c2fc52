//! The tests of docker/go-events and of its users, by behavior and at the same sizes, and one test
//! for each of their defects. The page `docs::go_events` lists where buslane differs.

mod components;
mod defects;
mod lifecycle;
mod users;

use buslane::stats::Finish;
use buslane::time::Deadline;
use buslane::{Sink, WriteError};
use std::sync::Barrier;
use std::thread;
use test_support::GUARD;

/// Checks what go-events requires of every sink: a close succeeds, also the second time, and no
/// event enters afterwards.
#[track_caller]
fn check_close<E>(sink: &impl Sink<E>, late: E) {
    for _ in 0..2 {
        let report = sink.close_by(Deadline::after(GUARD));
        assert_eq!(report.finish, Finish::Done, "{report}");
    }
    assert!(matches!(sink.write(late), Err(WriteError::Closed(_))));
}

/// Calls `write` with each of the numbers on a separate thread, once all threads have started.
fn at_once(count: u64, write: impl Fn(u64) + Sync) {
    const STACK: usize = 256 * 1024;
    let (write, start) = (&write, &Barrier::new(count as usize));
    thread::scope(|scope| {
        for n in 0..count {
            let body = move || {
                start.wait();
                write(n);
            };
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, body).expect("a thread");
        }
    });
}

/// Asserts that every number below `count` appears exactly once, in any order.
#[track_caller]
fn assert_all(mut numbers: Vec<u64>, count: u64) {
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..count), "{} of {count}: {numbers:?}", numbers.len());
}
