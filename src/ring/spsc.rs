//! A bounded SPSC ring buffer with cached indices and a seal.
//!
//! The ring is Lamport's (1983) with monotonic 64-bit indices. Each side caches the other's index,
//! and loads the shared one only when the cached one shows a full or empty ring, as in MCRingBuffer
//! (Lee, Bu, Chandranmenon, 2009). A push is a store to the slot and a Release store of the tail:
//! no read-modify-write, no fence.
//!
//! # The seal
//! [`Sealer::seal`] ends a lane while the producer may be anywhere between its check and its push,
//! and no producer waits. The word `fin` changes from OPEN to SEALING to the final tail. The sealer
//! marks, fences, loads the tail and proposes it. A producer that sees the mark after its own push
//! and fence proposes *its* tail. The first proposal wins. A producer that loses with `fin` below
//! its tail still owns the slots in between and takes their values back. The consumer, too, must
//! load `fin` before it trusts a tail. It fences between the two loads, and while it finds SEALING
//! it takes only values below the end that it already had.
//!
//! # Invariants
//! - S1: slots in `[head, min(tail, fin))` hold values and belong to the consumer. All others
//!   belong to the producer and are empty, except those in `[fin, tail)` until the producer has
//!   taken their values back.
//! - S2: only the producer writes `tail`, only the consumer writes `head`; both only grow.
//! - S3: `tail - head` never exceeds the capacity, which never exceeds the number of slots.
#![expect(unsafe_code, reason = "slots are written on one thread and read on another")]

mod consumer;
mod dormant;
mod producer;
mod sealer;

use crate::error::{BuildError, OutOfMemory};
use crate::sync::membarrier::{FencePair, process_pair};
use crate::sync::prefetch::{bytes_ahead, spare};
use crate::sync::slot::{Aligned, Slot};
use crate::sync::{Arc, AtomicU64, CachePadded, Ordering};
use crate::wait::context::discard;
pub use consumer::Consumer;
pub use producer::{Producer, Vacant};
pub use sealer::Sealer;
use std::ptr::NonNull;

/// `fin` of a ring that is not sealed.
const OPEN: u64 = u64::MAX;
/// `fin` while the final tail is not decided.
const SEALING: u64 = u64::MAX - 1;
/// `fin` of a ring that is not sealed, and that the consumer does not poll: see [`dormant`].
const DORMANT: u64 = u64::MAX - 2;

/// The word of a ring's end: [`OPEN`], [`DORMANT`], [`SEALING`], or the final tail.
///
/// The stored value is one more, so an open ring's word is zero. A publisher ORs it with the other
/// words that need its attention, for all its lanes, and tests once.
struct Fin(AtomicU64);

impl Fin {
    fn new() -> Self {
        Self(AtomicU64::new(OPEN.wrapping_add(1)))
    }

    #[inline(always)]
    fn load(&self, ordering: Ordering) -> u64 {
        self.0.load(ordering).wrapping_sub(1)
    }

    /// Loads the word that a producer checks after a fence: zero while the ring is open and not
    /// dormant.
    #[inline(always)]
    fn attention(&self) -> u64 {
        // ORD(spsc.fin): Relaxed; the fence before it pairs with the one between `Sealer::mark` and
        // `Sealer::fix`, and with the one between `Consumer::make_dormant` and `stays_dormant`.
        self.0.load(Ordering::Relaxed)
    }

    /// Changes the word from `from` to `to`; `Err` has the current value if it is not `from`.
    fn advance(&self, from: u64, to: u64) -> Result<u64, u64> {
        let [old, new] = [from, to].map(|value| value.wrapping_add(1));
        // ORD(spsc.fin): AcqRel; Release publishes the slots that the proposer saw below its tail,
        // Acquire pairs with the winner's Release. For a mark: the heavy fence that follows pairs
        // with the light fences of producer and consumer.
        let moved = self.0.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        moved.map(|_| to).map_err(|found| found.wrapping_sub(1))
    }
}

struct SpscRing<T> {
    /// The next position to write; all positions below are written. Only the producer stores it.
    tail: CachePadded<AtomicU64>,
    /// The next position to consume; all values below are handled and their slots are free. Only
    /// the consumer stores it.
    head: CachePadded<AtomicU64>,
    /// The end of the ring: `OPEN`, `DORMANT`, `SEALING`, or the final tail. It shares a cache line with
    /// fields that never change, which both halves keep cached. If it were next to the tail, each
    /// push would wait for the cache line that the consumer polls.
    fin: Fin,
    /// A power of two of slots, and spare ones after them for prefetching.
    slots: Aligned<Slot<T>>,
    capacity: u64,
    /// The fence pair of this ring's seal.
    pair: FencePair,
}

/// A half's own pointer to the slots, so that a push or pop touches no third cache line to find
/// them.
///
/// # Invariant
/// - S4: `first` points to `mask + 1` slots, a power of two, which live as long as the `SpscRing`
///   that the half keeps.
struct Slots<T> {
    first: NonNull<Slot<T>>,
    mask: u64,
}

const fn spare_slots<T>() -> usize {
    spare::<T>(bytes_ahead::<T>())
}

// SAFETY: a pointer to slots, which are `Sync` for `T: Send`; each half reaches only the slots that
// S1 gives it.
unsafe impl<T: Send> Send for Slots<T> {}
// SAFETY: as above; a shared half reaches no slot at all.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    fn of(slots: &[Slot<T>]) -> Self {
        let count = slots.len() - spare_slots::<T>();
        debug_assert!(count.is_power_of_two());
        Self { first: NonNull::from(slots).cast(), mask: count as u64 - 1 }
    }

    /// Returns a pointer derived from the one to all slots, so it is also valid for the slots after
    /// it.
    #[inline(always)]
    fn pointer(&self, position: u64) -> NonNull<Slot<T>> {
        // SAFETY: S4: the masked index is below the number of slots.
        unsafe { self.first.add((position & self.mask) as usize) }
    }

    #[inline(always)]
    fn at(&self, position: u64) -> &Slot<T> {
        // SAFETY: S4.
        unsafe { self.pointer(position).as_ref() }
    }

    /// Returns at most `most` slots from a position on, up to where the ring wraps.
    #[inline(always)]
    fn run(&self, position: u64, most: usize) -> &[Slot<T>] {
        let count = (self.mask + 1 - (position & self.mask)).min(most as u64);
        // SAFETY: S4: `count` does not reach beyond the last of the ring's slots, which are
        // contiguous.
        unsafe { NonNull::slice_from_raw_parts(self.pointer(position), count as usize).as_ref() }
    }
}

impl<T> SpscRing<T> {
    /// Publishes the values below this position to the consumer.
    #[inline(always)]
    fn show(&self, tail: u64) {
        // ORD(spsc.tail): Release; pairs with the Acquire in `Consumer::refresh` and `Sealer::fix`:
        // the slots are written.
        self.tail.store(tail, Ordering::Release);
    }

    fn slot(&self, position: u64) -> &Slot<T> {
        let count = (self.slots.len() - spare_slots::<T>()) as u64;
        &self.slots[(position & (count - 1)) as usize]
    }

    /// Proposes `tail` as the end of a ring that is being sealed; returns the proposal that won.
    #[cold]
    fn propose(&self, tail: u64) -> u64 {
        self.fin.advance(SEALING, tail).unwrap_or_else(|fin| fin)
    }
}

impl<T> Drop for SpscRing<T> {
    fn drop(&mut self) {
        let tail = self.tail.load(Ordering::Relaxed);
        let end = tail.min(self.fin.load(Ordering::Relaxed));
        for position in self.head.load(Ordering::Relaxed)..end {
            // SAFETY: S1: both halves are dropped, and the slots in [head, end) hold values.
            discard(unsafe { self.slot(position).take() });
        }
    }
}

/// Creates a ring that holds exactly `capacity` values.
///
/// The memory is allocated and touched here; neither half allocates later.
///
/// # Errors
/// [`BuildError`] when the capacity is zero or larger than [`MAX_CAPACITY`](super::MAX_CAPACITY),
/// or its memory cannot be allocated.
///
/// # Examples
/// ```
/// let (mut producer, mut consumer) = buslane::ring::spsc::ring(2)?;
/// assert_eq!(producer.push("a"), Ok(()));
/// assert_eq!(producer.push("b"), Ok(()));
/// assert_eq!(producer.push("c"), Err("c"));
/// assert_eq!(consumer.pop(), Some("a"));
/// assert_eq!(producer.push("c"), Ok(()));
/// # Ok::<(), buslane::error::BuildError>(())
/// ```
pub fn ring<T: Send>(capacity: usize) -> Result<(Producer<T>, Consumer<T>), BuildError> {
    let slots = Aligned::try_new(super::slots_for(capacity, 1)? + spare_slots::<T>(), |_| Slot::empty())
        .ok_or(OutOfMemory::new(capacity))?;
    let shared = Arc::new(SpscRing {
        tail: CachePadded::new(AtomicU64::new(0)),
        head: CachePadded::new(AtomicU64::new(0)),
        fin: Fin::new(),
        slots,
        capacity: capacity as u64,
        pair: process_pair(),
    });
    Ok((Producer::new(shared.clone()), Consumer::new(shared)))
}
