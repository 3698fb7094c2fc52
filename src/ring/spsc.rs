//! A bounded ring between one producer and one consumer, with cached indices and a seal.
//!
//! The ring is Lamport's (1983) with monotone 64-bit indices; each side keeps a private copy of the other's index and
//! reads the shared one only when the copy says full or empty (the cached-index technique of MCRingBuffer and
//! FastForward). A push is a store to the slot and a release store of the tail: no read-modify-write, no fence.
//!
//! # The seal
//! [`Sealer::seal`] ends a lane while the producer may be anywhere between its check and its push,
//! and no producer waits for anybody. The word `fin` goes OPEN → SEALING → final tail. The sealer marks, fences, reads the
//! tail and proposes it; a producer that sees the mark after its own push and fence proposes *its* tail; the first
//! proposal wins. A producer that loses with `fin` below its tail still owns what lies between and takes it back. The
//! consumer, too, must know `fin` before it trusts a tail: it fences between the two loads, and while it finds SEALING it
//! takes nothing that it did not know of before.
//!
//! # Invariants
//! - S1: slots in `[head, min(tail, fin))` hold values and belong to the consumer; all others belong to the producer
//!   and are empty, save those in `[fin, tail)` until the producer took them back.
//! - S2: only the producer writes `tail`, only the consumer writes `head`; both only grow.
//! - S3: `tail - head` never exceeds the capacity, which never exceeds the number of slots.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

mod fin;
mod sealer;
mod slice;

use crate::error::InvalidConfig;
use crate::sync::membarrier::{FencePair, light_fence, process_pair};
use crate::sync::prefetch::{bytes_ahead, prefetch_for_write, spare};
use crate::sync::slot::{Aligned, Slot};
use crate::sync::{Arc, AtomicU64, CachePadded, Ordering};
use fin::{Fin, OPEN, SEALING};
pub use sealer::Sealer;
use std::fmt;
use std::ptr::NonNull;

struct Shared<T> {
    /// The next position to be written; everything below was written. Only the producer writes it.
    tail: CachePadded<AtomicU64>,
    /// The next position to be consumed; everything below was handled and its slot is free.
    head: CachePadded<AtomicU64>,
    /// Where the ring ends: `OPEN`, `SEALING`, or the final tail. In a line with what never changes, which both halves
    /// keep: next to the tail, the producer's look at it would wait for the line that the consumer polls, at every push.
    fin: Fin,
    /// A power of two, and the spare ones.
    slots: Aligned<Slot<T>>,
    capacity: u64,
    /// The fence pair of this ring's seal.
    pair: FencePair,
}

/// A half's own way to the slots, so that a push or pop touches no third line to find them.
///
/// # Invariant
/// - S4: `first` points to `mask + 1` slots, a power of two, which live as long as the `Shared` that the half keeps.
struct Slots<T> {
    first: NonNull<Slot<T>>,
    mask: u64,
}

const fn spare_slots<T>() -> usize {
    spare::<T>(bytes_ahead::<T>())
}

// SAFETY: a pointer to slots, which are `Sync` for `T: Send`; each half reaches only the slots that S1 gives it.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above; a shared half reaches no slot at all.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    fn of(slots: &[Slot<T>]) -> Self {
        let count = slots.len() - spare_slots::<T>();
        debug_assert!(count.is_power_of_two());
        Self { first: NonNull::from(slots).cast(), mask: count as u64 - 1 }
    }

    #[inline(always)]
    fn at(&self, position: u64) -> &Slot<T> {
        // SAFETY: S4: the masked index lies below the number of slots.
        unsafe { self.first.add((position & self.mask) as usize).as_ref() }
    }
}

impl<T> Shared<T> {
    /// The producer shows the values below this position.
    #[inline(always)]
    fn show(&self, tail: u64) {
        // ORD(spsc.tail): Release; pairs with the Acquire in `Consumer::refresh`, `Sealer::fix`: the slots are written.
        self.tail.store(tail, Ordering::Release);
    }

    fn slot(&self, position: u64) -> &Slot<T> {
        let count = (self.slots.len() - spare_slots::<T>()) as u64;
        &self.slots[(position & (count - 1)) as usize]
    }

    /// Proposes `tail` as the end of a ring that is being sealed; returns the end that was agreed on.
    #[cold]
    fn propose(&self, tail: u64) -> u64 {
        self.fin.advance(SEALING, tail).unwrap_or_else(|fin| fin)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let tail = self.tail.load(Ordering::Relaxed);
        let end = tail.min(self.fin.load(Ordering::Relaxed));
        for position in self.head.load(Ordering::Relaxed)..end {
            // SAFETY: S1: both halves are gone, and the slots in [head, end) hold values.
            drop(unsafe { self.slot(position).take() });
        }
    }
}

/// Makes a ring that holds exactly `capacity` values.
///
/// The memory is allocated and touched here; neither half allocates later.
///
/// # Errors
/// [`InvalidConfig`] when the capacity is zero, larger than [`MAX_CAPACITY`](super::MAX_CAPACITY), or its memory is
/// not to be had.
///
/// # Examples
/// ```
/// let (mut producer, mut consumer) = buslane::ring::spsc::ring(2)?;
/// assert_eq!(producer.push("a"), Ok(()));
/// assert_eq!(producer.push("b"), Ok(()));
/// assert_eq!(producer.push("c"), Err("c"));
/// assert_eq!(consumer.pop(), Some("a"));
/// assert_eq!(producer.push("c"), Ok(()));
/// # Ok::<(), buslane::InvalidConfig>(())
/// ```
pub fn ring<T: Send>(capacity: usize) -> Result<(Producer<T>, Consumer<T>), InvalidConfig> {
    let slots = Aligned::try_new(super::slots_for(capacity, 1)? + spare_slots::<T>(), |_| Slot::empty())
        .ok_or(InvalidConfig::OutOfMemory { slots: capacity })?;
    let shared = Arc::new(Shared {
        tail: CachePadded::new(AtomicU64::new(0)),
        head: CachePadded::new(AtomicU64::new(0)),
        fin: Fin::new(),
        slots,
        capacity: capacity as u64,
        pair: process_pair(),
    });
    let (for_producer, for_consumer) = (Slots::of(&shared.slots), Slots::of(&shared.slots));
    let producer = Producer { shared: shared.clone(), slots: for_producer, tail: 0, limit: capacity as u64 };
    Ok((producer, Consumer { shared, slots: for_consumer, head: 0, end: 0 }))
}

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
/// # Ok::<(), buslane::InvalidConfig>(())
/// ```
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    slots: Slots<T>,
    /// The next position to write; ahead of the shared tail between `write` and `commit`.
    tail: u64,
    /// The consumer's head as last seen plus the capacity: the first position that may not be written yet.
    limit: u64,
}

impl<T> Producer<T> {
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
/// # Ok::<(), buslane::InvalidConfig>(())
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
    /// # Ok::<(), buslane::InvalidConfig>(())
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
        let shared: &'a Shared<T> = shared;
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
pub(crate) struct Written<'a, T>(&'a Shared<T>);

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
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    pub fn end(&mut self) {
        // The producer knows the exact tail, so it needs no handshake: it moves OPEN on by itself, or proposes.
        let committed = self.shared.tail.load(Ordering::Relaxed);
        let shared = &self.shared;
        let fin = shared.fin.advance(OPEN, committed).unwrap_or_else(|_| shared.propose(committed));
        self.limit = self.limit.min(self.tail);
        while self.tail > fin {
            self.tail -= 1;
            // SAFETY: S1: written but not committed, or above the end: the producer's.
            drop(unsafe { self.slots.at(self.tail).take() });
        }
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

/// The reading half of a ring.
///
/// # Guarantees
/// Every method is wait-free and allocates nothing. A slot is given back, and the value counts as handled, only when
/// the callback has returned (or unwound).
///
/// # Examples
/// ```
/// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
/// (0..3).for_each(|n| assert!(producer.push(n).is_ok()));
/// let mut seen = Vec::new();
/// assert_eq!(consumer.drain(2, |n| seen.push(n)), 2);
/// assert_eq!((seen, consumer.pop()), (vec![0, 1], Some(2)));
/// # Ok::<(), buslane::InvalidConfig>(())
/// ```
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    slots: Slots<T>,
    head: u64,
    /// The first position not known to be readable: the tail as last seen, cut at the end of a sealed ring.
    end: u64,
}

impl<T> Consumer<T> {
    /// Takes the oldest value.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert_eq!(consumer.pop(), None);
    /// assert!(producer.push("a").is_ok());
    /// assert_eq!(consumer.pop(), Some("a"));
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.end && !self.refresh() {
            return None;
        }
        // SAFETY: S1: head < end, so the slot holds a value and is the consumer's.
        let value = unsafe { self.slots.at(self.head).take() };
        self.head += 1;
        self.release();
        Some(value)
    }

    /// Hands up to `max` values to `f`, oldest first, and returns how many.
    ///
    /// The slots are given back together at the end. If `f` unwinds, the value it was given counts as handled and the
    /// later ones stay.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// (1..=4).for_each(|n| assert!(producer.push(n).is_ok()));
    /// let mut sum = 0;
    /// assert_eq!((consumer.drain(3, |n| sum += n), sum), (3, 6));
    /// assert_eq!((consumer.drain(9, |n| sum += n), sum), (1, 10));
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[inline]
    pub fn drain(&mut self, max: usize, mut f: impl FnMut(T)) -> usize {
        self.each(max, |slot| {
            // SAFETY: S1: `each` calls with the slots in [head, end), each once.
            f(unsafe { slot.take() });
        })
    }

    /// Like [`drain`](Self::drain), but gives each slot back as soon as its value was handled, and then calls `freed`.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(2)?;
    /// assert!(producer.push(1).is_ok() && producer.push(2).is_ok());
    /// let refill = || assert!(producer.push(3).is_ok()); // there is room after each
    /// assert_eq!(consumer.drain_freeing(2, drop, refill), 2);
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[inline]
    pub fn drain_freeing(&mut self, max: usize, mut f: impl FnMut(T), mut freed: impl FnMut()) -> usize {
        let mut count = 0;
        while count < max && self.drain(1, &mut f) == 1 {
            freed();
            count += 1;
        }
        count
    }

    /// Like [`drain`](Self::drain), but lends each value where it lies and drops it afterwards.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push(vec![3, 1, 2]).is_ok());
    /// consumer.drain_in_place(1, |numbers| {
    ///     numbers.sort();
    ///     assert_eq!(*numbers, [1, 2, 3]);
    /// });
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    pub fn drain_in_place(&mut self, max: usize, mut f: impl FnMut(&mut T)) -> usize {
        /// Empties the slot also when the callback unwinds.
        struct Emptied<'a, T>(&'a Slot<T>);
        impl<T> Drop for Emptied<'_, T> {
            fn drop(&mut self) {
                // SAFETY: S1: `each` calls with the slots in [head, end), each once; the loan is over.
                drop(unsafe { self.0.take() });
            }
        }
        self.each(max, |slot| {
            let emptied = Emptied(slot);
            // SAFETY: as above; the value stays until `emptied` is dropped.
            unsafe { emptied.0.with_mut(&mut f) };
        })
    }

    #[inline]
    fn each(&mut self, max: usize, mut f: impl FnMut(&Slot<T>)) -> usize {
        /// Gives back what was handled also when the callback unwinds.
        struct Handled<'a, T>(&'a mut Consumer<T>);
        impl<T> Drop for Handled<'_, T> {
            fn drop(&mut self) {
                self.0.release();
            }
        }
        if self.head == self.end && !self.refresh() {
            return 0;
        }
        let stop = self.end.min(self.head.saturating_add(max as u64));
        let count = (stop - self.head) as usize;
        let handled = Handled(self);
        while handled.0.head < stop {
            let position = handled.0.head;
            handled.0.head += 1;
            f(handled.0.slots.at(position));
        }
        count
    }

    #[inline(always)]
    fn release(&self) {
        // ORD(spsc.head): Release; pairs with the Acquire in `Producer::refresh`: our reads of the slots are over.
        self.shared.head.store(self.head, Ordering::Release);
    }

    /// Looks for values beyond those known; whether there are any.
    #[inline]
    fn refresh(&mut self) -> bool {
        // ORD(spsc.tail): Acquire; pairs with the Release in `Producer::commit`: the slots are written.
        let tail = self.shared.tail.load(Ordering::Acquire);
        // A tail may be trusted only if the ring was open *after* it was read, in the order that the sealer sees: see
        // the module's text.
        // ORD(spsc.fin): light fence; pairs with the heavy one between `Sealer::mark` and `Sealer::fix`.
        light_fence(self.shared.pair);
        // ORD(spsc.fin): Acquire; pairs with the Release of whoever fixed it.
        self.end = match self.shared.fin.load(Ordering::Acquire) {
            OPEN => tail,
            // The tail may be older than the mark, and the producer may have been told since that more was accepted: only
            // the sealer, behind its heavy fence, and the producer itself know a tail that may be proposed.
            SEALING => self.end,
            fin => fin,
        };
        self.head < self.end
    }

    /// Whether a value can be taken now. If so, that stays true until it is taken.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(!consumer.has_next());
    /// assert!(producer.push("a").is_ok());
    /// assert!(consumer.has_next() && consumer.pop().is_some());
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[inline]
    pub fn has_next(&mut self) -> bool {
        self.head < self.end || self.refresh()
    }

    /// How many values were taken so far.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// (0..3).for_each(|n| assert!(producer.push(n).is_ok()));
    /// assert_eq!((consumer.drain(2, drop), consumer.position()), (2, 2));
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn position(&self) -> u64 {
        self.head
    }

    /// How many values are known to be readable; there may be more.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// assert_eq!(consumer.known(), 0); // it has not looked yet
    /// assert_eq!((consumer.has_next(), consumer.known()), (true, 1));
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn known(&self) -> usize {
        (self.end - self.head) as usize
    }

    /// Whether the ring was sealed and everything in it was handled. Once true, always true.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// drop(producer);
    /// assert!(!consumer.is_ended()); // there is something to read
    /// assert!(consumer.pop().is_some() && consumer.is_ended());
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of whoever fixed it: what the producer did before its end is visible.
        self.shared.fin.load(Ordering::Acquire) <= self.head
    }

    /// A handle that can seal the ring.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, consumer) = buslane::ring::spsc::ring(4)?;
    /// consumer.sealer().seal(); // the consumer wants no more
    /// assert!(producer.push("a").is_ok()); // into room that the producer knew of
    /// assert!(!producer.settle(|value| assert_eq!(value, "a")));
    /// # Ok::<(), buslane::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn sealer(&self) -> Sealer<T> {
        Sealer { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("head", &self.head).finish_non_exhaustive()
    }
}
