//! Asking for a line of memory before it is written.
//!
//! A slot that the consumer has read is in the consumer's cache. A store to it waits for the line, and since stores leave
//! the processor in order, all later ones wait behind it. Asked for early, and for writing at once, the line is there when
//! its turn comes. On the machine on which this was measured it moved a bare ring's stream from 40 to 100 million events a second,
//! differing from run to run, to a steady 235.
#![expect(unsafe_code, reason = "an instruction that the standard library does not offer for writing")]

/// Asks for the line so many bytes behind `place`, to be written soon. A hint: the address need not be valid.
#[inline(always)]
pub(crate) fn prefetch_for_write<T>(place: &T, bytes: usize) {
    let place = std::ptr::from_ref(place).addr().wrapping_add(bytes);
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: `prefetchw` reads and writes nothing and never faults. Every 64-bit processor takes it, if only as no operation.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) place, options(nomem, nostack, preserves_flags));
    }
    #[cfg(all(target_arch = "aarch64", not(miri), not(loom)))]
    // SAFETY: `prfm` reads and writes nothing and never faults.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) place, options(nomem, nostack, preserves_flags));
    }
    #[cfg(any(miri, loom, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    let _ = place;
}
