//! The ring buffers through their public items, and hostile code against them and against the
//! public items of `wait`.

mod blocks;
mod bounds;
mod mpmc;
mod soundness;
mod spsc;

use buslane::ring::mpmc::Ring;
use buslane::ring::spsc::{Consumer, Producer, ring};

const CAPACITIES: [usize; 7] = [1, 2, 3, 4, 5, 64, 1000];

fn spsc<T: Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    ring(capacity).expect("a valid capacity")
}

fn mpmc<T: Send>(capacity: usize) -> Ring<T> {
    Ring::new(capacity).expect("a valid capacity")
}
