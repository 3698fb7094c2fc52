//! Pushes of slices into an SPSC ring.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

use super::Producer;
use crate::sync::prefetch::{LINE, bytes_ahead, prefetch_for_write};

/// The written part of a slice; its drop commits that part, also when a clone unwinds.
struct Writing<'a, T> {
    producer: &'a mut Producer<T>,
    count: u64,
}

impl<T> Drop for Writing<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.producer.tail += self.count;
        self.producer.commit();
    }
}

impl<T: Clone> Producer<T> {
    /// Pushes clones of a slice's first values, as many as there is room for, and publishes them
    /// together; returns their number.
    ///
    /// Costs less than the same number of [`push`](Self::push) calls: one check for room, one store
    /// of the tail, and plain copies for `Copy`-like clones.
    ///
    /// # Guarantees
    /// Wait-free, apart from `clone`, and allocates nothing. If a clone unwinds, the values before
    /// it stay pushed.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert_eq!(producer.push_slice(&[1, 2, 3]), 3);
    /// assert_eq!(producer.push_slice(&[4, 5, 6]), 1, "there was room for one more");
    /// assert_eq!(std::iter::from_fn(|| consumer.pop()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline]
    pub fn push_slice(&mut self, values: &[T]) -> usize {
        let room = self.room_for(values.len());
        let mut left = &values[..room];
        let mut writing = Writing { producer: self, count: 0 };
        while !left.is_empty() {
            // A piece has the length of the prefetch distance, and ends where the ring wraps.
            let position = writing.producer.tail + writing.count;
            let slots = writing
                .producer
                .slots
                .run(position, left.len().min(const { slots_in::<T>(bytes_ahead::<T>()) }));
            for line in slots.iter().step_by(const { slots_in::<T>(LINE) }) {
                prefetch_for_write(line, bytes_ahead::<T>());
            }
            let piece;
            (piece, left) = left.split_at(slots.len());
            for (slot, value) in slots.iter().zip(piece) {
                // SAFETY: S1, S3: the position is below `tail + room_for`, so its slot is empty and
                // belongs to the producer.
                unsafe { slot.put(value.clone()) };
                writing.count += 1;
            }
        }
        drop(writing);
        room
    }
}

/// Returns the number of slots in `bytes` bytes, at least one.
const fn slots_in<T>(bytes: usize) -> usize {
    let size = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
    if bytes > size { bytes / size } else { 1 }
}
