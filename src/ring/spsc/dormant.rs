//! Dormancy: a ring that its consumer does not poll until the producer says that it holds a value.
//!
//! A consumer of many rings would spend most of its time on the empty ones. So it makes a ring that
//! stays empty *dormant*, by the word `fin`, which the producer loads after every push in any case:
//! an active ring costs the producer nothing.
//!
//! | thread | steps |
//! |---|---|
//! | consumer | `fin`: OPEN → DORMANT · heavy fence · load the tail; if it has moved, `fin`: DORMANT → OPEN |
//! | producer | store the tail · light fence · load `fin`; if DORMANT, `fin`: DORMANT → OPEN, and tell the consumer |
//! | sealer, or a producer that ends | `fin`: DORMANT → SEALING, or the final tail, and tell the consumer |
//! | producer that finds its ring sealed | tell the consumer: the sealer may not have done so yet |
//! | flush | tell the consumer, which finds the tail |
//! | consumer that was told | load the tail; if it has moved, `fin`: DORMANT → OPEN |
//!
//! It is the handshake of the seal, with the same fences: either the producer sees DORMANT, or the
//! consumer sees the new tail. For a producer, a sealer and a reader of the tail, DORMANT means what
//! OPEN means: no thread has begun to seal the ring.
//!
//! # Invariants
//! - D1: only the consumer makes a ring dormant, after it has taken every value that it knew of.
//! - D2: the thread that moves a dormant ring to another state tells the consumer *afterward*, unless
//!   it is the consumer. So a consumer that was told finds the ring in that state, and one that
//!   finds it dormant is told later.
//! - D3: a push that has returned is visible: the producer has told the consumer, or has found the
//!   ring active, which only it and the consumer make it, or the consumer was told before.

use super::{Consumer, DORMANT, Fin, OPEN, Producer};
use crate::sync::Ordering;

impl Fin {
    /// Returns whether no thread has begun to seal the ring.
    ///
    /// One load: a ring that becomes active between two of them would be neither active in the first
    /// nor dormant in the second.
    #[inline(always)]
    pub(super) fn is_open(&self) -> bool {
        // Relaxed: as in `attention`.
        matches!(self.load(Ordering::Relaxed), OPEN | DORMANT)
    }

    /// Returns whether the ring is dormant.
    pub(super) fn is_dormant(&self) -> bool {
        // ORD(spsc.fin): Acquire; pairs with the Release of the thread that changed it: the tail
        // that made it do so is visible.
        self.load(Ordering::Acquire) == DORMANT
    }

    /// Makes a dormant ring active. Returns whether this call did so.
    fn make_active(&self) -> bool {
        self.advance(DORMANT, OPEN).is_ok()
    }

    /// Ends a ring that no thread has begun to seal: changes the word to `to`. Returns whether the
    /// ring was dormant; `Err` has the current value if the ring is sealed or being sealed.
    ///
    /// Tries again only if the ring became dormant or active in between, which takes the consumer a
    /// heavy fence each time.
    pub(super) fn leave_open(&self, to: u64) -> Result<bool, u64> {
        let mut from = OPEN;
        loop {
            match self.advance(from, to) {
                Ok(_) => return Ok(from == DORMANT),
                Err(found @ (OPEN | DORMANT)) => from = found,
                Err(found) => return Err(found),
            }
        }
    }
}

impl<T> Consumer<T> {
    /// Makes a ring without known values dormant, unless it is sealed. The caller then executes a
    /// heavy fence, and calls [`stays_dormant`](Self::stays_dormant).
    pub(crate) fn make_dormant(&self) -> bool {
        self.known() == 0 && self.shared.fin.advance(OPEN, DORMANT).is_ok()
    }

    /// After the heavy fence, or when the consumer was told: returns whether the ring is still
    /// dormant, and makes it active if it holds a value.
    pub(crate) fn stays_dormant(&self) -> bool {
        // ORD(spsc.tail): Acquire; pairs with the Release in `SpscRing::show`. The heavy fence
        // before it pairs with the light one of the producer. A thread that told the consumer
        // because it saw a value here did so afterward, so the value is visible.
        let has_values = self.shared.tail.load(Ordering::Acquire) != self.head;
        if has_values {
            self.make_active();
        }
        self.is_dormant()
    }

    /// Makes the ring active, unless another thread has done so or has sealed it.
    pub(crate) fn make_active(&self) {
        self.shared.fin.make_active();
    }

    fn is_dormant(&self) -> bool {
        self.shared.fin.is_dormant()
    }
}

impl<T> Producer<T> {
    /// After a commit and a fence: makes a dormant ring active if it holds a value. Returns whether
    /// this call did so. The caller then tells the consumer.
    pub(crate) fn make_active(&self) -> bool {
        self.shared.fin.is_dormant()
            // A publisher whose filter holds events back finds its ring dormant, and leaves it so.
            && self.shared.tail.load(Ordering::Relaxed) != self.shared.head.load(Ordering::Relaxed)
            && self.shared.fin.make_active()
    }
}
