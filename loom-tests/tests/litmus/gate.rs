//! A gate that is set up during publishes: the subscriber misses no event from its start.

use crate::rounds::{play, rounds};
use buslane::Journal;
use buslane::error::TryRecvError;
use buslane::journal::{Entry, Start};
use std::sync::atomic::{AtomicU64, Ordering};

/// The events of one block; the journal has two blocks.
const CAPACITY: u64 = 64;
/// The number of events of a round, so that the subscriber starts in different parts of a block.
const EVENTS: u64 = 2 * CAPACITY + 7;

#[test]
fn new_gate_misses_no_publish() {
    let journal = Journal::new(CAPACITY as usize).expect("a small journal");
    let (mut barred, done, refused) = (0, AtomicU64::new(0), AtomicU64::new(0));
    let publisher = |round| {
        // Events are refused while the gate blocks them.
        let refusals = (0..EVENTS).filter(|event| journal.try_publish(*event).is_err()).count();
        refused.store(refusals as u64, Ordering::Relaxed);
        done.store(round as u64 + 1, Ordering::Release);
    };
    let subscriber = |round| {
        let mut subscriber =
            journal.subscription().start(Start::Oldest).gating().subscribe().expect("a subscriber");
        let mut next = subscriber.next_sequence().get();
        loop {
            // The load precedes the read: an event that is missing after the publisher is done
            // never comes.
            let last = done.load(Ordering::Acquire) == round as u64 + 1;
            match subscriber.try_recv() {
                Ok(Entry::Event(sequence, _)) => {
                    assert_eq!(sequence.get(), next, "in sequence");
                    next += 1;
                }
                Err(TryRecvError::Empty) if last => break,
                Err(TryRecvError::Empty) => std::thread::yield_now(),
                other => panic!("missed at a gate: {other:?}"),
            }
        }
    };
    let played = play(rounds(2), vec![Box::new(publisher), Box::new(subscriber)], |_| {
        barred += u64::from(refused.load(Ordering::Relaxed) > 0);
    });
    eprintln!("a gate against publish: {played} rounds, barred in {barred}");
}
