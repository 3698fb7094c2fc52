//! Models of the wait for the events that threads have in hand.

use super::{Hand, Hands};
use crate::time::Deadline;
use loom_tests::probe::Traces;
use loom_tests::{Arc, model, thread};

/// Counts `threads` threads, each of which leaves a trace and takes its count back, while another
/// one waits.
fn scenario(threads: usize) {
    let (hands, traces) = (Arc::new(Hands::new()), Traces::default());
    let counted = (0..threads).map(|at| {
        std::mem::forget(hands.hold());
        let (hands, traces) = (hands.clone(), traces.clone());
        thread::spawn(move || {
            let _hand = Hand(&hands);
            traces.leave(at);
        })
    });
    let counted: Vec<_> = counted.collect();
    assert!(hands.wait_none(Deadline::NEVER));
    traces.look((1 << threads) - 1);
    counted.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn wait_sees_what_a_counted_thread_did() {
    // The wait ends, and sees the trace. Fails when either Acquire or the Release of
    // ORD(hands.word) is missing, when the mark is not set, or when the thread does not notify.
    model(|| scenario(1));
}

#[test]
fn wait_ends_after_the_last_of_two_threads() {
    // Fails when the thread that does not end the last count notifies in its place.
    model(|| scenario(2));
}
