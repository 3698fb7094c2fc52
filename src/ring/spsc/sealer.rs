//! A handle to an SPSC ring for threads that own neither half.

use super::{DORMANT, OPEN, SEALING, SpscRing};
use crate::sync::{Arc, Ordering};
use std::fmt;

/// A handle that can seal a ring, and read the positions of both halves.
///
/// # Examples
/// ```
/// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
/// assert!(producer.push("a").is_ok());
/// assert_eq!(producer.sealer().seal(), 1); // the final number of accepted values
/// producer.write("late");
/// producer.commit();
/// assert!(!producer.settle(|value| assert_eq!(value, "late")));
/// assert_eq!((consumer.pop(), consumer.pop()), (Some("a"), None));
/// assert!(consumer.is_drained());
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
    /// Begins to seal the ring. Returns whether the ring was dormant until now, so that the caller
    /// tells the consumer.
    pub(crate) fn mark(&self) -> bool {
        self.shared.fin.leave_open(SEALING) == Ok(true)
    }

    /// Fixes the end of a marked ring, and returns it. The caller has executed a heavy fence after
    /// the mark.
    pub(crate) fn fix(&self) -> u64 {
        // ORD(spsc.tail): Acquire; pairs with the Release in `SpscRing::show`, so the proposal
        // publishes the slots below it.
        let tail = self.shared.tail.load(Ordering::Acquire);
        self.shared.propose(tail)
    }

    /// Seals the ring, and returns the final number of accepted values. Idempotent.
    ///
    /// Costs a heavy fence: with the asymmetric pair a system call, or a wait of a millisecond if
    /// that call fails.
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
        // ORD(spsc.fin): heavy fence; pairs with the light fences of the producer and of
        // `Consumer::refresh`.
        crate::sync::membarrier::heavy_fence_or_wait(self.shared.pair);
        self.fix()
    }

    /// Returns the number of accepted values. While the ring is being sealed, it may include values
    /// that the producer takes back.
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
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that fixed it.
        match self.shared.fin.load(Ordering::Acquire) {
            OPEN | DORMANT | SEALING => tail,
            fin => tail.min(fin),
        }
    }

    /// Returns the position at which the ring ends, once it is fixed; it never changes again.
    pub(crate) fn end(&self) -> Option<u64> {
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that fixed it.
        match self.shared.fin.load(Ordering::Acquire) {
            OPEN | DORMANT | SEALING => None,
            fin => Some(fin),
        }
    }

    /// Returns the number of handled values.
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
        // ORD(spsc.head): Acquire; pairs with the consumer's Release: a flush sees what the handler
        // did.
        self.shared.head.load(Ordering::Acquire)
    }

    /// Returns whether a push would not find the ring full: there is room for one more value, or
    /// the ring is sealed or being sealed.
    pub(crate) fn is_open_to_push(&self) -> bool {
        // ORD(spsc.tail): Acquire; pairs with the Release in `SpscRing::show`.
        let tail = self.shared.tail.load(Ordering::Acquire);
        // The head may pass the tail that was loaded.
        tail.saturating_sub(self.handled()) < self.shared.capacity || self.is_sealed()
    }

    /// Returns whether the ring is sealed and every value in it was handled.
    ///
    /// # Examples
    /// ```
    /// let (mut producer, mut consumer) = buslane::ring::spsc::ring(4)?;
    /// let sealer = producer.sealer();
    /// assert!(producer.push("a").is_ok());
    /// sealer.seal();
    /// assert!(!sealer.is_drained());
    /// consumer.pop();
    /// assert!(sealer.is_drained());
    /// # Ok::<(), buslane::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_drained(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that fixed it.
        self.shared.fin.load(Ordering::Acquire) <= self.handled()
    }

    /// Returns whether the ring is sealed or being sealed.
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
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that marked or fixed it.
        !matches!(self.shared.fin.load(Ordering::Acquire), OPEN | DORMANT)
    }
}

impl<T> fmt::Debug for Sealer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("accepted", &self.accepted()).finish_non_exhaustive()
    }
}
