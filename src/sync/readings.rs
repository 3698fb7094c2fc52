//! Cheap readings of the time: the processor's counter, and the system's clock at its last tick.
//!
//! The standard library reads the system's clock exactly, which takes 20 to 30 ns. A publisher that
//! stamps its events reads one of these instead.
#![cfg_attr(
    all(target_os = "linux", not(any(miri, loom, shuttle))),
    expect(unsafe_code, reason = "the standard library has neither the counter nor the coarse clock")
)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Returns a number that grows with time, on all threads alike. See [`time::ticks`](crate::time::ticks).
#[inline]
pub(crate) fn ticks() -> u64 {
    counter().unwrap_or_else(since_start)
}

/// Returns the nanoseconds since the first call.
#[cold]
fn since_start() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the time stamp counter, if the kernel takes it for synchronous across processors.
///
/// The instruction may run ahead of earlier loads, by the few dozen nanoseconds for which a
/// processor can postpone them. A fence would cost more than that reading.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(any(miri, loom, shuttle))))]
#[inline(always)]
fn counter() -> Option<u64> {
    static SYNCHRONOUS: OnceLock<bool> = OnceLock::new();
    if !*SYNCHRONOUS.get_or_init(is_synchronous) {
        return None;
    }
    let (low, high): (u32, u32);
    // SAFETY: `rdtsc` only writes the two registers. Linux lets every process execute it, unless the
    // process has disabled it for itself.
    unsafe {
        std::arch::asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    Some(u64::from(high) << 32 | u64::from(low))
}

/// Returns whether the kernel offers the counter as a source of its clock: it tests at its start that
/// the processors agree, and withdraws the source when they no longer do.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(any(miri, loom, shuttle))))]
#[cold]
fn is_synchronous() -> bool {
    const SOURCES: &str = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
    std::fs::read_to_string(SOURCES)
        .is_ok_and(|sources| sources.split_whitespace().any(|source| source == "tsc"))
}

/// Returns the counter of the generic timer, which is one for all processors.
#[cfg(all(target_os = "linux", target_arch = "aarch64", not(any(miri, loom, shuttle))))]
#[inline(always)]
fn counter() -> Option<u64> {
    let count: u64;
    // SAFETY: this only writes the register. Linux lets every process read the virtual counter.
    unsafe {
        std::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags));
    }
    Some(count)
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(any(miri, loom, shuttle))
)))]
#[inline(always)]
fn counter() -> Option<u64> {
    None
}

/// Returns the time since the Unix epoch at the system's last tick. See
/// [`time::coarse_unix_time`](crate::time::coarse_unix_time).
#[cfg(all(target_os = "linux", not(any(miri, loom, shuttle))))]
#[inline]
pub(crate) fn coarse_unix_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes into `time` and nothing else.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut time) };
    match (result, u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (0, Ok(seconds), Ok(nanos)) => Duration::new(seconds, nanos),
        _ => exact_unix_time(),
    }
}

#[cfg(not(all(target_os = "linux", not(any(miri, loom, shuttle)))))]
pub(crate) fn coarse_unix_time() -> Duration {
    exact_unix_time()
}

#[cold]
fn exact_unix_time() -> Duration {
    // A time before the epoch counts as the epoch.
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{coarse_unix_time, exact_unix_time, since_start, ticks};
    use std::time::Duration;

    #[test]
    fn ticks_grow_across_threads() {
        // Each thread reads after the previous one has ended, on whatever processor it runs.
        let mut last = ticks();
        for _ in 0..100 {
            let next = std::thread::spawn(ticks).join().unwrap();
            assert!(next >= last, "{next} after {last}");
            last = next;
        }
        assert!(ticks() >= last);
    }

    #[test]
    fn fallback_grows() {
        let first = since_start();
        assert!(since_start() >= first);
    }

    #[test]
    fn coarse_time_is_near_the_exact_time() {
        let (before, coarse, after) = (exact_unix_time(), coarse_unix_time(), exact_unix_time());
        // No system has ticks of a second.
        let tolerance = Duration::from_secs(1);
        assert!(
            coarse + tolerance >= before && coarse <= after + tolerance,
            "{before:?} {coarse:?} {after:?}"
        );
    }
}
