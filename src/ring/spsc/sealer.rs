//! The handle of whoever is neither half of a ring.

use super::{OPEN, SEALING, SpscRing};
use crate::sync::{Arc, Ordering};
use std::fmt;

/// A third party's view of a ring: it can seal it, and see how far both halves are.
///
/// # Examples
/// ```
/// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
/// assert!(producer.push("a").is_ok());
/// assert_eq!(producer.sealer().seal(), 1); // so many were accepted, for good
/// producer.write("late");
/// producer.commit();
/// assert!(!producer.settle(|value| assert_eq!(value, "late")));
/// assert_eq!((consumer.pop(), consumer.pop()), (Some("a"), None));
/// assert!(consumer.is_ended());
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub struct Sealer<T> {
    pub(super) shared: Arc<SpscRing<T>>,
}

impl<T> Clone for Sealer<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> Sealer<T> {
    /// Begins to seal the ring. Whether this call was the first.
    pub(crate) fn mark(&self) -> bool {
        self.shared.fin.advance(OPEN, SEALING).is_ok()
    }

    /// Fixes the end of a ring that was marked, after a heavy fence; returns the end.
    pub(crate) fn fix(&self) -> u64 {
        // ORD(spsc.tail): Acquire; pairs with `SpscRing::show`, so that the proposal publishes the slots below it.
        let tail = self.shared.tail.load(Ordering::Acquire);
        self.shared.propose(tail)
    }

    /// Seals this one ring; returns the number of values that were ever accepted. Idempotent.
    ///
    /// Costs a heavy fence: with the asymmetric pair a system call or, should that have stopped working, a millisecond.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, _consumer) = buslane::ring::spsc::ring(4)?;
    /// let sealer = producer.sealer();
    /// assert!(producer.push("a").is_ok());
    /// assert_eq!((sealer.seal(), sealer.seal()), (1, 1));
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    pub fn seal(&self) -> u64 {
        self.mark();
        // ORD(spsc.fin): heavy fence; pairs with the light ones of the producer and of `Consumer::refresh`.
        crate::sync::membarrier::heavy_fence_or_wait(self.shared.pair);
        self.fix()
    }

    /// How many values were accepted so far. While the ring is being sealed, some that the producer gets back may count.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, _consumer) = buslane::ring::spsc::ring(4)?;
    /// let sealer = producer.sealer();
    /// assert!(producer.push("a").is_ok());
    /// producer.write("not committed");
    /// assert_eq!(sealer.accepted(), 1);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn accepted(&self) -> u64 {
        // ORD(spsc.tail): Acquire; pairs with the Release in `SpscRing::show`.
        let tail = self.shared.tail.load(Ordering::Acquire);
        // ORD(spsc.fin): Acquire; pairs with the Release of whoever fixed it.
        match self.shared.fin.load(Ordering::Acquire) {
            OPEN | SEALING => tail,
            fin => tail.min(fin),
        }
    }

    /// Returns the position at which the ring ends, once it is fixed; it never changes again.
    pub(crate) fn end(&self) -> Option<u64> {
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that fixed it.
        match self.shared.fin.load(Ordering::Acquire) {
            OPEN | SEALING => None,
            fin => Some(fin),
        }
    }

    /// How many values were handled so far.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// assert!(producer.push("a").is_ok());
    /// let sealer = consumer.sealer();
    /// consumer.drain(1, |_| assert_eq!(sealer.handled(), 0)); // not yet
    /// assert_eq!(sealer.handled(), 1);
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn handled(&self) -> u64 {
        // ORD(spsc.head): Acquire; pairs with the consumer's Release: what the handler did is visible to a flush.
        self.shared.head.load(Ordering::Acquire)
    }

    /// Whether the ring was sealed and everything in it was handled.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// let sealer = producer.sealer();
    /// assert!(producer.push("a").is_ok());
    /// sealer.seal();
    /// assert!(!sealer.is_ended());
    /// consumer.pop();
    /// assert!(sealer.is_ended());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_ended(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of whoever fixed it.
        self.shared.fin.load(Ordering::Acquire) <= self.handled()
    }

    /// Whether the ring's end is fixed or being fixed.
    ///
    /// # Examples
    /// ```
    /// let (producer, consumer) = buslane::ring::spsc::ring::<u32>(4)?;
    /// let sealer = consumer.sealer();
    /// assert!(!sealer.is_sealed());
    /// drop(producer);
    /// assert!(sealer.is_sealed());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of whoever marked or fixed it.
        self.shared.fin.load(Ordering::Acquire) != OPEN
    }
}

impl<T> fmt::Debug for Sealer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("accepted", &self.accepted()).finish_non_exhaustive()
    }
}
