//! Removal of a sink that is called directly: when `remove` has returned, no thread is inside the
//! sink, and none enters it later.

use crate::rounds::{play, rounds};
use buslane::bus::Removed;
use buslane::{Bus, Sink, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of events of a round.
const EVENTS: usize = 3;

/// The calls that a sink has seen.
#[derive(Default)]
struct Seen {
    inside: AtomicUsize,
    calls: AtomicUsize,
    dropped: AtomicUsize,
}

/// A sink whose calls take a short time.
struct Room(Arc<Seen>);

impl Sink<usize> for Room {
    fn write(&self, _event: usize) -> Result<(), WriteError<usize>> {
        self.0.inside.store(1, Ordering::Relaxed);
        for _ in 0..8 {
            std::hint::spin_loop();
        }
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        self.0.inside.store(0, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Removes the sink on one thread while another thread publishes through `publish`.
fn remove(what: &str, bus: &Bus<usize>, mut publish: impl FnMut(usize) -> usize + Send) {
    let (count, accepted) = (rounds(2), AtomicUsize::new(0));
    let seen: Vec<Arc<Seen>> = (0..count).map(|_| Arc::new(Seen::default())).collect();
    let add = |round: usize| seen.get(round).map(|seen| bus.add(Room(seen.clone())).expect("an open bus"));
    // The sink of the next round is added while all threads are idle.
    let next = std::sync::Mutex::new(add(0));
    let (mut met, mut called) = (0, 0);
    let publisher = |_| {
        let taken = (0..EVENTS).map(&mut publish).sum();
        accepted.store(taken, Ordering::Relaxed);
    };
    let calls_at_return = AtomicUsize::new(0);
    let remover = |round: usize| {
        let id = next.lock().unwrap().take().expect("a sink");
        assert_eq!(bus.remove(id), Ok(Removed::Quiet));
        let seen = &seen[round];
        assert_eq!(seen.inside.load(Ordering::Relaxed), 0, "a thread is inside");
        assert_eq!(seen.dropped.load(Ordering::Relaxed), 1, "the sink is dropped");
        calls_at_return.store(seen.calls.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    let played = play(count, vec![Box::new(publisher), Box::new(remover)], |round| {
        let (calls, taken) = (seen[round].calls.load(Ordering::Relaxed), accepted.load(Ordering::Relaxed));
        assert_eq!(calls_at_return.load(Ordering::Relaxed), calls, "called after the removal");
        assert_eq!(calls, taken, "accepted means called");
        met += usize::from(0 < calls && calls < EVENTS);
        called += calls;
        *next.lock().unwrap() = add(round + 1);
    });
    eprintln!("remove against {what}: {played} rounds, {called} calls, removed between two of them {met}");
}

#[test]
fn remove_ends_the_calls_of_a_publisher() {
    let bus = Bus::new();
    let mut publisher = bus.publisher();
    remove("a publisher", &bus, |event| publisher.publish(event).expect("an open bus").accepted);
}

#[test]
fn remove_ends_the_calls_of_the_bus() {
    let bus = Bus::new();
    remove("Bus::publish", &bus, |event| bus.publish(event).expect("an open bus").accepted);
}
