//! Rings of blocks, with values that count how many of them exist.

use buslane::ring::blocks::{Source, Writer, ring};
use std::sync::atomic::{AtomicU64, Ordering};

/// Capacities below, at and above the length of a block, and between multiples of it.
pub const CAPACITIES: [usize; 8] = [1, 2, 3, 63, 64, 65, 100, 1000];

/// Creates a ring.
///
/// # Panics
/// When the capacity is invalid.
#[must_use]
pub fn new<T: Send + Sync>(capacity: usize) -> (Writer<T>, Source<T>) {
    ring(capacity).expect("a valid capacity")
}

/// Writes a value, commits it, and drops the value that it replaces.
pub fn publish<T>(writer: &mut Writer<T>, value: T) {
    let old = (writer.put(value), writer.take_stale());
    writer.commit();
    drop(old);
}

/// A value that is counted while it exists.
#[derive(Debug)]
pub struct Alive<'a> {
    /// The position for which the value was made.
    pub position: u64,
    alive: &'a AtomicU64,
}

impl<'a> Alive<'a> {
    /// Creates a value, and increments `alive`.
    pub fn new(position: u64, alive: &'a AtomicU64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { position, alive }
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        assert_ne!(self.position, u64::MAX, "dropped twice");
        self.position = u64::MAX;
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Publishes `count` values at the next positions.
pub fn publish_alive<'a>(writer: &mut Writer<Alive<'a>>, alive: &'a AtomicU64, count: u64) {
    for position in writer.position()..writer.position() + count {
        publish(writer, Alive::new(position, alive));
    }
}
