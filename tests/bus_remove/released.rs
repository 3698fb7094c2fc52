//! A removal ends waits inside the sink, however long they have lasted.

use crate::support::{ends, waits};
use crate::thread;
use buslane::{Bus, Channel, Journal, Overflow, Removed};
use std::time::Duration;

/// Waits grow longer between two checks of whether the sink was removed; after this time they would have reached a second.
const LONG: Duration = Duration::from_millis(1600);
/// Enough for a check every 100 ms, and too short for one every second.
const LIMIT: Duration = Duration::from_millis(600);

/// Fills the sink of an inner bus, publishes once more from another thread, and removes the inner bus while that publish waits.
fn assert_released(what: &'static str, fill: impl FnOnce(&Bus<u64>) + Send + 'static) {
    ends(move || {
        let (outer, inner) = (Bus::new(), Bus::new());
        fill(&inner);
        let id = outer.add(inner).unwrap();
        let mut publisher = outer.publisher();
        let waiting = waits(move || (0..200).map(|n| publisher.publish(n).unwrap().refused).sum::<u32>());
        thread::sleep(LONG);
        assert!(!waiting.is_finished(), "{what}: it waits");
        assert_eq!(outer.remove_timeout(id, LIMIT), Ok(Removed::Quiet), "{what}");
        assert_eq!(waiting.join().unwrap(), 1, "{what}: one publish was refused");
    });
}

#[test]
fn removal_ends_a_long_wait_for_room() {
    let (channel, receiver) = Channel::builder().capacity(1).overflow(Overflow::Block).build().unwrap();
    assert_released("channel", move |inner| assert!(inner.add(channel).is_ok()));
    drop(receiver);
}

#[test]
fn removal_ends_a_long_wait_at_a_gate() {
    let journal = Journal::builder().capacity(64).gate_limit(Duration::from_secs(3600)).build().unwrap();
    let gate = journal.subscription().gating().subscribe().unwrap();
    assert_released("journal", move |inner| assert!(inner.add(journal).is_ok()));
    drop(gate);
}
