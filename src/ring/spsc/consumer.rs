//! The half that reads.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

use super::{OPEN, SEALING, Sealer, Slots, SpscRing};
use crate::sync::membarrier::light_fence;
use crate::sync::slot::Slot;
use crate::sync::{Arc, Ordering};
use crate::wait::context::discard;
use std::fmt;

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
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub struct Consumer<T> {
    shared: Arc<SpscRing<T>>,
    slots: Slots<T>,
    head: u64,
    /// The first position not known to be readable: the tail as last seen, cut at the end of a sealed ring.
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
        // SAFETY: S1: head < end, so the slot holds a value and is the consumer's.
        let value = unsafe { self.slots.at(self.head).take() };
        self.head += 1;
        self.release();
        Some(value)
    }

    /// Hands up to `max` values to `f`, oldest first, and returns how many.
    ///
    /// Each value whose push returned before this call is handed over, up to `max`. The slots are given back together at the end. If `f` unwinds, the value it was given counts as handled and the
    /// later ones stay.
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

    /// As [`drain`](Self::drain), of what is known to be readable.
    #[inline]
    pub(crate) fn drain_known(&mut self, max: usize, mut f: impl FnMut(T)) -> usize {
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
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn drain_in_place(&mut self, max: usize, mut f: impl FnMut(&mut T)) -> usize {
        /// Empties the slot also when the callback unwinds.
        struct Emptied<'a, T>(&'a Slot<T>);
        impl<T> Drop for Emptied<'_, T> {
            fn drop(&mut self) {
                // SAFETY: S1: `each` calls with the slots in [head, end), each once; the loan is over.
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

    /// Of what is known to be readable.
    #[inline]
    fn each(&mut self, max: usize, mut f: impl FnMut(&Slot<T>)) -> usize {
        /// Gives back what was handled, also when the callback unwinds. It counts by itself: a head in the consumer would be
        /// stored once more for each value.
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

    #[inline(always)]
    fn release(&self) {
        // ORD(spsc.head): Release; pairs with the Acquire in `Producer::refresh`: our reads of the slots are over.
        self.shared.head.store(self.head, Ordering::Release);
    }

    /// Loads the tail unless `enough` values are known to be readable, and returns how many are.
    ///
    /// A read that hands over what an earlier load has shown would leave out what was pushed since.
    #[inline]
    pub(crate) fn look(&mut self, enough: usize) -> usize {
        if self.known() < enough {
            self.refresh();
        }
        self.known()
    }

    /// Looks for values beyond those known; whether there are any.
    #[inline]
    fn refresh(&mut self) -> bool {
        // ORD(spsc.tail): Acquire; pairs with the Release in `SpscRing::show`: the slots are written.
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
    /// # Ok::<(), buslane::error::BuildError>(())
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
    /// # Ok::<(), buslane::error::BuildError>(())
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
    /// # Ok::<(), buslane::error::BuildError>(())
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
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of whoever fixed it: what the producer did before its end is visible.
        self.shared.fin.load(Ordering::Acquire) <= self.head
    }

    /// Whether the ring is sealed, or about to be: then [`refresh`](Self::refresh) may have left out values that are accepted.
    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that marked or fixed it.
        self.shared.fin.load(Ordering::Acquire) != OPEN
    }

    /// A handle that can seal the ring.
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
