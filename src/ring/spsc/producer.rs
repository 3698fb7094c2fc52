//! The producer's half of an SPSC ring.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

use super::{Sealer, Slots, SpscRing};
use crate::sync::prefetch::{LINE, bytes_ahead, prefetch_for_write};
use crate::sync::slot::Slot;
use crate::sync::{Arc, Ordering, cold_path};
use crate::wait::context::discard;
use std::fmt;

/// The writing half of an SPSC ring.
///
/// # Guarantees
/// Every method is wait-free and allocates nothing. Read-modify-write instructions are executed
/// only by [`settle`](Self::settle) on a ring that is being sealed, by [`end`](Self::end) and the
/// drop, and by [`sealer`](Self::sealer). Dropping the producer seals the ring after the last
/// committed value.
///
/// # Examples
/// ```
/// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
/// producer.write("a"); // nothing is shown yet
/// producer.write("b");
/// assert_eq!(consumer.pop(), None);
/// producer.commit();
/// assert_eq!((consumer.pop(), consumer.pop()), (Some("a"), Some("b")));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub struct Producer<T> {
    pub(super) shared: Arc<SpscRing<T>>,
    slots: Slots<T>,
    /// The next position to write; ahead of the shared tail between `write` and `commit`.
    tail: u64,
    /// The last loaded head of the consumer plus the capacity: the first position that must not be
    /// written yet.
    limit: u64,
}

impl<T> Producer<T> {
    pub(super) fn new(shared: Arc<SpscRing<T>>) -> Self {
        Self { slots: Slots::of(&shared.slots), tail: 0, limit: shared.capacity, shared }
    }

    /// Writes and commits a value, or returns it when the ring is full.
    ///
    /// # Errors
    /// The value, when the ring holds `capacity` values.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, _consumer) = buslane::ring::spsc::ring(1)?;
    /// assert_eq!(producer.push("a"), Ok(()));
    /// assert_eq!(producer.push("b"), Err("b"));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        match self.vacant() {
            Some(vacant) => {
                vacant.push(value);
                Ok(())
            }
            None => Err(value),
        }
    }

    /// Returns the next slot, if the ring has room for one more value. In a ring that is being
    /// sealed, the producer gets only the room that it already knew of; [`settle`](Self::settle)
    /// returns the values that it puts there.
    ///
    /// # Examples
    /// The value is made only when there is room:
    /// ```
    /// let (mut producer, _consumer) = buslane::ring::spsc::ring(1)?;
    /// let mut made = 0;
    /// for _ in 0..3 {
    ///     if let Some(vacant) = producer.vacant() {
    ///         made += 1;
    ///         vacant.push(made);
    ///     }
    /// }
    /// assert_eq!(made, 1);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline(always)]
    pub fn vacant(&mut self) -> Option<Vacant<'_, T>> {
        (self.tail < self.limit || self.refresh()).then_some(Vacant(self))
    }

    /// Returns how many of `wanted` values can be written now. That room remains until it is used.
    ///
    /// Loads the consumer's head only if the known room is not sufficient, because the load costs a
    /// cache line transfer.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, _consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// assert_eq!((producer.room_for(2), producer.room_for(9)), (2, 3));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline]
    pub fn room_for(&mut self, wanted: usize) -> usize {
        if ((self.limit - self.tail) as usize) < wanted {
            self.refresh();
        }
        ((self.limit - self.tail) as usize).min(wanted)
    }

    /// Called once per lap if the consumer keeps the ring empty, so it is kept out of the fast
    /// path.
    #[cold]
    #[inline(never)]
    fn refresh(&mut self) -> bool {
        // ORD(spsc.head): Acquire; pairs with the consumer's Release: its reads of the freed slots
        // are over.
        let head = self.shared.head.load(Ordering::Acquire);
        // A ring that is being sealed has no room; `settle` then returns the reason.
        self.limit = if self.is_open() { head + self.shared.capacity } else { self.tail };
        self.tail < self.limit
    }

    /// Writes a value without showing it to the consumer.
    ///
    /// # Panics
    /// When the ring has no room; check [`vacant`](Self::vacant) or [`room_for`](Self::room_for)
    /// first.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(2)?;
    /// for n in 0..producer.room_for(9) {
    ///     producer.write(n);
    /// }
    /// assert_eq!((producer.len(), consumer.pop()), (2, None));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline(always)]
    pub fn write(&mut self, value: T) {
        assert!(self.tail < self.limit, "a write needs room");
        Vacant(self).write(value);
    }

    /// Publishes all written values to the consumer.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(2)?;
    /// ["a", "b"].into_iter().for_each(|value| producer.write(value));
    /// producer.commit(); // both at once
    /// assert_eq!((consumer.has_next(), consumer.known()), (true, 2));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline(always)]
    pub fn commit(&mut self) {
        self.shared.show(self.tail);
    }

    /// Returns whether no thread has begun to seal the ring. Call it after a commit and a fence;
    /// after `false`, call [`settle`](Self::settle).
    ///
    /// # Examples
    /// ```
    /// let (producer, consumer) = buslane::ring::spsc::ring::<u32>(4)?;
    /// assert!(producer.is_open());
    /// consumer.sealer().seal();
    /// assert!(!producer.is_open());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.shared.fin.is_open()
    }

    /// Returns the word that the producer checks after a fence: zero while the ring is open and not
    /// dormant.
    #[inline(always)]
    pub(crate) fn attention(&self) -> u64 {
        self.shared.fin.attention()
    }

    /// Decides with a sealer which values are accepted, and passes the others to `taken_back`,
    /// newest first.
    ///
    /// Returns whether the ring is still open. Call it after every commit and a fence, before the
    /// values are reported as accepted. On an open ring it costs one load.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, consumer) = buslane::ring::spsc::ring(4)?;
    /// producer.write("late");
    /// consumer.sealer().seal();
    /// producer.commit();
    /// let mut back = Vec::new();
    /// assert!(!producer.settle(|value| back.push(value)));
    /// assert_eq!(back, ["late"]);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline]
    pub fn settle(&mut self, taken_back: impl FnMut(T)) -> bool {
        self.is_open() || self.settle_sealed(taken_back)
    }

    #[cold]
    fn settle_sealed(&mut self, mut taken_back: impl FnMut(T)) -> bool {
        // Values that were written and not committed were not reported as accepted, and are
        // returned, too.
        let committed = self.shared.tail.load(Ordering::Relaxed);
        let fin = self.shared.propose(committed);
        while self.tail > fin {
            self.tail -= 1;
            // SAFETY: S1: at or above `fin` the consumer does not read; the value belongs to the
            // producer.
            taken_back(unsafe { self.slots.at(self.tail).take() });
        }
        self.limit = self.tail;
        false
    }

    /// Returns the number of values in the ring, including those being handled and those not
    /// committed yet.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// (0..3).for_each(|n| assert!(producer.push(n).is_ok()));
    /// consumer.drain(1, |_| assert_eq!(producer.len(), 3)); // its slot is not free yet
    /// assert_eq!(producer.len(), 2);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        // ORD(spsc.head): Acquire; pairs with the consumer's Release.
        (self.tail - self.shared.head.load(Ordering::Acquire)) as usize
    }

    /// Returns whether the ring [is empty](Self::len).
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok() && !producer.is_empty());
    /// consumer.pop();
    /// assert!(producer.is_empty());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a handle that can seal the ring.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, _consumer) = buslane::ring::spsc::ring(4)?;
    /// let sealer = producer.sealer();
    /// assert!(producer.push("a").is_ok());
    /// let accepted = std::thread::spawn(move || sealer.seal()).join();
    /// assert_eq!(accepted.ok(), Some(1));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn sealer(&self) -> Sealer<T> {
        Sealer { shared: self.shared.clone() }
    }
}

/// Room for one value: filling it needs no further check.
///
/// # Invariant
/// - S5: created only where the producer's tail is below its limit.
///
/// # Examples
/// ```
/// let (mut producer, _consumer) = buslane::ring::spsc::ring(1)?;
/// producer.vacant().expect("the ring is empty").push("a");
/// assert!(producer.vacant().is_none());
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "the slot stays empty unless it is filled"]
pub struct Vacant<'a, T>(&'a mut Producer<T>);

impl<T> Vacant<'_, T> {
    /// Fills the slot and publishes it to the consumer, with all values written before.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// producer.write("a");
    /// producer.vacant().expect("there is room").push("b");
    /// assert_eq!((consumer.pop(), consumer.pop()), (Some("a"), Some("b")));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline(always)]
    pub fn push(self, value: T) {
        let _: Written<'_, T> = self.push_into(value);
    }

    /// Fills the slot with a value, and publishes it as [`push`](Self::push) does after `complete` has
    /// changed it in its slot.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// let vacant = producer.vacant().expect("there is room");
    /// vacant.push_in_place([0_u8; 1024], |bytes| bytes[0] = 7);
    /// assert_eq!(consumer.pop().map(|bytes| bytes[0]), Some(7));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn push_in_place(self, value: T, complete: impl FnOnce(&mut T)) {
        let pushed = self.push_completed(value, |value| {
            complete(value);
            true
        });
        debug_assert!(pushed.is_ok(), "the value is wanted");
    }
}

impl<'a, T> Vacant<'a, T> {
    /// Like [`push`](Self::push); check the result after a fence, like [`Producer::is_open`].
    #[inline(always)]
    pub(crate) fn push_into(self, value: T) -> Written<'a, T> {
        // All loads come first: after a store into the ring the compiler assumes that every value
        // in memory may have changed.
        let Producer { shared, slots, tail, .. } = self.0;
        let shared: &'a SpscRing<T> = shared;
        let next = *tail + 1;
        let slot = prefetch_for_write(slots.at(*tail), bytes_ahead::<T>());
        // SAFETY: S1, S3, S5: the position is below `head + capacity`, so its slot is empty and
        // belongs to the producer.
        unsafe { slot.put(value) };
        *tail = next;
        shared.show(next);
        Written(shared)
    }

    /// Puts a value into the slot, and publishes it after `complete` has changed it there. If `complete`
    /// returns `false`, the value is not published, and is returned as an error. If `complete`
    /// unwinds, the value is dropped.
    ///
    /// What `complete` writes is not copied again. It may take long: the slot belongs to the producer
    /// also while the ring is being sealed (S1).
    #[inline(always)]
    pub(crate) fn push_completed(
        self,
        value: T,
        complete: impl FnOnce(&mut T) -> bool,
    ) -> Result<Written<'a, T>, T> {
        /// Empties the slot when the callback unwinds.
        struct Emptied<'a, T>(&'a Slot<T>);
        impl<T> Drop for Emptied<'_, T> {
            fn drop(&mut self) {
                // SAFETY: S1: the value is not published, so its slot belongs to the producer.
                discard(unsafe { self.0.take() });
            }
        }
        let Producer { shared, slots, tail, .. } = self.0;
        let shared: &'a SpscRing<T> = shared;
        let next = *tail + 1;
        let slot = prefetch_for_write(slots.at(*tail), bytes_ahead::<T>());
        // SAFETY: as in `push_into`.
        unsafe { slot.put(value) };
        let emptied = Emptied(slot);
        // SAFETY: S1: the value was just put there, and is not published.
        let is_wanted = unsafe { emptied.0.with_mut(complete) };
        std::mem::forget(emptied);
        if !is_wanted {
            cold_path();
            // SAFETY: as above; the value is taken once, since the tail does not pass it.
            return Err(unsafe { slot.take() });
        }
        *tail = next;
        shared.show(next);
        Ok(Written(shared))
    }

    #[inline(always)]
    fn write(self, value: T) {
        let Producer { slots, tail, .. } = self.0;
        let slot = prefetch_for_write(slots.at(*tail), bytes_ahead::<T>());
        // SAFETY: as in `push_into`.
        unsafe { slot.put(value) };
        *tail += 1;
    }
}

/// The ring into which a value was pushed.
pub(crate) struct Written<'a, T>(&'a SpscRing<T>);

impl<T> Written<'_, T> {
    /// See [`Producer::attention`].
    #[inline(always)]
    pub(crate) fn attention(&self) -> u64 {
        self.0.fin.attention()
    }
}

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

impl<T> Producer<T> {
    /// Seals the ring after the last committed value, as dropping the producer does; values that
    /// were not accepted are dropped.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// producer.write("not committed");
    /// producer.end();
    /// assert_eq!((consumer.pop(), consumer.pop()), (Some("a"), None));
    /// assert!(consumer.is_drained());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn end(&mut self) {
        self.end_as_found();
    }

    /// Seals the ring as [`end`](Self::end) does. Returns whether the ring was dormant until now, so
    /// that the caller tells the consumer.
    pub(crate) fn end_as_found(&mut self) -> bool {
        // The producer knows the exact tail, so it needs no handshake: it replaces OPEN by itself,
        // or proposes.
        let committed = self.shared.tail.load(Ordering::Relaxed);
        let shared = &self.shared;
        let left = shared.fin.leave_open(committed);
        let fin = if left.is_ok() { committed } else { shared.propose(committed) };
        while self.tail > fin {
            self.tail -= 1;
            // SAFETY: S1: the slot is not committed, or above the end, so it belongs to the
            // producer.
            discard(unsafe { self.slots.at(self.tail).take() });
        }
        self.limit = self.tail;
        left == Ok(true)
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("tail", &self.tail).finish_non_exhaustive()
    }
}
