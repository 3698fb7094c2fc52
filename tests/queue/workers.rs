//! Queues with several workers, ordered by a key or not.

mod keys;
mod pool;

use buslane::testing::Gate;
use buslane::{Overflow, Queue};
use test_support::Log;

/// Returns a queue of numbers with `workers` workers, each blocked at the gate while it handles an
/// event, and the log of handled events. The blocking events are numbered from 0.
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
