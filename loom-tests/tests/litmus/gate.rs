//! A gate that goes up against a publisher: from where it begins, the subscriber misses nothing.

use crate::rounds::{play, rounds};
use buslane::Journal;
use buslane::error::TryRecvError;
use buslane::journal::{Entry, Start};
use std::sync::atomic::{AtomicU64, Ordering};

/// One block; there are two.
const CAPACITY: u64 = 64;
/// So that the subscriber begins now in one part of a block, now in another.
const EVENTS: u64 = 2 * CAPACITY + 7;

#[test]
fn new_gate_misses_no_publish() {
    let journal = Journal::new(CAPACITY as usize).expect("a small journal");
    let (mut barred, done, refused) = (0, AtomicU64::new(0), AtomicU64::new(0));
    let publisher = |round| {
        // Refused where the gate is up.
        let refusals = (0..EVENTS).filter(|event| journal.try_publish(*event).is_err()).count();
        refused.store(refusals as u64, Ordering::Relaxed);
        done.store(round as u64 + 1, Ordering::Release);
    };
    let subscriber = |round| {
        let mut subscriber =
            journal.subscription().start(Start::Oldest).gating().subscribe().expect("a subscriber");
        let mut next = subscriber.next_sequence().get();
        loop {
            // In this order: what is not there when the publisher is done will not come.
            let last = done.load(Ordering::Acquire) == round as u64 + 1;
            match subscriber.try_recv() {
                Ok(Entry::Event(sequence, _)) => {
                    assert_eq!(sequence.get(), next, "one after the other");
                    next += 1;
                }
                Err(TryRecvError::Empty) if last => break,
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                other => panic!("missed behind a gate: {other:?}"),
            }
        }
    };
    let played = play(rounds(2), vec![Box::new(publisher), Box::new(subscriber)], |_| {
        barred += u64::from(refused.load(Ordering::Relaxed) > 0);
    });
    eprintln!("a gate against publish: {played} rounds, barred in {barred}");
}
