//! The bias of a journal's writer, revoked in the middle of publishes: no event is lost or
//! overwritten, and each publisher's events stay in order.

use crate::rounds::{play, rounds};
use buslane::journal::{Entry, Start};
use buslane::{Bus, Journal};
use std::sync::Mutex;

/// The number of events of the publisher of a round. It has the bias from the 64th on.
const EVENTS: u64 = 100;
/// The number of events of the other writer.
const OTHERS: u64 = 2;
/// Marks an event of the other writer.
const OTHER: u64 = 1 << 32;

#[test]
fn revoked_bias_loses_no_event() {
    let journal = Journal::new(256).expect("a small journal");
    let bus = Bus::new();
    bus.add(journal.clone()).expect("an open bus");
    let subscriber = Mutex::new(journal.subscribe(Start::Oldest).expect("a subscriber"));
    let mut within = 0;
    // A publisher of its own for each round: one whose bias was revoked claims for a long time.
    let next = Mutex::new(bus.publisher());
    let holder = |_| {
        let mut publisher = next.lock().unwrap();
        for event in 0..EVENTS {
            assert!(publisher.publish(event).expect("an open bus").is_complete());
        }
    };
    let other = |round: usize| {
        // Begins in different parts of the holder's publishes.
        for _ in 0..40 * (round % 64) {
            std::hint::spin_loop();
        }
        for event in 0..OTHERS {
            journal.publish(OTHER + event).expect("an open journal");
        }
    };
    let played = play(rounds(2), vec![Box::new(holder), Box::new(other)], |_| {
        *next.lock().unwrap() = bus.publisher();
        let (mut own, mut others) = (0, 0);
        for entry in subscriber.lock().unwrap().try_iter() {
            let Entry::Event(_, event) = entry else { panic!("the journal keeps a round: {entry:?}") };
            let expected = if event < OTHER { &mut own } else { &mut others };
            assert_eq!(event % OTHER, *expected, "in order");
            *expected += 1;
            within += u64::from(event == OTHER && (64..EVENTS).contains(&own));
        }
        assert_eq!((own, others), (EVENTS, OTHERS), "each event once");
    });
    eprintln!("a revocation against publish: {played} rounds, in the middle of a bias in {within}");
}
