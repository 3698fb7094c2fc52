//! The half that writes.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

use super::{OPEN, Sealer, Slots, SpscRing};
use crate::sync::prefetch::{bytes_ahead, prefetch_for_write};
use crate::sync::{Arc, Ordering};
use crate::wait::context::discard;
use std::fmt;

/// The writing half of a ring.
///
/// # Guarantees
/// Every method is wait-free and allocates nothing. None executes a read-modify-write instruction, save
/// [`settle`](Self::settle) on a ring that is being sealed, [`end`](Self::end) or the drop, and [`sealer`](Self::sealer).
/// Dropping it seals the ring at what was committed.
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
    shared: Arc<SpscRing<T>>,
    pub(super) slots: Slots<T>,
    /// The next position to write; ahead of the shared tail between `write` and `commit`.
    pub(super) tail: u64,
    /// The consumer's head as last seen plus the capacity: the first position that may not be written yet.
    limit: u64,
}

impl<T> Producer<T> {
    pub(super) fn new(shared: Arc<SpscRing<T>>) -> Self {
        Self { slots: Slots::of(&shared.slots), tail: 0, limit: shared.capacity, shared }
    }

    /// Writes and commits a value, or gives it back when the ring is full.
    ///
    /// # Errors
    /// The value, when the ring holds as many values as it may.
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

    /// The next slot, if the ring has room for one more value. A ring that is being sealed has no more of it than the producer
    /// knew of before; [`settle`](Self::settle) gives back what is put there.
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

    /// How many of `wanted` values may be written now; at least this many stay possible until they are written.
    ///
    /// Looks for slots that were given back only if those known of do not do: the look costs a line's transfer.
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

    /// Once for each lap of a ring that is kept empty; so the way without it is the one to be straight.
    #[cold]
    #[inline(never)]
    fn refresh(&mut self) -> bool {
        // ORD(spsc.head): Acquire; pairs with the consumer's Release: its reads of the freed slots are over.
        let head = self.shared.head.load(Ordering::Acquire);
        // A ring that is being sealed has no room; `settle` then says why.
        self.limit = if self.is_open() { head + self.shared.capacity } else { self.tail };
        self.tail < self.limit
    }

    /// Writes a value without showing it to the consumer.
    ///
    /// # Panics
    /// When the ring has no room; ask [`vacant`](Self::vacant) or [`room_for`](Self::room_for) first.
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

    /// Shows everything written so far to the consumer.
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

    /// Whether nobody has begun to seal the ring. To be asked after a commit and a fence; `false` asks for
    /// [`settle`](Self::settle).
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
        self.attention() == 0
    }

    /// What [`is_open`](Self::is_open) looks at: zero while the ring is open.
    #[inline(always)]
    pub(crate) fn attention(&self) -> u64 {
        self.shared.fin.attention()
    }

    /// Settles with a sealer what was accepted, and gives what was not to `taken_back`, newest first.
    ///
    /// Returns whether the ring is still open. To be called after every commit, behind a fence, before anybody is
    /// told that the values were accepted; on an open ring it costs one load.
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
        // What was written and not committed was promised to nobody, and comes back too.
        let committed = self.shared.tail.load(Ordering::Relaxed);
        let fin = self.shared.propose(committed);
        while self.tail > fin {
            self.tail -= 1;
            // SAFETY: S1: at or above `fin` the consumer does not read; the value is the producer's.
            taken_back(unsafe { self.slots.at(self.tail).take() });
        }
        self.limit = self.tail;
        false
    }

    /// How many values wait in the ring, those being handled and those not committed yet included.
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

    /// Whether [nothing waits](Self::len) in the ring.
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

    /// A handle that can seal the ring.
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

/// Room for one value. Holding it proves that there is room, so filling it checks nothing again.
///
/// # Invariant
/// - S5: made only where the producer's tail lies below its limit.
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
    /// Fills the slot and shows it to the consumer, with everything written before.
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
}

impl<'a, T> Vacant<'a, T> {
    /// As [`push`](Self::push); what comes back is to be asked behind a fence, as [`Producer::is_open`] is.
    #[inline(always)]
    pub(crate) fn push_into(self, value: T) -> Written<'a, T> {
        // Everything is looked up first: behind a store into the ring the compiler takes nothing for known that lies in memory.
        let Producer { shared, slots, tail, .. } = self.0;
        let shared: &'a SpscRing<T> = shared;
        let next = *tail + 1;
        let slot = prefetch_for_write(slots.at(*tail), bytes_ahead::<T>());
        // SAFETY: S1, S3, S5: the position lies below `head + capacity`, so its slot is empty and the producer's.
        unsafe { slot.put(value) };
        *tail = next;
        shared.show(next);
        Written(shared)
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

/// The ring into which a value was put.
pub(crate) struct Written<'a, T>(&'a SpscRing<T>);

impl<T> Written<'_, T> {
    /// As [`Producer::attention`].
    #[inline(always)]
    pub(crate) fn attention(&self) -> u64 {
        self.0.fin.attention()
    }
}

impl<T> Producer<T> {
    /// Seals the ring at what was committed, as dropping the producer does; values that were not accepted are dropped.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// producer.write("not committed");
    /// producer.end();
    /// assert_eq!((consumer.pop(), consumer.pop()), (Some("a"), None));
    /// assert!(consumer.is_ended());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn end(&mut self) {
        // The producer knows the exact tail, so it needs no handshake: it moves OPEN on by itself, or proposes.
        let committed = self.shared.tail.load(Ordering::Relaxed);
        let shared = &self.shared;
        let fin = shared.fin.advance(OPEN, committed).unwrap_or_else(|_| shared.propose(committed));
        while self.tail > fin {
            self.tail -= 1;
            // SAFETY: S1: written but not committed, or above the end: the producer's.
            discard(unsafe { self.slots.at(self.tail).take() });
        }
        self.limit = self.tail;
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
