//! Several consumers of the same events: queues with several workers, ordered by a key or not, and shared receivers.

#[path = "many/keys.rs"]
mod keys;
#[path = "many/readers.rs"]
mod readers;
#[expect(clippy::allow_attributes, reason = "an expectation fails in the file that uses every helper")]
#[allow(dead_code, reason = "each file uses some of the helpers")]
mod support;
#[path = "many/workers.rs"]
mod workers;

use buslane::testing::Gate;
use buslane::{Overflow, Queue};
use support::Log;

/// A queue of numbers with so many workers, each held up at the gate with an event in its hands, and what was handled. The
/// events that hold them are 0 and up.
fn held_queue(workers: usize, capacity: usize, overflow: Overflow) -> (Queue<u64>, Gate, Log<u64>) {
    let (gate, log) = (Gate::closed(), Log::new());
    let queue = Queue::builder()
        .workers(workers)
        .capacity(capacity)
        .overflow(overflow)
        .spawn_each(|_| {
            let (gate, log) = (gate.clone(), log.clone());
            move |event| {
                gate.pass();
                log.push(event);
            }
        })
        .unwrap();
    for worker in 0..workers {
        buslane::Sink::write(&queue, worker as u64).unwrap();
        gate.wait_reached(worker + 1);
    }
    (queue, gate, log)
}

fn sorted(mut events: Vec<u64>) -> Vec<u64> {
    events.sort_unstable();
    events
}
