//! The consumer's half of an SPSC ring.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

use super::{DORMANT, OPEN, SEALING, Sealer, Slots, SpscRing};
use crate::sync::membarrier::light_fence;
use crate::sync::slot::Slot;
use crate::sync::{Arc, Ordering};
use crate::wait::context::discard;
use std::fmt;

/// The reading half of an SPSC ring.
///
/// # Guarantees
/// Every method is wait-free and allocates nothing. A slot is freed, and its value counts as
/// handled, only when the callback has returned (or unwound).
///
/// # Examples
/// ```
/// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
/// (0..3).for_each(|n| assert!(producer.push(n).is_ok()));
/// let mut seen = Vec::new();
/// assert_eq!(consumer.drain(2, |n| seen.push(n)), 2);
/// assert_eq!((seen, consumer.pop()), (vec![0, 1], Some(2)));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub struct Consumer<T> {
    pub(super) shared: Arc<SpscRing<T>>,
    slots: Slots<T>,
    pub(super) head: u64,
    /// The first position not known to be readable: the last loaded tail, or the end of a sealed
    /// ring if that is lower.
    end: u64,
}

impl<T> Consumer<T> {
    pub(super) fn new(shared: Arc<SpscRing<T>>) -> Self {
        Self { slots: Slots::of(&shared.slots), head: 0, end: 0, shared }
    }

    /// Takes the oldest value.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert_eq!(consumer.pop(), None);
    /// assert!(producer.push("a").is_ok());
    /// assert_eq!(consumer.pop(), Some("a"));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.end && !self.refresh() {
            return None;
        }
        let value = self.take_known();
        self.release();
        Some(value)
    }

    /// Takes the oldest value, which is [known](Self::known) to be readable. Its slot stays occupied
    /// until [`release`](Self::release).
    ///
    /// # Panics
    /// When no value is known.
    #[inline(always)]
    pub(crate) fn take_known(&mut self) -> T {
        assert!(self.head < self.end, "the value is known");
        let position = self.head;
        self.head += 1;
        // SAFETY: S1: the head was below the end, so the slot holds a value and belongs to the
        // consumer; the value is taken once, since the head has passed it.
        unsafe { self.slots.at(position).take() }
    }

    /// Moves up to `max` values that are known to be readable to the end of a vector, oldest first,
    /// and returns their number. Frees their slots together.
    pub(crate) fn move_known(&mut self, max: usize, into: &mut Vec<T>) -> usize {
        let count = max.min(self.known());
        // May unwind, so it comes before any value leaves its slot.
        into.reserve(count);
        let stop = self.head + count as u64;
        while self.head < stop {
            let slots = self.slots.run(self.head, (stop - self.head) as usize);
            // SAFETY: S1: the slots are in [head, end), and the head passes them right after.
            unsafe { Slot::move_all(slots, into) };
            self.head += slots.len() as u64;
        }
        self.release();
        count
    }

    /// Passes up to `max` values to `f`, oldest first, and returns their number.
    ///
    /// Each value whose push returned before this call is passed, up to `max`. The slots are freed
    /// together at the end. If `f` unwinds, its value counts as handled and later values stay in
    /// the ring.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// (1..=4).for_each(|n| assert!(producer.push(n).is_ok()));
    /// let mut sum = 0;
    /// assert_eq!((consumer.drain(3, |n| sum += n), sum), (3, 6));
    /// assert_eq!((consumer.drain(9, |n| sum += n), sum), (1, 10));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline]
    pub fn drain(&mut self, max: usize, f: impl FnMut(T)) -> usize {
        self.look(max);
        self.drain_known(max, f)
    }

    /// Like [`drain`](Self::drain), but only with values that are known to be readable.
    #[inline]
    pub(crate) fn drain_known(&mut self, max: usize, mut f: impl FnMut(T)) -> usize {
        self.each(max, |slot| {
            // SAFETY: S1: `each` calls with the slots in [head, end), each once.
            f(unsafe { slot.take() });
        })
    }

    /// Like [`drain`](Self::drain), but frees each slot as soon as its value is handled, and then
    /// calls `freed`.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(2)?;
    /// assert!(producer.push(1).is_ok() && producer.push(2).is_ok());
    /// let refill = || assert!(producer.push(3).is_ok()); // there is room after each
    /// assert_eq!(consumer.drain_freeing(2, drop, refill), 2);
    /// # Ok::<(), buslane::error::BuildError>(())
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

    /// Like [`drain`](Self::drain), but lends each value in its slot and drops it afterwards.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push(vec![3, 1, 2]).is_ok());
    /// consumer.drain_in_place(1, |numbers| {
    ///     numbers.sort();
    ///     assert_eq!(*numbers, [1, 2, 3]);
    /// });
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn drain_in_place(&mut self, max: usize, mut f: impl FnMut(&mut T)) -> usize {
        /// Empties the slot also when the callback unwinds.
        struct Emptied<'a, T>(&'a Slot<T>);
        impl<T> Drop for Emptied<'_, T> {
            fn drop(&mut self) {
                // SAFETY: S1: `each` calls with the slots in [head, end), each once; the borrow is
                // over.
                discard(unsafe { self.0.take() });
            }
        }
        self.look(max);
        self.each(max, |slot| {
            let emptied = Emptied(slot);
            // SAFETY: as above; the value stays until `emptied` is dropped.
            unsafe { emptied.0.with_mut(&mut f) };
        })
    }

    /// Calls `f` with up to `max` slots that are known to be readable.
    #[inline]
    fn each(&mut self, max: usize, mut f: impl FnMut(&Slot<T>)) -> usize {
        /// Frees the handled slots, also when the callback unwinds. It has its own counter, since a
        /// head in the consumer would be one more store for each value.
        struct Handled<'a, T> {
            consumer: &'a mut Consumer<T>,
            head: u64,
        }
        impl<T> Drop for Handled<'_, T> {
            fn drop(&mut self) {
                self.consumer.head = self.head;
                self.consumer.release();
            }
        }
        let stop = self.end.min(self.head.saturating_add(max as u64));
        let count = (stop - self.head) as usize;
        let mut handled = Handled { head: self.head, consumer: self };
        while handled.head < stop {
            let position = handled.head;
            handled.head += 1;
            f(handled.consumer.slots.at(position));
        }
        count
    }

    /// Frees the slots of all values that were taken.
    #[inline(always)]
    pub(crate) fn release(&self) {
        // ORD(spsc.head): Release; pairs with the Acquire in `Producer::refresh`: this consumer's
        // reads of the slots are over.
        self.shared.head.store(self.head, Ordering::Release);
    }

    /// Loads the tail unless `enough` values are known to be readable; returns the number of known
    /// values.
    ///
    /// A read that returned only the values of an earlier load would miss values that were pushed
    /// since.
    #[inline]
    pub(crate) fn look(&mut self, enough: usize) -> usize {
        if self.known() < enough {
            self.refresh();
        }
        self.known()
    }

    /// Loads the tail and `fin`; returns whether a value can be taken.
    #[inline]
    fn refresh(&mut self) -> bool {
        // ORD(spsc.tail): Acquire; pairs with the Release in `SpscRing::show`: the slots are
        // written.
        let tail = self.shared.tail.load(Ordering::Acquire);
        if tail == self.end {
            // No value was pushed since. An end that is fixed at or above this tail changes nothing
            // before the tail has moved. So an idle ring costs a load of one cache line.
            return self.head < self.end;
        }
        // A tail may be trusted only if the ring was open *after* the tail was loaded, in the order
        // that the sealer sees: see the module documentation. ORD(spsc.fin): light fence; pairs
        // with the heavy fence between `Sealer::mark` and `Sealer::fix`.
        light_fence(self.shared.pair);
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that fixed it.
        self.end = match self.shared.fin.load(Ordering::Acquire) {
            OPEN | DORMANT => tail,
            // The tail may be older than the mark, and the producer may have returned success for
            // later values since. Only the sealer, after its heavy fence, and the producer itself
            // have a tail that may be proposed.
            SEALING => self.end,
            fin => fin,
        };
        self.head < self.end
    }

    /// Returns whether a value can be taken now; `true` remains valid until it is taken.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(!consumer.has_next());
    /// assert!(producer.push("a").is_ok());
    /// assert!(consumer.has_next() && consumer.pop().is_some());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[inline]
    pub fn has_next(&mut self) -> bool {
        self.head < self.end || self.refresh()
    }

    /// Returns the number of values taken.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// (0..3).for_each(|n| assert!(producer.push(n).is_ok()));
    /// assert_eq!((consumer.drain(2, drop), consumer.position()), (2, 2));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn position(&self) -> u64 {
        self.head
    }

    /// Returns the number of values known to be readable; there may be more.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// assert_eq!(consumer.known(), 0); // it has not looked yet
    /// assert_eq!((consumer.has_next(), consumer.known()), (true, 1));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn known(&self) -> usize {
        (self.end - self.head) as usize
    }

    /// Returns whether the ring is sealed and every value in it was handled; once `true`, always
    /// `true`.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// drop(producer);
    /// assert!(!consumer.is_drained()); // there is something to read
    /// assert!(consumer.pop().is_some() && consumer.is_drained());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_drained(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that fixed it: everything
        // that the producer did before the end is visible.
        self.shared.fin.load(Ordering::Acquire) <= self.head
    }

    /// Returns whether the ring is sealed or being sealed. If so, [`refresh`](Self::refresh) may
    /// have missed accepted values.
    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that marked or fixed it.
        !matches!(self.shared.fin.load(Ordering::Acquire), OPEN | DORMANT)
    }

    /// Returns a handle that can seal the ring.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, consumer) = buslane::ring::spsc::ring(4)?;
    /// consumer.sealer().seal(); // the consumer wants no more
    /// assert!(producer.push("a").is_ok()); // into room that the producer knew of
    /// assert!(!producer.settle(|value| assert_eq!(value, "a")));
    /// # Ok::<(), buslane::error::BuildError>(())
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
