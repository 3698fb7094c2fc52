//! Prefetching of a cache line before it is written.
//!
//! A slot that the consumer has read is in the consumer's cache. A store to it waits for the cache
//! line, and all later stores wait as well, since stores leave the processor in order. A prefetch
//! for writing brings the line before its turn comes.
//!
//! On the machine of the measurement, a bare ring moved 40 to 100 million events a second without
//! it, with large differences between runs, and a steady 235 million with it. With it, a publish to
//! a stalled consumer costs 0.2 ns more.
#![cfg_attr(
    all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri), not(loom)),
    expect(unsafe_code, reason = "the standard library has no prefetch for writing")
)]

/// Returns the distance in bytes between a value and the cache line to prefetch for it.
///
/// The distance is about as many lines as a processor has in flight. Values that take several lines
/// each are not prefetched.
pub(crate) const fn bytes_ahead<T>() -> usize {
    if size_of::<T>() <= 256 { AHEAD } else { 0 }
}

/// Returns the same distance for a block of `count` values: at most a quarter of the block, since
/// that much memory stays unused after each block.
pub(crate) const fn bytes_ahead_in_block<T>(count: usize) -> usize {
    let quarter = count * size_of::<T>() / 4;
    if quarter < LINE {
        0
    } else if quarter < bytes_ahead::<T>() {
        1 << quarter.ilog2()
    } else {
        bytes_ahead::<T>()
    }
}

/// Returns the number of padding items of type `T` at the end of a ring.
///
/// With them a prefetch needs no bounds check and never takes a cache line from another allocation.
pub(crate) const fn spare<T>(bytes_ahead: usize) -> usize {
    if size_of::<T>() == 0 { 0 } else { bytes_ahead.div_ceil(size_of::<T>()) }
}

const AHEAD: usize = 512;
pub(crate) const LINE: usize = 64;

/// Prefetches, for writing, the cache line `bytes_ahead` bytes after a slot.
///
/// `bytes_ahead` comes from [`bytes_ahead`] or [`bytes_ahead_in_block`]. This is a hint: the
/// address need not be valid.
///
/// The caller writes the slot through the returned reference, so that the compiler keeps its
/// address in one register. On Intel's processors up to Ice Lake, stores to a sum of two registers
/// take an address unit from loads, which made a publish a seventh slower.
#[inline(always)]
pub(crate) fn prefetch_for_write<S>(slot: &S, bytes_ahead: usize) -> &S {
    // The distance is an immediate operand of the instruction.
    match bytes_ahead {
        0 => ask::<0, S>(slot),
        LINE => ask::<LINE, S>(slot),
        128 => ask::<128, S>(slot),
        256 => ask::<256, S>(slot),
        _ => ask::<AHEAD, S>(slot),
    }
}

/// Prefetches, for writing, the cache line in which a value begins.
#[inline(always)]
pub(crate) fn prefetch_line_for_write<S>(thing: &S) {
    ask::<0, S>(thing);
}

#[inline(always)]
#[cfg_attr(
    all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri), not(loom)),
    expect(
        clippy::pointers_in_nomem_asm_block,
        reason = "the hint has no effect that the program can observe"
    )
)]
fn ask<const BYTES_AHEAD: usize, S>(thing: &S) -> &S {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri), not(loom)))]
    {
        let mut place = std::ptr::from_ref(thing);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `prefetchw` reads and writes nothing and never faults. Every 64-bit processor
        // accepts it, if only as a no-op.
        unsafe {
            std::arch::asm!(
                "prefetchw [{} + {}]", inout(reg) place, const BYTES_AHEAD,
                options(nomem, nostack, preserves_flags)
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: `prfm` reads and writes nothing and never faults.
        unsafe {
            std::arch::asm!(
                "prfm pstl1keep, [{}, #{}]", inout(reg) place, const BYTES_AHEAD,
                options(nomem, nostack, preserves_flags)
            );
        }
        // SAFETY: the instruction leaves the register unchanged.
        unsafe { &*place }
    }
    #[cfg(any(miri, loom, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    thing
}
