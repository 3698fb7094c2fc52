//! Parks for which the consumer and its publishers take turns in paying for the fence.
//!
//! The pair of fences of a cell never changes. With the asymmetric one, the consumer can ask
//! publishers for a full fence, by a bit in the word that they load in any case. A publisher that
//! finds the bit executes the fence and loads the word again. The consumer then parks after a full
//! fence of its own, without `membarrier`.
//!
//! Two changes of the payer must lose no wake-up:
//! - The consumer asks: it sets the bit together with the mark that it is parked, and pays for that
//!   park once more. A publisher whose first load comes before the `membarrier` has its event
//!   visible when the consumer checks again. One whose load comes after it finds the bit, at this
//!   park and at all later ones.
//! - The consumer asks no more: it clears the bit, and pays for its next park. A publisher that
//!   still finds the bit executes a fence too many.
//!
//! So it is the consumer alone that has to know what was agreed, and it reads that in the bit.

use super::{BUSY, FULL, IDLE, MARK, PARKED, Stay, WaitCell, is_kind, occupied, with_kind};
use crate::sync::membarrier::{FencePair, heavy_fence, heavy_fence_or_wait, light_fence};
use crate::sync::parking::Unparker;
use crate::sync::{Ordering, recheck};
use crate::wait::payer::Payer;
use crate::wait::{Sleeper, park_fenced};
use std::task::Waker;
use std::time::Duration;

impl WaitCell {
    /// Returns the bits with which the consumer announces a park.
    fn marks(&self, payer: Payer) -> u64 {
        // With the symmetric pair, publishers always execute the fence.
        if payer == Payer::Publishers && self.pair == FencePair::Asymmetric { MARK | FULL } else { MARK }
    }

    /// Parks as [`park_unless`](Self::park_unless) does, where `payer` pays for the fence. Only for
    /// the one consumer of the cell (W4).
    pub(crate) fn park_unless_paid(
        &self,
        payer: Payer,
        limit: Option<Duration>,
        ready: impl FnOnce() -> bool,
    ) {
        let thread = Unparker::current();
        let Some((state, before)) = self.prepare(Sleeper::Thread(thread.clone()), PARKED, self.marks(payer))
        else {
            return occupied(limit);
        };
        let _stay = Stay { cell: self, state };
        let fenced = match payer {
            // ORD(cell.state): heavy fence; pairs with the light one of a thread that puts an event
            // in, and with that in `wake_now`.
            Payer::Consumer => heavy_fence(self.pair),
            Payer::Publishers => {
                self.fence_as_asked(before);
                true
            }
        };
        if !recheck(ready) {
            park_fenced(&thread, limit, fenced);
        }
    }

    /// Announces a task as [`register`](Self::register) does, where `payer` pays for the fence. Only
    /// for the one consumer of the cell (W4).
    #[must_use]
    pub(crate) fn register_paid(&self, payer: Payer, task: &Waker) -> bool {
        // User code, which may call this again: before the cell is touched.
        let task = Sleeper::task(task);
        self.cancel();
        let prepared = self.prepare(task, PARKED, self.marks(payer));
        match (payer, prepared) {
            (Payer::Publishers, Some((_, before))) => self.fence_as_asked(before),
            // ORD(cell.state): heavy fence, as in `park_unless_paid`. It must not fail, since a task
            // cannot park with a limit.
            _ => heavy_fence_or_wait(self.pair),
        }
        prepared.is_some()
    }

    /// Executes the fence of a consumer that has just asked publishers for theirs. `before` is the
    /// word from before.
    fn fence_as_asked(&self, before: u64) {
        if before & FULL == 0 {
            // ORD(cell.state): heavy fence, as in `park_unless_paid`: the word was without the bit
            // until now. It must not fail, since the next park relies on it.
            heavy_fence_or_wait(self.pair);
        } else {
            // ORD(cell.state): full fence; pairs with that in `fence_if_asked`.
            light_fence(FencePair::Symmetric);
        }
    }

    /// Lets publishers off their full fence, for a consumer that is awake and pays for its next
    /// park. Returns `false` if another thread is at work in the cell, or a task is registered.
    #[cold]
    pub(crate) fn let_publishers_off(&self) -> bool {
        let state = self.slot.state.load(Ordering::Relaxed);
        if !is_kind(state, IDLE) {
            return false;
        }
        let busy = with_kind(state, BUSY);
        // ORD(cell.state): Acquire; pairs with the Release in `take`: its store of the word comes
        // before the one here.
        let moved = self.slot.state.compare_exchange(state, busy, Ordering::Acquire, Ordering::Relaxed);
        if moved.is_ok() {
            self.parked.store(0, Ordering::Relaxed);
            // ORD(cell.state): Release; pairs with the Acquire in `prepare`: the slot is empty, and
            // the word as it is now.
            self.slot.state.store(state, Ordering::Release);
        }
        moved.is_ok()
    }

    /// Executes the full fence of a publisher, if the consumer has asked for it. Belongs between
    /// the light fence and the load that the publisher trusts.
    #[inline]
    pub(crate) fn fence_if_asked(&self) {
        if self.asks_for_fence() {
            Self::fence_for_the_consumer();
        }
    }

    #[cold]
    #[inline(never)]
    fn fence_for_the_consumer() {
        // ORD(cell.state): full fence; pairs with those in `fence_as_asked`.
        light_fence(FencePair::Symmetric);
    }

    /// Returns whether the consumer has asked publishers for a full fence.
    #[inline]
    pub(crate) fn asks_for_fence(&self) -> bool {
        self.attention() & FULL != 0
    }

    /// Returns whether a consumer is parked. Call it after [`fence_if_asked`](Self::fence_if_asked).
    #[inline]
    pub(crate) fn is_marked(&self) -> bool {
        self.attention() & MARK != 0
    }
}
