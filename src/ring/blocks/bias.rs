//! The bias: a shared writer that is the only one for a while writes without a claim, by plain
//! loads and stores, until another writer revokes the bias.
//!
//! The bias is a bit in the tail word. While it is set, no claim succeeds, and one writer, the
//! *holder*, stores the tail. This is biased locking, with the pair of fences of
//! [`membarrier`](crate::sync::membarrier).
//!
//! | thread | steps |
//! |---|---|
//! | writer that grants itself the bias, at the end of its claim | `announced`: its position · name itself as the holder · store the tail with the bit |
//! | holder, for each value | `announced`: position + 1 · light fence · load `revoked`: if it has reached the position of the grant, restore `announced` and claim · write the value · store the tail with the bit |
//! | holder, where the block is full | exchange the tail word: from the bias to its own claim |
//! | another writer | load the tail word with the bit · raise the holder's `revoked` to the tail · heavy fence · wait until `announced` is the tail · exchange the tail word: from the bias to its own claim |
//!
//! # Invariants
//! - E1: a tail word with the bit occurs once in the life of a ring. The bit is set only by a store
//!   that also raises the position: at a grant, which follows a put, and by a put of the holder. So
//!   an exchange that expects such a word succeeds only if no thread has stored the tail since that
//!   word was loaded.
//! - E2: the holder writes at the tail only if it loaded `revoked` below the position of the grant
//!   after it announced the position and fenced. A writer that raised `revoked`, fenced, and then
//!   found `announced` equal to an unchanged tail thus excludes it: if the holder's announcement
//!   came before the fence, the writer has seen it, or the restored one of a holder that does not
//!   write. If it came after the fence, the holder sees `revoked`. `revoked` never falls while the
//!   holder has a bias.
//! - E3: positions grow from grant to grant, so raising `revoked` to a tail of an earlier bias does
//!   not revoke a later one. It need not be reset.
//! - E4: a holder's words are freed with the ring's writers, so a late writer may access them.
//!
//! # Progress
//! A writer that revokes waits for at most one value that the holder has begun to write: the same
//! bound as for a claim. A holder that is dropped, forgotten or never publishes again has begun
//! none. The holder waits for no writer while it has the bias.

#[cfg(test)]
mod models;

use super::holders::Holder;
use super::shared_writer::{Claim, SharedWriter};
use super::writer::Window;
use super::{BIASED, BUSY, BlockRing, VALUE};
use crate::sync::membarrier::{FencePair, light_fence, process_pair};
use crate::sync::{self, CachePadded, MODEL, Ordering, cold_path};
use std::sync::Arc;

/// The number of values that a writer writes without another writer in between before it gets its
/// first bias.
const QUIET: u64 = if MODEL { 1 } else { 64 };
/// The same after its bias was revoked for the first time. A revocation interrupts every running
/// thread of the process, which takes as long as many claims.
const QUIET_AGAIN: u64 = if MODEL { 1 } else { 4096 };
/// The most values that a writer has to write alone before it gets a bias again.
const QUIET_AT_MOST: u64 = 1 << 20;
/// A bias that lasts for this many times the required quiet halves it; one that is revoked earlier
/// doubles it.
const WORTH: u64 = 16;

/// A shared writer that may hold the bias.
pub(crate) struct Bias<T> {
    writer: SharedWriter<T>,
    term: Term<T>,
}

// SAFETY: as for `WriterCore`; a bias is made only of a shared writer with `T: Send + Sync`.
unsafe impl<T: Send> Send for Bias<T> {}

/// The bias, or the path to the next one.
struct Term<T> {
    /// The part of the current block that the bias covers; empty without a bias.
    window: Window<T>,
    /// The position of the next value under the bias.
    position: u64,
    /// The position at which the bias was granted.
    granted: u64,
    holder: Arc<CachePadded<Holder>>,
    ring: sync::Arc<BlockRing<T>>,
    /// Since this position no other writer has written.
    alone_since: u64,
    /// The tail after the last write of this writer.
    left_at: u64,
    /// The position at which the claim in progress began.
    begun_at: u64,
    /// The number of values that this writer has to write alone before it gets a bias.
    quiet: u64,
}

impl<T: Send + Sync> Bias<T> {
    /// Makes a writer without a bias. Allocates if there are more writers of this kind than ever
    /// before.
    pub(crate) fn new(writer: &SharedWriter<T>) -> Self {
        // Without the asymmetric pair, a bias would cost a full fence for each value: as much as a
        // claim.
        let is_worthwhile = MODEL || process_pair() == FencePair::Asymmetric;
        let pen = writer.pen();
        let term = Term {
            window: Window::empty(),
            position: 0,
            granted: 0,
            holder: pen.holders.register(),
            ring: pen.shared.clone(),
            alone_since: 0,
            left_at: u64::MAX,
            begun_at: 0,
            quiet: if is_worthwhile { QUIET } else { u64::MAX },
        };
        Self { writer: writer.clone(), term }
    }

    /// Returns the claims of this writer.
    pub(crate) fn claiming(&mut self) -> Claiming<'_, T> {
        Claiming { writer: &self.writer, term: &mut self.term }
    }
}

impl<T> Bias<T> {
    /// Returns whether this writer holds the bias, and its next value begins a block.
    #[inline]
    pub(crate) fn is_at_a_block(&self) -> bool {
        self.term.granted != 0 && self.term.window.is_full(self.term.position)
    }

    /// Ends the bias, if this writer holds it: its next value may come late, and the next writer
    /// then need not revoke the bias.
    pub(crate) fn rest(&mut self) {
        self.term.end(0);
    }

    /// Announces the next value, if this writer holds the bias and the current block has room:
    /// [`Announced::put`] then writes it. Two steps, so that a value is made only when it has a
    /// place: one that may have to be given back is built in memory, and copied from there.
    #[inline(always)]
    pub(crate) fn announce(&mut self) -> Option<Announced<'_, T>> {
        let Term { window, position, granted, holder, .. } = &mut self.term;
        // The window is empty without a bias.
        if window.is_full(*position) {
            return None;
        }
        holder.announced.store(*position + 1, Ordering::Relaxed);
        // ORD(bias.announced): light fence; pairs with the heavy one in `Holders::revoke`.
        light_fence(FencePair::Asymmetric);
        // ORD(bias.revoked): Relaxed; the fence above orders it.
        if holder.revoked.load(Ordering::Relaxed) >= *granted {
            cold_path();
            // Relaxed: this writer has written nothing since the tail that it stored.
            holder.announced.store(*position, Ordering::Relaxed);
            return None;
        }
        Some(Announced(&mut self.term))
    }
}

/// The holder of the bias between its announcement and its value.
pub(crate) struct Announced<'a, T>(&'a mut Term<T>);

impl<T> Announced<'_, T> {
    /// Returns the position of the value.
    #[inline(always)]
    pub(crate) fn position(&self) -> u64 {
        self.0.position
    }

    /// Writes the value and shows it to readers. Returns the value that it overwrites, if values
    /// have destructors; drop it after this call.
    #[inline(always)]
    pub(crate) fn put(self, value: T) -> Option<T> {
        let Term { window, position, ring, .. } = &mut *self.0;
        // SAFETY: E2: no other writer writes at this position, which lies in the block being
        // written: `announce` has checked that it is not full.
        let old = unsafe { window.put_next(position, value) };
        // ORD(blocks.tail): Release; pairs with the Acquire in `BlockRing::tail_word`: the value is
        // written. ORD(blocks.claim): Release; pairs with the heavy fence in `Holders::revoke`.
        ring.tail.store((*position * VALUE) | BIASED, Ordering::Release);
        std::mem::forget(self);
        old
    }
}

/// Withdraws the announcement, of a value that does not come.
impl<T> Drop for Announced<'_, T> {
    fn drop(&mut self) {
        // Relaxed: this writer has written nothing since the tail that it stored.
        self.0.holder.announced.store(self.0.position, Ordering::Relaxed);
    }
}

/// The claims of a writer that may hold the bias. They end its bias, and may begin the next one.
pub(crate) struct Claiming<'a, T> {
    writer: &'a SharedWriter<T>,
    term: &'a mut Term<T>,
}

impl<'a, T: Send + Sync> Claiming<'a, T> {
    /// Returns the writer itself, whose claims do not lead to a bias.
    pub(crate) fn writer(&self) -> &'a SharedWriter<T> {
        self.writer
    }

    /// Waits for the claim; returns `None` when the ring is closed.
    #[inline]
    pub(crate) fn claim(&mut self) -> Option<Claim<'a, T>> {
        let term = &mut *self.term;
        let claim = match term.end(BUSY) {
            Some(position) => self.writer.pen().claimed(position),
            None => self.writer.claim()?,
        };
        term.begun_at = claim.position();
        if term.left_at != term.begun_at {
            term.alone_since = term.begun_at;
        }
        Some(claim)
    }

    /// Ends a claim that [`claim`](Self::claim) has returned, and takes the bias if no other writer
    /// has written for long enough.
    #[inline]
    pub(crate) fn release(&mut self, mut claim: Claim<'a, T>) {
        let term = &mut *self.term;
        let position = claim.position();
        term.left_at = position;
        // E1: a grant follows a put.
        if position - term.alone_since >= term.quiet && position > term.begun_at {
            term.begin(&mut claim);
        }
    }
}

impl<T> Term<T> {
    /// Takes the bias at the end of a claim, unless the current block has no room.
    #[cold]
    fn begin(&mut self, claim: &mut Claim<'_, T>) {
        let Some(window) = claim.window() else { return };
        let position = claim.position();
        self.window = window;
        (self.position, self.granted) = (position, position);
        // Relaxed, both: the tail that the claim stores publishes them.
        self.holder.announced.store(position, Ordering::Relaxed);
        let holder: *const Holder = &**self.holder;
        claim.pen().holders.current.store(holder.cast_mut(), Ordering::Relaxed);
        claim.ends_as(BIASED);
    }

    /// Ends the bias, if this writer holds it, and leaves these bits in the tail word. Returns the
    /// position.
    #[inline]
    fn end(&mut self, bits: u64) -> Option<u64> {
        if self.granted == 0 { None } else { self.end_bias(bits) }
    }

    #[cold]
    #[inline(never)]
    fn end_bias(&mut self, bits: u64) -> Option<u64> {
        let position = self.position;
        let is_revoked = self.holder.revoked.load(Ordering::Relaxed) >= self.granted;
        self.window = Window::empty();
        (self.position, self.granted) = (0, 0);
        let (biased, ended) = ((position * VALUE) | BIASED, (position * VALUE) | bits);
        // Relaxed: the core and the slots are as this writer left them, and the exchange continues
        // the release sequence of the last store of the tail. No fence: this writer is not between
        // an announcement and a tail.
        let ended = self.ring.tail.compare_exchange(biased, ended, Ordering::Relaxed, Ordering::Relaxed);
        if is_revoked || ended.is_err() {
            // A writer that revokes may be slower than this one. Without a bias, both claim.
            self.was_revoked(position);
        } else {
            self.left_at = position;
        }
        ended.is_ok().then_some(position)
    }

    /// Adapts the quiet that the next bias requires to the length of the bias that was revoked at
    /// this position.
    fn was_revoked(&mut self, position: u64) {
        let was_long = position - self.alone_since >= WORTH.saturating_mul(self.quiet);
        let quiet = if was_long { self.quiet / 2 } else { self.quiet * 2 };
        self.quiet = quiet.clamp(QUIET_AGAIN, QUIET_AT_MOST);
        self.left_at = u64::MAX;
    }
}

impl<T> Drop for Bias<T> {
    fn drop(&mut self) {
        self.rest();
        self.writer.pen().holders.give_back(&self.term.holder);
    }
}
