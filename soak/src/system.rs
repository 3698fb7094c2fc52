//! The requests to the system: fewer processors, no `membarrier`, the used processor time, and the
//! return of memory.
#![expect(unsafe_code, reason = "system calls that the standard library does not offer")]

use std::time::Duration;

/// Pins the process to its first `wanted` processors, and returns how many it got: new threads
/// inherit that from this one.
pub(crate) fn use_processors(wanted: usize) -> usize {
    let processors = core_affinity::get_core_ids().unwrap_or_default();
    match processors.first() {
        Some(first) if wanted == 1 && core_affinity::set_for_current(*first) => 1,
        _ => processors.len(),
    }
}

/// Makes the system refuse `membarrier` to every thread of this process from here on. Returns
/// whether it does.
#[cfg(target_os = "linux")]
pub(crate) fn refuse_membarrier() -> bool {
    // Loads the number of the system call, and refuses that one. The architecture is our own.
    let load = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let compare = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: libc::SYS_membarrier as u32 };
    let refuse = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | libc::ENOSYS as u32 };
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 };
    let mut filter = [load, compare, refuse, allow];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    const SET_MODE_FILTER: libc::c_long = 1;
    const ALL_THREADS: libc::c_long = 1;
    // SAFETY: takes numbers.
    let no_more = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the program and its filter live until the call returns, which copies them.
    no_more
        && unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, ALL_THREADS, &raw const program) == 0 }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn refuse_membarrier() -> bool {
    false
}

/// Makes the allocator keep little of the freed memory from here on, by fixed thresholds. Otherwise
/// each arena may keep twice the largest block that was ever freed, and `malloc_trim` does not
/// reach the end of an arena. Returns whether the allocator accepts that.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_little() -> bool {
    // SAFETY: takes numbers.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 10) == 1 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_little() -> bool {
    false
}

/// Makes the allocator return its pages of freed memory to the system.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn give_back() {
    // SAFETY: takes a number.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}

/// Returns the processor time that all threads of this process have used; `None` where the system
/// does not report it.
#[cfg(target_os = "linux")]
pub(crate) fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the duration of the call.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    (done == 0).then(|| Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn processor_time() -> Option<Duration> {
    None
}
